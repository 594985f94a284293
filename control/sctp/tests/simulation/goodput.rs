//! How fast one association is on paths on which others stand still.

use crate::pair::bulk::{Path, tail_loss_recovery, transfer};
use crate::pair::ours::OURS;

#[test]
fn path_of_20_ms_is_full_from_the_third_second_on() {
    is_full(20);
}

#[test]
fn path_of_50_ms_is_full_from_the_third_second_on() {
    is_full(50);
}

#[test]
fn path_of_100_ms_is_full_from_the_third_second_on() {
    is_full(100);
}

#[test]
fn path_of_200_ms_is_full_from_the_third_second_on() {
    is_full(200);
}

#[test]
fn lost_tail_arrives_within_two_and_a_half_round_trips() {
    for ms in [20, 50, 100, 200] {
        for packets in [1, 2, 10] {
            let path = Path::of_round_trip_ms(ms);
            let took = tail_loss_recovery([OURS, OURS], path, packets);
            assert!(
                took <= path.round_trip * 5 / 2,
                "{packets} packets at {ms} ms: {took:?}"
            );
        }
    }
}

/// 100 Mbit/s, a queue of one bandwidth-delay product; headers leave 93.1 of them.
fn is_full(round_trip_ms: u64) {
    let path = Path::of_round_trip_ms(round_trip_ms);
    let transfer = transfer([OURS, OURS], path, 65_536, 20);
    assert!(transfer.goodput_from(3) >= 92_000_000, "{transfer:?}");
}
