//! What became of the packets of a run.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What became of the packets of one run, all flows and directions together.
///
/// Every packet that was sent is received once, lost, or lost by the generator itself:
/// `sent == received + lost + own_loss` unless the generator lost more than it sent again.
#[derive(Clone)]
pub struct Tally {
    /// From the first packet due to the last one sent; the wait for stragglers is not in it.
    pub wall: Duration,
    /// Packets that the pace asked for.
    pub wanted: u64,
    /// Packets that the kernel took. Fewer than wanted: the generator could not keep the pace.
    pub sent: u64,
    /// Different packets that came back whole.
    pub received: u64,
    /// Packets that the relay lost: sent and neither received nor lost by the generator. A
    /// corrupted packet is lost too, since nobody can use it.
    pub lost: u64,
    /// Packets that came after a later one of their flow and direction.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// Payloads whose check is wrong.
    pub corrupted: u64,
    /// Packets that came where they do not belong: another address, port or channel than their flow's.
    pub misdirected: u64,
    /// Frames that are several packets in one, or whose checksum is unfinished: offloads are on where
    /// they must be off, and the figures of this run mean nothing.
    pub offloaded: u64,
    /// Packets that came to the generator and found its ring full: not the relay's loss.
    pub own_loss: u64,
    /// Packets that left later than [`Tally::LATE`] after they were due.
    pub late: u64,
    /// From when a packet was due to when it was received, nanoseconds.
    pub latency: Histogram<u64>,
    /// The greatest share of its packets that a flow lost, 0 to 1.
    pub worst_flow_loss: f64,
}

impl Tally {
    /// How much later than due a packet may leave before it counts as late.
    pub const LATE: Duration = Duration::from_millis(1);

    /// Nothing sent, nothing received.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            wall: Duration::ZERO,
            wanted: 0,
            sent: 0,
            received: 0,
            lost: 0,
            reordered: 0,
            duplicated: 0,
            corrupted: 0,
            misdirected: 0,
            offloaded: 0,
            own_loss: 0,
            late: 0,
            latency: latency_histogram(),
            worst_flow_loss: 0.0,
        }
    }

    /// Packets a second that were sent.
    #[must_use]
    pub fn sent_per_second(&self) -> f64 {
        per_second(self.sent, self.wall)
    }

    /// Packets a second that came through.
    #[must_use]
    pub fn received_per_second(&self) -> f64 {
        per_second(self.received, self.wall)
    }

    /// The share of the sent packets that the relay lost, 0 to 1; 1 when nothing was sent.
    #[must_use]
    pub fn loss(&self) -> f64 {
        ratio(self.lost, self.sent, 1.0)
    }

    /// Whether the generator did what the pace asked for: at least 99 % of the packets sent, at most
    /// 1 % of them late, and none lost on its own side. What it says of a relay counts only then.
    #[must_use]
    pub fn kept_pace(&self) -> bool {
        ratio(self.sent, self.wanted, 0.0) >= 0.99
            && ratio(self.late, self.sent, 1.0) <= 0.01
            && self.own_loss == 0
            && self.offloaded == 0
    }
}

/// Latencies as quantiles: a histogram has thousands of counts.
impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = [0.5, 0.9, 0.99, 1.0].map(|share| self.latency.value_at_quantile(share));
        f.debug_struct("Tally")
            .field("wall", &self.wall)
            .field("wanted", &self.wanted)
            .field("sent", &self.sent)
            .field("received", &self.received)
            .field("lost", &self.lost)
            .field("reordered", &self.reordered)
            .field("duplicated", &self.duplicated)
            .field("corrupted", &self.corrupted)
            .field("misdirected", &self.misdirected)
            .field("offloaded", &self.offloaded)
            .field("own_loss", &self.own_loss)
            .field("late", &self.late)
            .field("latency_p50_p90_p99_max_ns", &latency)
            .field("worst_flow_loss", &self.worst_flow_loss)
            .finish()
    }
}

/// Latencies above this count as this, nanoseconds.
pub const HIGHEST_LATENCY: u64 = 60_000_000_000;

/// A histogram of nanoseconds, three digits exact, from 1 to [`HIGHEST_LATENCY`]. Record with
/// `saturating_record`.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that a test tries"
)]
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_LATENCY, 3).expect("constant bounds")
}

fn per_second(count: u64, wall: Duration) -> f64 {
    if wall.is_zero() {
        return 0.0;
    }
    to_f64(count) / wall.as_secs_f64()
}

fn ratio(part: u64, whole: u64, of_nothing: f64) -> f64 {
    if whole == 0 {
        of_nothing
    } else {
        to_f64(part) / to_f64(whole)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 packets")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares_are_of_what_was_sent() {
        let tally = Tally {
            wall: Duration::from_secs(2),
            wanted: 1_000,
            sent: 1_000,
            received: 900,
            lost: 100,
            ..Tally::empty()
        };
        assert!((tally.sent_per_second() - 500.0).abs() < 1e-9);
        assert!((tally.received_per_second() - 450.0).abs() < 1e-9);
        assert!((tally.loss() - 0.1).abs() < 1e-9);
        assert!(tally.kept_pace());
    }

    #[test]
    fn a_run_in_which_nothing_left_lost_everything_and_kept_no_pace() {
        let tally = Tally {
            wanted: 10,
            ..Tally::empty()
        };
        assert!((tally.loss() - 1.0).abs() < 1e-9);
        assert!(!tally.kept_pace());
        assert!(tally.received_per_second().abs() < 1e-9);
    }

    #[test]
    fn a_generator_that_is_slow_late_or_lossy_itself_did_not_keep_pace() {
        let good = Tally {
            wanted: 1_000,
            sent: 1_000,
            received: 1_000,
            ..Tally::empty()
        };
        assert!(good.kept_pace());
        for bad in [
            Tally {
                sent: 980,
                ..good.clone()
            },
            Tally {
                late: 11,
                ..good.clone()
            },
            Tally {
                own_loss: 1,
                ..good.clone()
            },
            Tally {
                offloaded: 1,
                ..good.clone()
            },
        ] {
            assert!(!bad.kept_pace(), "{bad:?}");
        }
    }
}
