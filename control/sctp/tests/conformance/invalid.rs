//! Invalid messages (RFC 9260 sections 3, 5.1.5 and 8.5).

use std::time::Duration;

use turnpike_sctp::wire::InitKind;
use turnpike_sctp::{Discard, State};

use crate::tester::{INIT, NOTHING, TESTER_TAG, Tester, cause_codes, config, packet};

#[test]
fn an_init_that_is_too_short_is_not_answered_with_a_cookie() {
    let mut tester = Tester::new(config());
    tester.inject_chunks(&[1, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8]);
    if let Some(answer) = tester.next_kinds() {
        assert_eq!(answer, [6]);
    }
    assert_eq!(tester.sut.state(), State::Closed);
}

#[test]
fn an_init_ack_that_is_too_short_establishes_nothing() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject_chunks(&[2, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_ne!(tester.sut.state(), State::CookieEchoed);
}

#[test]
fn a_cookie_echo_with_another_tag_is_ignored() {
    let mut tester = Tester::new(config());
    let cookie = tester.init(&INIT, NOTHING);
    tester.inject_with_tag(tester.tag ^ 1, |w| w.cookie_echo(&cookie));
    assert_eq!(tester.sut.state(), State::Closed);
    assert_ne!(tester.next_kinds(), Some(vec![11]));
}

#[test]
fn a_wrong_checksum_is_ignored() {
    let mut tester = Tester::called();
    let mut bytes = packet(tester.tag, |w| w.heartbeat(b"x"));
    bytes[8] ^= 1;
    tester.inject_bytes(&bytes);
    assert_eq!(tester.last_discard, Some(Discard::Checksum));
    tester.expect_silence();
}

#[test]
fn a_forged_cookie_is_ignored() {
    let mut tester = Tester::new(config());
    let mut cookie = tester.init(&INIT, NOTHING);
    cookie[20] ^= 1;
    tester.inject(|w| w.cookie_echo(&cookie));
    assert_eq!(tester.last_discard, Some(Discard::StateCookie));
    assert_eq!(tester.sut.state(), State::Closed);
    tester.expect_silence();
}

#[test]
fn a_stale_cookie_is_reported() {
    let mut tester = Tester::new(config());
    let cookie = tester.init(&INIT, NOTHING);
    tester.pass(Duration::from_secs(61));
    tester.inject(|w| w.cookie_echo(&cookie));
    assert_eq!(cause_codes(&tester.next_packet()), [3]);
    assert_eq!(tester.sut.state(), State::Closed);
}

#[test]
fn a_packet_with_another_tag_is_ignored() {
    let mut tester = Tester::called();
    for tag in [0, TESTER_TAG, tester.tag ^ 1] {
        tester.inject_with_tag(tag, |w| w.heartbeat(b"x"));
        assert_eq!(tester.last_discard, Some(Discard::VerificationTag));
        tester.expect_silence();
    }
}

#[test]
fn an_abort_or_shutdown_complete_with_the_t_bit_carries_the_peers_tag() {
    let mut tester = Tester::called();
    let tag = tester.tag;
    tester.inject_with_tag(tag, |w| w.abort(true, &[]));
    assert_eq!(
        tester.sut.state(),
        State::Established,
        "reflected, but not our tag"
    );
    tester.inject_with_tag(TESTER_TAG, |w| w.abort(false, &[]));
    assert_eq!(
        tester.sut.state(),
        State::Established,
        "not reflected, but the peer's"
    );
    tester.inject_with_tag(TESTER_TAG, |w| w.abort(true, &[]));
    assert_eq!(tester.sut.state(), State::Closed);
}

#[test]
fn a_chunk_longer_than_its_packet_is_ignored() {
    let mut tester = Tester::called();
    tester.inject_chunks(&[1, 0, 0, 0x60]);
    tester.inject_chunks(&[4, 0, 0, 200, 0, 1, 0, 4]);
    assert_eq!(tester.sut.state(), State::Established);
    tester.expect_silence();
}

#[test]
fn a_shutdown_ack_with_another_tag_is_ignored() {
    let mut tester = Tester::called();
    tester.sut.shutdown(tester.now);
    tester.settle();
    tester.forget();
    tester.inject_with_tag(3, |w| w.shutdown_ack());
    assert_eq!(tester.sut.state(), State::ShutdownSent);
    tester.inject(|w| w.shutdown_ack());
    tester.expect_kinds(&[14]);
}

#[test]
fn a_shutdown_complete_with_another_tag_is_ignored() {
    let mut tester = Tester::called();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.forget();
    tester.inject_with_tag(3, |w| w.shutdown_complete(false));
    assert_eq!(tester.sut.state(), State::ShutdownAckSent);
    tester.inject(|w| w.shutdown_complete(false));
    assert_eq!(tester.sut.state(), State::Closed);
}

#[test]
fn an_init_bundled_with_anything_is_ignored() {
    let mut tester = Tester::new(config());
    tester.inject_with_tag(0, |w| {
        w.init(InitKind::Init, &INIT, NOTHING) && w.heartbeat(b"x")
    });
    assert_ne!(tester.next_kinds(), Some(vec![2]));
}
