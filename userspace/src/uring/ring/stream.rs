//! What a ring does for byte streams: accept, receive into the provided buffers, write from heap
//! buffers that it holds until the kernel is done with them.
//!
//! A stream's bytes wait for a slow reader, which a datagram never does: so they are written from
//! memory of the connection's own, and no packet buffer is ever held up. Bounded by the callers,
//! who keep one write in flight a connection.

use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::types::{Fd, Fixed};
use io_uring::{cqueue, opcode};
use nix::errno::Errno;

use super::super::buffers::{Buffer, Owner};
use super::super::{OpKind, OpToken};
use super::{BUFFER_GROUP, Ring, Via, errno_of};

/// What came of an operation on a stream.
#[derive(Debug)]
pub enum StreamCompletion {
    /// A client connected.
    Accepted {
        /// The accept it came through.
        token: OpToken,
        /// The connection: close-on-exec, non-blocking.
        socket: OwnedFd,
        /// Whether the accept goes on; if not, arm it again.
        armed: bool,
    },
    /// An accept that ended: cancelled, or failed.
    AcceptEnded {
        /// The accept.
        token: OpToken,
        /// Why.
        error: Errno,
    },
    /// Bytes, at the start of the buffer.
    Received {
        /// The receive they came through.
        token: OpToken,
        /// Where they are.
        buffer: Buffer,
        /// How many.
        filled: usize,
        /// Whether the receive goes on; if not, arm it again.
        armed: bool,
    },
    /// A receive that ended without bytes.
    ReceiveEnded {
        /// The receive.
        token: OpToken,
        /// `Ok` at the end of the stream; else out of buffers (`ENOBUFS`), cancelled, or failed.
        result: Result<(), Errno>,
    },
    /// A write is over and its memory the caller's again.
    Written {
        /// What [`Ring::write`] was given.
        token: OpToken,
        /// What it was given to write from.
        bytes: Vec<u8>,
        /// How many bytes the kernel took; there may be fewer than were left.
        result: Result<usize, Errno>,
    },
}

/// The memory of writes in flight.
#[derive(Default)]
pub(super) struct Writes {
    slots: Vec<Option<InFlight>>,
    free: Vec<u32>,
}

/// One write: whose it is, and the bytes that the kernel reads.
struct InFlight {
    token: OpToken,
    bytes: Vec<u8>,
}

impl Writes {
    fn insert(&mut self, write: InFlight) -> u32 {
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.slots.get_mut(slot as usize)
        {
            *place = Some(write);
            return slot;
        }
        self.slots.push(Some(write));
        // What is freed on the packet path must find room.
        self.free.reserve(self.slots.len() - self.free.len());
        (self.slots.len() - 1) as u32
    }

    fn remove(&mut self, slot: u32) -> Option<InFlight> {
        let write = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(write)
    }
}

impl Ring {
    /// Arms an accept that yields connections until it ends. `false` when the queue is full.
    pub fn accept(&mut self, via: Via, token: OpToken) -> bool {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let entry = match via {
            Via::Registered(index) => opcode::AcceptMulti::new(Fixed(index)).flags(flags).build(),
            Via::Descriptor(fd) => opcode::AcceptMulti::new(Fd(fd)).flags(flags).build(),
        };
        // SAFETY: the entry holds no pointer (4).
        unsafe { self.push(&entry.user_data(token.to_user_data())) }
    }

    /// Arms a receive that yields a stream's bytes until it ends. `false` when the queue is full.
    pub fn receive_stream(&mut self, via: Via, token: OpToken) -> bool {
        let entry = match via {
            Via::Registered(index) => opcode::RecvMulti::new(Fixed(index), BUFFER_GROUP).build(),
            Via::Descriptor(fd) => opcode::RecvMulti::new(Fd(fd), BUFFER_GROUP).build(),
        };
        // SAFETY: the entry holds no pointer (4); the buffers are the kernel's by the provided
        // ring (2).
        unsafe { self.push(&entry.user_data(token.to_user_data())) }
    }

    /// Writes `bytes` from `from` on to a stream and keeps them until
    /// [`StreamCompletion::Written`], which waits for a reader as long as that takes.
    ///
    /// # Errors
    /// The bytes come back when the submission queue is full even after a submission, or when
    /// `from` is past their end.
    pub fn write(
        &mut self,
        via: Via,
        bytes: Vec<u8>,
        from: usize,
        token: OpToken,
    ) -> Result<(), Vec<u8>> {
        let Some(rest) = bytes.get(from..) else {
            return Err(bytes);
        };
        let (data, len) = (rest.as_ptr(), u32::try_from(rest.len()).unwrap_or(u32::MAX));
        let slot = self.writes.insert(InFlight { token, bytes });
        let entry = match via {
            Via::Registered(index) => opcode::Send::new(Fixed(index), data, len),
            Via::Descriptor(fd) => opcode::Send::new(Fd(fd), data, len),
        }
        .flags(libc::MSG_NOSIGNAL)
        .build();
        let own = OpToken::new(OpKind::Write, slot, 0);
        // SAFETY: `data` points at `len` initialised bytes of a heap buffer that `writes` holds,
        // neither changed nor dropped, until the completion is read (7, 4).
        if unsafe { self.push(&entry.user_data(own.to_user_data())) } {
            return Ok(());
        }
        match self.writes.remove(slot) {
            Some(write) => Err(write.bytes),
            None => Ok(()),
        }
    }

    pub(super) fn interpret_stream(
        &mut self,
        token: OpToken,
        entry: &cqueue::Entry,
    ) -> Option<StreamCompletion> {
        let armed = cqueue::more(entry.flags());
        let result = usize::try_from(entry.result()).map_err(|_| errno_of(entry));
        match token.kind {
            OpKind::Accept => Some(match result {
                Ok(_) => StreamCompletion::Accepted {
                    token,
                    // SAFETY: the kernel made this descriptor for this completion, which is read
                    // once (8).
                    socket: unsafe { OwnedFd::from_raw_fd(entry.result()) },
                    armed,
                },
                Err(error) => StreamCompletion::AcceptEnded { token, error },
            }),
            OpKind::ReceiveStream => self.interpret_bytes(token, entry, result, armed),
            OpKind::Write => {
                let InFlight { token, bytes } = self.writes.remove(token.slot)?;
                Some(StreamCompletion::Written {
                    token,
                    bytes,
                    result,
                })
            }
            _ => None,
        }
    }

    fn interpret_bytes(
        &mut self,
        token: OpToken,
        entry: &cqueue::Entry,
        result: Result<usize, Errno>,
        armed: bool,
    ) -> Option<StreamCompletion> {
        let buffer = cqueue::buffer_select(entry.flags())
            .and_then(|index| self.buffers.reclaim(index, Owner::Provided));
        match (buffer, result) {
            (Some(buffer), Ok(filled)) if filled > 0 => Some(StreamCompletion::Received {
                token,
                buffer,
                filled,
                armed,
            }),
            (buffer, result) => {
                if let Some(buffer) = buffer {
                    self.buffers.give_back(buffer);
                }
                let result = result.map(|_| ());
                (!armed).then_some(StreamCompletion::ReceiveEnded { token, result })
            }
        }
    }
}
