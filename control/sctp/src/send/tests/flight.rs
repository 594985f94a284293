//! The ring of what is in flight.

use super::super::flight::Flight;
use super::super::rack::Rack;
use super::*;
use crate::Tsn;

const FIRST: Tsn = Tsn(u32::MAX - 1);
const HEADER: u32 = 16;
const CHUNK: usize = 116;

/// A flight of chunks, a millisecond between them.
fn flight(count: u64) -> Flight {
    let mut flight = Flight::new(FIRST, HEADER);
    for ms in 0..count {
        assert_eq!(flight.push(entry(MS(ms))), FIRST.plus(ms as u32));
    }
    flight
}

/// A rack to which chunk `index`, sent when `flight` says, has just arrived at `now`.
fn arrived(flight: &Flight, index: u32, now: Timestamp) -> Rack {
    let mut rack = Rack::default();
    let tsn = FIRST.plus(index);
    rack.arrived(now, tsn, flight.get(tsn).unwrap(), None);
    rack
}

fn lost(flight: &Flight) -> Vec<u32> {
    (0..flight.lost_len())
        .map(|index| flight.lost_at(index).unwrap().offset_from(FIRST))
        .collect()
}

fn gap(flight: &mut Flight, first: u16, last: u16) -> Vec<u32> {
    let mut new = Vec::new();
    flight.acknowledge_gaps([(first, last)].into_iter(), |tsn, _| {
        new.push(tsn.offset_from(FIRST));
    });
    new
}

#[test]
fn what_is_outstanding_is_counted_until_it_is_acknowledged_either_way() {
    let mut flight = flight(6);
    assert_eq!(flight.outstanding().wire, 6 * CHUNK);
    assert_eq!(gap(&mut flight, 3, 4), [2, 3]);
    assert_eq!(gap(&mut flight, 3, 4), [], "only what is new");
    assert_eq!(gap(&mut flight, 6, 6), [5]);
    assert_eq!(flight.outstanding().payload, 3 * 100);
    let mut done = Vec::new();
    flight.acknowledge_up_to(FIRST.plus(3), |tsn, entry| {
        done.push((tsn.offset_from(FIRST), entry.state));
    });
    use State::{Acked, Outstanding};
    assert_eq!(
        done,
        [(0, Outstanding), (1, Outstanding), (2, Acked), (3, Acked)]
    );
    assert_eq!(flight.outstanding().wire, CHUNK);
    assert_eq!(
        (flight.cumulative(), flight.gap_acked()),
        (FIRST.plus(3), 1)
    );
    flight.acknowledge_up_to(FIRST.plus(5), |_, _| {});
    assert_eq!(flight.outstanding().wire, 0);
    assert!(flight.is_empty());
}

#[test]
fn what_was_sent_long_enough_before_an_arrival_is_lost() {
    let mut flight = flight(6);
    gap(&mut flight, 5, 5);
    let rack = arrived(&flight, 4, MS(20));
    let window = Duration::from_millis(2);
    // Chunk 4 took 16 ms: another one may take 18.
    let again = flight.detect_lost(MS(20), &rack, window);
    assert_eq!(lost(&flight), [0, 1, 2]);
    assert_eq!(again, Some(MS(3 + 18)));
    assert_eq!(flight.outstanding().wire, 2 * CHUNK);
    assert_eq!(flight.detect_lost(MS(21), &rack, window), None);
    assert_eq!(lost(&flight), [0, 1, 2, 3], "what was sent later is not");
}

#[test]
fn a_lost_retransmission_is_found_and_the_first_loss_only_once() {
    let mut flight = flight(4);
    gap(&mut flight, 2, 2);
    let rack = arrived(&flight, 1, MS(30));
    flight.detect_lost(MS(30), &rack, Duration::ZERO);
    assert_eq!(flight.next_lost(), Some(FIRST));
    flight.resent(FIRST, MS(31));
    assert_eq!(flight.next_lost(), None);
    flight.push(entry(MS(32)));
    gap(&mut flight, 5, 5);
    let rack = arrived(&flight, 4, MS(60));
    flight.detect_lost(MS(60), &rack, Duration::ZERO);
    assert_eq!(lost(&flight), [2, 3, 0]);
    assert_eq!(flight.get(FIRST).unwrap().transmissions, 2);
}

#[test]
fn a_mistaken_timeout_puts_back_what_was_not_sent_again() {
    let mut flight = flight(5);
    gap(&mut flight, 3, 3);
    flight.lose_all(false);
    assert_eq!(
        (lost(&flight), flight.outstanding().wire),
        ([0, 1, 3, 4].into(), 0)
    );
    flight.next_lost();
    flight.resent(FIRST, MS(500));
    flight.unlose_all();
    assert_eq!(flight.next_lost(), None);
    assert_eq!(flight.outstanding().wire, 4 * CHUNK);
    assert_eq!(flight.last_outstanding(), Some(FIRST.plus(4)));
}

#[test]
fn an_acknowledgement_taken_back_is_noticed_and_costs_all_gaps() {
    let mut flight = flight(5);
    gap(&mut flight, 2, 4);
    assert!(!flight.has_reneged());
    // The peer has the first one now, and no longer what came after it.
    flight.acknowledge_up_to(FIRST, |_, _| {});
    assert!(flight.has_reneged());
    flight.lose_all(true);
    assert_eq!(lost(&flight), [1, 2, 3, 4]);
    assert_eq!((flight.gap_acked(), flight.outstanding().wire), (0, 0));
    assert_eq!(gap(&mut flight, 2, 2), [2], "it may acknowledge it anew");
}

#[test]
fn what_is_given_up_is_neither_on_its_way_nor_lost() {
    let mut flight = flight(3);
    flight.abandon(FIRST.next());
    assert_eq!(flight.outstanding().wire, 2 * CHUNK);
    flight.lose_all(false);
    assert_eq!(lost(&flight), [0, 2]);
}

#[test]
fn however_often_a_chunk_is_sent_again_the_log_stays_small() {
    let mut flight = flight(2);
    for ms in 10..50_000 {
        flight.resent(FIRST, MS(ms));
    }
    assert!(flight.memory_bytes() < 4_096, "{}", flight.memory_bytes());
    assert_eq!(flight.last_outstanding(), Some(FIRST));
}
