//! What a ring works on and what it reports.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;

use super::super::OpToken;
use super::super::buffers::Buffer;
use super::StreamCompletion;
use super::run::Run;

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
    /// A run is over and its buffers free.
    RunSent {
        /// The run, to be [given back](super::Ring::give_back_run).
        run: Run,
        /// Whether the kernel took all of it; else it took nothing.
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

/// What a receive buffer holds: a datagram, or a run of them from one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub source: SocketAddr,
    /// Where it was sent to, on a socket that asks for that.
    pub destination: Option<SocketAddr>,
    /// Where the payload lies in the buffer.
    pub payload: Range<usize>,
    /// Whether it was longer than the buffer, so that its end is lost.
    pub truncated: bool,
    /// Bytes of each datagram of a run, of which the last may have fewer; `None` when it came alone.
    pub segment: Option<usize>,
    /// Bytes of the payload before its end was lost.
    pub sent_bytes: usize,
}

impl Datagram {
    /// The datagrams that came whole, in order.
    pub fn segments(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (start, end) = (self.payload.start, self.payload.end);
        let segment = self.segment_bytes();
        (0..self.whole()).map(move |index| {
            let from = start + index * segment;
            from..(from + segment).min(end)
        })
    }

    /// How many datagrams did not come whole, or not at all.
    #[must_use]
    pub fn lost(&self) -> usize {
        if self.truncated {
            let sent = self.sent_bytes.div_ceil(self.segment_bytes());
            sent.saturating_sub(self.whole()).max(1)
        } else {
            0
        }
    }

    /// A payload that was cut may end in a part of a datagram.
    const fn whole(&self) -> usize {
        let (bytes, segment) = (self.payload.end - self.payload.start, self.segment_bytes());
        match (self.truncated, self.segment) {
            (false, None) => 1,
            (true, None) => 0,
            (false, Some(_)) => bytes.div_ceil(segment),
            (true, Some(_)) => bytes / segment,
        }
    }

    const fn segment_bytes(&self) -> usize {
        match self.segment {
            Some(segment) if segment > 0 => segment,
            _ if self.sent_bytes > 0 => self.sent_bytes,
            _ => 1,
        }
    }
}
