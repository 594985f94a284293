//! What a ring works on and what it reports.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;

use super::super::OpToken;
use super::super::buffers::Buffer;
use super::StreamCompletion;

/// The socket an operation goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A file registered with [`Ring::register`](super::Ring::register), by its index.
    Registered(u32),
    /// An open descriptor. Closing it before its last completion hits another file, so the owner
    /// closes only after the receive on it has ended and queued sends were
    /// [flushed](super::Ring::flush).
    Descriptor(RawFd),
}

impl Via {
    /// The descriptor of an open socket.
    #[must_use]
    pub fn of(socket: &impl AsFd) -> Self {
        Self::Descriptor(socket.as_fd().as_raw_fd())
    }
}

/// What came of an operation.
#[derive(Debug)]
pub enum Completion {
    /// A datagram, or what the kernel delivered of it.
    Received {
        /// The receive it came through.
        token: OpToken,
        /// Where it is; see [`Ring::datagram`](super::Ring::datagram).
        buffer: Buffer,
        /// Bytes filled, headroom included.
        filled: usize,
        /// Whether the receive goes on; if not, arm it again.
        armed: bool,
    },
    /// A receive that ended without a datagram: out of buffers (`ENOBUFS`), cancelled, or failed.
    ReceiveEnded {
        /// The receive.
        token: OpToken,
        /// Why.
        error: Errno,
    },
    /// A send is over and its buffer free.
    Sent {
        /// The buffer that was sent from.
        buffer: Buffer,
        /// The low 24 bits of what [`Ring::send`](super::Ring::send) was given.
        tag: u32,
        /// Whether the kernel took the datagram.
        result: Result<(), Errno>,
    },
    /// A polled descriptor has something.
    Readable {
        /// The poll.
        token: OpToken,
        /// Whether the poll goes on.
        armed: bool,
    },
    /// Something happened on a byte stream.
    Stream(StreamCompletion),
}

/// What a receive buffer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub source: SocketAddr,
    /// Where the payload lies in the buffer.
    pub payload: Range<usize>,
    /// Whether it was longer than the buffer, so that its end is lost.
    pub truncated: bool,
}
