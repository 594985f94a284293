//! The association's timers: what is due next, and doing it (RFC 9260 sections 6.3, 8, 9).

use turnpike_types::{Deadline, DeadlineReason, Timestamp};

use super::Association;
use crate::{CloseReason, Event};

impl Association {
    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance_clock(now);
        if self.handshake.as_ref().is_some_and(|h| h.t1_at <= now) {
            self.t1_expired(now);
        }
        let has_missed = self
            .sender
            .handle_timeout(now, &mut self.path, &mut self.events);
        if !self.has_peer() {
            return;
        }
        self.receiver.handle_timeout(now);
        if has_missed {
            self.missed();
        }
        self.handle_shutdown_timeout(now);
        self.handle_heartbeat_timeout(now);
        self.handle_reset_timeout(now);
        if self.has_peer() {
            self.make_progress(now);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` while there is nothing to
    /// wait for. Looks at a fixed number of timers.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let handshake = self.handshake.as_ref().map(|handshake| handshake.t1_at);
        if !self.has_peer() {
            let expiry = self.sender.next_expiry();
            return [handshake.map(retransmission), expiry]
                .into_iter()
                .flatten()
                .min_by_key(|deadline| deadline.at);
        }
        let sack = self.receiver.sack_at().map(|at| Deadline {
            at,
            reason: DeadlineReason::Acknowledgement,
        });
        let heartbeat = self.heartbeat_at().map(|at| Deadline {
            at,
            reason: DeadlineReason::Heartbeat,
        });
        [
            handshake.map(retransmission),
            self.sender.next_timeout(self.now, &self.path),
            sack,
            self.shutdown_at().map(retransmission),
            self.reset_at().map(retransmission),
            heartbeat,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|deadline| deadline.at)
    }

    /// The peer missed giving a sign of life (RFC 9260 sections 8.1 and 8.2).
    pub(super) fn missed(&mut self) {
        self.error_count += 1;
        self.path.error_count += 1;
        if self.error_count > self.config.association_retransmissions_max {
            self.close(CloseReason::PeerUnreachable);
            return;
        }
        if self.path.error_count > self.config.path_retransmissions_max && !self.path.is_failed {
            self.path.is_failed = true;
            self.events.push_back(Event::PathFailed(self.path.id));
        }
    }
}

const fn retransmission(at: Timestamp) -> Deadline {
    Deadline {
        at,
        reason: DeadlineReason::Retransmission,
    }
}
