//! When which lane sends: a schedule that is settled before the first packet and waits for nobody.

use std::time::Duration;

use super::super::LoadError;

/// The schedule of a run: bursts at even distances, the lanes taking turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: u64,
    /// Nanoseconds from one burst to the next.
    distance: f64,
    bursts: u64,
    next: u64,
    lanes: usize,
}

/// A burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Nanoseconds of `CLOCK_MONOTONIC` at which it is due.
    pub(super) due: u64,
    /// Whose turn it is.
    pub(super) lane: usize,
}

impl Pace {
    /// From `began` (nanoseconds of `CLOCK_MONOTONIC`) on, for `duration`.
    pub(super) fn new(
        began: u64,
        packets_per_second: f64,
        burst: u32,
        duration: Duration,
        lanes: usize,
    ) -> Result<Self, LoadError> {
        let bursts_a_second = packets_per_second / f64::from(burst);
        let bursts = (bursts_a_second * duration.as_secs_f64()).round();
        if lanes == 0 {
            return Err(LoadError::Unfit("there are no flows".to_owned()));
        }
        if !(1.0..=PACKETS_MAX / f64::from(burst)).contains(&bursts) {
            return Err(LoadError::Unfit(format!(
                "{packets_per_second} packets a second for {duration:?}: a run has one burst at \
                 least and {PACKETS_MAX} packets at most"
            )));
        }
        Ok(Self {
            began,
            distance: 1e9 / bursts_a_second,
            bursts: whole(bursts),
            next: 0,
            lanes,
        })
    }

    /// How many bursts there are in all.
    pub(super) const fn bursts(&self) -> u64 {
        self.bursts
    }

    /// The most bursts that a lane has.
    pub(super) fn bursts_a_lane(&self) -> u64 {
        self.bursts.div_ceil(u64::try_from(self.lanes).unwrap_or(1))
    }

    /// When the schedule is over.
    pub(super) fn end(&self) -> u64 {
        self.due(self.bursts)
    }

    /// When the next burst is due; `None` after the last.
    pub(super) fn next_due(&self) -> Option<u64> {
        (self.next < self.bursts).then(|| self.due(self.next))
    }

    /// The next burst if it is due by `now`.
    #[inline]
    pub(super) fn take_due(&mut self, now: u64) -> Option<Turn> {
        let due = self.next_due().filter(|due| *due <= now)?;
        let lanes = u64::try_from(self.lanes).ok()?;
        let lane = usize::try_from(self.next % lanes).ok()?;
        self.next += 1;
        Some(Turn { due, lane })
    }

    /// On the first tick that is not before its place in the row.
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 bursts")]
    fn due(&self, burst: u64) -> u64 {
        self.began + whole(burst as f64 * self.distance).next_multiple_of(TICK)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and far below 2^64"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}

/// Nanoseconds between the instants at which something is due: what network cards that moderate their
/// interrupts wait for more.
pub(super) const TICK: u64 = 50_000;

/// Most packets of a run: each takes a bit of memory, to know those that came again.
const PACKETS_MAX: f64 = 4e9;

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(pace: &mut Pace, now: u64) -> Vec<Turn> {
        std::iter::from_fn(|| pace.take_due(now)).collect()
    }

    #[test]
    fn bursts_are_due_at_even_distances_and_lanes_take_turns() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(1_000, 8_000.0, 2, second, 3).unwrap();
        assert_eq!(pace.bursts(), 4_000);
        assert_eq!(pace.bursts_a_lane(), 1_334);
        let turn = |due, lane| Turn { due, lane };
        assert_eq!(turns(&mut pace, 999), []);
        assert_eq!(
            turns(&mut pace, 501_000),
            [turn(1_000, 0), turn(251_000, 1), turn(501_000, 2)]
        );
        assert_eq!(pace.next_due(), Some(751_000));
        assert_eq!(turns(&mut pace, u64::MAX).len(), 3_997);
        assert_eq!(pace.next_due(), None);
        assert_eq!(pace.end(), 1_000_001_000);
    }

    #[test]
    fn what_is_due_within_a_tick_is_due_at_its_end() {
        let mut pace = Pace::new(7, 100_000.0, 1, Duration::from_secs(1), 9).unwrap();
        let dues: Vec<u64> = turns(&mut pace, 100_007)
            .iter()
            .map(|turn| turn.due)
            .collect();
        assert_eq!(dues, [vec![7], vec![50_007; 5], vec![100_007; 5]].concat());
    }

    #[test]
    fn a_late_sender_finds_every_burst_with_the_time_at_which_it_was_due() {
        let mut pace = Pace::new(0, 1_000.0, 1, Duration::from_secs(1), 1).unwrap();
        let dues: Vec<u64> = turns(&mut pace, 2_000_000_000)
            .iter()
            .map(|turn| turn.due)
            .collect();
        let expected: Vec<u64> = (0..1_000).map(|number| number * 1_000_000).collect();
        assert_eq!(dues, expected);
    }

    #[test]
    fn a_pace_without_flows_or_without_an_end_is_refused() {
        let second = Duration::from_secs(1);
        assert!(Pace::new(0, 1.0, 1, second, 0).is_err());
        for rate in [0.0, -5.0, f64::NAN, f64::INFINITY, 1e12] {
            assert!(Pace::new(0, rate, 1, second, 1).is_err(), "{rate}");
        }
    }
}
