//! The end of an allocation by the client's wish (RFC 8656 section 8).

use turnpike_stun::{Message, Method};
use turnpike_turn::attribute::Lifetime;
use turnpike_turn::client::{Event, RequestError};

use crate::support_client::{
    Stage, allocated, challenge, config, peer, refreshed, refused, server, success,
};

fn closing() -> (Stage, Vec<u8>) {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    stage.client.close(stage.now);
    stage.drain();
    let request = stage.request(Method::REFRESH);
    assert_eq!(
        Message::parse(&request).unwrap().get(),
        Ok(Some(Lifetime(0)))
    );
    (stage, request)
}

#[test]
fn close_is_a_refresh_with_zero_lifetime() {
    let (mut stage, request) = closing();
    assert!(stage.client.allocation().is_none());
    stage.answer(&refreshed(&request, 0));
    assert_eq!(stage.event(), Event::Closed);
    assert!(stage.client.is_ended());
    assert_eq!(stage.client.poll_timeout(), None);
}

#[test]
fn mismatch_completes_the_close() {
    let (mut stage, request) = closing();
    stage.answer(&refused(&request, 437));
    assert_eq!(stage.event(), Event::Closed);
}

#[test]
fn stale_nonce_does_not_stop_the_close() {
    let (mut stage, request) = closing();
    stage.answer(&challenge(&request, 438, "fresh"));
    let request = stage.request(Method::REFRESH);
    assert_eq!(
        Message::parse(&request).unwrap().get(),
        Ok(Some(Lifetime(0)))
    );
    stage.answer(&success(&request));
    assert_eq!(stage.event(), Event::Closed);
}

#[test]
fn close_that_nobody_answers_ends_all_the_same() {
    let (mut stage, _) = closing();
    stage.pass_secs(40);
    assert_eq!(stage.event(), Event::Closed);
    assert!(stage.client.is_ended());
}

#[test]
fn nothing_is_sent_or_refreshed_while_closing() {
    let (mut stage, request) = closing();
    let mut buf = [0; 128];
    assert!(
        stage
            .client
            .send(peer("192.0.2.50:1"), b"late", &mut buf)
            .is_err()
    );
    let refused = stage.client.create_permission(stage.now, &[]);
    assert_eq!(refused, Ok(()));
    let refused = stage.client.bind_channel(stage.now, peer("192.0.2.50:1"));
    assert_eq!(refused, Err(RequestError::NoAllocation));
    stage.client.close(stage.now);
    stage.drain();
    stage.assert_silent();
    stage.answer(&success(&request));
    assert_eq!(stage.event(), Event::Closed);
}

#[test]
fn allocation_that_comes_after_close_is_deleted_at_once() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.client.close(stage.now);
    stage.answer(&allocated(&request));
    let delete = stage.request(Method::REFRESH);
    assert_eq!(
        Message::parse(&delete).unwrap().get(),
        Ok(Some(Lifetime(0)))
    );
    stage.answer(&success(&delete));
    assert_eq!(stage.event(), Event::Closed);
    stage.assert_silent();
}

#[test]
fn refusal_that_comes_after_close_is_the_end_of_it() {
    for code in [300, 437, 486] {
        let mut stage = Stage::new(config());
        stage.pass_challenge();
        let request = stage.request(Method::ALLOCATE);
        stage.client.close(stage.now);
        stage.answer(&refused(&request, code));
        assert_eq!(stage.event(), Event::Closed);
        stage.assert_silent();
    }
}

#[test]
fn restart_after_the_end_asks_anew_without_credential() {
    let (mut stage, request) = closing();
    stage.answer(&success(&request));
    assert_eq!(stage.event(), Event::Closed);
    stage.client.restart(stage.now, server());
    stage.drain();
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&allocated(&request));
    assert_eq!(stage.event(), Event::Allocated);
    let mut buf = [0; 128];
    assert!(
        stage
            .client
            .send(peer("192.0.2.50:1"), b"", &mut buf)
            .is_err()
    );
}
