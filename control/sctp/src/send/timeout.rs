//! The sender's timers: T3-rtx (RFC 9260 section 6.3), the tail-loss probe (RFC 8985 section 7), and
//! the look for losses that were too young to be declared.

use core::time::Duration;

use turnpike_types::{Deadline, DeadlineReason, Timestamp};

use super::{Sender, Timeout};
use crate::event::Events;
use crate::path::Path;

impl Sender {
    /// When something here is due.
    pub(crate) fn next_timeout(&self, now: Timestamp, path: &Path) -> Option<Deadline> {
        let retransmission = [self.t3_at, self.probe.at, self.reorder_at]
            .into_iter()
            .flatten()
            .min()
            .map(|at| Deadline {
                at,
                reason: DeadlineReason::Retransmission,
            });
        let pacing = self.paced_until(now, path).map(|at| Deadline {
            at,
            reason: DeadlineReason::Pacing,
        });
        [retransmission, pacing, self.next_expiry()]
            .into_iter()
            .flatten()
            .min_by_key(|deadline| deadline.at)
    }

    /// When the next message is given up because its lifetime ends.
    pub(crate) fn next_expiry(&self) -> Option<Deadline> {
        self.queue.next_expiry().map(|at| Deadline {
            at,
            reason: DeadlineReason::Expiry,
        })
    }

    /// Does what is due. Says whether T3-rtx expired: the path missed a sign of life.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Timestamp,
        path: &mut Path,
        events: &mut Events,
    ) -> bool {
        self.give_up_expired(now, path, events);
        if is_due(self.reorder_at, now) {
            self.reorder_at = None;
            self.detect_losses(now, path, events);
        }
        if is_due(self.probe.at, now) {
            self.probe.at = None;
            self.probe.is_due = true;
            // The timer starts anew with the probe (RFC 8985 section 7.3).
            self.t3_at = Some(now + path.rto.rto());
        }
        if !is_due(self.t3_at, now) {
            return false;
        }
        self.t3_expired(now, path, events);
        true
    }

    fn t3_expired(&mut self, now: Timestamp, path: &mut Path, events: &mut Events) {
        path.rto.back_off();
        self.t3_at = (!self.flight.is_empty()).then(|| now + path.rto.rto());
        self.timeout = Some(Timeout {
            at: now,
            first: self.flight.cumulative().next(),
            last: self.flight.highest(),
        });
        self.flight.lose_all(self.flight.has_reneged());
        // Recovery ends here, or the window could not grow again until all is repaired.
        self.recovery_end = None;
        self.has_fast_retransmit = false;
        self.reorder_at = None;
        self.probe = super::Probe::default();
        path.congestion.timed_out();
        path.update_pace();
        self.judge_lost(now, 0, events);
        self.advance_point(now, path);
        self.is_forward_due |= self.flight.cumulative().is_before(self.advanced);
    }

    /// Sets the timers after DATA was sent.
    pub(super) fn arm_after_sending(&mut self, now: Timestamp, path: &Path) {
        if self.t3_at.is_none() {
            self.t3_at = Some(now + path.rto.rto());
        }
        self.arm_probe(now, path);
    }

    /// Sets the timers after something was acknowledged for the first time.
    ///
    /// DEVIATION(rfc9260-6.3.2-R3): T3-rtx starts anew with every new acknowledgement, not only of
    /// the earliest TSN: while they come, RACK finds what is lost, lost retransmissions included.
    pub(super) fn arm_after_acknowledgement(&mut self, now: Timestamp, path: &Path) {
        if self.flight.is_empty() {
            self.t3_at = None;
            self.reorder_at = None;
            self.probe.at = None;
            self.probe.is_due = false;
        } else {
            self.t3_at = Some(now + path.rto.rto());
            self.arm_probe(now, path);
        }
    }

    /// A probe is sent when what was sent last has not been heard of for one and a half round trips,
    /// and nothing at all for a quarter of one; once.
    ///
    /// RFC 8985 section 7.2 waits two from whatever was heard last, for acknowledgements that are
    /// delayed; here the last chunk asks for its acknowledgement at once.
    fn arm_probe(&mut self, now: Timestamp, path: &Path) {
        let is_wanted = self.recovery_end.is_none()
            && self.probe.sent.is_none()
            && self.timeout.is_none()
            && self.flight.outstanding().wire > 0
            && !self.flight.has_lost();
        self.probe.at = match path.rto.srtt() {
            Some(srtt) if is_wanted => {
                let after_sending = path.last_sent_at + (srtt + srtt / 2).max(PROBE_AFTER_MIN);
                let at = after_sending.max(now + srtt / 4);
                self.t3_at.filter(|&t3_at| t3_at > at).map(|_| at)
            }
            _ => None,
        };
    }
}

fn is_due(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now)
}

/// On short paths the peer's timers, not the path, decide when it answers.
const PROBE_AFTER_MIN: Duration = Duration::from_millis(10);
