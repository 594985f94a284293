//! One association (RFC 9260) without a socket.

use turnpike_types::{Deadline, Entropy, Timestamp};

use crate::{
    Config, ConfigError, Discard, Incoming, Outgoing, Output, ResetError, SendError, StreamId,
};

/// One end of an association; see the [module](self).
#[derive(Debug)]
pub struct Association {
    config: Config,
}

impl Association {
    /// A closed association, which answers whoever sends an INIT.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what cannot work.
    pub fn new(
        config: Config,
        _entropy: &mut impl Entropy,
        _now: Timestamp,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config })
    }

    /// Sends an INIT.
    pub fn connect(&mut self, _now: Timestamp) {}

    /// Takes one datagram.
    ///
    /// # Errors
    ///
    /// [`Discard`] says why it was ignored.
    pub fn handle_input(&mut self, _now: Timestamp, _datagram: &[u8]) -> Result<(), Discard> {
        Err(Discard::OutOfTheBlue)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Timestamp) {}

    /// Yields the next output; a packet is built in `buf`.
    pub fn poll_output(&mut self, _buf: &mut [u8]) -> Option<Output> {
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        None
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`SendError`] says why it was not taken.
    pub fn send(&mut self, _now: Timestamp, _message: Outgoing) -> Result<(), SendError> {
        Err(SendError::NotConnected)
    }

    /// Hands over the next message that has arrived.
    pub fn receive(&mut self) -> Option<Incoming> {
        None
    }

    /// Resets outgoing streams.
    ///
    /// # Errors
    ///
    /// [`ResetError`] says why not.
    pub fn reset_streams(
        &mut self,
        _now: Timestamp,
        _streams: &[StreamId],
    ) -> Result<(), ResetError> {
        Err(ResetError::NotConnected)
    }

    /// Ends the association when all is delivered.
    pub fn shutdown(&mut self, _now: Timestamp) {}

    /// Ends the association at once.
    pub fn abort(&mut self, _now: Timestamp, _reason: &[u8]) {}

    /// Bytes accepted on a stream and not sent yet.
    #[must_use]
    pub fn buffered_amount(&self, _stream: StreamId) -> usize {
        0
    }

    /// At which buffered amount the stream's low event comes.
    pub fn set_buffered_amount_low_threshold(&mut self, _stream: StreamId, _bytes: usize) {}

    /// The stream's weight or priority.
    pub fn set_stream_weight(&mut self, _stream: StreamId, _weight: u16) {}

    /// Gives up what is queued on a stream.
    pub fn purge(&mut self, _now: Timestamp, _stream: StreamId) {}

    /// How far the association is.
    #[must_use]
    pub const fn state(&self) -> State {
        State::Closed
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
