//! SACKs: when, and with what (RFC 9260 section 6.2).

use core::time::Duration;

use turnpike_types::Timestamp;

use super::Receiver;
use crate::wire::PacketWriter;

impl Receiver {
    /// Whether a SACK wants to leave now.
    pub(crate) const fn is_sack_due(&self) -> bool {
        self.is_sack_due
    }

    /// Whether a SACK could leave with something else.
    pub(crate) const fn is_sack_pending(&self) -> bool {
        self.is_sack_due || self.unacknowledged_packets > 0
    }

    /// Has the next SACK leave at once.
    pub(crate) const fn want_sack(&mut self) {
        self.is_sack_due = true;
    }

    /// When the delay of the SACK ends.
    pub(crate) const fn sack_at(&self) -> Option<Timestamp> {
        self.sack_at
    }

    /// Starts the delay after a packet that need not be acknowledged at once.
    pub(crate) fn delay_sack(&mut self, now: Timestamp, delay: Duration) {
        if !self.is_sack_due && self.unacknowledged_packets > 0 && self.sack_at.is_none() {
            self.sack_at = Some(now + delay);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if self.sack_at.is_some_and(|at| at <= now) {
            self.sack_at = None;
            self.is_sack_due = true;
        }
    }

    /// Adds a SACK to the packet.
    pub(crate) fn write_sack(&mut self, writer: &mut PacketWriter<'_>) {
        let room = self.room();
        let a_rwnd = u32::try_from(room).unwrap_or(u32::MAX);
        let gaps = self.tsns.gap_blocks();
        if writer.sack(self.tsns.cumulative(), a_rwnd, gaps, &self.duplicates) {
            self.duplicates.clear();
            self.unacknowledged_packets = 0;
            self.is_sack_due = false;
            self.sack_at = None;
            self.advertised_bytes = room;
        }
    }

    /// Tells the peer of room when that has grown by a quarter of the buffer since it was small
    /// (RFC 9260 section 6.2: window updates without silly windows).
    pub(super) fn announce_room(&mut self) {
        let room = self.room();
        let quarter = self.buffer_bytes / 4;
        if self.advertised_bytes < 2 * quarter && room >= self.advertised_bytes + quarter {
            self.is_sack_due = true;
        }
    }
}
