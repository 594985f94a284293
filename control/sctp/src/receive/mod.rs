//! The receiving side: which TSNs are there, what they say, what there is room for.

mod acknowledge;
mod data;
mod forward;
mod place;
mod ready;
mod reassembly;

use alloc::vec::Vec;

use turnpike_types::Timestamp;

use crate::tsn_set::TsnSet;
use crate::{Config, Event, Incoming, StreamId, Tsn};
pub(crate) use data::Refusal;
use reassembly::Reassembly;

/// State of the receiving side.
#[derive(Debug)]
pub(crate) struct Receiver {
    tsns: TsnSet,
    reassembly: Reassembly,
    is_interleaved: bool,
    /// How many streams the peer may send on.
    pub(crate) streams: u16,
    buffer_bytes: usize,
    /// TSNs that came twice, for the next SACK.
    duplicates: Vec<Tsn>,
    /// Packets with DATA since the last SACK.
    unacknowledged_packets: u32,
    is_sack_due: bool,
    sack_at: Option<Timestamp>,
    /// The window that the last SACK told.
    advertised_bytes: usize,
}

impl Receiver {
    pub(crate) fn new(
        config: &Config,
        peer_initial_tsn: Tsn,
        streams: u16,
        is_interleaved: bool,
    ) -> Self {
        Self {
            tsns: TsnSet::new(peer_initial_tsn.previous()),
            reassembly: Reassembly::new(
                peer_initial_tsn,
                is_interleaved,
                config
                    .partial_delivery_bytes
                    .min(config.receive_buffer_bytes as usize / 2),
            ),
            is_interleaved,
            streams,
            buffer_bytes: config.receive_buffer_bytes as usize,
            duplicates: Vec::new(),
            unacknowledged_packets: 0,
            is_sack_due: false,
            sack_at: None,
            advertised_bytes: config.receive_buffer_bytes as usize,
        }
    }

    /// Everything up to here has arrived.
    pub(crate) const fn cumulative(&self) -> Tsn {
        self.tsns.cumulative()
    }

    /// Hands over what is next; the room it leaves may be news for the peer.
    pub(crate) fn take(&mut self) -> Option<Incoming> {
        let incoming = self.reassembly.take()?;
        self.announce_room();
        Some(incoming)
    }

    /// Drops what will never be whole; the rest can still be taken.
    pub(crate) fn close(&mut self) {
        self.reassembly.close();
    }

    /// Memory of all that has arrived.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.reassembly.charged_bytes()
    }

    /// Starts incoming streams anew; none named is all. `false` where too many of the peer's resets
    /// wait for the application already.
    pub(crate) fn reset_streams(&mut self, streams: Vec<StreamId>) -> bool {
        let has_room = self.has_room_for_reset();
        if has_room {
            self.reassembly.reset_streams(streams);
        }
        has_room
    }

    /// Whether one more reset may wait for the application.
    pub(crate) fn has_room_for_reset(&self) -> bool {
        self.reassembly.has_room_for_reset()
    }

    /// Starts all incoming streams anew, and the TSNs with `next`: what is not whole is gone.
    pub(crate) fn restart(&mut self, next: Tsn) {
        self.reassembly.restart(next);
        self.tsns = TsnSet::new(next.previous());
        self.duplicates.clear();
    }

    /// The reset that is next for the application to hear of.
    pub(crate) fn take_reset(&mut self) -> Option<Event> {
        self.reassembly.take_reset()
    }
}

#[cfg(test)]
mod tests;
