//! HyStart++ (RFC 9406): leaves slow start when round trips grow, before the queue overflows.
//!
//! Slow start doubles until something is lost; on a long path with a deep queue that is a whole
//! window of losses at once. Growing round trips announce it a round earlier.

use core::time::Duration;

use crate::Tsn;

/// The state of one slow start.
#[derive(Clone, Debug)]
pub(crate) struct HyStart {
    /// The round is over when this is acknowledged.
    round_end: Option<Tsn>,
    last_round_min: Duration,
    round_min: Duration,
    samples: u32,
    conservative: Option<Conservative>,
}

/// Conservative slow start: grows by a quarter, and looks whether the growth was a false alarm.
#[derive(Clone, Copy, Debug)]
struct Conservative {
    baseline: Duration,
    rounds: u32,
}

/// What slow start should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Grow by what was acknowledged.
    Grow,
    /// Grow by a quarter of it.
    GrowSlowly,
    /// Slow start is over.
    Leave,
}

impl HyStart {
    pub(crate) const fn new() -> Self {
        Self {
            round_end: None,
            last_round_min: Duration::MAX,
            round_min: Duration::MAX,
            samples: 0,
            conservative: None,
        }
    }

    /// Takes an acknowledgement up to `cumulative`, with `highest_sent` out.
    pub(crate) fn acknowledged(
        &mut self,
        cumulative: Tsn,
        highest_sent: Tsn,
        rtt: Option<Duration>,
    ) -> Advice {
        let is_round_over = self
            .round_end
            .is_none_or(|end| cumulative.is_at_or_after(end));
        if is_round_over {
            self.round_end = Some(highest_sent);
            self.last_round_min = self.round_min;
            self.round_min = Duration::MAX;
            self.samples = 0;
            if let Some(conservative) = &mut self.conservative {
                conservative.rounds += 1;
                if conservative.rounds >= CONSERVATIVE_ROUNDS {
                    return Advice::Leave;
                }
            }
        }
        if let Some(rtt) = rtt {
            self.round_min = self.round_min.min(rtt);
            self.samples += 1;
        }
        self.judge()
    }

    fn judge(&mut self) -> Advice {
        if self.samples < SAMPLES_MIN {
            return self.advice();
        }
        match self.conservative {
            Some(Conservative { baseline, .. }) if self.round_min < baseline => {
                self.conservative = None;
            }
            None if self.last_round_min != Duration::MAX => {
                let threshold = (self.last_round_min / 8).clamp(THRESHOLD_MIN, THRESHOLD_MAX);
                if self.round_min >= self.last_round_min + threshold {
                    self.conservative = Some(Conservative {
                        baseline: self.round_min,
                        rounds: 0,
                    });
                }
            }
            _ => {}
        }
        self.advice()
    }

    const fn advice(&self) -> Advice {
        if self.conservative.is_some() {
            Advice::GrowSlowly
        } else {
            Advice::Grow
        }
    }
}

/// RFC 9406 section 4.3: the recommended constants.
const SAMPLES_MIN: u32 = 8;
const CONSERVATIVE_ROUNDS: u32 = 5;
const THRESHOLD_MIN: Duration = Duration::from_millis(4);
const THRESHOLD_MAX: Duration = Duration::from_millis(16);

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten acknowledgements of one round, all with the same round trip.
    fn round(hystart: &mut HyStart, number: u32, rtt_ms: u64) -> Advice {
        let first = number * 10;
        (1..=10)
            .map(|n| {
                let rtt = Some(Duration::from_millis(rtt_ms));
                hystart.acknowledged(Tsn(first + n), Tsn(first + n + 10), rtt)
            })
            .last()
            .unwrap()
    }

    #[test]
    fn steady_round_trips_let_it_grow() {
        let mut hystart = HyStart::new();
        for number in 0..20 {
            assert_eq!(round(&mut hystart, number, 50), Advice::Grow);
        }
    }

    #[test]
    fn growing_round_trips_end_slow_start_after_five_slower_rounds() {
        let mut hystart = HyStart::new();
        assert_eq!(round(&mut hystart, 0, 50), Advice::Grow);
        assert_eq!(round(&mut hystart, 1, 50), Advice::Grow);
        assert_eq!(round(&mut hystart, 2, 60), Advice::GrowSlowly);
        let advices: alloc::vec::Vec<Advice> = (3..9).map(|n| round(&mut hystart, n, 60)).collect();
        assert_eq!(advices[3], Advice::GrowSlowly);
        let mut hystart = hystart.clone();
        assert_eq!(
            hystart.acknowledged(Tsn(1000), Tsn(1100), None),
            Advice::Leave
        );
    }

    #[test]
    fn a_false_alarm_is_taken_back() {
        let mut hystart = HyStart::new();
        for (number, rtt) in [50, 50, 60].into_iter().enumerate() {
            round(&mut hystart, number as u32, rtt);
        }
        assert_eq!(round(&mut hystart, 3, 50), Advice::Grow);
    }
}
