//! RACK (RFC 8985): a chunk is lost when one sent sufficiently later has arrived.
//!
//! Time decides, not a count of misses, so a lost retransmission is found like any other loss, and
//! reordering widens the window instead of causing retransmissions. The peer's duplicate TSNs play
//! the part of DSACK.

use core::time::Duration;

use turnpike_types::Timestamp;

use super::flight::Entry;
use crate::Tsn;

/// What has arrived, and how much of order is kept on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rack {
    /// Of what has arrived, the one that was sent last, and when.
    newest: Option<(Timestamp, Tsn)>,
    /// How long that one took.
    rtt: Duration,
    /// The highest TSN that has arrived.
    highest: Option<Tsn>,
    is_reordering_seen: bool,
    /// Quarters of a round trip added by duplicates.
    extra_quarters: u32,
    /// Recoveries after which those are forgotten.
    recoveries_left: u32,
    /// The widening waits for what was sent before this.
    widened_at: Option<Tsn>,
}

impl Rack {
    /// Takes note of a chunk that has arrived, as it was before.
    pub(crate) fn arrived(
        &mut self,
        now: Timestamp,
        tsn: Tsn,
        entry: &Entry,
        min_rtt: Option<Duration>,
    ) {
        let rtt = now.since(entry.sent_at);
        let is_resent = entry.transmissions > 1;
        if self.highest.is_none_or(|highest| highest.is_before(tsn)) {
            self.highest = Some(tsn);
        } else if !is_resent && self.highest != Some(tsn) {
            self.is_reordering_seen = true;
        }
        // It cannot have come so soon: this is the answer to an earlier transmission.
        if is_resent && min_rtt.is_some_and(|min| rtt < min) {
            return;
        }
        if !self.is_sent_before_newest(entry, tsn) {
            self.newest = Some((entry.sent_at, tsn));
            self.rtt = rtt;
        }
    }

    /// Takes note of a duplicate that the peer reports: something was sent again in vain.
    pub(crate) fn duplicate(&mut self, cumulative: Tsn, highest_sent: Tsn) {
        if self.widened_at.is_some_and(|at| cumulative.is_before(at)) {
            return;
        }
        self.widened_at = Some(highest_sent);
        self.extra_quarters = (self.extra_quarters + 1).min(EXTRA_QUARTERS_MAX);
        self.recoveries_left = RECOVERIES_KEPT;
    }

    /// A recovery is over.
    pub(crate) const fn recovered(&mut self) {
        self.recoveries_left = self.recoveries_left.saturating_sub(1);
        if self.recoveries_left == 0 {
            self.extra_quarters = 0;
        }
    }

    /// How much later another chunk must have been sent (RFC 8985 section 6.2, step 4).
    pub(crate) fn window(
        &self,
        min_rtt: Duration,
        srtt: Duration,
        is_in_recovery: bool,
        gap_acked: u32,
    ) -> Duration {
        if !self.is_reordering_seen && (is_in_recovery || gap_acked >= DUPLICATE_THRESHOLD) {
            return Duration::ZERO;
        }
        (min_rtt / 4 * (1 + self.extra_quarters)).min(srtt)
    }

    /// Whether a chunk was sent before the newest of those that have arrived. Of two sent in one
    /// instant the lower TSN was first; a chunk sent again then may have been the later, and counts
    /// as that: else it would be lost and sent again without any time passing.
    pub(crate) fn is_sent_before_newest(&self, entry: &Entry, tsn: Tsn) -> bool {
        let is_first_sent = |newest| entry.transmissions <= 1 && tsn.is_before(newest);
        self.newest.is_some_and(|(at, newest)| {
            entry.sent_at < at || entry.sent_at == at && is_first_sent(newest)
        })
    }

    /// How long the newest took.
    pub(crate) const fn rtt(&self) -> Duration {
        self.rtt
    }
}

/// RFC 8985 section 6.2: three later arrivals say "lost" until reordering has been seen.
const DUPLICATE_THRESHOLD: u32 = 3;
const RECOVERIES_KEPT: u32 = 16;
const EXTRA_QUARTERS_MAX: u32 = 15;
