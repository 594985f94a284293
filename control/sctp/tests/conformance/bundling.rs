//! Bundling (RFC 9260 section 6.10).

use std::time::Duration;

use turnpike_sctp::wire::{InitKind, Parameter};
use turnpike_sctp::{Outgoing, Ppid, State, StreamId};

use crate::tester::{INIT, NOTHING, Tester, config, data, kinds};

const COOKIE: Parameter<'static> = Parameter::StateCookie(b"cookie");

#[test]
fn an_init_with_data_beside_it_is_ignored() {
    let mut tester = Tester::new(config());
    tester.inject_with_tag(0, |w| {
        w.init(InitKind::Init, &INIT, NOTHING) && w.data(&data(0))
    });
    assert_eq!(tester.sut.state(), State::Closed);
    assert_ne!(tester.next_kinds(), Some(vec![2]));
}

#[test]
fn data_beside_an_init_ack_is_ignored() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]) && w.data(&data(0)));
    assert!(tester.received.is_empty());
    assert_ne!(tester.sut.state(), State::Established);
}

#[test]
fn a_shutdown_complete_with_data_beside_it_delivers_nothing() {
    let mut tester = Tester::called();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.forget();
    tester.inject(|w| w.shutdown_complete(false) && w.data(&data(0)));
    assert!(tester.received.is_empty());
}

#[test]
fn data_after_a_cookie_echo_counts() {
    let mut tester = Tester::new(config());
    let cookie = tester.init(&INIT, NOTHING);
    tester.inject(|w| w.cookie_echo(&cookie) && w.data(&data(0)));
    assert_eq!(tester.received.len(), 1);
    assert_eq!(
        kinds(&tester.next_packet())[0],
        11,
        "COOKIE ACK comes first"
    );
}

#[test]
fn data_after_a_cookie_ack_counts() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    tester.inject(|w| w.cookie_ack() && w.data(&data(0)));
    assert_eq!(tester.received.len(), 1);
}

#[test]
fn a_sack_before_a_shutdown_counts() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.forget();
    let tsn = tester.sut_tsn;
    tester.inject(|w| w.sack(tsn, 100_000, [].into_iter(), &[]) && w.shutdown(tsn));
    tester.expect_kinds(&[8]);
}

#[test]
fn a_sack_before_data_counts() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.forget();
    let tsn = tester.sut_tsn;
    tester.inject(|w| w.sack(tsn, 100_000, [].into_iter(), &[]) && w.data(&data(0)));
    assert_eq!(tester.received.len(), 1);
    tester.pass(Duration::from_secs(5));
    while let Some(kinds) = tester.next_kinds() {
        assert!(!kinds.contains(&0), "what was acknowledged is sent again");
    }
}

#[test]
fn data_beside_a_shutdown_ack_is_ignored() {
    let mut tester = Tester::called();
    tester.sut.shutdown(tester.now);
    tester.settle();
    tester.forget();
    tester.inject(|w| w.shutdown_ack() && w.data(&data(0)));
    tester.expect(14);
    assert!(tester.received.is_empty());
}

#[test]
fn messages_share_packets_that_never_exceed_their_size() {
    let mut tester = Tester::called();
    for len in [1, 7, 300, 301, 302, 600, 1_100, 1_163, 1_164, 5_000] {
        let payload = vec![b'x'; len].into();
        let message = Outgoing::new(StreamId(1), Ppid(53), payload);
        tester.sut.send(tester.now, message).unwrap();
    }
    tester.settle();
    let mut shared = 0;
    for _ in 0..5 {
        let packet = tester.next_packet();
        assert!(packet.len() <= config().packet_size_max);
        shared += usize::from(kinds(&packet).len() > 1);
    }
    assert!(shared > 0, "nothing was bundled");
}
