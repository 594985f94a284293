//! The end of an association whose peer does not play along.

use super::*;
use crate::CloseReason;

#[test]
fn a_shutdown_that_is_never_answered_ends_with_its_guard_after_five_longest_timeouts() {
    let config = Config {
        // T2-shutdown alone would not give up.
        association_retransmissions_max: 1_000,
        heartbeat_interval: Duration::ZERO,
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    // The peer acknowledges data, and never the SHUTDOWN.
    pair.ends[0].send(pair.now, message(0, 3_000, 1)).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.receive_all(1).len(), 1);
    pair.lose = |from, _, _| from == 1;
    let began = pair.now;
    pair.ends[0].shutdown(began);
    let guard = config.rto.max * 5;
    pair.run(guard - Duration::from_nanos(1));
    assert_eq!(pair.ends[0].state(), State::ShutdownSent);
    assert!(pair.sent[0] > 6, "the SHUTDOWN is sent again and again");
    pair.run(Duration::from_nanos(1));
    let closed = Event::Closed(CloseReason::ShutdownTimedOut);
    assert_eq!(pair.events[0].last(), Some(&closed));
    pair.run(Duration::from_secs(1));
    let heard = Event::Closed(CloseReason::AbortedByPeer(0));
    assert_eq!(pair.events[1].last(), Some(&heard), "told by ABORT");
    assert_eq!(pair.ends[0].poll_timeout(), None);
}

#[test]
fn the_guard_is_not_started_anew_by_what_the_peer_still_sends() {
    let mut pair = Pair::connected(&Config {
        association_retransmissions_max: 1_000,
        ..Config::default()
    });
    // The peer does not hear of the end, and goes on.
    pair.lose = |from, _, packet| from == 0 && packet[12] == 7;
    let began = pair.now;
    pair.ends[0].shutdown(began);
    let guard = RtoConfig::default().max * 5;
    while pair.now.since(began) < guard - Duration::from_secs(2) {
        let _ = pair.ends[1].send(pair.now, message(0, 100, 1));
        pair.run(Duration::from_secs(1));
        pair.receive_all(0);
    }
    assert_eq!(pair.ends[0].state(), State::ShutdownSent);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.ends[0].state(), State::Closed);
}
