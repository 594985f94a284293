//! The sending side: what is queued, what is in flight, what was lost, what was given up.
//!
//! Chunks are written straight from messages into the packet being built ([`fill`]); nothing is
//! kept as a packet. A SACK ([`sack`]) or a timer ([`timeout`]) changes what may be sent next.

mod abandon;
mod fill;
mod flight;
mod queue;
mod rack;
mod sack;
mod scheduler;
mod stream;
mod timeout;

use turnpike_types::Timestamp;

pub(crate) use queue::SendQueue;

use crate::event::Events;
use crate::wire::{DATA_HEADER, I_DATA_HEADER};
use crate::{Config, Tsn};
use flight::Flight;
use rack::Rack;

/// State of the sending side.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) queue: SendQueue,
    flight: Flight,
    rack: Rack,
    /// The peer's window as of its last SACK, what was in flight then included.
    peer_window_bytes: usize,
    /// Whether I-DATA carries the fragments.
    is_interleaved: bool,
    /// Whether the peer knows FORWARD-TSN.
    can_forward: bool,
    /// Recovery lasts until this is acknowledged.
    recovery_end: Option<Tsn>,
    /// One lost chunk may be sent whatever the window says (RFC 9260 section 7.2.4, step 3).
    has_fast_retransmit: bool,
    probe: Probe,
    /// The last timeout, until an acknowledgement has said what it was worth.
    timeout: Option<Timeout>,
    /// Advanced.Peer.Ack.Point (RFC 3758 section 3.5).
    advanced: Tsn,
    /// Whether there may be something to skip.
    has_abandoned: bool,
    is_forward_due: bool,
    /// What the last FORWARD-TSN said, and when.
    forwarded: (Tsn, Timestamp),
    /// T3-rtx.
    t3_at: Option<Timestamp>,
    /// When to look for losses again.
    reorder_at: Option<Timestamp>,
}

/// The tail-loss probe (RFC 8985 section 7).
#[derive(Clone, Copy, Debug, Default)]
struct Probe {
    /// When to send one.
    at: Option<Timestamp>,
    /// One is to be sent now.
    is_due: bool,
    /// The TSN it carried, when, and whether that was a retransmission.
    sent: Option<(Tsn, Timestamp, bool)>,
}

/// A T3-rtx expiry that may have been mistaken.
#[derive(Clone, Copy, Debug)]
struct Timeout {
    at: Timestamp,
    /// The first and the last TSN then.
    first: Tsn,
    last: Tsn,
}

impl Sender {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            queue: SendQueue::new(config.scheduling),
            flight: Flight::new(Tsn(0), 0),
            rack: Rack::default(),
            peer_window_bytes: 0,
            is_interleaved: false,
            can_forward: false,
            recovery_end: None,
            has_fast_retransmit: false,
            probe: Probe::default(),
            timeout: None,
            advanced: Tsn(0),
            has_abandoned: false,
            is_forward_due: false,
            forwarded: (Tsn(0), Timestamp::ZERO),
            t3_at: None,
            reorder_at: None,
        }
    }

    /// Begins with what the handshake agreed on. What was queued stays queued.
    pub(crate) fn establish(
        &mut self,
        initial_tsn: Tsn,
        peer_window_bytes: u32,
        is_interleaved: bool,
        can_forward: bool,
    ) {
        let header_bytes = if is_interleaved {
            I_DATA_HEADER
        } else {
            DATA_HEADER
        };
        self.peer_window_bytes = peer_window_bytes as usize;
        let is_same = self.is_interleaved == is_interleaved && self.can_forward == can_forward;
        if is_same && !self.flight.is_empty() && self.flight.cumulative().next() == initial_tsn {
            // What went with a COOKIE ECHO is still on its way.
            return;
        }
        self.queue.set_interleaved(is_interleaved);
        self.is_interleaved = is_interleaved;
        self.can_forward = can_forward;
        self.begin_at(initial_tsn, u32::try_from(header_bytes).unwrap_or(0));
    }

    /// Starts TSNs and streams anew; only when all [is done](Self::is_done).
    pub(crate) fn restart(&mut self, next_tsn: Tsn) {
        self.begin_at(next_tsn, self.flight.header_bytes());
        self.queue.restart_streams();
    }

    /// Has nothing in flight, and begins with a TSN.
    fn begin_at(&mut self, initial_tsn: Tsn, header_bytes: u32) {
        self.flight = Flight::new(initial_tsn, header_bytes);
        self.rack = Rack::default();
        self.recovery_end = None;
        self.has_fast_retransmit = false;
        self.probe = Probe::default();
        self.timeout = None;
        self.advanced = initial_tsn.previous();
        self.has_abandoned = false;
        self.is_forward_due = false;
        self.forwarded = (self.advanced, Timestamp::ZERO);
        self.t3_at = None;
        self.reorder_at = None;
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self, config: &Config, events: &mut Events) {
        self.queue.clear(events);
        *self = Self::new(config);
    }

    /// Whether everything accepted has been acknowledged or given up.
    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.flight.is_empty()
    }

    /// The peer has everything up to here.
    pub(crate) const fn cumulative(&self) -> Tsn {
        self.flight.cumulative()
    }

    /// Chunk bytes on their way.
    pub(crate) const fn flight_bytes(&self) -> usize {
        self.flight.outstanding().wire
    }

    /// Memory for messages and for what is in flight.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.queue.charged_bytes() + self.flight.memory_bytes()
    }
}

#[cfg(test)]
mod tests;
