//! What arrives: DCEP is answered here, user messages are handed on one at a time, and whatever
//! else it is costs the peer the channel.

use turnpike_sctp::Incoming;

use super::DataChannels;
use crate::dcep::Dcep;
use crate::ppid::Content;
use crate::table::{Entry, Slot};
use crate::{ChannelId, DcepError, Kind, Message, Violation};

impl DataChannels {
    /// Takes the next message from the association.
    pub(super) fn take(&mut self, incoming: Incoming) {
        let id = ChannelId(incoming.stream.0);
        let is_amid = self.table.entry(id).is_some_and(|entry| entry.is_amid);
        if !incoming.is_begin && !is_amid {
            // The rest of what was judged, or belonged to an earlier channel of this id.
            return;
        }
        let content = Content::of(incoming.ppid);
        match (content, self.table.get_mut(id)) {
            (Some(Content::Dcep), _) => self.take_dcep(id, &incoming),
            // It was under way while we closed.
            (_, Some(Slot::Closing(_))) => {}
            (_, None) => self.punish(id, Violation::NoChannel),
            (None, _) => self.punish(id, Violation::UnknownPpid(incoming.ppid.0)),
            (Some(content), Some(Slot::Open(entry))) => {
                let message = entry.assemble(id, content, incoming);
                let is_too_large = entry.message_bytes > self.message_size_max;
                self.hear_of_open(id);
                if is_too_large {
                    self.punish(id, Violation::MessageTooLarge);
                } else {
                    self.inbox = Some(message);
                }
            }
        }
    }

    fn take_dcep(&mut self, id: ChannelId, incoming: &Incoming) {
        // Both names at their longest fit one part.
        let is_whole = incoming.is_begin && incoming.is_end;
        let parsed = match is_whole {
            true => Dcep::parse(&incoming.payload),
            false => Err(DcepError::Truncated),
        };
        match (parsed, self.table.get(id)) {
            (Ok(Dcep::Open(open)), _) => self.hear_open(id, &open),
            (Ok(Dcep::Ack), Some(_)) => self.hear_of_open(id),
            (Ok(Dcep::Ack), None) => self.punish(id, Violation::NoChannel),
            (Err(error), _) => self.punish(id, error.into()),
        }
    }
}

impl Entry {
    /// A message, or a part of one, as the application sees it.
    fn assemble(&mut self, channel: ChannelId, content: Content, incoming: Incoming) -> Message {
        let is_begin = incoming.is_begin && !self.is_amid_parts;
        self.is_amid = !incoming.is_end;
        let (kind, is_last) = match content {
            // Nothing at all: the peer gave the message up.
            Content::Part(kind) => (kind, incoming.payload.is_empty()),
            Content::User(kind) | Content::Empty(kind) => (kind, true),
            Content::Dcep => (Kind::Binary, true),
        };
        self.is_amid_parts = !is_last;
        let is_end = is_last && incoming.is_end;
        let mut payload = incoming.payload;
        if matches!(content, Content::Empty(_)) {
            payload.clear();
        }
        if is_begin {
            self.message_bytes = 0;
        }
        self.message_bytes = self.message_bytes.saturating_add(payload.len() as u64);
        Message {
            channel,
            kind,
            payload,
            is_begin,
            is_end,
        }
    }
}
