//! One io_uring with its buffers: arm, send, cancel, submit, complete.

mod completion;
mod config;
mod control;
mod run;
mod stream;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, Fixed, RecvMsgOut, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::errno::Errno;

use super::buffers::{Buffer, Buffers, HEADROOM_BYTES, Owner};
use super::{OpKind, OpToken, RawAddress};
use run::Runs;

pub use completion::{Completion, Datagram, Via};
pub use config::{RingConfig, RingError};
pub use run::{Head, PADDING_MAX, Part, RUN_BYTES_MAX, RUN_PARTS_MAX, Run};
pub use stream::StreamCompletion;
use stream::Writes;

/// An io_uring and the packet memory it works on. Belongs to the thread that made it.
pub struct Ring {
    // Dropped by hand, in this order: requests first, memory last (1).
    io: ManuallyDrop<IoUring>,
    buffers: ManuallyDrop<Buffers>,
    runs: ManuallyDrop<Runs>,
    writes: ManuallyDrop<Writes>,
    receive_shape: Box<libc::msghdr>,
    completions: Box<[MaybeUninit<cqueue::Entry>]>,
    reaped: Range<usize>,
    /// Sends whose completion was not read yet.
    unheard: usize,
    not_send: PhantomData<*const ()>,
}

const BUFFER_GROUP: u16 = 0;

/// Room for the source, the size of a `sockaddr_in6`, and for two control messages: an `int`, a
/// segment's size (24), and an address as large as the source's (48). With the 16 bytes of lengths
/// before them, and 12 to spare, that makes the headroom.
const NAME_BYTES: usize = RawAddress::BYTES_MAX;
const CONTROL_BYTES: usize = 84;
const _: () = assert!(16 + NAME_BYTES + CONTROL_BYTES == HEADROOM_BYTES);

const REAP_MAX: usize = 256;

const CANCEL_WAIT_SECS: u64 = 2;

/// How long and how often a ring that ends waits for more completions.
const RUN_OUT_NANOS: u32 = 1_000_000;
const RUN_OUT_MAX: usize = 1_024;

impl Ring {
    /// Makes a ring for the calling thread.
    ///
    /// # Errors
    /// When the kernel lacks io_uring as of 6.1, forbids it, or has no memory for it.
    pub fn new(config: &RingConfig) -> Result<Self, RingError> {
        let failed = |operation| move |source| RingError { operation, source };
        let io = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            .setup_cqsize(config.completions)
            .build(config.submissions)
            .map_err(failed("io_uring_setup"))?;
        let buffers = Buffers::new(config.sizes()).map_err(failed("mapping packet buffers"))?;
        // SAFETY: the ring's memory is page-aligned, `ring_entries` long, zeroed, and stays mapped
        // until `io` is closed (1).
        unsafe {
            io.submitter().register_buf_ring_with_flags(
                buffers.ring_address(),
                buffers.ring_entries(),
                BUFFER_GROUP,
                0,
            )
        }
        .map_err(failed("registering packet buffers"))?;
        Ok(Self {
            io: ManuallyDrop::new(io),
            buffers: ManuallyDrop::new(buffers),
            runs: ManuallyDrop::new(Runs::new(config.runs)),
            writes: ManuallyDrop::new(Writes::default()),
            receive_shape: Box::new(receive_shape()),
            completions: Box::new_uninit_slice(REAP_MAX),
            reaped: 0..0,
            unheard: 0,
            not_send: PhantomData,
        })
    }

    /// Registers sockets that stay for the ring's life; the n-th is [`Via::Registered`]`(n)`.
    ///
    /// Not for sockets that come and go: before 6.13 the kernel lets go of a removed file only
    /// when every older request on any registered file is done, and a receive never is.
    ///
    /// # Errors
    /// The kernel's, for instance when called twice.
    pub fn register(&mut self, sockets: &[BorrowedFd<'_>]) -> Result<(), RingError> {
        let descriptors: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        self.io
            .submitter()
            .register_files(&descriptors)
            .map_err(|source| RingError {
                operation: "registering sockets",
                source,
            })
    }

    /// Arms a receive that yields datagrams until it ends. `false` when the queue is full.
    pub fn receive(&mut self, via: Via, token: OpToken) -> bool {
        let shape: *const libc::msghdr = &raw const *self.receive_shape;
        let entry = match via {
            Via::Registered(index) => opcode::RecvMsgMulti::new(Fixed(index), shape, BUFFER_GROUP),
            Via::Descriptor(fd) => opcode::RecvMsgMulti::new(Fd(fd), shape, BUFFER_GROUP),
        }
        // Says of what is cut how long it was.
        .flags(libc::MSG_TRUNC as u32)
        .build();
        // SAFETY: `receive_shape` is boxed, never changed, and lives as long as the ring; the
        // buffers are the kernel's by the provided ring (2, 4).
        unsafe { self.push(&entry.user_data(token.to_user_data())) }
    }

    /// Asks to end the receive or poll named `target`; it ends with its own last completion.
    /// `false` when the queue is full.
    pub fn cancel(&mut self, target: OpToken) -> bool {
        let own = OpToken::new(OpKind::Cancel, target.slot, target.generation);
        let entry = opcode::AsyncCancel::new(target.to_user_data()).build();
        // SAFETY: the entry holds no pointer (4).
        unsafe { self.push(&entry.user_data(own.to_user_data())) }
    }

    /// Watches a descriptor, again and again, for input. `false` when the queue is full.
    pub fn poll_readable(&mut self, via: Via, token: OpToken) -> bool {
        let events = libc::POLLIN as u32;
        let entry = match via {
            Via::Registered(index) => opcode::PollAdd::new(Fixed(index), events).multi(true),
            Via::Descriptor(fd) => opcode::PollAdd::new(Fd(fd), events).multi(true),
        };
        // SAFETY: the entry holds no pointer (4).
        unsafe { self.push(&entry.build().user_data(token.to_user_data())) }
    }

    /// Sends `range` of a buffer as one datagram and takes the buffer until [`Completion::Sent`],
    /// which carries the low 24 bits of `tag`.
    ///
    /// A socket whose send queue is full refuses at once (`EAGAIN`): media that waits is worthless.
    ///
    /// # Errors
    /// The buffer comes back when the submission queue is full even after a submission, or when it
    /// is shared or of another ring.
    pub fn send(
        &mut self,
        via: Via,
        buffer: Buffer,
        range: Range<usize>,
        to: &SocketAddr,
        tag: u32,
    ) -> Result<(), Buffer> {
        let bytes = self
            .buffers
            .bytes(&buffer)
            .get(range.clone())
            .map_or(0, <[u8]>::len);
        let lent = self.buffers.lend(buffer, range.start, to)?;
        let token = OpToken::new(OpKind::Send, u32::from(lent.index), tag);
        let entry = match via {
            Via::Registered(index) => opcode::Send::new(Fixed(index), lent.data, bytes as u32),
            Via::Descriptor(fd) => opcode::Send::new(Fd(fd), lent.data, bytes as u32),
        }
        .flags(libc::MSG_DONTWAIT)
        .dest_addr(lent.destination)
        .dest_addr_len(lent.destination_len)
        .build();
        // SAFETY: data and destination lie in the mapping, belong to this buffer, and stay with
        // the kernel until the completion makes a `Buffer` of them again (1, 2, 4). `bytes` is
        // zero unless the whole range is inside the buffer (3).
        if unsafe { self.push(&entry.user_data(token.to_user_data())) } {
            self.unheard += 1;
            return Ok(());
        }
        match self.buffers.reclaim(lent.index, Owner::Sending) {
            Some(buffer) => Err(buffer),
            None => Ok(()),
        }
    }

    /// Sends a run and takes it until [`Completion::RunSent`]. `owner` names the sender, and comes
    /// back with the run. Refused at once when the socket's send queue is full, as in
    /// [`send`](Self::send).
    ///
    /// # Errors
    /// The run comes back when the submission queue is full even after a submission, or when it is
    /// empty, names bytes outside a buffer, or is of another ring.
    pub fn send_run(
        &mut self,
        via: Via,
        run: Run,
        to: &SocketAddr,
        owner: OpToken,
    ) -> Result<(), Run> {
        let (slot, message) = self.runs.launch(run, &mut self.buffers, to, owner)?;
        let token = OpToken::new(OpKind::Run, u32::from(slot), 0);
        let entry = match via {
            Via::Registered(index) => opcode::SendMsg::new(Fixed(index), message),
            Via::Descriptor(fd) => opcode::SendMsg::new(Fd(fd), message),
        }
        .flags(libc::MSG_DONTWAIT as u32)
        .build();
        // SAFETY: the message, and what it points at beside packet memory, lies in the run's box,
        // which stays in its slot, unused, until the completion; the parts of buffers are inside
        // the mapping and stay as they are until then (1, 2, 4, 9).
        if unsafe { self.push(&entry.user_data(token.to_user_data())) } {
            self.unheard += 1;
            return Ok(());
        }
        match self.runs.land(u32::from(slot), &mut self.buffers) {
            Some(run) => Err(run),
            None => Ok(()),
        }
    }

    /// An empty run, if there is one to spare.
    pub fn take_run(&mut self) -> Option<Run> {
        self.runs.take()
    }

    /// Ends the use of a run and of the buffers in it.
    pub fn give_back_run(&mut self, run: Run) {
        self.runs.give_back(run, &mut self.buffers);
    }

    /// Hands everything queued to the kernel and waits for a completion, `most` at the longest; one
    /// system call a turn of the caller's loop.
    ///
    /// Datagrams that are queued are sent within the call, for none may wait for room
    /// (`MSG_DONTWAIT`). That they are is not worth waking up for, so it does not end the wait.
    ///
    /// # Errors
    /// Only what no later call could mend.
    pub fn submit_and_wait(&mut self, most: Duration) -> Result<(), RingError> {
        self.buffers.publish();
        let most = Timespec::from(most);
        let arguments = SubmitArgs::new().timespec(&most);
        let want = self.unheard + 1;
        match self.io.submitter().submit_with_args(want, &arguments) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Time is up; a signal came; or the kernel wants completions reaped first.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(RingError {
                    operation: "io_uring_enter",
                    source: error,
                }),
            },
        }
    }

    /// Hands everything queued to the kernel without waiting. `false` when some of it is queued
    /// still; then a descriptor that was named in it must stay open.
    pub fn flush(&mut self) -> bool {
        self.io.submission().is_empty()
            || (self.io.submit().is_ok() && self.io.submission().is_empty())
    }

    /// The next completion, if there is one. Never waits.
    pub fn next_completion(&mut self) -> Option<Completion> {
        loop {
            if self.reaped.is_empty() {
                let reaped = self.io.completion().fill(&mut self.completions).len();
                self.reaped = 0..reaped;
            }
            let index = self.reaped.next()?;
            let slot = self.completions.get(index)?;
            // SAFETY: `index` is below the count that `fill` initialised, and entries are plain
            // values without a destructor.
            let entry = unsafe { slot.assume_init_ref() }.clone();
            if let Some(completion) = self.interpret(&entry) {
                return Some(completion);
            }
        }
    }

    /// Whether completions were fetched from the kernel that [`next_completion`](Self::next_completion)
    /// has not yielded yet.
    #[must_use]
    pub fn has_reaped(&self) -> bool {
        !self.reaped.is_empty()
    }

    /// Reads what a receive put into a buffer. `None` when it is shorter than its own header or
    /// names no IP source.
    #[must_use]
    pub fn datagram(&self, buffer: &Buffer, filled: usize) -> Option<Datagram> {
        let bytes = self.buffers.bytes(buffer).get(..filled)?;
        let message = RecvMsgOut::parse(bytes, &self.receive_shape).ok()?;
        let source = RawAddress::parse(message.name_data())?;
        let sent_bytes = message.incoming_payload_len() as usize;
        Some(Datagram {
            source,
            payload: HEADROOM_BYTES..HEADROOM_BYTES + message.payload_data().len(),
            truncated: message.is_payload_truncated(),
            destination: control::destination(message.control_data()),
            segment: control::segment(message.control_data())
                .filter(|segment| *segment < sent_bytes),
            sent_bytes,
        })
    }

    /// The whole buffer.
    #[must_use]
    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        self.buffers.bytes(buffer)
    }

    /// The whole buffer, for writing; empty while it has another holder.
    pub fn bytes_mut(&mut self, buffer: &mut Buffer) -> &mut [u8] {
        self.buffers.bytes_mut(buffer)
    }

    /// One more holder of a buffer, for another part of it; it is free when all have given it back.
    /// `None` when it is of another ring.
    pub fn share(&mut self, buffer: &Buffer) -> Option<Buffer> {
        self.buffers.share(buffer)
    }

    /// Whether the buffer has no other holder and may be written.
    #[must_use]
    pub fn is_sole(&self, buffer: &Buffer) -> bool {
        self.buffers.is_sole(buffer)
    }

    /// A spare buffer for a datagram that is made here.
    pub fn take_reply(&mut self) -> Option<Buffer> {
        self.buffers.take_reply()
    }

    /// The same, where more than `kept` are spare.
    pub fn take_reply_above(&mut self, kept: usize) -> Option<Buffer> {
        (self.buffers.spare_replies() > kept)
            .then(|| self.buffers.take_reply())
            .flatten()
    }

    /// Ends the use of a buffer.
    pub fn give_back(&mut self, buffer: Buffer) {
        self.buffers.give_back(buffer);
    }

    /// The largest payload that any buffer holds with room for a prefix and padding, in bytes.
    #[must_use]
    pub fn payload_max(&self) -> usize {
        self.buffers.payload_max()
    }

    fn interpret(&mut self, entry: &cqueue::Entry) -> Option<Completion> {
        let token = OpToken::from_user_data(entry.user_data())?;
        let armed = cqueue::more(entry.flags());
        match token.kind {
            OpKind::Receive => {
                let buffer = cqueue::buffer_select(entry.flags())
                    .and_then(|index| self.buffers.reclaim(index, Owner::Provided));
                match (buffer, usize::try_from(entry.result())) {
                    (Some(buffer), Ok(filled)) => Some(Completion::Received {
                        token,
                        buffer,
                        filled,
                        armed,
                    }),
                    (Some(buffer), Err(_)) => {
                        self.buffers.give_back(buffer);
                        Some(Completion::ReceiveEnded {
                            token,
                            error: errno_of(entry),
                        })
                    }
                    (None, _) if armed => None,
                    (None, _) => Some(Completion::ReceiveEnded {
                        token,
                        error: errno_of(entry),
                    }),
                }
            }
            OpKind::Send => {
                self.unheard = self.unheard.saturating_sub(1);
                let index = u16::try_from(token.slot).ok()?;
                let buffer = self.buffers.reclaim(index, Owner::Sending)?;
                let result = if entry.result() < 0 {
                    Err(errno_of(entry))
                } else {
                    Ok(())
                };
                let tag = token.generation;
                Some(Completion::Sent {
                    buffer,
                    tag,
                    result,
                })
            }
            OpKind::Run => {
                self.unheard = self.unheard.saturating_sub(1);
                let run = self.runs.land(token.slot, &mut self.buffers)?;
                let result = if entry.result() < 0 {
                    Err(errno_of(entry))
                } else {
                    Ok(())
                };
                Some(Completion::RunSent { run, result })
            }
            OpKind::Poll => Some(Completion::Readable { token, armed }),
            OpKind::Cancel => None,
            OpKind::Accept | OpKind::ReceiveStream | OpKind::Write => {
                self.interpret_stream(token, entry).map(Completion::Stream)
            }
        }
    }

    /// Lets cancelled requests finish: the kernel leaves the last of that to this thread's next
    /// call, and until then they hold on to their sockets.
    fn run_out(&mut self) {
        let wait = Timespec::new().nsec(RUN_OUT_NANOS);
        for _ in 0..RUN_OUT_MAX {
            let arguments = SubmitArgs::new().timespec(&wait);
            let _timed_out = self.io.submitter().submit_with_args(1, &arguments);
            // Read to the end: some carry descriptors that would stay open.
            if self.next_completion().is_none() {
                return;
            }
            while self.next_completion().is_some() {}
        }
    }

    /// # Safety
    /// What the entry points at stays valid, and unused by others, until its last completion.
    unsafe fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: the caller's promise.
        if unsafe { self.io.submission().push(entry) }.is_ok() {
            return true;
        }
        // A full queue is emptied by the kernel at once, unless completions overflow. Receives in it
        // find what was given back meanwhile.
        self.buffers.publish();
        if self.io.submit().is_err() {
            return false;
        }
        // SAFETY: the caller's promise.
        unsafe { self.io.submission().push(entry) }.is_ok()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _queued = self.io.submit();
        let wait = Timespec::new().sec(CANCEL_WAIT_SECS);
        let cancelled = self
            .io
            .submitter()
            .register_sync_cancel(Some(wait), CancelBuilder::any().all());
        let quiet = match cancelled {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        self.run_out();
        let _unregistered = self.io.submitter().unregister_buf_ring(BUFFER_GROUP);
        if quiet {
            // Closing the ring would let go of them too, but some time later, in the background,
            // and a listener's port would still be taken when its process starts again.
            let _none_registered = self.io.submitter().unregister_files();
        }
        // SAFETY: no field is used again; each is dropped once, here. The memory goes only when
        // the kernel has confirmed that no request is left to use it (1, 7, 9).
        unsafe {
            ManuallyDrop::drop(&mut self.io);
            if quiet {
                ManuallyDrop::drop(&mut self.runs);
                ManuallyDrop::drop(&mut self.buffers);
                ManuallyDrop::drop(&mut self.writes);
            }
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("payload_max", &self.payload_max())
            .finish_non_exhaustive()
    }
}

fn errno_of(entry: &cqueue::Entry) -> Errno {
    Errno::from_raw(entry.result().saturating_neg())
}

/// What a multishot receive reserves before the payload: only the two lengths count.
fn receive_shape() -> libc::msghdr {
    // SAFETY: all zeros is a valid `msghdr`: null pointers and zero lengths.
    let mut shape: libc::msghdr = unsafe { std::mem::zeroed() };
    shape.msg_namelen = NAME_BYTES as u32;
    shape.msg_controllen = CONTROL_BYTES as _;
    shape
}

#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;
