//! Association termination (RFC 9260 section 9).

use std::time::Duration;

use turnpike_sctp::wire::Chunk;
use turnpike_sctp::{CloseReason, Config, Outgoing, Ppid, SendError, State, StreamId};

use crate::tester::{Tester, config, data, is_reflected, kinds, look};

fn refuses_messages(tester: &mut Tester) {
    let message = Outgoing::new(StreamId(0), Ppid(53), vec![1].into());
    assert!(matches!(
        tester.sut.send(tester.now, message),
        Err(SendError::ShuttingDown | SendError::NotConnected)
    ));
}

/// Whatever comes after the end is out of the blue.
fn is_gone(tester: &mut Tester) {
    assert_eq!(tester.sut.state(), State::Closed);
    assert_eq!(tester.sut.poll_timeout(), None);
    tester.forget();
    tester.inject(|w| w.heartbeat(b"anybody there?"));
    if let Some(answer) = tester.next_kinds() {
        assert_eq!(answer, [6]);
    }
}

fn shutting_down() -> Tester {
    let mut tester = Tester::called();
    tester.sut.shutdown(tester.now);
    tester.settle();
    tester.expect_kinds(&[7]);
    assert_eq!(tester.sut.state(), State::ShutdownSent);
    tester
}

fn shut_down_by_tester() -> Tester {
    let mut tester = Tester::called();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.expect_kinds(&[8]);
    assert_eq!(tester.sut.state(), State::ShutdownAckSent);
    tester
}

#[test]
fn an_abort_ends_the_association() {
    let mut tester = Tester::called();
    tester.inject(|w| w.abort(false, &[]));
    assert_eq!(tester.closed(), Some(CloseReason::AbortedByPeer(0)));
    is_gone(&mut tester);
}

#[test]
fn an_abort_of_ours_carries_the_peers_tag_and_the_reason() {
    let mut tester = Tester::called();
    tester.sut.abort(tester.now, b"enough");
    tester.settle();
    let abort = tester.next_packet();
    assert!(!is_reflected(&abort));
    assert_eq!(crate::tester::cause_codes(&abort), [12]);
    assert_eq!(tester.closed(), Some(CloseReason::Aborted));
}

#[test]
fn shutdown_waits_until_everything_is_acknowledged() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.expect_kinds(&[0]);
    tester.sut.shutdown(tester.now);
    tester.settle();
    assert_eq!(tester.sut.state(), State::ShutdownPending);
    tester.expect_silence();
    tester.sack(1, 100_000);
    tester.expect_kinds(&[7]);
}

#[test]
fn an_unanswered_shutdown_is_sent_again() {
    let mut tester = shutting_down();
    tester.pass(Duration::from_millis(1_100));
    tester.expect_kinds(&[7]);
}

#[test]
fn an_unanswered_shutdown_is_given_up_at_last() {
    let few = Config {
        association_retransmissions_max: 3,
        ..config()
    };
    let mut tester = Tester::called_with(few, &[]);
    tester.sut.shutdown(tester.now);
    tester.settle();
    tester.pass(Duration::from_secs(600));
    let closed = tester.closed();
    assert!(
        matches!(
            closed,
            Some(CloseReason::PeerUnreachable | CloseReason::ShutdownTimedOut)
        ),
        "{closed:?}"
    );
    let shutdowns = std::iter::from_fn(|| tester.next_kinds())
        .filter(|it| *it == [7])
        .count();
    assert_eq!(shutdowns, 4);
}

#[test]
fn shutdown_ack_is_answered_and_ends_the_association() {
    let mut tester = shutting_down();
    tester.inject(|w| w.shutdown_ack());
    let complete = tester.next_packet();
    assert_eq!(kinds(&complete), [14]);
    look(&complete, 14, |chunk| {
        assert!(matches!(
            chunk,
            Chunk::ShutdownComplete {
                is_tag_reflected: false
            }
        ));
    });
    assert_eq!(tester.closed(), Some(CloseReason::Shutdown));
    is_gone(&mut tester);
}

#[test]
fn no_new_messages_are_taken_while_shutting_down() {
    refuses_messages(&mut shutting_down());
    refuses_messages(&mut shut_down_by_tester());
    let mut pending = Tester::called();
    pending.send(100);
    pending.sut.shutdown(pending.now);
    refuses_messages(&mut pending);
    let mut received = Tester::called();
    received.send(100);
    let tsn = received.sut_tsn.previous();
    received.inject(|w| w.shutdown(tsn));
    assert_eq!(received.sut.state(), State::ShutdownReceived);
    refuses_messages(&mut received);
}

#[test]
fn data_in_shutdown_sent_is_acknowledged_and_starts_the_timer_anew() {
    let mut tester = shutting_down();
    tester.pass(Duration::from_millis(600));
    tester.send_data(0);
    let answer = tester.expect(7);
    assert!(answer.contains(&3), "a SACK goes with it: {answer:?}");
    assert_eq!(tester.received.len(), 1);
    tester.pass(Duration::from_millis(600));
    tester.expect_silence();
    tester.pass(Duration::from_millis(600));
    tester.expect(7);
}

#[test]
fn data_in_shutdown_received_is_ignored() {
    let mut tester = Tester::called();
    tester.send(100);
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.forget();
    tester.send_data(0);
    assert_eq!(tester.received.len(), 0);
    tester.sack(1, 100_000);
    tester.expect(8);
}

#[test]
fn shutdown_ack_waits_until_everything_is_acknowledged() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.forget();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.pass(Duration::from_secs(2));
    tester.expect(0);
    tester.forget();
    tester.sack(1, 100_000);
    tester.expect(8);
}

#[test]
fn a_shutdown_that_acknowledges_everything_is_answered_at_once() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.forget();
    let tsn = tester.sut_tsn;
    tester.inject(|w| w.shutdown(tsn));
    tester.expect_kinds(&[8]);
}

#[test]
fn a_shutdown_with_a_sack_beside_it_is_answered_at_once() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.forget();
    let tsn = tester.sut_tsn;
    tester.inject(|w| w.shutdown(tsn.previous()) && w.sack(tsn, 100_000, [].into_iter(), &[]));
    tester.expect_kinds(&[8]);
}

#[test]
fn an_unanswered_shutdown_ack_is_sent_again_and_given_up_at_last() {
    let few = Config {
        association_retransmissions_max: 3,
        ..config()
    };
    let mut tester = Tester::called_with(few, &[]);
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.pass(Duration::from_secs(600));
    let acks = std::iter::from_fn(|| tester.next_kinds())
        .filter(|it| *it == [8])
        .count();
    assert_eq!(acks, 4);
    assert!(
        tester
            .closed()
            .is_some_and(|reason| reason != CloseReason::Shutdown)
    );
}

#[test]
fn shutdown_complete_ends_the_association() {
    let mut tester = shut_down_by_tester();
    tester.inject(|w| w.shutdown_complete(false));
    assert_eq!(tester.closed(), Some(CloseReason::Shutdown));
    is_gone(&mut tester);
}

#[test]
fn shutdowns_that_cross_both_end_the_association() {
    let mut tester = shutting_down();
    let tsn = tester.sut_tsn.previous();
    tester.inject(|w| w.shutdown(tsn));
    tester.expect_kinds(&[8]);
    tester.inject(|w| w.shutdown_ack());
    tester.expect_kinds(&[14]);
    assert_eq!(tester.closed(), Some(CloseReason::Shutdown));
}

#[test]
fn data_in_shutdown_ack_sent_is_ignored() {
    let mut tester = shut_down_by_tester();
    tester.inject(|w| w.data(&data(0)));
    assert!(tester.received.is_empty());
    tester.expect_silence();
}
