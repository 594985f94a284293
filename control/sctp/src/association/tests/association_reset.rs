//! Everything starts anew (RFC 6525 section 5.1.4).

use super::*;
use crate::{ResetError, SendError};

fn config(has_interleaving: bool) -> Config {
    Config {
        has_interleaving,
        ..Config::default()
    }
}

/// Both sides send one message on each of two streams and receive the other's.
fn exchange(pair: &mut Pair, seed: usize) {
    for end in 0..2 {
        for stream in [0, 7] {
            let message = message(stream, 3000, seed);
            pair.ends[end].send(pair.now, message).unwrap();
        }
    }
    pair.run(Duration::from_secs(2));
    for end in 0..2 {
        let got = pair.receive_all(end);
        let expected = [0, 7].map(|stream| message(stream, 3000, seed).payload);
        let payloads: Vec<Bytes> = got.into_iter().map(|incoming| incoming.payload).collect();
        assert_eq!(payloads, expected, "end {end}");
    }
}

fn take_events(pair: &mut Pair) -> [Vec<Event>; 2] {
    let events = core::mem::take(&mut pair.events);
    let is_news = |event: &Event| !matches!(event, Event::BufferedAmountLow(_));
    events.map(|events| events.into_iter().filter(is_news).collect())
}

#[test]
fn everything_starts_anew_in_both_directions_again_and_again() {
    for has_interleaving in [true, false] {
        let mut pair = Pair::connected(&config(has_interleaving));
        exchange(&mut pair, 1);
        for seed in 2..6 {
            let asking = seed % 2;
            let before = [0, 1].map(|end| pair.ends[end].sender.cumulative());
            pair.ends[asking].reset_association(pair.now).unwrap();
            pair.run(Duration::from_secs(1));
            assert_eq!(
                take_events(&mut pair),
                [[Event::AssociationReset], [Event::AssociationReset]]
            );
            let after = [0, 1].map(|end| pair.ends[end].sender.cumulative());
            assert_eq!(after[asking], before[asking].plus(1 << 31));
            assert!(after[1 - asking].is_before(before[1 - asking]));
            for end in 0..2 {
                assert_eq!(pair.ends[end].receiver.cumulative(), after[1 - end]);
            }
            exchange(&mut pair, seed);
        }
    }
}

#[test]
fn what_was_sent_before_comes_before_the_event_and_sending_waits_for_it() {
    let mut pair = Pair::connected(&Config::default());
    pair.ends[0].send(pair.now, message(4, 200_000, 1)).unwrap();
    pair.ends[1].send(pair.now, message(4, 100_000, 2)).unwrap();
    pair.ends[0].reset_association(pair.now).unwrap();
    let again = pair.ends[0].reset_association(pair.now);
    assert_eq!(again, Err(ResetError::Busy));
    let refused = pair.ends[0].send(pair.now, message(9, 10, 1));
    assert_eq!(refused, Err(SendError::StreamResetting));
    pair.run(Duration::from_secs(3));
    let news = take_events(&mut pair);
    assert!(news.iter().all(Vec::is_empty), "told too early: {news:?}");
    for end in 0..2 {
        let refused = pair.ends[end].send(pair.now, message(9, 10, 1));
        assert_eq!(refused, Err(SendError::StreamResetting), "end {end}");
        assert_eq!(pair.receive_all(end).len(), 1);
    }
    pair.run(Duration::from_millis(1));
    let [first, second] = take_events(&mut pair);
    assert_eq!(
        (first, second),
        (vec![Event::AssociationReset], vec![Event::AssociationReset])
    );
    exchange(&mut pair, 3);
}

#[test]
fn a_lost_request_or_answer_is_sent_again_and_nothing_sent_meanwhile_is_lost() {
    for (lost, has_interleaving) in [(0, true), (1, true), (0, false), (1, false)] {
        let mut pair = Pair::connected(&config(has_interleaving));
        exchange(&mut pair, 1);
        pair.sent = [0, 0];
        pair.lose = if lost == 0 {
            |from, count, _| from == 0 && count == 1
        } else {
            |from, count, _| from == 1 && count == 1
        };
        pair.ends[0].reset_association(pair.now).unwrap();
        pair.run(Duration::from_millis(15));
        // With the answer lost, this is sent after the reset, and comes before its news.
        pair.ends[1].send(pair.now, message(0, 500, 8)).unwrap();
        pair.run(Duration::from_secs(5));
        let mut arrived = pair.receive_all(0);
        pair.run(Duration::from_millis(1));
        arrived.extend(pair.receive_all(0));
        assert_eq!(arrived.len(), 1, "lost: {lost}");
        let [first, second] = take_events(&mut pair);
        assert_eq!(first, [Event::AssociationReset]);
        assert_eq!(second, [Event::AssociationReset]);
        exchange(&mut pair, 2);
    }
}

#[test]
fn a_busy_peer_puts_the_reset_off_and_is_not_given_up() {
    let mut pair = Pair::connected(&Config {
        association_retransmissions_max: 2,
        ..Config::default()
    });
    pair.ends[0].send(pair.now, message(0, 1000, 1)).unwrap();
    for step in 0..300 {
        pair.ends[1].send(pair.now, message(3, 5000, step)).unwrap();
        if step == 5 {
            pair.ends[0].reset_association(pair.now).unwrap();
        }
        pair.run(Duration::from_millis(10));
        pair.receive_all(0);
        let news = take_events(&mut pair);
        assert!(news.iter().all(Vec::is_empty), "{news:?}");
    }
    assert_eq!(pair.receive_all(1).len(), 1);
    pair.run(Duration::from_secs(2));
    pair.receive_all(0);
    pair.run(Duration::from_millis(1));
    let [first, second] = take_events(&mut pair);
    assert_eq!(first, [Event::AssociationReset]);
    assert_eq!(second, [Event::AssociationReset]);
    exchange(&mut pair, 2);
}

#[test]
fn resets_that_cross_are_refused_and_may_be_asked_for_again() {
    let mut pair = Pair::connected(&Config::default());
    for end in 0..2 {
        pair.ends[end].reset_association(pair.now).unwrap();
    }
    pair.run(Duration::from_secs(1));
    let refused = [Event::ResetRefused(Vec::new())];
    assert_eq!(take_events(&mut pair), [refused.clone(), refused]);
    exchange(&mut pair, 1);
    pair.ends[1].reset_association(pair.now).unwrap();
    pair.run(Duration::from_secs(1));
    let told = [Event::AssociationReset];
    assert_eq!(take_events(&mut pair), [told.clone(), told]);
    exchange(&mut pair, 2);
}

#[test]
fn streams_that_are_reset_at_the_same_time_are_reset_too() {
    let mut pair = Pair::connected(&Config::default());
    exchange(&mut pair, 1);
    pair.ends[0].reset_association(pair.now).unwrap();
    let streams = [StreamId(7)];
    pair.ends[1].reset_streams(pair.now, &streams).unwrap();
    pair.run(Duration::from_secs(3));
    let [first, second] = take_events(&mut pair);
    let incoming = Event::IncomingStreamsReset(streams.to_vec());
    let outgoing = Event::OutgoingStreamsReset(streams.to_vec());
    for (events, reset) in [(first, incoming), (second, outgoing)] {
        assert_eq!(events.len(), 2, "{events:?}");
        assert!(events.contains(&reset) && events.contains(&Event::AssociationReset));
    }
    exchange(&mut pair, 2);
}

#[test]
fn a_wish_that_the_peers_wish_fulfils_is_not_asked_for_as_well() {
    let mut pair = Pair::connected(&Config::default());
    // Ours waits for its data; the peer's is asked for at once.
    pair.ends[0].send(pair.now, message(0, 1000, 1)).unwrap();
    pair.ends[0].reset_association(pair.now).unwrap();
    pair.ends[1].reset_association(pair.now).unwrap();
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.receive_all(1).len(), 1);
    pair.run(Duration::from_secs(2));
    let told = [Event::AssociationReset];
    assert_eq!(take_events(&mut pair), [told.clone(), told]);
    exchange(&mut pair, 2);
}
