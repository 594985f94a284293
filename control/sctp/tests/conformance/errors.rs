//! Error causes (RFC 9260 sections 3.3.10, 5.1.2 and 5.2.6).

use turnpike_sctp::wire::{Cause, Chunk, Data, InitKind, Parameter};
use turnpike_sctp::{CloseReason, Config, Event, State, StreamId};

use crate::tester::{INIT, Tester, cause_codes, config, data, kinds, look};

const COOKIE: Parameter<'static> = Parameter::StateCookie(b"cookie");

#[test]
fn a_stale_cookie_error_in_cookie_echoed_leads_to_a_new_attempt() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    tester.forget();
    tester.inject(|w| w.error(&[Cause::StaleCookie(1_000)]));
    match tester.sut.state() {
        State::CookieWait => tester.expect_kinds(&[1]),
        state => assert_eq!(state, State::Closed),
    }
}

#[test]
fn a_stale_cookie_error_after_the_last_attempt_is_told_before_the_end_and_nothing_after_it() {
    let mut tester = Tester::new(Config {
        init_retransmissions_max: 0,
        ..config()
    });
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    tester.inject(|w| w.error(&[Cause::StaleCookie(1_000), Cause::StaleCookie(1_000)]));
    assert_eq!(
        tester.take_events(),
        [
            Event::PeerError(3),
            Event::Closed(CloseReason::HandshakeTimedOut)
        ]
    );
}

#[test]
fn a_stale_cookie_error_elsewhere_is_ignored() {
    let mut tester = Tester::called();
    tester.inject(|w| w.error(&[Cause::StaleCookie(1_000)]));
    assert_eq!(tester.sut.state(), State::Established);
    tester.expect_silence();
}

#[test]
fn data_on_a_stream_that_is_not_there_is_acknowledged_and_reported() {
    let mut tester = Tester::called();
    tester.inject(|w| {
        w.data(&Data {
            stream: StreamId(4_000),
            ..data(0)
        })
    });
    tester.pass(core::time::Duration::from_millis(200));
    let mut seen = Vec::new();
    while let Some(kinds) = tester.next_kinds() {
        seen.extend(kinds);
    }
    assert!(seen.contains(&9) && seen.contains(&3), "{seen:?}");
    assert!(tester.received.is_empty());
}

#[test]
fn an_init_ack_without_a_cookie_is_aborted() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[]));
    assert_eq!(cause_codes(&tester.next_packet()), [2]);
    assert!(tester.closed().is_some());
}

#[test]
fn an_unknown_parameter_of_an_init_ack_is_reported_with_the_cookie_echo() {
    let unknown = Parameter::Unknown {
        kind: 0xFFFE,
        bytes: &[0xFF, 0xFE, 0, 8, 1, 2, 3, 4],
    };
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[unknown, COOKIE]));
    let echo = tester.next_packet();
    assert_eq!(kinds(&echo)[0], 10);
    assert_eq!(cause_codes(&echo), [8]);
    look(&echo, 9, |chunk| {
        let Chunk::Error(mut causes) = chunk else {
            panic!()
        };
        let reported = causes.next();
        assert_eq!(
            reported,
            Some(Cause::UnrecognizedParameters(&[
                0xFF, 0xFE, 0, 8, 1, 2, 3, 4
            ]))
        );
    });
}

#[test]
fn a_cookie_echo_may_bring_an_error_with_it() {
    let mut tester = Tester::new(config());
    let cookie = tester.init(&INIT, &[]);
    let unknown = [0xC0, 0, 0, 4];
    tester
        .inject(|w| w.cookie_echo(&cookie) && w.error(&[Cause::UnrecognizedParameters(&unknown)]));
    assert_eq!(tester.sut.state(), State::Established);
    tester.expect(11);
}

#[test]
fn data_without_user_data_is_aborted() {
    let mut tester = Tester::called();
    tester.inject_chunks(&[0, 3, 0, 16, 0, 0, 3, 0xE8, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(cause_codes(&tester.next_packet()), [9]);
    assert_eq!(tester.sut.state(), State::Closed);
}
