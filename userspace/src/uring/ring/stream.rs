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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::super::{Completion, RingConfig};
    use super::*;

    const ACCEPT: OpToken = OpToken::new(OpKind::Accept, 0, 0);
    const RECEIVE: OpToken = OpToken::new(OpKind::ReceiveStream, 3, 1);
    const WRITE: OpToken = OpToken::new(OpKind::Write, 5, 2);
    const PATIENCE: Duration = Duration::from_secs(5);

    fn ring() -> Ring {
        Ring::new(&RingConfig {
            receive_buffers: 8,
            reply_buffers: 2,
            ..RingConfig::default()
        })
        .unwrap()
    }

    fn next(ring: &mut Ring) -> StreamCompletion {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match ring.next_completion() {
                Some(Completion::Stream(completion)) => return completion,
                Some(other) => panic!("{other:?}"),
                None => ring.submit_and_wait(PATIENCE).unwrap(),
            }
        }
        panic!("no completion");
    }

    fn connected(ring: &mut Ring) -> (TcpStream, TcpListener, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(ring.accept(Via::of(&listener), ACCEPT));
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        match next(ring) {
            StreamCompletion::Accepted {
                token,
                socket,
                armed,
            } => {
                assert_eq!((token, armed), (ACCEPT, true));
                (client, listener, socket)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bytes_come_in_at_the_start_of_a_buffer_and_then_the_end() {
        use std::io::Write;
        let mut ring = ring();
        let (mut client, _listener, socket) = connected(&mut ring);
        assert!(ring.receive_stream(Via::of(&socket), RECEIVE));
        client.write_all(b"bytes").unwrap();
        match next(&mut ring) {
            StreamCompletion::Received {
                token,
                buffer,
                filled,
                armed,
            } => {
                assert_eq!((token, armed), (RECEIVE, true));
                assert_eq!(&ring.bytes(&buffer)[..filled], b"bytes");
                ring.give_back(buffer);
            }
            other => panic!("{other:?}"),
        }
        drop(client);
        assert!(matches!(
            next(&mut ring),
            StreamCompletion::ReceiveEnded {
                token: RECEIVE,
                result: Ok(())
            }
        ));
    }

    #[test]
    fn written_bytes_come_back_with_their_memory() {
        let mut ring = ring();
        let (mut client, _listener, socket) = connected(&mut ring);
        let bytes = b"not this, but this".to_vec();
        let memory = bytes.as_ptr();
        ring.write(Via::of(&socket), bytes, 10, WRITE).unwrap();
        match next(&mut ring) {
            StreamCompletion::Written {
                token,
                bytes,
                result,
            } => {
                assert_eq!((token, result), (WRITE, Ok(8)));
                assert_eq!(bytes.as_ptr(), memory);
            }
            other => panic!("{other:?}"),
        }
        let mut read = [0; 8];
        client.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"but this");
        assert!(ring.write(Via::of(&socket), vec![1], 2, WRITE).is_err());
    }

    #[test]
    fn ring_ends_while_a_write_waits_and_a_connection_is_unread() {
        let mut ring = ring();
        let (mut client, listener, socket) = connected(&mut ring);
        ring.write(Via::of(&socket), vec![7; 64 << 20], 0, WRITE)
            .unwrap();
        ring.submit_and_wait(Duration::from_millis(1)).unwrap();
        let mut unread = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        unread.set_read_timeout(Some(PATIENCE)).unwrap();
        ring.submit_and_wait(PATIENCE).unwrap();
        drop((ring, socket));
        // Both were closed: their ends come, not a time-out.
        assert!(client.read_to_end(&mut Vec::new()).is_ok());
        let end = unread.read(&mut [0; 1]);
        assert!(!end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    }
}
