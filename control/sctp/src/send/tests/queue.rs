//! Messages and streams that wait to be sent.

use super::super::queue::{Fragment, SendQueue};
use super::*;
use crate::event::Events;
use crate::{MessageId, Reliability, Scheduling};

fn queue() -> SendQueue {
    SendQueue::new(Scheduling::RoundRobin)
}

/// Cuts the next fragment, of at most so many bytes.
fn cut(queue: &mut SendQueue, len_max: usize, events: &mut Events) -> Option<(u16, Fragment)> {
    let slot = queue.current(MS(0), events)?;
    let stream = queue.get(slot).unwrap().stream.0;
    Some((stream, queue.cut(slot, len_max, events).unwrap()))
}

fn with(reliability: Reliability, outgoing: Outgoing) -> Outgoing {
    Outgoing {
        reliability,
        id: Some(MessageId(outgoing.stream.0.into())),
        ..outgoing
    }
}

#[test]
fn a_message_is_charged_until_its_last_fragment_is_acknowledged() {
    let (mut queue, mut events) = (queue(), Events::new());
    queue.push(MS(0), message(3, 250));
    assert_eq!(queue.charged_bytes(), SendQueue::cost(250));
    let mut seen = Vec::new();
    while let Some((stream, fragment)) = cut(&mut queue, 100, &mut events) {
        assert_eq!(stream, 3);
        seen.push((
            fragment.offset,
            fragment.len,
            fragment.number,
            fragment.is_end,
        ));
    }
    assert_eq!(
        seen,
        [(0, 100, 0, false), (100, 100, 1, false), (200, 50, 2, true)]
    );
    assert!(queue.is_all_sent() && !queue.is_empty());
    assert_eq!(queue.buffered_amount(StreamId(3)), 0);
    let slot = queue.push(MS(0), message(3, 1));
    let (_, other) = cut(&mut queue, 100, &mut events).unwrap();
    assert_eq!(other.message, slot);
    assert_eq!(queue.get(slot).unwrap().number, 1);
    assert!(queue.tsn_done(slot).is_some());
    let first = any_slot();
    assert!(queue.tsn_done(first).is_none());
    assert!(queue.tsn_done(first).is_none());
    assert_eq!(queue.tsn_done(first).unwrap().payload.len(), 250);
    assert_eq!((queue.charged_bytes(), queue.is_empty()), (0, true));
}

#[test]
fn a_turn_is_a_message_or_a_fragment_where_both_sides_interleave() {
    for (is_interleaved, expected) in [(false, [1, 1, 2, 2]), (true, [1, 2, 1, 2])] {
        let (mut queue, mut events) = (queue(), Events::new());
        queue.set_interleaved(is_interleaved);
        queue.push(MS(0), message(1, 200));
        queue.push(MS(0), message(2, 200));
        let turns: Vec<u16> =
            core::iter::from_fn(|| cut(&mut queue, 100, &mut events).map(|(stream, _)| stream))
                .collect();
        assert_eq!(turns, expected);
    }
}

#[test]
fn the_buffered_amount_says_when_it_comes_down_to_its_threshold_and_not_again() {
    let (mut queue, mut events) = (queue(), Events::new());
    queue.set_low_threshold(StreamId(1), 150);
    queue.push(MS(0), message(1, 300));
    cut(&mut queue, 100, &mut events);
    assert_eq!(drain(&mut events), []);
    cut(&mut queue, 50, &mut events);
    assert_eq!(drain(&mut events), [Event::BufferedAmountLow(StreamId(1))]);
    cut(&mut queue, 150, &mut events);
    assert_eq!(drain(&mut events), []);
}

#[test]
fn purging_drops_what_was_not_sent_and_names_what_was_sent_in_part() {
    let (mut queue, mut events) = (queue(), Events::new());
    let first = queue.push(MS(0), message(1, 300));
    for _ in 0..3 {
        queue.push(MS(0), message(1, 10));
    }
    queue.push(MS(0), message(2, 10));
    cut(&mut queue, 100, &mut events);
    assert_eq!(queue.purge(StreamId(1), &mut events), Some(first));
    assert_eq!(queue.buffered_amount(StreamId(1)), 200);
    queue.abandon(first, &mut events);
    assert_eq!(queue.buffered_amount(StreamId(1)), 0);
    assert_eq!(cut(&mut queue, 100, &mut events).unwrap().0, 2);
    assert!(queue.is_all_sent());
}

#[test]
fn a_stream_settles_for_its_reset_when_its_last_message_is_done_with() {
    let (mut queue, mut events) = (queue(), Events::new());
    let slot = queue.push(MS(0), message(4, 10));
    queue.start_reset(StreamId(4));
    queue.start_reset(StreamId(5));
    assert_eq!(queue.take_settled(9), [StreamId(5)]);
    cut(&mut queue, 100, &mut events);
    assert!(queue.take_settled(9).is_empty());
    queue.tsn_done(slot);
    assert_eq!(queue.take_settled(9), [StreamId(4)]);
    assert!(queue.is_resetting(StreamId(4)));
    queue.finish_reset(StreamId(4), true);
    let slot = queue.push(MS(0), message(4, 10));
    cut(&mut queue, 100, &mut events);
    assert_eq!(queue.get(slot).unwrap().number, 0, "anew");
}

#[test]
fn lifetimes_end_in_their_order_and_only_of_what_is_not_all_sent() {
    let (mut queue, mut events) = (queue(), Events::new());
    let lifetime = |ms| Reliability::Lifetime(Duration::from_millis(ms));
    let slots = [30, 10, 20].map(|ms| queue.push(MS(0), with(lifetime(ms), message(1, 10))));
    queue.push(MS(0), message(1, 10));
    assert_eq!(queue.next_expiry(), Some(MS(10)));
    assert_eq!(queue.take_expired(MS(9)), None);
    assert_eq!(queue.take_expired(MS(20)), Some(slots[1]));
    assert_eq!(queue.take_expired(MS(20)), Some(slots[2]));
    assert_eq!(queue.take_expired(MS(20)), None);
    cut(&mut queue, 100, &mut events);
    assert_eq!(queue.next_expiry(), None);
}

#[test]
fn the_least_important_message_is_the_latest_of_those_with_the_highest_number() {
    let (mut queue, mut events) = (queue(), Events::new());
    let priority = |number| with(Reliability::Priority(number), message(1, 10));
    let slots = [5, 9, 9, 1].map(|number| queue.push(MS(0), priority(number)));
    assert_eq!(queue.least_important(9), None);
    assert_eq!(queue.least_important(3), Some(slots[2]));
    queue.abandon(slots[2], &mut events);
    assert_eq!(queue.least_important(3), Some(slots[1]));
    queue.abandon(slots[1], &mut events);
    assert_eq!(queue.least_important(3), Some(slots[0]));
    assert_eq!(queue.least_important(5), None);
}

#[test]
fn clearing_tells_the_last_word_of_each_message_once() {
    let (mut queue, mut events) = (queue(), Events::new());
    let slots =
        [1, 2, 3].map(|stream| queue.push(MS(0), with(Reliability::Reliable, message(stream, 10))));
    cut(&mut queue, 100, &mut events);
    queue.abandon(slots[2], &mut events);
    drain(&mut events);
    queue.clear(&mut events);
    let expired = |id, was_sent| Event::MessageExpired {
        id: MessageId(id),
        was_sent,
    };
    assert_eq!(drain(&mut events), [expired(1, true), expired(2, false)]);
    assert_eq!((queue.charged_bytes(), queue.is_empty()), (0, true));
}
