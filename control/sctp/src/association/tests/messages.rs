//! Messages through a pipe that loses nothing.

use super::*;
use crate::CloseReason;

#[test]
fn messages_of_every_size_arrive_whole_and_in_order() {
    let mut pair = Pair::connected(&Config::default());
    let sizes = [1, 3, 4, 255, 1150, 1156, 1160, 1161, 2321, 65_536, 262_144];
    for (seed, &size) in sizes.iter().enumerate() {
        pair.ends[0].send(pair.now, message(3, size, seed)).unwrap();
    }
    pair.run(Duration::from_secs(2));
    let arrived = pair.receive_all(1);
    assert_eq!(arrived.len(), sizes.len());
    for (seed, (incoming, &size)) in arrived.iter().zip(&sizes).enumerate() {
        assert_eq!(incoming.payload, message(3, size, seed).payload, "{size}");
        assert!(incoming.is_begin && incoming.is_end && !incoming.is_unordered);
    }
    assert!(pair.largest <= 1191, "{}", pair.largest);
    let kept = pair.ends[0].memory_bytes();
    assert!(kept < 64 * 1024, "all is acknowledged, {kept} bytes kept");
}

#[test]
fn without_interleaving_messages_travel_in_data_chunks() {
    let config = Config {
        has_interleaving: false,
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    for seed in 0..50 {
        let stream = (seed % 5) as u16;
        pair.ends[0]
            .send(pair.now, message(stream, 5000, seed))
            .unwrap();
    }
    pair.run(Duration::from_secs(2));
    let arrived = pair.receive_all(1);
    assert_eq!(arrived.len(), 50);
    for stream in 0..5_usize {
        let of_stream: Vec<_> = arrived
            .iter()
            .filter(|m| usize::from(m.stream.0) == stream)
            .collect();
        for (n, incoming) in of_stream.iter().enumerate() {
            assert_eq!(incoming.payload, message(0, 5000, stream + n * 5).payload);
        }
    }
}

#[test]
fn shutdown_delivers_what_is_queued_first() {
    let mut pair = Pair::connected(&Config::default());
    pair.ends[0].send(pair.now, message(0, 100_000, 1)).unwrap();
    pair.ends[0].shutdown(pair.now);
    pair.run(Duration::from_secs(2));
    assert_eq!(
        pair.receive_all(1)[0].payload,
        message(0, 100_000, 1).payload
    );
    assert_eq!(
        pair.events[0],
        [
            Event::BufferedAmountLow(StreamId(0)),
            Event::Closed(CloseReason::Shutdown)
        ]
    );
    assert_eq!(
        pair.events[1],
        [Event::PeerShutdown, Event::Closed(CloseReason::Shutdown)]
    );
    for end in &pair.ends {
        assert_eq!((end.state(), end.poll_timeout()), (State::Closed, None));
    }
}

#[test]
fn a_receiver_that_does_not_read_stops_the_sender_and_reading_starts_it_again() {
    let config = Config {
        receive_buffer_bytes: 64 * 1024,
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    for seed in 0..20 {
        pair.ends[0]
            .send(pair.now, message(0, 10_000, seed))
            .unwrap();
    }
    pair.run(Duration::from_secs(120));
    assert_eq!(
        pair.ends[0].state(),
        State::Established,
        "{:?}",
        pair.events
    );
    assert!(pair.ends[1].memory_bytes() <= 64 * 1024);
    let mut arrived = Vec::new();
    for _ in 0..100 {
        arrived.extend(pair.receive_all(1));
        pair.run(Duration::from_millis(100));
    }
    assert_eq!(arrived.len(), 20);
    for (seed, incoming) in arrived.iter().enumerate() {
        assert_eq!(incoming.payload, message(0, 10_000, seed).payload);
    }
}

#[test]
fn a_message_above_the_window_arrives_in_parts() {
    let config = Config {
        receive_buffer_bytes: 64 * 1024,
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    pair.ends[0].send(pair.now, message(0, 250_000, 9)).unwrap();
    let (mut bytes, mut parts) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        pair.run(Duration::from_millis(20));
        for part in pair.receive_all(1) {
            bytes.extend_from_slice(&part.payload);
            parts.push((part.is_begin, part.is_end));
        }
    }
    assert_eq!(bytes, message(0, 250_000, 9).payload);
    assert!(parts.len() > 2);
    assert_eq!(
        (parts[0], *parts.last().unwrap()),
        ((true, false), (false, true))
    );
    assert!(
        parts[1..parts.len() - 1]
            .iter()
            .all(|part| *part == (false, false))
    );
}

#[test]
fn an_abort_ends_both_sides() {
    let mut pair = Pair::connected(&Config::default());
    pair.ends[0].abort(pair.now, b"enough");
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.events[0], [Event::Closed(CloseReason::Aborted)]);
    assert_eq!(
        pair.events[1],
        [Event::Closed(CloseReason::AbortedByPeer(12))]
    );
}

#[test]
fn an_idle_association_is_probed_and_a_silent_peer_found_out() {
    let mut pair = Pair::connected(&Config::default());
    pair.run(Duration::from_secs(300));
    assert!(pair.sent[0] > 5, "heartbeats");
    assert_eq!(pair.ends[0].state(), State::Established);
    pair.lose = |from, _, _| from == 1;
    pair.run(Duration::from_secs(3600));
    assert!(pair.events[0].contains(&Event::PathFailed(crate::PathId(0))));
    assert!(pair.events[0].contains(&Event::Closed(CloseReason::PeerUnreachable)));
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = || {
        let mut pair = Pair::connected(&Config::default());
        pair.ends[0].send(pair.now, message(0, 100_000, 1)).unwrap();
        let mut buf = vec![0; 2000];
        let mut all = Vec::new();
        while let Some(Output::Transmit(transmit)) = pair.ends[0].poll_output(&mut buf) {
            all.extend_from_slice(&buf[..transmit.len]);
        }
        all
    };
    assert!(!run().is_empty());
    assert_eq!(run(), run());
}

#[test]
fn an_idle_association_keeps_less_than_eight_kibibytes() {
    let mut pair = Pair::connected(&Config::default());
    for seed in 0..20 {
        pair.ends[0].send(pair.now, message(seed, 1000, 1)).unwrap();
    }
    pair.run(Duration::from_secs(1));
    pair.receive_all(1);
    for end in &pair.ends {
        let bytes = size_of::<Association>() + end.memory_bytes();
        assert!(bytes <= 8 * 1024, "{bytes}");
    }
}
