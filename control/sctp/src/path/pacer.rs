//! The pace: packets of a window leave over the round trip, not at once.
//!
//! Bursts of a millisecond's worth are let through, so that fast paths cost no timer a packet.

use core::time::Duration;

use turnpike_types::Timestamp;

/// When the next packet may leave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pacer {
    /// The instant by which everything sent so far would have left at the pace.
    spent_until: Timestamp,
}

impl Pacer {
    /// When a packet may leave; `None` is now.
    pub(crate) fn blocked_until(&self, now: Timestamp, pace: Pace) -> Option<Timestamp> {
        (self.spent_until.since(now) >= pace.burst).then(|| {
            let ahead = self.spent_until.as_nanos();
            // Half a millisecond at a time, so that a wake-up is worth its while.
            let kept = pace.burst.saturating_sub(BURST_TIME / 2).as_nanos();
            Timestamp::from_nanos(ahead.saturating_sub(u64::try_from(kept).unwrap_or(u64::MAX)))
        })
    }

    /// Charges a packet.
    pub(crate) fn sent(&mut self, now: Timestamp, bytes: usize, pace: Pace) {
        self.spent_until = self.spent_until.max(now) + pace.time_for(bytes);
    }
}

/// How fast, and how much at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    window_bytes: u64,
    round_trip_ns: u64,
    burst: Duration,
}

impl Pace {
    /// `gain_eighths` / 8 windows of `cwnd_bytes` each `srtt`.
    pub(crate) fn new(cwnd_bytes: usize, srtt: Duration, gain_eighths: u64) -> Self {
        let mut pace = Self {
            window_bytes: (cwnd_bytes as u64).saturating_mul(gain_eighths) / 8,
            round_trip_ns: u64::try_from(srtt.as_nanos()).unwrap_or(u64::MAX),
            burst: Duration::ZERO,
        };
        pace.burst = BURST_TIME.max(pace.time_for(BURST_BYTES));
        pace
    }

    fn time_for(self, bytes: usize) -> Duration {
        let ns = (bytes as u64).saturating_mul(self.round_trip_ns) / self.window_bytes.max(1);
        Duration::from_nanos(ns)
    }
}

/// What a pause between two wake-ups should at least be worth.
const BURST_TIME: Duration = Duration::from_millis(1);
/// Ten packets, the first congestion window, may always leave together.
const BURST_BYTES: usize = 10 * 1200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_leaves_over_the_round_trip() {
        let pace = Pace::new(1_200_000, Duration::from_millis(100), 8);
        let (mut pacer, mut now, mut sent) = (Pacer::default(), Timestamp::from_secs(1), 0);
        while now < Timestamp::from_millis(1100) {
            match pacer.blocked_until(now, pace) {
                Some(at) => {
                    assert!(at > now, "a wait must be ahead");
                    now = at;
                }
                None => {
                    pacer.sent(now, 1200, pace);
                    sent += 1200;
                }
            }
        }
        assert!((1_200_000..=1_226_400).contains(&sent), "{sent}");
    }

    #[test]
    fn ten_packets_leave_at_once_and_the_eleventh_waits() {
        let pace = Pace::new(4_800, Duration::from_secs(1), 8);
        let (mut pacer, now) = (Pacer::default(), Timestamp::from_secs(1));
        for _ in 0..10 {
            assert_eq!(pacer.blocked_until(now, pace), None);
            pacer.sent(now, 1200, pace);
        }
        assert!(pacer.blocked_until(now, pace).is_some());
    }
}
