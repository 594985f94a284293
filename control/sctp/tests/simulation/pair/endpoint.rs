//! One end of an association, whoever wrote it. Ours is [`super::ours`]; strangers have adapters of
//! their own and are driven by the same worlds.

use turnpike_sctp::{Config, Event, Incoming, Outgoing, ResetError, SendError, StreamId};
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

/// What the worlds ask of an end. It speaks in our words; an adapter translates.
pub(crate) trait Endpoint {
    fn connect(&mut self, now: Timestamp);

    fn handle_input(&mut self, now: Timestamp, datagram: &[u8]);

    fn handle_timeout(&mut self, now: Timestamp);

    /// The next output; `None` when there is none left.
    fn poll_output(&mut self, now: Timestamp) -> Option<Output>;

    fn poll_timeout(&self) -> Option<Timestamp>;

    fn send(&mut self, now: Timestamp, message: Outgoing) -> Result<(), SendError>;

    /// The next message, or part of one; what is not taken must keep the window closed.
    fn receive(&mut self, now: Timestamp) -> Option<Incoming>;

    fn reset_streams(&mut self, now: Timestamp, streams: &[StreamId]) -> Result<(), ResetError>;

    /// Starts everything anew; asked only of ends that can.
    fn reset_association(&mut self, _: Timestamp) -> Result<(), ResetError> {
        Err(ResetError::Unsupported)
    }

    fn shutdown(&mut self, now: Timestamp);

    fn abort(&mut self, now: Timestamp);

    /// Bytes taken by `send` on a stream and not sent yet.
    fn buffered_amount(&self, stream: StreamId) -> usize;

    /// All the memory it charges itself, if it tells.
    fn memory_bytes(&self) -> Option<usize>;
}

/// What comes out of an end.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Datagram(Vec<u8>),
    Event(Event),
}

/// A sort of end: how to make one and what it can.
#[derive(Clone, Copy)]
pub(crate) struct Sort {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&Config, &mut SeededEntropy, Timestamp) -> Box<dyn Endpoint>,
    pub(crate) abilities: Abilities,
}

/// What an end can, beside reliable messages on streams, shutdown and abort. A world asks for no
/// more than both ends can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Gives messages up by lifetime or number of retransmissions.
    pub(crate) partial_reliability: bool,
    /// Resets its outgoing streams, and says when the other end did.
    pub(crate) stream_reset: bool,
    /// Starts everything anew, asked by either end.
    pub(crate) association_reset: bool,
    /// Notices that the other end began anew.
    pub(crate) restart: bool,
    /// Tells the life of each message in events.
    pub(crate) tracking: bool,
    /// Hands on large messages in parts, and takes small buffers at their word.
    pub(crate) small_buffers: bool,
    /// Whether it survives late replays of its handshake.
    pub(crate) replays: bool,
}

impl Abilities {
    pub(crate) const ALL: Self = Self {
        partial_reliability: true,
        stream_reset: true,
        association_reset: true,
        restart: true,
        tracking: true,
        small_buffers: true,
        replays: true,
    };

    /// What both can.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            partial_reliability: self.partial_reliability && other.partial_reliability,
            stream_reset: self.stream_reset && other.stream_reset,
            association_reset: self.association_reset && other.association_reset,
            restart: self.restart && other.restart,
            tracking: self.tracking && other.tracking,
            small_buffers: self.small_buffers && other.small_buffers,
            replays: self.replays && other.replays,
        }
    }
}
