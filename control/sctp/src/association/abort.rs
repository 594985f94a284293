//! The end, and packets that belong to no association (RFC 9260 sections 8.4 and 9.1).

use turnpike_types::Timestamp;

use super::control::Control;
use super::shutdown::ShutdownTimers;
use super::stream_reset::StreamReset;
use super::{Association, State};
use crate::wire::{Cause, RawChunk, kind};
use crate::{CloseReason, Discard, Event};

impl Association {
    /// Ends the association at once. What is queued is gone; the peer hears `reason`, of which as
    /// much is sent as fits a packet.
    pub fn abort(&mut self, now: Timestamp, reason: &[u8]) {
        self.advance_clock(now);
        if self.state != State::Closed {
            self.abort_as(CloseReason::Aborted, &[Cause::UserAbort(reason)]);
        }
    }

    /// Ends the association because the peer breaks the protocol.
    pub(super) fn abort_for(&mut self, cause: &Cause<'_>) {
        self.abort_as(CloseReason::ProtocolViolation, core::slice::from_ref(cause));
    }

    pub(super) fn abort_as(&mut self, reason: CloseReason, causes: &[Cause<'_>]) {
        if self.has_peer() {
            self.reply(self.peer_tag, |writer| {
                writer.abort(false, causes);
            });
        }
        self.close(reason);
    }

    /// Nothing is left but what has arrived and was not received yet.
    pub(super) fn close(&mut self, reason: CloseReason) {
        if self.is_over {
            return;
        }
        self.state = State::Closed;
        self.is_over = true;
        self.negotiated = None;
        self.handshake = None;
        self.shutdown_timers = ShutdownTimers::default();
        self.stream_reset = StreamReset::default();
        self.control = Control::default();
        self.receiver.close();
        self.sender.clear(&self.config, &mut self.events);
        self.events.push_back(Event::Closed(reason));
    }

    /// Answers what belongs to no association (section 8.4).
    pub(super) fn answer_out_of_the_blue(&mut self, tag: u32, first: RawChunk<'_>) -> Discard {
        match first.kind {
            kind::ABORT | kind::SHUTDOWN_COMPLETE | kind::COOKIE_ACK | kind::ERROR => {}
            kind::SHUTDOWN_ACK => self.reply(tag, |writer| {
                writer.shutdown_complete(true);
            }),
            _ => self.reply(tag, |writer| {
                writer.abort(true, &[]);
            }),
        }
        Discard::OutOfTheBlue
    }
}
