//! Duplicate and unexpected messages (RFC 9260 section 5.2 and 8.4).

use turnpike_sctp::wire::{InitFields, InitKind, Parameter};
use turnpike_sctp::{Event, State};

use crate::tester::{INIT, NOTHING, TESTER_TAG, Tester, config, data};

const COOKIE: Parameter<'static> = Parameter::StateCookie(b"cookie");

#[test]
fn an_init_in_cookie_wait_is_answered_and_changes_nothing() {
    let mut tester = Tester::new(config());
    tester.call();
    let tag = tester.tag;
    tester.inject_with_tag(0, |w| w.init(InitKind::Init, &INIT, NOTHING));
    let answer = tester.next_packet();
    assert_eq!(crate::tester::kinds(&answer), [2]);
    assert_eq!(tester.sut.state(), State::CookieWait);
    // A collision: the answer carries the tag of our own INIT (section 5.2.1).
    crate::tester::look(&answer, 2, |chunk| {
        let turnpike_sctp::wire::Chunk::InitAck(init) = chunk else {
            panic!()
        };
        assert_eq!(init.fields.initiate_tag, tag);
    });
}

#[test]
fn an_init_in_established_is_answered_and_changes_nothing() {
    let mut tester = Tester::called();
    let tag = tester.tag;
    tester.init(
        &InitFields {
            initiate_tag: 99,
            ..INIT
        },
        NOTHING,
    );
    assert_eq!(tester.sut.state(), State::Established);
    tester.tag = tag;
    tester.send_data(0);
    assert_eq!(tester.received.len(), 1);
}

#[test]
fn an_init_in_shutdown_ack_sent_is_answered_with_shutdown_ack() {
    let mut tester = Tester::called();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.forget();
    tester.inject_with_tag(0, |w| w.init(InitKind::Init, &INIT, NOTHING));
    tester.expect_kinds(&[8]);
}

#[test]
fn an_init_ack_outside_cookie_wait_is_ignored() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    tester.forget();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    assert_eq!(tester.sut.state(), State::CookieEchoed);
    tester.expect_silence();
    let mut tester = Tester::called();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    assert_eq!(tester.sut.state(), State::Established);
    tester.expect_silence();
}

#[test]
fn a_cookie_ack_outside_cookie_echoed_is_ignored() {
    let mut tester = Tester::called();
    tester.inject(|w| w.cookie_ack());
    assert_eq!(tester.sut.state(), State::Established);
    assert!(tester.take_events().is_empty());
    tester.expect_silence();
}

#[test]
fn a_cookie_echo_that_comes_again_is_answered_again() {
    let mut tester = Tester::new(config());
    let cookie = tester.init(&INIT, NOTHING);
    for _ in 0..2 {
        tester.inject(|w| w.cookie_echo(&cookie));
        tester.expect_kinds(&[11]);
    }
    assert_eq!(tester.take_events(), [Event::Connected]);
}

#[test]
fn a_shutdown_in_shutdown_sent_is_answered_with_shutdown_ack() {
    let mut tester = Tester::called();
    tester.sut.shutdown(tester.now);
    tester.settle();
    tester.forget();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.expect_kinds(&[8]);
    assert_eq!(tester.sut.state(), State::ShutdownAckSent);
}

#[test]
fn a_shutdown_in_cookie_wait_is_ignored() {
    let mut tester = Tester::new(config());
    tester.call();
    let tsn = tester.sut_tsn;
    tester.inject(|w| w.shutdown(tsn));
    assert_eq!(tester.sut.state(), State::CookieWait);
    assert_ne!(tester.next_kinds(), Some(vec![8]));
}

#[test]
fn a_shutdown_out_of_the_blue_is_no_association() {
    let mut tester = Tester::new(config());
    tester.inject_with_tag(7, |w| w.shutdown(INIT.initial_tsn));
    assert_eq!(tester.sut.state(), State::Closed);
    if let Some(answer) = tester.next_kinds() {
        assert_eq!(answer, [6]);
    }
}

#[test]
fn a_shutdown_ack_in_established_is_ignored() {
    let mut tester = Tester::called();
    tester.inject(|w| w.shutdown_ack());
    assert_eq!(tester.sut.state(), State::Established);
}

#[test]
fn a_shutdown_ack_in_cookie_wait_is_answered_with_a_reflected_tag() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject_with_tag(TESTER_TAG, |w| w.shutdown_ack());
    assert_eq!(tester.sut.state(), State::CookieWait);
    let complete = tester.next_packet();
    assert_eq!(crate::tester::kinds(&complete), [14]);
    assert_eq!(
        crate::tester::header(&complete).verification_tag,
        TESTER_TAG
    );
}

#[test]
fn a_shutdown_ack_in_shutdown_ack_sent_ends_the_association() {
    let mut tester = Tester::called();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.forget();
    tester.inject(|w| w.shutdown_ack());
    tester.expect_kinds(&[14]);
    assert_eq!(tester.sut.state(), State::Closed);
}

#[test]
fn a_forged_cookie_in_established_changes_nothing() {
    let mut tester = Tester::called();
    tester.inject(|w| w.cookie_echo(&[7; 77]));
    assert_eq!(tester.sut.state(), State::Established);
    tester.expect_silence();
    tester.inject(|w| w.data(&data(0)));
    assert_eq!(tester.received.len(), 1);
}

#[test]
fn a_shutdown_complete_outside_shutdown_ack_sent_is_ignored() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.shutdown_complete(false));
    assert_eq!(tester.sut.state(), State::CookieWait);
    let mut tester = Tester::called();
    tester.inject(|w| w.shutdown_complete(false));
    assert_eq!(tester.sut.state(), State::Established);
}
