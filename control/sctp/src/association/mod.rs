//! One association (RFC 9260) without a socket; a file a procedure.
//!
//! Four verbs drive it, as every engine (see `turnpike_types`). It keeps no packets: what has to be
//! sent is written into the caller's buffer when it is polled, so an acknowledgement that came
//! meanwhile is heeded.
//!
//! Bounded by the [`Config`]: the send buffer, the receive buffer, and what a stream costs in use.

mod abort;
mod control;
mod cookie_echo;
mod error;
mod handshake;
mod heartbeat;
mod init;
mod input;
mod negotiated;
mod output;
mod send;
mod shutdown;
mod stream_reset;
mod timeout;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use turnpike_types::{Entropy, Timestamp};

pub use negotiated::Negotiated;

use crate::cookie::CookieKey;
use crate::event::Events;
use crate::path::Path;
use crate::random::Random;
use crate::receive::Receiver;
use crate::send::Sender;
use crate::{Config, ConfigError, Event, Incoming, PathId, StreamId, Tsn};
use control::Control;
use handshake::Handshake;
use heartbeat::Heartbeat;
use shutdown::ShutdownTimers;
use stream_reset::StreamReset;

/// One end of an association; see the [module](self).
#[derive(Debug)]
pub struct Association {
    config: Config,
    random: Random,
    cookie_key: CookieKey,
    /// The latest instant heard of.
    now: Timestamp,
    state: State,
    /// Whether there was an association, which is over.
    is_over: bool,
    /// The tag that the peer has to show, and the one we have to.
    local_tag: u32,
    peer_tag: u32,
    local_initial_tsn: Tsn,
    negotiated: Option<Negotiated>,
    path: Path,
    sender: Sender,
    receiver: Receiver,
    handshake: Option<Handshake>,
    heartbeat: Heartbeat,
    shutdown_timers: ShutdownTimers,
    stream_reset: StreamReset,
    control: Control,
    /// Whole packets that are no part of the association, or its end.
    replies: VecDeque<Vec<u8>>,
    events: Events,
    /// Signs of life missed in a row (RFC 9260 section 8.1).
    error_count: u32,
    /// Whether `send` was refused for want of room.
    wants_room: bool,
}

impl Association {
    /// A closed association, which answers whoever sends an INIT.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what cannot work.
    pub fn new(
        config: Config,
        entropy: &mut impl Entropy,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            random: Random::new(entropy),
            cookie_key: CookieKey::random(entropy),
            now,
            state: State::Closed,
            is_over: false,
            local_tag: 0,
            peer_tag: 0,
            local_initial_tsn: Tsn(0),
            negotiated: None,
            path: Path::new(&config),
            sender: Sender::new(&config),
            receiver: Receiver::new(&config, Tsn(0), 0, false),
            handshake: None,
            heartbeat: Heartbeat::default(),
            shutdown_timers: ShutdownTimers::default(),
            stream_reset: StreamReset::default(),
            control: Control::default(),
            replies: VecDeque::new(),
            events: Events::new(),
            error_count: 0,
            wants_room: false,
            config,
        })
    }

    /// Hands over the next message that has arrived, or the next part of one.
    ///
    /// What is not received stays charged to the receive buffer, and the peer is told to stop. `None`
    /// also while [`Event::IncomingStreamsReset`] or [`Event::AssociationReset`] waits to be polled:
    /// it comes after all that was sent before the reset, and before all that was sent after it.
    pub fn receive(&mut self) -> Option<Incoming> {
        self.receiver.take()
    }

    /// How far the association is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// What both sides agreed on; `None` before they have.
    #[must_use]
    pub const fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Bytes accepted on a stream and not sent for the first time.
    #[must_use]
    pub fn buffered_amount(&self, stream: StreamId) -> usize {
        self.sender.queue.buffered_amount(stream)
    }

    /// At which buffered amount [`Event::BufferedAmountLow`] comes; zero unless set.
    pub fn set_buffered_amount_low_threshold(&mut self, stream: StreamId, bytes: usize) {
        self.sender.queue.set_low_threshold(stream, bytes);
    }

    /// The stream's weight, or its priority: more is more. 256 unless set; zero counts as one.
    pub fn set_stream_weight(&mut self, stream: StreamId, weight: u16) {
        self.sender.queue.set_weight(stream, weight);
    }

    /// Memory charged to both buffers, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.sender.memory_bytes() + self.receiver.memory_bytes()
    }

    /// What the path is like, for reports and tests.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            cwnd_bytes: self.path.congestion.cwnd(),
            flight_bytes: self.sender.flight_bytes(),
            srtt: self.path.rto.srtt(),
            rto: self.path.rto.rto(),
        }
    }

    /// Whether both sides may send DATA and the like.
    const fn has_peer(&self) -> bool {
        self.negotiated.is_some()
    }

    /// The peer has shown itself.
    fn heard(&mut self) {
        self.error_count = 0;
        self.path.error_count = 0;
        if self.path.is_failed {
            self.path.is_failed = false;
            self.events.push_back(Event::PathRestored(self.path.id));
        }
    }

    /// An earlier `now` than the last counts as the last.
    fn advance_clock(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }
}

/// How far an association is (RFC 9260 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing, or nothing any more.
    Closed,
    /// An INIT is out.
    CookieWait,
    /// A COOKIE ECHO is out.
    CookieEchoed,
    /// Both sides send.
    Established,
    /// We stop when all is acknowledged.
    ShutdownPending,
    /// Our SHUTDOWN is out.
    ShutdownSent,
    /// The peer's SHUTDOWN came; we finish what is in flight.
    ShutdownReceived,
    /// Our SHUTDOWN ACK is out.
    ShutdownAckSent,
}

/// What a path is like now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// The congestion window.
    pub cwnd_bytes: usize,
    /// Chunk bytes in flight.
    pub flight_bytes: usize,
    /// The smoothed round trip, once measured.
    pub srtt: Option<core::time::Duration>,
    /// The retransmission timeout.
    pub rto: core::time::Duration,
}

/// There is one path as yet.
const PATH: PathId = PathId(0);

#[cfg(test)]
mod tests;
