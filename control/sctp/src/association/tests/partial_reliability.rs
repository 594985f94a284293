//! Messages that are given up, and what the other end sees of it.

use super::*;
use crate::{MessageId, Reliability};

fn with(reliability: Reliability, outgoing: Outgoing, id: u64) -> Outgoing {
    Outgoing {
        reliability,
        id: Some(MessageId(id)),
        ..outgoing
    }
}

fn configs() -> [Config; 2] {
    [true, false].map(|has_interleaving| Config {
        has_interleaving,
        ..Config::default()
    })
}

#[test]
fn nothing_is_given_up_while_nothing_is_lost() {
    for config in configs() {
        let mut pair = Pair::connected(&config);
        for seed in 0..50 {
            let outgoing = message(0, 3000, seed);
            let outgoing = with(Reliability::Retransmissions(0), outgoing, seed as u64);
            pair.ends[0].send(pair.now, outgoing).unwrap();
        }
        pair.run(Duration::from_secs(2));
        assert_eq!(pair.receive_all(1).len(), 50);
        let expired = |event: &&Event| matches!(event, Event::MessageExpired { .. });
        assert_eq!(pair.events[0].iter().filter(expired).count(), 0);
    }
}

#[test]
fn a_lost_message_without_retransmissions_is_skipped_and_the_next_one_comes() {
    for config in configs() {
        let mut pair = Pair::connected(&config);
        pair.sent = [0, 0];
        pair.lose = |from, count, _| from == 0 && count == 2;
        for seed in 0..6 {
            let outgoing = message(3, 1100, seed);
            let outgoing = with(Reliability::Retransmissions(0), outgoing, seed as u64);
            pair.ends[0].send(pair.now, outgoing).unwrap();
        }
        pair.run(Duration::from_secs(2));
        let arrived: Vec<_> = pair.receive_all(1).into_iter().map(|m| m.payload).collect();
        let expected: Vec<_> = [0, 2, 3, 4, 5]
            .map(|seed| message(0, 1100, seed).payload)
            .into();
        assert_eq!(arrived, expected);
        assert!(pair.events[0].contains(&Event::MessageExpired {
            id: MessageId(1),
            was_sent: true
        }));
        assert_eq!(pair.ends[0].statistics().flight_bytes, 0);
    }
}

#[test]
fn a_lost_tail_is_skipped_too() {
    for config in configs() {
        let mut pair = Pair::connected(&config);
        pair.sent = [0, 0];
        pair.lose = |from, count, _| from == 0 && (2..=4).contains(&count);
        for seed in 0..2 {
            let outgoing = message(3, 1100, seed);
            let outgoing = with(Reliability::Retransmissions(0), outgoing, seed as u64);
            pair.ends[0].send(pair.now, outgoing).unwrap();
        }
        pair.run(Duration::from_secs(10));
        assert_eq!(pair.receive_all(1).len(), 1);
        pair.ends[0].send(pair.now, message(3, 1100, 7)).unwrap();
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.receive_all(1).len(), 1);
    }
}

#[test]
fn a_message_of_which_a_part_was_sent_is_skipped_whole() {
    for config in configs() {
        let mut pair = Pair::connected(&config);
        let outgoing = message(3, 200_000, 1);
        let lifetime = Reliability::Lifetime(Duration::from_millis(30));
        pair.ends[0]
            .send(pair.now, with(lifetime, outgoing, 1))
            .unwrap();
        pair.run(Duration::from_millis(25));
        pair.lose = |from, _, _| from == 0;
        pair.run(Duration::from_millis(200));
        pair.lose = |_, _, _| false;
        pair.ends[0].send(pair.now, message(3, 1000, 2)).unwrap();
        pair.run(Duration::from_secs(10));
        let arrived = pair.receive_all(1);
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].payload, message(3, 1000, 2).payload);
        assert_eq!(pair.ends[1].memory_bytes(), 0);
    }
}

#[test]
fn a_message_that_expires_before_its_turn_is_never_sent() {
    let mut pair = Pair::connected(&Config::default());
    pair.ends[0].send(pair.now, message(0, 200_000, 1)).unwrap();
    let lifetime = Reliability::Lifetime(Duration::from_millis(1));
    let short = with(lifetime, message(0, 5000, 2), 9);
    pair.ends[0].send(pair.now, short).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.receive_all(1).len(), 1);
    assert!(pair.events[0].contains(&Event::MessageExpired {
        id: MessageId(9),
        was_sent: false
    }));
}

#[test]
fn an_important_message_displaces_a_less_important_one() {
    let config = Config {
        send_buffer_bytes: 100_000,
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    for seed in 0..9 {
        let outgoing = with(
            Reliability::Priority(10),
            message(0, 10_000, seed),
            seed as u64,
        );
        pair.ends[0].send(pair.now, outgoing).unwrap();
    }
    let less = with(Reliability::Priority(11), message(0, 10_000, 20), 20);
    assert!(pair.ends[0].send(pair.now, less).is_err());
    let more = with(Reliability::Priority(1), message(0, 10_000, 21), 21);
    pair.ends[0].send(pair.now, more).unwrap();
    pair.run(Duration::from_secs(1));
    let arrived: Vec<_> = pair.receive_all(1).into_iter().map(|m| m.payload).collect();
    assert_eq!(arrived.len(), 9);
    assert_eq!(arrived[8], message(0, 10_000, 21).payload);
}

#[test]
fn life_cycle_events_come_in_order() {
    let mut pair = Pair::connected(&Config::default());
    let outgoing = with(Reliability::Reliable, message(0, 5000, 1), 5);
    pair.ends[0].send(pair.now, outgoing).unwrap();
    pair.run(Duration::from_secs(1));
    let events: Vec<_> = pair.events[0]
        .iter()
        .filter(|event| !matches!(event, Event::BufferedAmountLow(_)))
        .collect();
    assert_eq!(
        events,
        [
            &Event::MessageSent(MessageId(5)),
            &Event::MessageAcknowledged(MessageId(5))
        ]
    );
}

#[test]
fn a_peer_without_partial_reliability_gets_everything_that_was_sent_once() {
    let without = Config {
        has_partial_reliability: false,
        ..Config::default()
    };
    let mut pair = Pair::of([Config::default(), without]);
    pair.connect();
    pair.lose = |from, count, _| from == 0 && count % 3 == 0;
    for seed in 0..20 {
        let outgoing = with(Reliability::Retransmissions(0), message(0, 2000, seed), 0);
        pair.ends[0].send(pair.now, outgoing).unwrap();
    }
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.receive_all(1).len(), 20);
}

#[test]
fn lifetimes_end_on_time_wherever_the_message_is() {
    // Nothing leaves before the handshake is over, nor beyond the first window of ten packets.
    for is_connected in [false, true] {
        let mut pair = Pair::new(&Config::default());
        if is_connected {
            pair.connect();
            pair.one_way = Duration::from_secs(100);
            pair.ends[0].send(pair.now, message(0, 200_000, 1)).unwrap();
        } else {
            pair.lose = |_, _, _| true;
            pair.ends[0].connect(pair.now);
        }
        let start = pair.now;
        let queued = pair.ends[0].buffered_amount(StreamId(0));
        for ms in [50, 20, 70, 30] {
            let outgoing = Outgoing {
                reliability: Reliability::Lifetime(Duration::from_millis(ms)),
                id: Some(MessageId(ms)),
                ..message(0, 100, 0)
            };
            pair.ends[0].send(pair.now, outgoing).unwrap();
        }
        for ms in [20, 30, 50, 70] {
            let just_before = Duration::from_millis(ms) - Duration::from_nanos(1);
            pair.run((start + just_before).since(pair.now));
            assert!(pair.events[0].is_empty(), "{:?}", pair.events[0]);
            pair.run(Duration::from_nanos(1));
            let expired = Event::MessageExpired {
                id: MessageId(ms),
                was_sent: false,
            };
            let told = core::mem::take(&mut pair.events[0]);
            assert_eq!(told.first(), Some(&expired));
            assert!(told.len() == 1 || ms == 70, "{told:?}");
        }
        assert!(pair.ends[0].buffered_amount(StreamId(0)) <= queued);
    }
}

#[test]
fn a_lifetime_that_ends_amid_a_message_stops_it() {
    let mut pair = Pair::connected(&Config::default());
    let outgoing = Outgoing {
        reliability: Reliability::Lifetime(Duration::from_millis(45)),
        id: Some(MessageId(1)),
        ..message(1, 250_000, 0)
    };
    let start = pair.now;
    pair.ends[0].send(pair.now, outgoing).unwrap();
    pair.run(Duration::from_millis(45));
    assert_eq!(pair.now, start + Duration::from_millis(45));
    let expired = Event::MessageExpired {
        id: MessageId(1),
        was_sent: true,
    };
    assert!(pair.events[0].contains(&expired), "{:?}", pair.events[0]);
    assert_eq!(pair.ends[0].buffered_amount(StreamId(1)), 0);
    let sent = pair.sent[0];
    pair.run(Duration::from_secs(5));
    assert!(pair.sent[0] - sent < 10, "only the rest is skipped");
    assert!(pair.receive_all(1).is_empty());
    let left = pair.ends.each_ref().map(Association::memory_bytes);
    assert!(left[0] < 100_000 && left[1] == 0, "{left:?}");
}
