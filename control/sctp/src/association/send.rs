//! Taking messages from the application.

use turnpike_types::Timestamp;

use super::{Association, State};
use crate::send::SendQueue;
use crate::{Outgoing, SendError, StreamId};

impl Association {
    /// Queues a message; during the handshake too.
    ///
    /// # Errors
    ///
    /// [`SendError`] says why it was not taken.
    pub fn send(&mut self, now: Timestamp, message: Outgoing) -> Result<(), SendError> {
        let now = self.advance_clock(now);
        match self.state {
            State::Closed => return Err(SendError::NotConnected),
            State::CookieWait | State::CookieEchoed | State::Established => {}
            _ => return Err(SendError::ShuttingDown),
        }
        if message.payload.is_empty() {
            return Err(SendError::EmptyMessage);
        }
        if message.payload.len() > self.config.message_size_max {
            return Err(SendError::MessageTooLarge);
        }
        self.check_stream(message.stream)?;
        self.make_room(now, &message)?;
        self.sender.queue.push(now, message);
        Ok(())
    }

    /// Gives up what is queued on a stream: what was never sent is dropped, a message that was sent
    /// in part is abandoned where the peer knows how.
    pub fn purge(&mut self, now: Timestamp, stream: StreamId) {
        let now = self.advance_clock(now);
        self.sender.purge(now, &self.path, stream, &mut self.events);
    }

    fn check_stream(&self, stream: StreamId) -> Result<(), SendError> {
        let streams = self
            .negotiated
            .map_or(self.config.streams_max, |n| n.outgoing_streams);
        if stream.0 >= streams {
            return Err(SendError::NoSuchStream);
        }
        if self.sender.queue.is_resetting(stream) || self.is_association_resetting() {
            return Err(SendError::StreamResetting);
        }
        Ok(())
    }

    /// Whether the buffer takes the message; less important ones make way for it (RFC 7496 section
    /// 3.2).
    fn make_room(&mut self, now: Timestamp, message: &Outgoing) -> Result<(), SendError> {
        let cost = SendQueue::cost(message.payload.len());
        let limit = self.config.send_buffer_bytes;
        while !self.sender.queue.is_empty() && self.sender.memory_bytes() + cost > limit {
            if !self
                .sender
                .evict_less_important(now, &self.path, message, &mut self.events)
            {
                self.wants_room = true;
                return Err(SendError::BufferFull);
            }
        }
        Ok(())
    }
}
