//! The schedule of a sender: trains of packets at even intervals. The packets of a train are due at
//! the same time. A train may leave late, but none is left out.

use std::time::Duration;

/// When a sender's trains are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Packets of a train; zero when there is no schedule.
    pub(super) train: u32,
    /// When the first train is due, nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) start: u64,
    /// Nanoseconds from one train to the next.
    pub(super) interval: u64,
    /// Trains in all.
    pub(super) trains: u64,
}

impl Pace {
    /// So many packets a second for so long, in trains of whole bursts, from `start` on. No number
    /// (infinity) means as fast as it goes.
    pub(super) fn new(rate: f64, burst: u32, start: u64, duration: Duration) -> Self {
        if !rate.is_finite() {
            return Self {
                train: 0,
                start,
                interval: 0,
                trains: u64::MAX,
            };
        }
        let bursts = whole(rate * TRAIN_EVERY.as_secs_f64() / f64::from(burst)).max(1);
        let train = u32::try_from(bursts)
            .unwrap_or(u32::MAX)
            .saturating_mul(burst)
            .min(TRAIN_MAX.next_multiple_of(burst));
        let a_second = (rate / f64::from(train)).max(f64::MIN_POSITIVE);
        Self {
            train,
            start,
            interval: whole(1e9 / a_second),
            trains: whole(duration.as_secs_f64() * a_second).max(1),
        }
    }

    /// Packets that all trains have.
    pub(super) fn packets(&self) -> u64 {
        self.trains.saturating_mul(self.train.into())
    }

    /// When a train is due; the first has number 0.
    pub(super) fn due(&self, train: u64) -> u64 {
        self.start
            .saturating_add(train.saturating_mul(self.interval))
    }

    /// How many trains are due by `now`.
    pub(super) fn due_by(&self, now: u64) -> u64 {
        let Some(passed) = now.checked_sub(self.start) else {
            return 0;
        };
        let due = passed
            .checked_div(self.interval)
            .map_or(u64::MAX, |trains| trains + 1);
        due.min(self.trains)
    }
}

/// To ask the kernel for frames costs some microseconds, however many they are.
const TRAIN_EVERY: Duration = Duration::from_micros(50);

/// A veth's ring holds 256 frames: a train must not fill it by itself.
const TRAIN_MAX: u32 = 64;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float's cast saturates, and no number is negative"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn trains_carry_the_rate_that_was_asked_for() {
        for rate in [100.0, 5_000.0, 99_999.0, 1e6, 3e6, 2e7] {
            for burst in [1, 3, 16, 100] {
                let pace = Pace::new(rate, burst, 7, SECOND);
                let packets = pace.packets() as f64;
                assert!(
                    (packets / rate - 1.0).abs() < 0.01 + f64::from(burst) / rate,
                    "{pace:?} for {rate}"
                );
                assert_eq!(pace.train % burst, 0, "{pace:?}");
                let last = pace.due(pace.trains - 1) - 7;
                assert!(last <= 1_010_000_000, "{pace:?} ends after {last}");
            }
        }
    }

    #[test]
    fn a_train_is_due_at_its_time_and_not_before() {
        let pace = Pace::new(1e6, 1, 1_000, SECOND);
        assert_eq!(pace.due_by(999), 0);
        for train in [0, 1, 2, 100] {
            assert_eq!(pace.due_by(pace.due(train)), train + 1);
            assert_eq!(pace.due_by(pace.due(train + 1) - 1), train + 1);
        }
        assert_eq!(pace.due_by(u64::MAX), pace.trains);
    }

    #[test]
    fn without_a_rate_something_is_always_due() {
        let pace = Pace::new(f64::INFINITY, 4, 1_000, SECOND);
        assert_eq!(pace.train, 0);
        assert_eq!(pace.due_by(1_000), u64::MAX);
        assert_eq!(pace.due_by(999), 0);
    }
}
