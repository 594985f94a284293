//! Streams that start anew, and more of them.

use super::*;
use crate::{ResetError, SendError};

#[test]
fn a_stream_is_reset_after_what_was_sent_on_it_and_starts_at_zero() {
    for has_interleaving in [true, false] {
        let config = Config {
            has_interleaving,
            ..Config::default()
        };
        let mut pair = Pair::connected(&config);
        pair.ends[0].send(pair.now, message(4, 50_000, 1)).unwrap();
        pair.ends[0].send(pair.now, message(5, 50_000, 2)).unwrap();
        pair.ends[0]
            .reset_streams(pair.now, &[StreamId(4)])
            .unwrap();
        let refused = pair.ends[0].send(pair.now, message(4, 10, 1));
        assert_eq!(refused, Err(SendError::StreamResetting));
        pair.run(Duration::from_secs(1));
        assert!(pair.events[1].is_empty(), "told after the messages");
        let mut arrived = pair.receive_all(1);
        assert!(
            arrived
                .iter()
                .any(|incoming| incoming.stream == StreamId(4))
        );
        pair.run(Duration::from_millis(1));
        arrived.extend(pair.receive_all(1));
        assert_eq!(arrived.len(), 2);
        let reset = alloc::vec![StreamId(4)];
        assert!(pair.events[0].contains(&Event::OutgoingStreamsReset(reset.clone())));
        assert_eq!(pair.events[1], [Event::IncomingStreamsReset(reset)]);
        for seed in 0..3 {
            pair.ends[0].send(pair.now, message(4, 5000, seed)).unwrap();
            pair.ends[0].send(pair.now, message(5, 5000, seed)).unwrap();
        }
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.receive_all(1).len(), 6);
    }
}

#[test]
fn a_lost_request_or_answer_is_sent_again() {
    for lost in 0..2 {
        let mut pair = Pair::connected(&Config::default());
        pair.sent = [0, 0];
        pair.lose = if lost == 0 {
            |from, count, _| from == 0 && count == 1
        } else {
            |from, count, _| from == 1 && count == 1
        };
        pair.ends[0]
            .reset_streams(pair.now, &[StreamId(1), StreamId(2)])
            .unwrap();
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.events[0].len(), 1, "{:?}", pair.events[0]);
        assert_eq!(pair.events[1].len(), 1, "{:?}", pair.events[1]);
    }
}

#[test]
fn purging_a_stream_lets_it_be_reset_at_once() {
    let mut pair = Pair::connected(&Config::default());
    pair.ends[0].send(pair.now, message(7, 250_000, 1)).unwrap();
    pair.ends[0].send(pair.now, message(7, 250_000, 2)).unwrap();
    pair.run(Duration::from_millis(25));
    pair.ends[0].purge(pair.now, StreamId(7));
    pair.ends[0]
        .reset_streams(pair.now, &[StreamId(7)])
        .unwrap();
    pair.run(Duration::from_secs(1));
    assert!(pair.events[0].contains(&Event::OutgoingStreamsReset(alloc::vec![StreamId(7)])));
    assert!(pair.receive_all(1).is_empty());
    assert_eq!(
        pair.ends[1].memory_bytes(),
        0,
        "the unfinished message is skipped"
    );
    pair.ends[0].send(pair.now, message(7, 1000, 3)).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.receive_all(1)[0].payload, message(7, 1000, 3).payload);
}

#[test]
fn both_kinds_of_streams_can_be_added() {
    let config = Config {
        streams_max: 10,
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    assert_eq!(
        pair.ends[0].send(pair.now, message(12, 10, 1)),
        Err(SendError::NoSuchStream)
    );
    pair.ends[0].add_streams(pair.now, 5, 7).unwrap();
    pair.run(Duration::from_secs(1));
    let negotiated = pair.ends.each_ref().map(|end| *end.negotiated().unwrap());
    assert_eq!(negotiated[0].outgoing_streams, 15);
    assert_eq!(negotiated[0].incoming_streams, 17);
    assert_eq!(negotiated[1].outgoing_streams, 17);
    assert_eq!(negotiated[1].incoming_streams, 15);
    pair.ends[0].send(pair.now, message(12, 10, 1)).unwrap();
    pair.ends[1].send(pair.now, message(16, 10, 1)).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(
        (pair.receive_all(0).len(), pair.receive_all(1).len()),
        (1, 1)
    );
}

#[test]
fn a_peer_without_re_config_is_not_asked() {
    let without = Config {
        has_stream_reset: false,
        ..Config::default()
    };
    let mut pair = Pair::of([Config::default(), without]);
    pair.connect();
    assert_eq!(
        pair.ends[0].reset_streams(pair.now, &[StreamId(0)]),
        Err(ResetError::Unsupported)
    );
}
