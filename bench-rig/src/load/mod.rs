//! Load: TURN traffic with a stamp in each packet, sent at a pace that does not wait for the relay.
//!
//! A [`Load`] sends packets of one [`Shape`] over [`Flow`]s and returns a [`Tally`] of what became of
//! them: lost, out of order, twice, damaged, and how late. The pace is a schedule: a packet may
//! leave late but is never skipped, and its delay counts from when it was due, so a relay that stalls
//! cannot hide it ("coordinated omission"). What the generator itself loses is told apart.
//!
//! It is *not* a judge: which rate counts as reached is for those that call it.

pub mod clients;
pub mod clock;
#[expect(unsafe_code, reason = "the scheduling class of a thread")]
mod core;
mod course;
mod flow;
pub mod frame;
pub mod live;
pub mod packet;
pub mod profile;
pub mod stamp;
mod tally;

use std::fmt;
use std::io;
use std::time::Duration;

pub use self::flow::Flow;
pub use self::tally::{HIGHEST_LATENCY, Tally, latency_histogram};

use crate::netns::NetnsError;

/// What sends and counts. Two exist: packet sockets with a pace, and live frames of XDP programs.
pub trait Load {
    /// Sends for `duration` at `packets_per_second` (all flows and directions together), waits for
    /// the last packets, and says what became of them. Bounded: it returns when the time is over,
    /// also when nothing comes back.
    ///
    /// # Errors
    /// When the generator itself fails or cannot make this shape. What a relay loses, even all of
    /// it, is no error.
    fn run(
        &mut self,
        shape: &Shape,
        packets_per_second: f64,
        duration: Duration,
    ) -> Result<Tally, LoadError>;
}

/// What the packets of a run look like and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of application data, at least [`stamp::LEN`] and at most [`PAYLOAD_MAX`]; the headers
    /// around it are not counted.
    pub payload: usize,
    /// Packets of one flow that leave back to back, at least 1.
    pub burst: u32,
    /// Who sends.
    pub direction: Direction,
    /// What carries data between client and relay.
    pub carrier: Carrier,
    /// Which way the packets go.
    pub path: Path,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Clients send, peers receive.
    ToPeer,
    /// Peers send, clients receive.
    ToClient,
    /// Half of the packets each way.
    Both,
}

/// What carries data between client and relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// ChannelData (RFC 8656 section 12.4).
    Channel,
    /// Send and Data indications (RFC 8656 section 11); what a peer sends comes as ChannelData
    /// nevertheless where the flow has a channel.
    Indication,
}

/// Which way the packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Between a client and a peer host, through the relay.
    Relayed,
    /// From an allocation to another one of the same relay: clients send, clients receive, whatever
    /// the direction.
    Hairpin,
    /// Without a relay, unwrapped, from the client host to the peer host and back: the ceiling.
    Straight,
    /// From clients to the server and back: Binding requests, whatever carrier and direction. Live
    /// frames only, and nothing but the number of answers is known.
    Binding,
}

/// Most bytes of application data that fit a frame with a Send indication over IPv6.
pub const PAYLOAD_MAX: usize = 1_400;

/// Why a run gave no tally.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A host failed.
    #[error(transparent)]
    Hosts(#[from] NetnsError),
    /// The operating system refused something to the generator.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// The generator cannot make what was asked for.
    #[error("no such load can be made: {0}")]
    Unfit(String),
    /// The relay did not do what load needs, such as giving an allocation.
    #[error("the relay {0}")]
    Relay(String),
}

impl LoadError {
    /// Says what was tried when the system refused.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

impl Shape {
    /// ChannelData through the relay in both directions, a packet at a time.
    #[must_use]
    pub const fn channel(payload: usize) -> Self {
        Self {
            payload,
            burst: 1,
            direction: Direction::Both,
            carrier: Carrier::Channel,
            path: Path::Relayed,
        }
    }

    /// Whether this can be sent at all.
    ///
    /// # Errors
    /// [`LoadError::Unfit`] says what is out of bounds.
    pub fn check(&self) -> Result<(), LoadError> {
        if !(stamp::LEN..=PAYLOAD_MAX).contains(&self.payload) {
            return Err(LoadError::Unfit(format!(
                "a payload of {} bytes; it must have {} to {PAYLOAD_MAX}",
                self.payload,
                stamp::LEN
            )));
        }
        if self.burst == 0 {
            return Err(LoadError::Unfit("bursts of no packets".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            payload,
            burst,
            direction,
            carrier,
            path,
        } = self;
        write!(
            f,
            "{payload} bytes, bursts of {burst}, {direction:?}, {carrier:?}, {path:?}"
        )
    }
}
