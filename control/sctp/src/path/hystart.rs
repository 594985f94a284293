//! Leaves slow start when round trips grow, before the queue overflows; after HyStart++ (RFC 9406).
//!
//! Slow start doubles until something is lost; on a long path with a deep queue that is a whole
//! window of losses at once. Growing round trips announce it. RFC 9406 compares whole rounds and
//! goes on growing, slower, while it makes sure; on a path of one bandwidth-delay product of queue
//! that is a round too late. Here any eight samples in a row may raise the alarm, and the window is
//! held for the round that shows whether the alarm was false.

use core::time::Duration;

use crate::Tsn;

/// The state of one slow start.
#[derive(Clone, Debug)]
pub(crate) struct HyStart {
    /// The shortest round trip seen.
    base: Duration,
    /// The shortest of the latest few samples, and how many those are.
    recent: Duration,
    samples: u32,
    /// After an alarm: slow start is over when this is acknowledged and the alarm still stands.
    held_until: Option<Tsn>,
}

/// What slow start should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Grow by what was acknowledged.
    Grow,
    /// Wait and see.
    Hold,
    /// Slow start is over.
    Leave,
}

impl HyStart {
    pub(crate) const fn new() -> Self {
        Self {
            base: Duration::MAX,
            recent: Duration::MAX,
            samples: 0,
            held_until: None,
        }
    }

    /// Takes an acknowledgement up to `cumulative`, with `highest_sent` out.
    pub(crate) fn acknowledged(
        &mut self,
        cumulative: Tsn,
        highest_sent: Tsn,
        rtt: Option<Duration>,
    ) -> Advice {
        if let Some(rtt) = rtt {
            self.base = self.base.min(rtt);
            self.recent = self.recent.min(rtt);
            self.samples += 1;
        }
        if self.samples >= SAMPLES {
            let threshold = (self.base / 8).clamp(THRESHOLD_MIN, THRESHOLD_MAX);
            if self.recent < self.base + threshold {
                self.held_until = None;
            } else if self.held_until.is_none() {
                self.held_until = Some(highest_sent);
            }
            self.recent = Duration::MAX;
            self.samples = 0;
        }
        match self.held_until {
            None => Advice::Grow,
            Some(end) if cumulative.is_at_or_after(end) => Advice::Leave,
            Some(_) => Advice::Hold,
        }
    }
}

/// RFC 9406 section 4.3: the recommended constants.
const SAMPLES: u32 = 8;
const THRESHOLD_MIN: Duration = Duration::from_millis(4);
const THRESHOLD_MAX: Duration = Duration::from_millis(16);

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight acknowledgements up to TSN `cumulative`, all with the same round trip.
    fn eight(hystart: &mut HyStart, cumulative: u32, rtt_ms: u64) -> Advice {
        let rtt = Some(Duration::from_millis(rtt_ms));
        let acknowledged = |n| Tsn(cumulative - 7 + n);
        (0..8)
            .map(|n| hystart.acknowledged(acknowledged(n), Tsn(cumulative + 100), rtt))
            .last()
            .unwrap()
    }

    #[test]
    fn steady_round_trips_let_it_grow() {
        let mut hystart = HyStart::new();
        for step in 1..50 {
            assert_eq!(eight(&mut hystart, step * 8, 50), Advice::Grow);
        }
    }

    #[test]
    fn an_alarm_that_stands_for_a_round_ends_slow_start() {
        let mut hystart = HyStart::new();
        assert_eq!(eight(&mut hystart, 8, 50), Advice::Grow);
        assert_eq!(eight(&mut hystart, 16, 57), Advice::Hold);
        assert_eq!(eight(&mut hystart, 100, 60), Advice::Hold);
        assert_eq!(eight(&mut hystart, 116, 60), Advice::Leave);
    }

    #[test]
    fn a_false_alarm_is_taken_back() {
        let mut hystart = HyStart::new();
        eight(&mut hystart, 8, 50);
        assert_eq!(eight(&mut hystart, 16, 57), Advice::Hold);
        assert_eq!(eight(&mut hystart, 24, 51), Advice::Grow);
    }

    #[test]
    fn one_slow_sample_is_no_alarm() {
        let mut hystart = HyStart::new();
        eight(&mut hystart, 8, 50);
        for n in 9..40 {
            let rtt = Duration::from_millis(if n % 4 == 0 { 50 } else { 90 });
            let advice = hystart.acknowledged(Tsn(n), Tsn(100), Some(rtt));
            assert_eq!(advice, Advice::Grow);
        }
    }
}
