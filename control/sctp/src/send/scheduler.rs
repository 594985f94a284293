//! Whose turn it is to send (RFC 8260 section 3).
//!
//! All four schedulers are one heap of waiting streams; they differ in the key a stream waits with.
//! A turn is a fragment where both sides interleave, else a whole message. A stream is in the heap
//! at most once, so the heap is bounded by the streams in use.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::{Scheduling, StreamId};

/// The streams that have something to send.
#[derive(Debug)]
pub(crate) struct Scheduler {
    scheduling: Scheduling,
    waiting: BinaryHeap<Reverse<Turn>>,
    /// The stream whose turn is not over.
    current: Option<StreamId>,
    /// How far the fair share of every stream has come.
    virtual_time: u64,
    turns: u64,
}

/// A stream's wish for a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) stream: StreamId,
    /// At least one.
    pub(crate) weight: u16,
    /// How many bytes the turn would send.
    pub(crate) bytes: usize,
    /// The number that `send` gave to the message.
    pub(crate) arrival: u64,
    /// What [`Scheduler::wait`] said last for this stream.
    pub(crate) finish: u64,
}

/// Least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    key: u64,
    order: u64,
    stream: StreamId,
}

impl Scheduler {
    pub(crate) const fn new(scheduling: Scheduling) -> Self {
        Self {
            scheduling,
            waiting: BinaryHeap::new(),
            current: None,
            virtual_time: 0,
            turns: 0,
        }
    }

    /// Forgets all streams.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.scheduling);
    }

    /// Puts a stream in line and says when its share is used up, in virtual time.
    pub(crate) fn wait(&mut self, wish: &Wish) -> u64 {
        self.turns += 1;
        let share = (wish.bytes as u64).saturating_mul(SHARE_SCALE) / u64::from(wish.weight.max(1));
        let finish = self.virtual_time.max(wish.finish).saturating_add(share);
        let key = match self.scheduling {
            Scheduling::FirstCome => wish.arrival,
            Scheduling::RoundRobin => self.turns,
            Scheduling::Priority => u64::from(u16::MAX - wish.weight),
            Scheduling::WeightedFair => finish,
        };
        self.waiting.push(Reverse(Turn {
            key,
            order: self.turns,
            stream: wish.stream,
        }));
        finish
    }

    /// The stream whose turn it is.
    pub(crate) fn current(&mut self) -> Option<StreamId> {
        if self.current.is_none() {
            let Reverse(turn) = self.waiting.pop()?;
            if self.scheduling == Scheduling::WeightedFair {
                self.virtual_time = self.virtual_time.max(turn.key);
            }
            self.current = Some(turn.stream);
        }
        self.current
    }

    /// Whether it is this stream's turn.
    pub(crate) fn is_current(&self, stream: StreamId) -> bool {
        self.current == Some(stream)
    }

    /// Ends the turn; a stream that has more has to [`wait`](Self::wait) again.
    pub(crate) const fn end_turn(&mut self) {
        self.current = None;
    }
}

/// Keeps shares of small messages apart at the largest weight.
const SHARE_SCALE: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Streams 1.. of these weights and fragment sizes take `turns` turns; who had them.
    fn run(scheduling: Scheduling, streams: &[(u16, usize)], turns: usize) -> Vec<u16> {
        let mut scheduler = Scheduler::new(scheduling);
        let mut finishes = alloc::vec![0; streams.len()];
        let wish = |index: usize, finish| Wish {
            stream: StreamId(index as u16),
            weight: streams[index].0,
            bytes: streams[index].1,
            arrival: index as u64,
            finish,
        };
        for (index, finish) in finishes.iter_mut().enumerate() {
            *finish = scheduler.wait(&wish(index, 0));
        }
        (0..turns)
            .map(|_| {
                let stream = scheduler.current().unwrap();
                assert_eq!(scheduler.current(), Some(stream), "a turn lasts");
                scheduler.end_turn();
                let index = usize::from(stream.0);
                finishes[index] = scheduler.wait(&wish(index, finishes[index]));
                stream.0
            })
            .collect()
    }

    #[test]
    fn first_come_finishes_what_came_first() {
        assert_eq!(run(Scheduling::FirstCome, &[(1, 9), (9, 9)], 4), [0; 4]);
    }

    #[test]
    fn round_robin_takes_turns() {
        let turns = run(Scheduling::RoundRobin, &[(1, 9), (9, 9), (5, 9)], 6);
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn priority_serves_the_highest_weight_and_equals_in_turn() {
        let turns = run(Scheduling::Priority, &[(1, 9), (9, 9), (9, 9)], 6);
        assert_eq!(turns, [1, 2, 1, 2, 1, 2]);
    }

    #[test]
    fn weighted_fair_shares_bytes_by_weight() {
        let turns = run(Scheduling::WeightedFair, &[(256, 1000), (512, 500)], 1000);
        let bytes: usize = turns.iter().filter(|&&stream| stream == 0).count() * 1000;
        let other: usize = turns.iter().filter(|&&stream| stream == 1).count() * 500;
        let ratio = other as f64 / bytes as f64;
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_stream_that_was_idle_has_not_saved_up_turns() {
        let mut scheduler = Scheduler::new(Scheduling::WeightedFair);
        let wish = |stream, finish| Wish {
            stream: StreamId(stream),
            weight: 256,
            bytes: 1000,
            arrival: 0,
            finish,
        };
        let mut finish = scheduler.wait(&wish(0, 0));
        for _ in 0..100 {
            scheduler.current();
            scheduler.end_turn();
            finish = scheduler.wait(&wish(0, finish));
        }
        let mut late = scheduler.wait(&wish(1, 0));
        let mut turns = 0;
        for _ in 0..10 {
            let stream = scheduler.current().unwrap().0;
            scheduler.end_turn();
            if stream == 1 {
                turns += 1;
                late = scheduler.wait(&wish(1, late));
            } else {
                finish = scheduler.wait(&wish(0, finish));
            }
        }
        assert_eq!(turns, 5);
    }
}
