//! Fault management (RFC 9260 sections 8.1 to 8.4).

use std::time::Duration;

use turnpike_sctp::wire::{Chunk, PacketWriter};
use turnpike_sctp::{CloseReason, Config, State};

use crate::tester::{Tester, config, header, is_reflected, kinds, look};

#[test]
fn a_silent_peer_is_given_up() {
    let few = Config {
        association_retransmissions_max: 4,
        ..config()
    };
    let mut tester = Tester::called_with(few, &[]);
    tester.send(100);
    tester.pass(Duration::from_secs(600));
    assert_eq!(tester.closed(), Some(CloseReason::PeerUnreachable));
}

#[test]
fn an_answer_clears_the_count_of_errors() {
    let few = Config {
        association_retransmissions_max: 3,
        ..config()
    };
    let mut tester = Tester::called_with(few, &[]);
    for number in 1..6 {
        tester.send(100);
        tester.pass(Duration::from_millis(2_500));
        tester.sack(number, 100_000);
    }
    assert_eq!(tester.sut.state(), State::Established);
}

#[test]
fn a_heartbeat_is_answered_with_its_own_information() {
    let mut tester = Tester::called();
    tester.inject(|w| w.heartbeat(b"only the sender knows"));
    let answer = tester.next_packet();
    look(&answer, 5, |chunk| {
        assert!(matches!(
            chunk,
            Chunk::HeartbeatAck(b"only the sender knows")
        ));
    });
}

#[test]
fn an_idle_path_is_probed() {
    let probing = Config {
        heartbeat_interval: Duration::from_secs(5),
        ..config()
    };
    let mut tester = Tester::called_with(probing, &[]);
    tester.pass(Duration::from_secs(20));
    tester.expect(4);
}

#[test]
fn a_heartbeat_ack_that_answers_nothing_is_ignored() {
    let mut tester = Tester::called();
    tester.inject(|w| w.heartbeat_ack(b"I made that up"));
    tester.inject(|w| w.heartbeat_ack(b""));
    assert_eq!(tester.sut.state(), State::Established);
    tester.expect_silence();
}

/// What answers a packet that belongs to no association.
fn out_of_the_blue(fill: impl FnOnce(&mut PacketWriter<'_>) -> bool) -> Option<Vec<u8>> {
    let mut tester = Tester::new(config());
    tester.inject_with_tag(0x7777_8888, fill);
    assert_eq!(tester.sut.state(), State::Closed);
    tester.take_packet()
}

#[test]
fn a_packet_out_of_the_blue_is_aborted_with_a_reflected_tag() {
    if let Some(abort) = out_of_the_blue(|w| w.heartbeat(b"x")) {
        assert_eq!(kinds(&abort), [6]);
        assert!(is_reflected(&abort));
        assert_eq!(header(&abort).verification_tag, 0x7777_8888);
    }
}

#[test]
fn an_abort_out_of_the_blue_is_not_answered() {
    assert_eq!(out_of_the_blue(|w| w.abort(false, &[])), None);
}

#[test]
fn a_shutdown_ack_out_of_the_blue_is_answered_with_shutdown_complete() {
    let mut tester = Tester::new(config());
    tester.inject_with_tag(0x7777_8888, |w| w.shutdown_ack());
    let complete = tester.next_packet();
    assert_eq!(header(&complete).verification_tag, 0x7777_8888);
    look(&complete, 14, |chunk| {
        assert!(matches!(
            chunk,
            Chunk::ShutdownComplete {
                is_tag_reflected: true
            }
        ));
    });
}

#[test]
fn a_shutdown_complete_or_cookie_ack_out_of_the_blue_is_not_answered() {
    assert_eq!(out_of_the_blue(|w| w.shutdown_complete(false)), None);
    assert_eq!(out_of_the_blue(|w| w.cookie_ack()), None);
}
