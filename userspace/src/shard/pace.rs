//! Whether the loop waits for company: when packets come close together, each wake-up serves several.
//!
//! A packet that comes alone is served at once. Once turn after turn brings packets so soon that a
//! wait of [`GATHER`] is likely to bring a few, the loop sleeps that long whatever comes, and goes on
//! so for as long as it brings more than one. Where it does not, as where each packet is the answer
//! to the one before, it is tried again only after twice as many turns. No packet waits longer than
//! [`GATHER`] for it.

use std::time::Duration;

/// How long a wait gathers: far below what a jitter buffer evens out, and several times what a
/// wake-up costs.
const GATHER: Duration = Duration::from_micros(60);

/// How soon after each other turns come, on average, where a wait brings a few packets.
const CLOSE: Duration = Duration::from_micros(20);

/// Turns with packets, none of them [`GATHER`] after the one before, that show how close they come.
const TURNS_MIN: u32 = 16;
const TURNS_MAX: u32 = 1 << 14;

/// How close together packets come.
#[derive(Debug)]
pub(super) struct Pace {
    is_dense: bool,
    /// Turns in sequence, and the time they took.
    turns: u32,
    took: Duration,
    /// How many of them it takes.
    needed: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            is_dense: false,
            turns: 0,
            took: Duration::ZERO,
            needed: TURNS_MIN,
        }
    }
}

impl Pace {
    /// How long the next wait gathers; zero when it ends with the first packet.
    pub(super) const fn gather(&self) -> Duration {
        if self.is_dense {
            GATHER
        } else {
            Duration::ZERO
        }
    }

    /// Notes how long a turn began after the one before it, and how many receives it found.
    pub(super) fn note(&mut self, since_last: Duration, received: usize) {
        if self.is_dense {
            self.is_dense = received > 1;
            self.needed = if self.is_dense {
                TURNS_MIN
            } else {
                (2 * self.needed).min(TURNS_MAX)
            };
            return;
        }
        if received == 0 || since_last >= GATHER {
            (self.turns, self.took) = (0, Duration::ZERO);
            return;
        }
        self.turns += 1;
        self.took += since_last;
        if self.turns >= self.needed {
            self.is_dense = self.took < CLOSE * self.turns;
            (self.turns, self.took) = (0, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many turns with a packet each, so far apart, until one gathers.
    fn turns_until_gathering(pace: &mut Pace, apart: Duration) -> Option<u32> {
        (1..=2 * TURNS_MAX).find(|_| {
            pace.note(apart, 1);
            !pace.gather().is_zero()
        })
    }

    #[test]
    fn packets_far_apart_are_never_waited_with() {
        for apart in [CLOSE, GATHER, Duration::from_secs(1)] {
            assert_eq!(turns_until_gathering(&mut Pace::default(), apart), None);
        }
        let mut pace = Pace::default();
        for _ in 0..TURNS_MAX {
            // A pause begins the count anew, however long, and however many come after it.
            pace.note(CLOSE / 2, 1);
            pace.note(Duration::ZERO, 0);
            pace.note(GATHER, 100);
            assert_eq!(pace.gather(), Duration::ZERO);
        }
    }

    #[test]
    fn close_packets_are_gathered_until_one_comes_alone() {
        let mut pace = Pace::default();
        assert_eq!(turns_until_gathering(&mut pace, CLOSE / 2), Some(TURNS_MIN));
        assert_eq!(pace.gather(), GATHER);
        pace.note(GATHER * 2, 2);
        assert_eq!(pace.gather(), GATHER);
        pace.note(GATHER, 1);
        assert_eq!(pace.gather(), Duration::ZERO);
    }

    #[test]
    fn gathering_that_brings_nothing_is_tried_ever_more_seldom_until_it_pays() {
        let mut pace = Pace::default();
        let mut needed = TURNS_MIN;
        for _ in 0..20 {
            assert_eq!(turns_until_gathering(&mut pace, CLOSE / 2), Some(needed));
            pace.note(GATHER, 1);
            needed = (2 * needed).min(TURNS_MAX);
        }
        assert_eq!(turns_until_gathering(&mut pace, CLOSE / 2), Some(needed));
        pace.note(GATHER, 2);
        pace.note(GATHER, 0);
        let expected = Some(2 * TURNS_MIN);
        assert_eq!(turns_until_gathering(&mut pace, CLOSE / 2), expected);
    }
}
