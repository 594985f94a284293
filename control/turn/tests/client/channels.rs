//! RFC 8656 section 12.

use std::time::Duration;

use turnpike_stun::{AttributeType, Class, Message, Method};
use turnpike_turn::attribute::{ChannelNumberAttribute, XorPeerAddress};
use turnpike_turn::client::{Event, Failure, RequestError};
use turnpike_types::{ChannelNumber, PeerAddr};

use crate::support_client::{Stage, config, peer, refreshed, refused, success};

const PEER: &str = "192.0.2.50:7000";

fn bound(stage: &mut Stage, to: &str) -> ChannelNumber {
    let number = stage.client.bind_channel(stage.now, peer(to)).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    stage.answer(&success(&request));
    assert_eq!(
        stage.event(),
        Event::ChannelBound {
            number,
            peer: peer(to)
        }
    );
    number
}

/// Lets time pass with a server that grants everything.
fn pass_granting(stage: &mut Stage, secs: u64) {
    for _ in 0..secs / 10 {
        stage.pass_secs(10);
        while let Some(request) = stage.sent.pop_front() {
            let is_refresh = Message::parse(&request).unwrap().method() == Method::REFRESH;
            stage.answer(&if is_refresh {
                refreshed(&request, 600)
            } else {
                success(&request)
            });
        }
    }
    stage.events.clear();
}

#[test]
fn channel_bind_names_number_and_peer() {
    let mut stage = Stage::allocated();
    let number = stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.get(), Ok(Some(ChannelNumberAttribute(number))));
    assert_eq!(message.get(), Ok(Some(XorPeerAddress(peer(PEER).0))));
    stage.answer(&success(&request));
    assert_eq!(
        stage.event(),
        Event::ChannelBound {
            number,
            peer: peer(PEER)
        }
    );
}

#[test]
fn every_peer_has_its_own_number_and_keeps_it() {
    let mut stage = Stage::allocated();
    let first = bound(&mut stage, PEER);
    let second = bound(&mut stage, "192.0.2.50:7001");
    assert_ne!(first, second);
    assert_eq!(bound(&mut stage, PEER), first);
}

#[test]
fn channel_is_refreshed_after_nine_minutes_and_its_permission_after_four() {
    let mut stage = Stage::allocated();
    bound(&mut stage, PEER);
    stage.pass(Duration::from_millis(239_999));
    stage.assert_silent();
    stage.pass(Duration::from_millis(1));
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&success(&request));
    stage.pass_secs(240);
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&success(&request));
    stage.pass(Duration::from_millis(59_999));
    stage.assert_silent();
    stage.pass(Duration::from_millis(1));
    let request = stage.request(Method::REFRESH);
    stage.answer(&refreshed(&request, 600));
    let request = stage.request(Method::CHANNEL_BIND);
    stage.answer(&success(&request));
    assert_eq!(stage.event(), Event::Refreshed);
    stage.assert_silent();
    // The ChannelBind has refreshed the permission too.
    assert_eq!(stage.due_in_ms(), 240_000);
}

#[test]
fn lapsed_number_and_peer_are_not_bound_anew_for_five_minutes() {
    let mut config = config();
    config.limits.channels = 1;
    let mut stage = Stage::allocated_with(config);
    let other = peer("192.0.2.51:7000");
    let number = bound(&mut stage, PEER);
    stage.client.release_channel(stage.now, &peer(PEER));
    // Ten minutes until it lapses, five until it may be used again.
    pass_granting(&mut stage, 890);
    let refused = stage.client.bind_channel(stage.now, other);
    assert_eq!(refused, Err(RequestError::TableFull));
    pass_granting(&mut stage, 10);
    let next = stage.client.bind_channel(stage.now, other).unwrap();
    assert_ne!(next, number);
}

#[test]
fn lapsed_channel_may_be_bound_to_the_same_peer_at_any_time() {
    let mut stage = Stage::allocated();
    let number = bound(&mut stage, PEER);
    stage.client.release_channel(stage.now, &peer(PEER));
    pass_granting(&mut stage, 700);
    assert_eq!(bound(&mut stage, PEER), number);
}

#[test]
fn every_number_of_the_range_is_used_once_before_any_again() {
    let mut config = config();
    config.limits.channels = 5_000;
    let mut stage = Stage::allocated_with(config);
    let mut numbers = Vec::new();
    for index in 0..=4_096_u16 {
        let [high, low] = index.to_be_bytes();
        let peer = PeerAddr(([192, 0, high, low], 9).into());
        match stage.client.bind_channel(stage.now, peer) {
            Ok(number) => numbers.push(number.get()),
            Err(error) => assert_eq!((index, error), (4_096, RequestError::TableFull)),
        }
        stage.sent.clear();
    }
    assert_eq!(numbers, (0x4000..=0x4FFF).collect::<Vec<_>>());
}

#[test]
fn refused_number_was_never_bound_and_is_free_at_once() {
    let mut config = config();
    config.limits.channels = 1;
    let mut stage = Stage::allocated_with(config);
    let number = stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    stage.answer(&refused(&request, 403));
    let failure = Failure::Refused(403);
    assert_eq!(
        stage.event(),
        Event::ChannelFailed {
            number,
            peer: peer(PEER),
            failure
        }
    );
    bound(&mut stage, "192.0.2.51:7000");
}

#[test]
fn bad_request_leaves_the_number_in_doubt() {
    let mut config = config();
    config.limits.channels = 1;
    let mut stage = Stage::allocated_with(config);
    let number = stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    stage.answer(&refused(&request, 400));
    let failure = Failure::Refused(400);
    assert_eq!(
        stage.event(),
        Event::ChannelFailed {
            number,
            peer: peer(PEER),
            failure
        }
    );
    let other = stage
        .client
        .bind_channel(stage.now, peer("192.0.2.51:7000"));
    assert_eq!(other, Err(RequestError::TableFull));
}

#[test]
fn channel_bind_that_nobody_answers_is_given_up() {
    let mut stage = Stage::allocated();
    let number = stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    stage.drain();
    stage.pass_secs(40);
    let failure = Failure::TimedOut;
    assert_eq!(
        stage.event(),
        Event::ChannelFailed {
            number,
            peer: peer(PEER),
            failure
        }
    );
    assert_eq!(stage.sent.len(), 7);
}

#[test]
fn unanswered_channel_refresh_is_repeated_until_the_channel_lapses() {
    let mut stage = Stage::allocated();
    let number = bound(&mut stage, PEER);
    for _ in 0..66 {
        stage.pass_secs(10);
        let (silent, answered): (Vec<_>, Vec<_>) = stage
            .sent
            .drain(..)
            .partition(|request| Message::parse(request).unwrap().method() == Method::CHANNEL_BIND);
        assert!(silent.len() <= 6);
        for request in answered {
            let is_refresh = Message::parse(&request).unwrap().method() == Method::REFRESH;
            stage.answer(&if is_refresh {
                refreshed(&request, 600)
            } else {
                success(&request)
            });
        }
    }
    stage.events.retain(|event| *event != Event::Refreshed);
    let failure = Failure::TimedOut;
    assert_eq!(
        stage.event(),
        Event::ChannelFailed {
            number,
            peer: peer(PEER),
            failure
        }
    );
    // Data falls back to indications only while there is a permission, and it went with the channel.
    let mut buf = [0; 128];
    stage.pass_secs(300);
    assert!(stage.client.send(peer(PEER), b"x", &mut buf).is_err());
}

#[test]
fn released_channel_keeps_a_permission_that_was_asked_for() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    bound(&mut stage, PEER);
    stage.client.release_channel(stage.now, &peer(PEER));
    stage.pass_secs(240);
    stage.request(Method::CREATE_PERMISSION);
}

#[test]
fn channel_bind_carries_no_lifetime_and_is_a_request() {
    let mut stage = Stage::allocated();
    stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.class(), Class::Request);
    assert_eq!(message.raw(AttributeType::LIFETIME), None);
}
