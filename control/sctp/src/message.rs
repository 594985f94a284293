//! Messages as the application sees them, and what may be wrong with a wish.

use core::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::{Ppid, StreamId};

/// The caller's own number for a message; the events of its life carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

/// A message to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// On which outgoing stream.
    pub stream: StreamId,
    /// What the payload is; carried unread.
    pub ppid: Ppid,
    /// At least one byte, at most [`Config::message_size_max`](crate::Config::message_size_max).
    pub payload: Bytes,
    /// Whether the receiver may have it before earlier messages of its stream.
    pub is_unordered: bool,
    /// When to give it up.
    pub reliability: Reliability,
    /// Asks for the events of its life.
    pub id: Option<MessageId>,
}

impl Outgoing {
    /// A reliable, ordered message without events.
    #[must_use]
    pub const fn new(stream: StreamId, ppid: Ppid, payload: Bytes) -> Self {
        Self {
            stream,
            ppid,
            payload,
            is_unordered: false,
            reliability: Reliability::Reliable,
            id: None,
        }
    }
}

/// When a message that has not arrived is given up (RFC 3758, RFC 7496).
///
/// Where the peer does not know partial reliability, every message that was sent once is reliable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// Never.
    #[default]
    Reliable,
    /// When this much time has passed since [`send`](crate::Association::send).
    Lifetime(Duration),
    /// When it would have to be sent again more often than this.
    Retransmissions(u16),
    /// When the send buffer is full and a message with a lower number wants in.
    Priority(u32),
}

/// A message, or a part of one, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// On which incoming stream.
    pub stream: StreamId,
    /// What the payload is; carried unread.
    pub ppid: Ppid,
    /// Empty only in a last part that says that the sender has given the message up.
    pub payload: Bytes,
    /// Whether it was sent unordered.
    pub is_unordered: bool,
    /// Whether this is the message's first part.
    pub is_begin: bool,
    /// Whether this is its last part. Parts of one message follow each other on their stream.
    pub is_end: bool,
}

/// Why [`send`](crate::Association::send) refused a message. Nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// [`connect`](crate::Association::connect) was not called, or the association is over.
    #[error("there is no association: call connect first, or make a new one")]
    NotConnected,
    /// Either side is shutting down.
    #[error("the association is shutting down and takes no new messages")]
    ShuttingDown,
    /// SCTP has no empty messages.
    #[error("a message needs at least one byte")]
    EmptyMessage,
    /// Above [`Config::message_size_max`](crate::Config::message_size_max).
    #[error("the message is larger than message_size_max; send it as several, or configure more")]
    MessageTooLarge,
    /// The stream is not among those negotiated.
    #[error("the peer does not take that many streams")]
    NoSuchStream,
    /// The stream is being reset.
    #[error("the stream is being reset; wait for its event")]
    StreamResetting,
    /// [`Config::send_buffer_bytes`](crate::Config::send_buffer_bytes) are in use;
    /// [`Event::SendBufferRoom`](crate::Event::SendBufferRoom) will say when there is room.
    #[error("the send buffer is full; wait for room")]
    BufferFull,
}

/// Why a wish to reset or add streams was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResetError {
    /// There is no established association.
    #[error("there is no established association")]
    NotConnected,
    /// The peer does not know RFC 6525.
    #[error("the peer cannot reset streams")]
    Unsupported,
    /// Another request of this kind is still on its way.
    #[error("another request is on its way; wait for its event")]
    Busy,
    /// The stream is not among those negotiated, or there would be more than 65,535.
    #[error("there are no such streams")]
    NoSuchStream,
}
