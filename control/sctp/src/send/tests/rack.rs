//! The reordering window of RACK.

use super::super::rack::Rack;
use super::*;
use crate::Tsn;

const MIN_RTT: Duration = Duration::from_millis(40);
const SRTT: Duration = Duration::from_millis(100);

fn window(rack: &Rack) -> Duration {
    rack.window(MIN_RTT, SRTT, false, 0)
}

/// A rack that has seen TSN 5 arrive before TSN 4.
fn reordered() -> Rack {
    let mut rack = Rack::default();
    for tsn in [5, 4] {
        rack.arrived(MS(50), Tsn(tsn), &entry(MS(tsn.into())), Some(MIN_RTT));
    }
    rack
}

#[test]
fn without_reordering_three_later_arrivals_or_a_recovery_close_the_window() {
    let rack = Rack::default();
    assert_eq!(window(&rack), MIN_RTT / 4);
    assert_eq!(rack.window(MIN_RTT, SRTT, false, 2), MIN_RTT / 4);
    assert_eq!(rack.window(MIN_RTT, SRTT, false, 3), Duration::ZERO);
    assert_eq!(rack.window(MIN_RTT, SRTT, true, 0), Duration::ZERO);
    assert_eq!(reordered().window(MIN_RTT, SRTT, true, 3), MIN_RTT / 4);
}

#[test]
fn duplicates_widen_the_window_by_a_quarter_once_a_flight_up_to_a_round_trip() {
    let mut rack = reordered();
    rack.duplicate(Tsn(10), Tsn(20));
    assert_eq!(window(&rack), MIN_RTT / 2);
    rack.duplicate(Tsn(15), Tsn(30));
    assert_eq!(window(&rack), MIN_RTT / 2, "the same flight");
    rack.duplicate(Tsn(20), Tsn(30));
    assert_eq!(window(&rack), MIN_RTT * 3 / 4);
    for flight in 3..50 {
        rack.duplicate(Tsn(flight * 10), Tsn(flight * 10 + 10));
    }
    assert_eq!(window(&rack), SRTT);
}

#[test]
fn a_widened_window_is_forgotten_after_sixteen_recoveries() {
    let mut rack = reordered();
    rack.duplicate(Tsn(10), Tsn(20));
    for _ in 0..15 {
        rack.recovered();
        assert_eq!(window(&rack), MIN_RTT / 2);
    }
    rack.recovered();
    assert_eq!(window(&rack), MIN_RTT / 4);
}

#[test]
fn an_answer_sooner_than_any_round_trip_belongs_to_an_earlier_transmission() {
    let mut rack = Rack::default();
    let again = Entry {
        transmissions: 2,
        ..entry(MS(100))
    };
    rack.arrived(MS(110), Tsn(1), &again, Some(MIN_RTT));
    assert!(!rack.is_sent_before_newest(&entry(MS(99)), Tsn(1)));
    rack.arrived(MS(140), Tsn(1), &again, Some(MIN_RTT));
    assert!(rack.is_sent_before_newest(&entry(MS(99)), Tsn(9)));
    assert!(rack.is_sent_before_newest(&entry(MS(100)), Tsn(0)));
    assert!(!rack.is_sent_before_newest(&entry(MS(100)), Tsn(1)));
    assert_eq!(rack.rtt(), MIN_RTT);
}

#[test]
fn what_was_sent_again_in_the_instant_of_the_newest_counts_as_later() {
    let mut rack = Rack::default();
    rack.arrived(MS(100), Tsn(2), &entry(MS(100)), None);
    let again = Entry {
        transmissions: 2,
        ..entry(MS(100))
    };
    assert!(rack.is_sent_before_newest(&entry(MS(100)), Tsn(1)));
    assert!(!rack.is_sent_before_newest(&again, Tsn(1)));
}
