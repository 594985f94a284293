//! Takes DATA and I-DATA in (RFC 9260 section 6.2), or refuses it.

use super::Receiver;
use super::reassembly::Reassembly;
use crate::tsn_set::SPAN_MAX;
use crate::wire::Data;
use crate::{StreamId, Tsn};

/// Why a fragment was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no room: it counts as never having arrived.
    NoRoom,
    /// It counts as arrived, but the peer hears that there is no such stream.
    InvalidStream(StreamId),
    /// It is DATA where I-DATA was agreed on, or contradicts what came before.
    Violation,
}

impl Receiver {
    /// Takes a fragment.
    pub(crate) fn handle_data(&mut self, data: &Data<'_>) -> Result<(), Refusal> {
        if data.is_interleaved != self.is_interleaved {
            return Err(Refusal::Violation);
        }
        if self.tsns.contains(data.tsn) {
            self.note_duplicate(data.tsn);
            return Ok(());
        }
        if self.is_of_no_use(data) {
            self.tsns.insert(data.tsn);
            return Ok(());
        }
        self.admit(data)?;
        self.is_sack_due |= data.is_immediate;
        self.tsns.insert(data.tsn);
        if data.stream.0 >= self.streams {
            return Err(Refusal::InvalidStream(data.stream));
        }
        let spare = self.room();
        if self.reassembly.insert(data, spare) {
            Ok(())
        } else {
            Err(Refusal::Violation)
        }
    }

    /// Notes that a packet with DATA has been dealt with: every second one is acknowledged at once,
    /// and any while something is missing.
    pub(crate) fn end_of_packet(&mut self) {
        self.unacknowledged_packets += 1;
        self.is_sack_due |= self.unacknowledged_packets >= PACKETS_PER_SACK;
        self.is_sack_due |= self.tsns.count_beyond() > 0;
    }

    /// Bytes that may still arrive.
    pub(super) const fn room(&self) -> usize {
        self.buffer_bytes
            .saturating_sub(self.reassembly.charged_bytes())
    }

    /// Whether a fragment for which there is no room has nothing before it and never will: its sender
    /// gave the message up, or never meant it to be whole. It counts as arrived.
    fn is_of_no_use(&self, data: &Data<'_>) -> bool {
        let cost = Reassembly::cost(data.payload.len());
        self.reassembly.charged_bytes() + cost > self.buffer_bytes
            && data.tsn == self.tsns.cumulative().next()
            && !self.reassembly.can_use(data)
    }

    /// Whether there is room. The chunk that all others wait for may exceed the buffer while there is
    /// nothing that the application could take to make room, by as much again.
    fn admit(&mut self, data: &Data<'_>) -> Result<(), Refusal> {
        let ahead = data.tsn.offset_from(self.tsns.cumulative());
        if ahead > SPAN_MAX {
            return Err(Refusal::NoRoom);
        }
        let cost = Reassembly::cost(data.payload.len());
        if self.reassembly.charged_bytes() + cost > self.buffer_bytes && !self.reassembly.is_ready()
        {
            self.reassembly.squeeze(self.tsns.cumulative());
        }
        let is_awaited = ahead == 1 && !self.reassembly.is_ready();
        let limit = if is_awaited {
            self.buffer_bytes * 2
        } else {
            self.buffer_bytes
        };
        if self.reassembly.charged_bytes() + cost > limit {
            // The peer has to hear that the window is closed.
            self.is_sack_due = true;
            return Err(Refusal::NoRoom);
        }
        Ok(())
    }

    fn note_duplicate(&mut self, tsn: Tsn) {
        self.is_sack_due = true;
        if self.duplicates.len() < DUPLICATES_MAX {
            self.duplicates.push(tsn);
        }
    }
}

/// RFC 9260 section 6.2: at least every second packet.
const PACKETS_PER_SACK: u32 = 2;
/// How many duplicates one SACK tells.
const DUPLICATES_MAX: usize = 32;
