//! Retransmission and giving up (RFC 8489 sections 6.2.1 and 6.2.2).

use std::time::Duration;

use turnpike_stun::Method;
use turnpike_turn::client::{Config, Event, Failure};
use turnpike_types::{DeadlineReason, Timestamp, Transport};

use crate::support_client::{Stage, allocated, config, success};

#[test]
fn request_is_sent_seven_times_and_given_up_after_39_5_seconds() {
    let mut stage = Stage::new(config());
    let start = stage.now;
    let first = stage.request(Method::ALLOCATE);
    let mut sent_at_ms = vec![0];
    while stage.events.is_empty() {
        let due = stage.client.poll_timeout().unwrap();
        assert_eq!(due.reason, DeadlineReason::Retransmission);
        let before = Timestamp::from_nanos(due.at.as_nanos() - 1);
        stage.client.handle_timeout(before);
        stage.drain();
        stage.assert_silent();
        stage.client.handle_timeout(due.at);
        stage.drain();
        for bytes in stage.sent.drain(..) {
            assert_eq!(bytes, first);
            sent_at_ms.push(due.at.since(start).as_millis());
        }
        stage.now = due.at;
    }
    assert_eq!(sent_at_ms, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(stage.now.since(start), Duration::from_millis(39_500));
    assert_eq!(stage.event(), Event::AllocationFailed(Failure::TimedOut));
    assert_eq!(stage.client.poll_timeout(), None);
}

#[test]
fn request_on_a_stream_is_sent_once_and_given_up_after_39_5_seconds() {
    let mut config = config();
    config.transport = Transport::Tcp;
    let mut stage = Stage::new(config);
    stage.request(Method::ALLOCATE);
    assert_eq!(stage.due_in_ms(), 39_500);
    stage.pass(Duration::from_millis(39_499));
    stage.assert_silent();
    stage.pass(Duration::from_millis(1));
    assert!(stage.sent.is_empty());
    assert_eq!(stage.event(), Event::AllocationFailed(Failure::TimedOut));
}

#[test]
fn response_ends_the_retransmissions() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.pass_secs(5);
    assert_eq!(stage.sent.len(), 3);
    stage.sent.clear();
    stage.answer(&allocated(&request));
    assert_eq!(stage.event(), Event::Allocated);
    stage.pass_secs(40);
    stage.assert_silent();
}

#[test]
fn second_response_to_a_request_is_unexpected() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&allocated(&request));
    assert_eq!(stage.event(), Event::Allocated);
    stage.answer(&allocated(&request));
    stage.assert_silent();
}

#[test]
fn answered_request_is_not_sent_from_the_queue() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    let later = stage.now + Duration::from_millis(500);
    stage.client.handle_timeout(later);
    stage.client.handle_input(later, &allocated(&request));
    stage.drain();
    assert!(stage.sent.is_empty());
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn initial_rto_is_the_configured_one() {
    let slow = Config {
        rto: Duration::from_secs(2),
        ..config()
    };
    assert_eq!(Stage::new(slow).due_in_ms(), 2_000);
}

#[test]
fn outstanding_requests_are_bounded_and_the_rest_waits_its_turn() {
    let mut stage = Stage::allocated();
    let peers = |port| turnpike_types::PeerAddr(([192, 0, 2, 60], port).into());
    for port in 1..=40 {
        stage.client.bind_channel(stage.now, peers(port)).unwrap();
    }
    stage.drain();
    assert!((8..=16).contains(&stage.sent.len()), "{}", stage.sent.len());
    let mut bound = 0;
    while let Some(request) = stage.sent.pop_front() {
        stage.answer(&success(&request));
        bound += stage.events.drain(..).count();
        assert!(stage.sent.len() <= 16);
    }
    assert_eq!(bound, 40);
}

#[test]
fn same_seed_and_inputs_give_the_same_bytes() {
    let run = || {
        let mut stage = Stage::with_permission("192.0.2.50:0");
        stage.pass_secs(700);
        (stage.sent, stage.events)
    };
    assert_eq!(run(), run());
}

#[test]
fn earlier_now_counts_as_the_last() {
    let mut stage = Stage::new(config());
    stage.client.handle_timeout(Timestamp::ZERO);
    stage.drain();
    assert_eq!(stage.sent.len(), 1);
    assert_eq!(stage.due_in_ms(), 500);
}
