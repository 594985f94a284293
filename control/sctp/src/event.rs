//! What comes out of an association: datagrams to send, things to know, reasons to ignore.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use thiserror::Error;

use crate::{MessageId, StreamId};

/// Which path of the association; there is one as yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u8);

/// Something for the caller to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send the first bytes of the buffer.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub path: PathId,
    /// How many bytes of the buffer.
    pub len: usize,
}

/// Events that wait to be polled, first in, first out.
pub(crate) type Events = VecDeque<Event>;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The association is established.
    Connected,
    /// The peer lost its state and set up anew (RFC 9260 section 5.2). What was queued or in
    /// flight is gone, with its events said; streams begin anew.
    Restarted,
    /// The peer is shutting down and takes nothing new.
    PeerShutdown,
    /// The association is over.
    Closed(CloseReason),
    /// Every byte of the message was sent once.
    MessageSent(MessageId),
    /// Every byte of the message is acknowledged. The last word on it.
    MessageAcknowledged(MessageId),
    /// The message was given up. The last word on it.
    MessageExpired {
        /// Which.
        id: MessageId,
        /// Whether any of it had been sent; it may have arrived all the same.
        was_sent: bool,
    },
    /// The stream's buffered amount fell to its threshold.
    BufferedAmountLow(StreamId),
    /// After a [`BufferFull`](crate::SendError::BufferFull): half of the send buffer is free.
    SendBufferRoom,
    /// The outgoing streams start anew at number zero, as asked.
    OutgoingStreamsReset(Vec<StreamId>),
    /// The peer started these streams anew; empty means all. All that came on them before has been
    /// received.
    IncomingStreamsReset(Vec<StreamId>),
    /// The peer refused to have these streams reset; empty means the association.
    ResetRefused(Vec<StreamId>),
    /// All streams of both directions start anew at number zero, and the TSNs elsewhere, as either
    /// side asked (RFC 6525 section 5.1.4). All that came before has been received.
    AssociationReset,
    /// There are more streams now; these are the new totals.
    StreamsAdded {
        /// That we send on.
        outgoing: u16,
        /// That the peer sends on.
        incoming: u16,
    },
    /// The peer refused more streams.
    AddStreamsRefused,
    /// The path gave no sign of life for too long (RFC 9260 section 8.2).
    PathFailed(PathId),
    /// The path answers again.
    PathRestored(PathId),
    /// The peer reported an error that does not end the association: the cause's code.
    PeerError(u16),
}

/// Why an association is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both sides shut down; everything reliable has arrived.
    Shutdown,
    /// We aborted, as asked.
    Aborted,
    /// The peer aborted: the first cause's code, zero where it gave none.
    AbortedByPeer(u16),
    /// The peer broke the protocol and we aborted.
    ProtocolViolation,
    /// The handshake was not answered.
    HandshakeTimedOut,
    /// The peer gave no sign of life for too long (RFC 9260 section 8.1).
    PeerUnreachable,
    /// The shutdown was not answered (T5-shutdown-guard).
    ShutdownTimedOut,
}

/// Why a datagram was ignored. Nothing of it was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Discard {
    /// Not an SCTP packet.
    #[error("not an SCTP packet")]
    Malformed,
    /// Its checksum is wrong.
    #[error("wrong checksum")]
    Checksum,
    /// It is for other ports.
    #[error("for other ports")]
    Ports,
    /// Its verification tag is not ours (RFC 9260 section 8.5).
    #[error("wrong verification tag")]
    VerificationTag,
    /// There is no association it could belong to.
    #[error("out of the blue")]
    OutOfTheBlue,
    /// Its state cookie is forged or older than its lifetime.
    #[error("state cookie forged or stale")]
    StateCookie,
}
