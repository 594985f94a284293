//! What comes out of the engine besides messages, and what may be wrong.

use thiserror::Error;
use turnpike_sctp::Transmit;

use crate::{ChannelId, DcepError};

/// Something for the caller to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send the first bytes of the buffer.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer knows the channel that we opened.
    Opened(ChannelId),
    /// The peer opened this channel; [`channel`](crate::DataChannels::channel) says what it is.
    OpenedByPeer(ChannelId),
    /// The peer closes the channel: nothing more arrives, and what was queued is dropped.
    Closing(ChannelId),
    /// The channel is gone and its id may be used again. The last word on it.
    Closed(ChannelId),
    /// The channel's buffered amount fell to its threshold.
    BufferedAmountLow(ChannelId),
    /// The peer broke a rule on this id; whatever channel was there is being closed.
    Violation(ChannelId, Violation),
    /// Something about the association as a whole, or about one message's life.
    Association(turnpike_sctp::Event),
}

/// What a peer may do wrong. The answer to each is that the stream is reset, which closes the
/// channel (RFC 8831 section 6.6, RFC 8832 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// A DCEP message that makes no sense.
    #[error("bad DCEP message: {0}")]
    Dcep(#[from] DcepError),
    /// DATA_CHANNEL_OPEN on an id that is in use.
    #[error("DATA_CHANNEL_OPEN on a stream in use")]
    OpenOnUsedStream,
    /// DATA_CHANNEL_OPEN on an id that is ours to open.
    #[error("DATA_CHANNEL_OPEN with the other side's parity")]
    WrongParity,
    /// A message, or a DATA_CHANNEL_ACK, on an id that nobody opened.
    #[error("a message on a stream without a channel")]
    NoChannel,
    /// A payload protocol identifier that is not RFC 8831's.
    #[error("unknown payload protocol identifier {0}")]
    UnknownPpid(u32),
    /// A message above the maximum that we announced.
    #[error("a message above the announced maximum")]
    MessageTooLarge,
    /// More channels, or longer names, than [`Limits`](crate::Limits) allow.
    #[error("too many channels or too long names")]
    TooManyChannels,
}

/// Why a channel was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Label or protocol is longer than 65,535 bytes.
    #[error("label and protocol may have 65,535 bytes each")]
    NameTooLong,
    /// [`Limits`](crate::Limits) are reached.
    #[error("too many channels or too long names: close some, or raise the limits")]
    TooManyChannels,
    /// Every id of ours that the peer takes is in use.
    #[error("no free channel id: close a channel first")]
    NoFreeId,
    /// The id is in use, is 65,535, or is beyond what the peer takes.
    #[error("the channel id is in use or beyond the negotiated streams")]
    IdUnavailable,
    /// The association did not take DATA_CHANNEL_OPEN.
    #[error(transparent)]
    Association(#[from] turnpike_sctp::SendError),
}

/// Why a message was not taken. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such channel, or it is closing.
    #[error("no open channel {}", .0.0)]
    NoChannel(ChannelId),
    /// The last 65,536 message ids are not the application's.
    #[error("message ids must be below 2^64 - 65,536")]
    ReservedMessageId,
    /// The message is larger than the peer takes.
    #[error("the message has {bytes} bytes and the peer takes {max}: split it")]
    MessageTooLarge {
        /// How large it is.
        bytes: usize,
        /// The largest that the peer takes.
        max: usize,
    },
    /// The association did not take it: its buffer is full, it is closing, or it is not there.
    #[error(transparent)]
    Association(#[from] turnpike_sctp::SendError),
}
