//! Opening: by DCEP from either side (RFC 8832 section 6), or agreed elsewhere (section 4).

use bytes::Bytes;
use turnpike_sctp::{MessageId, SendError};
use turnpike_types::Timestamp;

use super::{DataChannels, stream};
use crate::dcep::{ACK_MESSAGE, DcepOpen};
use crate::table::Slot;
use crate::{Channel, ChannelId, Event, OpenError, Violation};

impl DataChannels {
    /// Opens a channel and tells the peer. Messages may be sent at once;
    /// [`Event::Opened`] says when the peer knows it.
    ///
    /// # Errors
    /// Why not; nothing was sent.
    pub fn open(&mut self, now: Timestamp, channel: Channel) -> Result<ChannelId, OpenError> {
        self.advance(now);
        let open = DcepOpen {
            is_unordered: channel.is_unordered,
            reliability: channel.reliability,
            priority: channel.priority,
            label: &channel.label,
            protocol: &channel.protocol,
        };
        let message = open.to_bytes().ok_or(OpenError::NameTooLong)?;
        if !self.table.admits(&channel) {
            return Err(OpenError::TooManyChannels);
        }
        let streams = self.streams();
        let id = self.table.next_id(streams).ok_or(OpenError::NoFreeId)?;
        self.set_weight(id, channel.priority);
        self.send_dcep(id, Bytes::from(message), Some(open_message(id)))?;
        self.table.open(id, channel, false);
        Ok(id)
    }

    /// Opens a channel that both sides agreed on by other means: the other side must open it too,
    /// with the same id. Nothing is sent, and no event comes.
    ///
    /// # Errors
    /// Why not.
    pub fn open_negotiated(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        channel: Channel,
    ) -> Result<(), OpenError> {
        self.advance(now);
        if channel.label.len().max(channel.protocol.len()) > usize::from(u16::MAX) {
            return Err(OpenError::NameTooLong);
        }
        if self.is_over {
            return Err(OpenError::Association(SendError::NotConnected));
        }
        if id.0 >= self.streams() || self.table.get(id).is_some() {
            return Err(OpenError::IdUnavailable);
        }
        if !self.table.admits(&channel) {
            return Err(OpenError::TooManyChannels);
        }
        self.set_weight(id, channel.priority);
        self.table.open(id, channel, true);
        Ok(())
    }

    /// DATA_CHANNEL_OPEN came.
    pub(super) fn hear_open(&mut self, id: ChannelId, open: &DcepOpen<'_>) {
        match self.table.get(id) {
            // The peer has our reset, and its answer is late: the id is free in its eyes.
            Some(Slot::Closing(closing)) if closing.is_incoming_reset => {
                let closing = *closing;
                self.finish(id, closing);
            }
            Some(Slot::Closing(_)) => return,
            Some(Slot::Open(_)) => return self.punish(id, Violation::OpenOnUsedStream),
            None => {}
        }
        if self.table.opens(id) {
            return self.punish(id, Violation::WrongParity);
        }
        let channel = Channel {
            label: open.label.into(),
            protocol: open.protocol.into(),
            is_unordered: open.is_unordered,
            reliability: open.reliability,
            priority: open.priority,
        };
        if !self.table.admits(&channel) {
            return self.punish(id, Violation::TooManyChannels);
        }
        self.set_weight(id, channel.priority);
        self.table.open(id, channel, true);
        self.events.push_back(Event::OpenedByPeer(id));
        self.acknowledge(id);
    }

    /// The association tells of a message; `false` where it is the application's.
    pub(super) fn hear_of_message(&mut self, message: MessageId, is_sent: bool) -> bool {
        let id = message.0.checked_sub(OPEN_MESSAGES);
        let id = id.and_then(|id| u16::try_from(id).ok()).map(ChannelId);
        if let Some(entry) = id.and_then(|id| self.table.entry_mut(id)) {
            entry.is_announced |= is_sent;
        }
        id.is_some()
    }

    /// DATA_CHANNEL_ACK came, or a message, which says as much.
    pub(super) fn hear_of_open(&mut self, id: ChannelId) {
        if let Some(entry) = self.table.entry_mut(id)
            && !entry.is_established
        {
            entry.is_established = true;
            self.events.push_back(Event::Opened(id));
        }
    }

    /// Sends DATA_CHANNEL_ACK, now or when there is room for it.
    pub(super) fn acknowledge(&mut self, id: ChannelId) {
        let is_open = self.table.entry(id).is_some();
        if is_open
            && self
                .send_dcep(id, Bytes::from_static(&ACK_MESSAGE), None)
                .is_err()
        {
            self.unacknowledged.insert(id);
        }
    }

    /// The peer takes fewer streams than we asked for: what is beyond them never was.
    pub(super) fn close_beyond_streams(&mut self) {
        self.close_all_from(ChannelId(self.streams()));
    }

    /// How many ids there are, as far as is known.
    fn streams(&self) -> u16 {
        let negotiated = self.association.negotiated();
        negotiated.map_or(u16::MAX, |it| it.outgoing_streams.min(it.incoming_streams))
    }

    fn set_weight(&mut self, id: ChannelId, priority: u16) {
        self.association.set_stream_weight(stream(id), priority);
    }
}

/// The number under which the association tells of a channel's DATA_CHANNEL_OPEN.
const fn open_message(id: ChannelId) -> MessageId {
    MessageId(OPEN_MESSAGES + id.0 as u64)
}

/// The first number of ours; those below are the application's.
pub(super) const OPEN_MESSAGES: u64 = u64::MAX - 65_535;
