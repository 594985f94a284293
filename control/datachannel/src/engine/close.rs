//! Closing: each side resets its own stream, and when both are reset the id is free
//! (RFC 8831 section 6.7).
//!
//! What a channel was is forgotten at once; until the peer answers only its id is kept.

use turnpike_sctp::{ResetError, StreamId};
use turnpike_types::Timestamp;

use super::{DataChannels, Held, stream};
use crate::table::{Closing, Slot};
use crate::{ChannelId, Event, Message, Violation};

impl DataChannels {
    /// Closes a channel when all that was sent on it has arrived or expired. Nothing more is
    /// received on it; [`Event::Closed`] says when it is gone. Does nothing where no channel is open.
    pub fn close(&mut self, now: Timestamp, channel: ChannelId) {
        self.advance(now);
        if self.table.entry(channel).is_some() {
            self.begin_close(channel, Closing::LOCAL);
            self.forget_received(channel);
        }
    }

    /// Closes a channel and drops what is queued on it.
    pub fn discard(&mut self, now: Timestamp, channel: ChannelId) {
        self.advance(now);
        self.drop_channel(channel);
        self.forget_received(channel);
    }

    /// Drops the next message where it came on this channel.
    fn forget_received(&mut self, channel: ChannelId) {
        let is_next = |message: &mut Message| message.channel == channel;
        if self.inbox.take_if(is_next).is_some() {
            self.release(channel);
        }
    }

    /// The peer broke a rule on this id: whatever is there is closed.
    pub(super) fn punish(&mut self, id: ChannelId, violation: Violation) {
        self.events.push_back(Event::Violation(id, violation));
        match self.table.get(id) {
            Some(Slot::Closing(_)) => {}
            Some(Slot::Open(_)) => self.drop_channel(id),
            None => self.begin_close(id, Closing::NEVER_OPEN),
        }
    }

    /// The peer reset its streams; none named means all.
    pub(super) fn hear_incoming_reset(&mut self, streams: &[StreamId]) {
        if streams.is_empty() {
            for id in self.table.ids() {
                self.hear_reset_of(id);
            }
        }
        for id in streams {
            self.hear_reset_of(ChannelId(id.0));
        }
    }

    pub(super) fn hear_reset_of(&mut self, id: ChannelId) {
        let is_behind_a_message = self.inbox.as_ref().is_some_and(|it| it.channel == id);
        match self.table.get_mut(id) {
            None => {}
            Some(Slot::Open(_)) if is_behind_a_message => {
                self.held.get_or_insert(Held::Reset);
            }
            Some(Slot::Closing(closing)) => {
                closing.is_incoming_reset = true;
                let closing = *closing;
                self.finish_if_over(id, closing);
            }
            Some(Slot::Open(_)) => {
                self.events.push_back(Event::Closing(id));
                self.association.purge(self.now, stream(id));
                self.begin_close(id, Closing::BY_PEER);
            }
        }
    }

    /// Our streams are reset, or never will be.
    pub(super) fn hear_outgoing_reset(&mut self, streams: &[StreamId]) {
        for id in streams {
            self.hear_own_reset_of(ChannelId(id.0));
        }
        self.retry();
    }

    fn hear_own_reset_of(&mut self, id: ChannelId) {
        if let Some(Slot::Closing(closing)) = self.table.get_mut(id) {
            closing.is_outgoing_reset = true;
            let closing = *closing;
            self.finish_if_over(id, closing);
        }
    }

    /// Closes an open channel with what is queued on it. Where that includes its DATA_CHANNEL_OPEN,
    /// the peer will never know it, and has nothing to reset.
    fn drop_channel(&mut self, id: ChannelId) {
        if let Some(entry) = self.table.entry(id) {
            let closing = match entry.is_announced {
                true => Closing::LOCAL,
                false => Closing::BY_PEER,
            };
            self.association.purge(self.now, stream(id));
            self.begin_close(id, closing);
        }
    }

    fn begin_close(&mut self, id: ChannelId, closing: Closing) {
        self.unacknowledged.remove(&id);
        self.table.close(id, closing);
        self.unreset.insert(id);
        self.retry_resets();
    }

    /// Asks for the resets that are outstanding, as far as the association takes them.
    pub(super) fn retry_resets(&mut self) {
        while let Some(id) = self.unreset.first().copied() {
            match self.association.reset_streams(self.now, &[stream(id)]) {
                Ok(()) => {}
                Err(ResetError::NotConnected | ResetError::Busy) => return,
                // The peer cannot: the channel is over all the same.
                Err(_) => self.give_up_on(id),
            }
            self.unreset.remove(&id);
        }
    }

    fn give_up_on(&mut self, id: ChannelId) {
        if let Some(Slot::Closing(Closing { is_known: true, .. })) = self.table.get(id) {
            self.events.push_back(Event::Closed(id));
        }
        self.table.close(id, Closing::RETIRED);
    }

    fn finish_if_over(&mut self, id: ChannelId, closing: Closing) {
        if closing.is_outgoing_reset && closing.is_incoming_reset {
            self.finish(id, closing);
        }
    }

    /// Frees the id.
    pub(super) fn finish(&mut self, id: ChannelId, closing: Closing) {
        self.unreset.remove(&id);
        self.table.remove(id);
        if closing.is_known {
            self.events.push_back(Event::Closed(id));
        }
    }

    /// Every channel at or above `from` is over, because its streams are.
    pub(super) fn close_all_from(&mut self, from: ChannelId) {
        self.unacknowledged.split_off(&from);
        self.unreset.split_off(&from);
        for (id, slot) in self.table.drain_from(from) {
            if matches!(
                slot,
                Slot::Open(_) | Slot::Closing(Closing { is_known: true, .. })
            ) {
                self.events.push_back(Event::Closed(id));
            }
        }
    }
}
