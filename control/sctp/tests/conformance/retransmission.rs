//! The retransmission timer (RFC 9260 section 6.3).

use std::time::Duration;

use crate::tester::Tester;

/// When the implementation sends data, from now on.
fn sendings(tester: &mut Tester, time: Duration) -> Vec<Duration> {
    let start = tester.now;
    let mut at = Vec::new();
    while tester.now < start + time {
        tester.pass(Duration::from_millis(10));
        while let Some(kinds) = tester.next_kinds() {
            if kinds.contains(&0) {
                at.push(tester.now.since(start));
            }
        }
    }
    at
}

#[test]
fn unanswered_data_is_sent_again_ever_more_slowly() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.forget();
    let at = sendings(&mut tester, Duration::from_secs(40));
    assert!(at.len() >= 4, "{at:?}");
    let gaps: Vec<Duration> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A probe of the tail may come before the first timeout.
    for pair in gaps[1..].windows(2) {
        let ratio = pair[1].as_secs_f64() / pair[0].as_secs_f64();
        assert!((1.8..2.3).contains(&ratio), "{gaps:?}");
    }
}

#[test]
fn a_fresh_measurement_ends_the_back_off() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.pass(Duration::from_secs(8));
    tester.sack(1, 100_000);
    tester.send(100);
    tester.pass(Duration::from_millis(50));
    tester.sack(2, 100_000);
    tester.send(100);
    tester.forget();
    let at = sendings(&mut tester, Duration::from_secs(2));
    assert!(!at.is_empty(), "the timeout is still backed off");
}

#[test]
fn all_acknowledged_stops_the_timer() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.sack(1, 100_000);
    tester.forget();
    assert_eq!(sendings(&mut tester, Duration::from_secs(30)), []);
}

#[test]
fn three_reports_of_a_gap_bring_the_missing_one_before_the_timer() {
    let mut tester = Tester::called();
    for _ in 0..5 {
        tester.send(1_100);
    }
    tester.pass(Duration::from_millis(20));
    tester.forget();
    let tsn = tester.sut_tsn.previous();
    for last in 2..=5 {
        tester.inject(|w| w.sack(tsn, 100_000, [(2, last)].into_iter(), &[]));
    }
    let at = sendings(&mut tester, Duration::from_millis(300));
    assert!(!at.is_empty(), "no fast retransmission");
}
