//! The schedule of a sender: trains of packets at even intervals. The packets of a train are due at
//! the same time. A train may leave late, but none is left out.

use std::time::Duration;

use super::super::LoadError;

/// When trains are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Packets of a train.
    pub(super) train: u32,
    /// When the first train is due, nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) start: u64,
    /// Nanoseconds from one train to the next.
    pub(super) interval: u64,
    /// Trains in all.
    pub(super) trains: u64,
}

impl Pace {
    /// So many packets a second for so long, in trains of whole bursts, from `start` on.
    ///
    /// # Errors
    /// [`LoadError::Unfit`] when that is no number of packets.
    pub(super) fn new(
        rate: f64,
        burst: u32,
        start: u64,
        duration: Duration,
    ) -> Result<Self, LoadError> {
        if !rate.is_normal() || rate < 0.0 {
            return Err(LoadError::Unfit(format!("{rate} packets a second")));
        }
        let bursts = whole(rate * TRAIN_EVERY.as_secs_f64() / f64::from(burst)).max(1);
        let train = u32::try_from(bursts)
            .unwrap_or(u32::MAX)
            .saturating_mul(burst)
            .min(TRAIN_MAX.next_multiple_of(burst));
        let a_second = rate / f64::from(train);
        Ok(Self {
            train,
            start,
            interval: whole(1e9 / a_second),
            trains: whole(duration.as_secs_f64() * a_second).max(1),
        })
    }

    /// Packets that all trains have.
    pub(super) fn packets(&self) -> u64 {
        self.trains.saturating_mul(self.train.into())
    }

    /// When the time of the last train is over.
    pub(super) fn end(&self) -> u64 {
        self.start
            .saturating_add(self.trains.saturating_mul(self.interval))
    }
}

/// What is due within this time leaves together, as from a card that moderates its interrupts; the
/// relay's receiver is woken up once for it.
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
        for rate in [100.0, 5_000.0, 99_999.0, 1e6, 3e6] {
            for burst in [1, 3, 16, 100] {
                let pace = Pace::new(rate, burst, 7, SECOND).unwrap();
                let packets = pace.packets() as f64;
                assert!(
                    (packets / rate - 1.0).abs() < 0.01 + f64::from(burst) / rate,
                    "{pace:?} for {rate}"
                );
                assert_eq!(pace.train % burst, 0, "{pace:?}");
                let ends_after = pace.end() - 7;
                assert!(
                    ends_after <= 1_020_000_000,
                    "{pace:?} ends after {ends_after}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Pace::new(rate, 1, 7, SECOND).is_err(), "{rate}");
        }
    }
}
