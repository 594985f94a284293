//! What is lost comes all the same: fast, and without a window that stays closed.

use super::*;

/// How long until `count` messages have arrived at the other end, at most a minute.
fn time_until(pair: &mut Pair, count: usize) -> Duration {
    let start = pair.now;
    let mut arrived = 0;
    while arrived < count {
        assert!(
            pair.now.since(start) < Duration::from_secs(60),
            "{:?}",
            pair.ends[0].statistics()
        );
        pair.run(Duration::from_millis(1));
        arrived += pair.receive_all(1).len();
    }
    pair.now.since(start)
}

fn pair_that_knows_its_rtt() -> Pair {
    let mut pair = Pair::connected(&Config::default());
    pair.one_way = Duration::from_millis(50);
    for seed in 0..20 {
        pair.ends[0].send(pair.now, message(0, 1000, seed)).unwrap();
        pair.run(Duration::from_millis(150));
    }
    assert_eq!(pair.receive_all(1).len(), 20);
    pair.sent = [0, 0];
    pair
}

#[test]
fn a_lost_tail_packet_arrives_within_two_and_a_half_round_trips() {
    let mut pair = pair_that_knows_its_rtt();
    pair.lose = |from, count, _| from == 0 && count == 5;
    for seed in 0..5 {
        pair.ends[0].send(pair.now, message(0, 1100, seed)).unwrap();
    }
    let took = time_until(&mut pair, 5);
    assert!(took <= Duration::from_millis(250), "{took:?}");
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.sent[0], 6, "one probe and no more");
}

#[test]
fn a_packet_lost_in_the_middle_arrives_after_two_round_trips() {
    let mut pair = pair_that_knows_its_rtt();
    pair.lose = |from, count, _| from == 0 && count == 2;
    for seed in 0..8 {
        pair.ends[0].send(pair.now, message(0, 1100, seed)).unwrap();
    }
    let took = time_until(&mut pair, 8);
    assert!(took <= Duration::from_millis(160), "{took:?}");
}

#[test]
fn a_lost_retransmission_is_found_without_a_timeout() {
    let mut pair = pair_that_knows_its_rtt();
    pair.lose = |from, count, _| from == 0 && (count == 10 || count == 50);
    for seed in 0..100 {
        pair.ends[0].send(pair.now, message(0, 1100, seed)).unwrap();
    }
    time_until(&mut pair, 100);
    let statistics = pair.ends[0].statistics();
    assert!(statistics.cwnd_bytes > 4 * 1188, "{statistics:?}");
}

#[test]
fn a_burst_lost_whole_leaves_recovery_by_the_timeout_and_grows_again() {
    let mut pair = pair_that_knows_its_rtt();
    // Everything for a while: only T3-rtx is left.
    pair.lose = |from, count, _| from == 0 && count <= 12;
    for seed in 0..400 {
        pair.ends[0].send(pair.now, message(0, 1100, seed)).unwrap();
    }
    let took = time_until(&mut pair, 400);
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn every_tenth_packet_lost_each_way_loses_and_doubles_nothing() {
    for has_interleaving in [true, false] {
        let config = Config {
            has_interleaving,
            ..Config::default()
        };
        let mut pair = Pair::connected(&config);
        pair.lose = |_, count, packet| (count * 7 + packet.len()) % 10 == 3;
        for seed in 0..100 {
            let stream = (seed % 4) as u16;
            pair.ends[0]
                .send(pair.now, message(stream, 1 + seed * 97, seed))
                .unwrap();
        }
        let mut next = [0, 1, 2, 3];
        let mut count = 0;
        for _ in 0..6000 {
            pair.run(Duration::from_millis(10));
            for incoming in pair.receive_all(1) {
                let stream = usize::from(incoming.stream.0);
                let seed = next[stream];
                assert_eq!(incoming.payload, message(0, 1 + seed * 97, seed).payload);
                next[stream] += 4;
                count += 1;
            }
        }
        assert_eq!(count, 100);
        assert!(pair.largest <= 1191);
    }
}

#[test]
fn the_last_packets_are_acknowledged_at_once() {
    let mut pair = pair_that_knows_its_rtt();
    pair.ends[0].send(pair.now, message(0, 100, 1)).unwrap();
    pair.run(Duration::from_millis(101));
    assert_eq!(pair.ends[0].statistics().flight_bytes, 0);
}
