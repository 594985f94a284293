//! A run: datagrams of equal size, the last may be shorter, that leave as one message and are cut
//! apart again by the kernel or the network card (`UDP_SEGMENT`).
//!
//! A [`Run`] gathers parts of buffers, so that nothing is copied in user space. What goes before a
//! part is kept in the run: before a datagram that came in a run of its own lies another datagram.
//! Bounded by [`RUN_PARTS_MAX`] and [`RUN_BYTES_MAX`]; runs come from a pool that is made at start.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::ptr::null_mut;

use super::super::buffers::{Buffer, Buffers};
use super::super::{OpKind, OpToken, RawAddress};

/// Datagrams of one run. The kernel's bound, `UDP_MAX_SEGMENTS`, was 64 before 6.9 and is higher now.
pub const RUN_PARTS_MAX: usize = 64;

/// Bytes of one run: the largest UDP payload over IPv4, which the kernel bounds the whole message by.
pub const RUN_BYTES_MAX: usize = 65_507;

/// Bytes that may follow a part, all zero.
pub const PADDING_MAX: usize = 3;

static PADDING: [u8; PADDING_MAX] = [0; PADDING_MAX];

/// Prefix, payload and padding of each part.
const VECTORS_MAX: usize = 3 * RUN_PARTS_MAX;

/// A control message with a `u16` in it: `CMSG_SPACE(2)` bytes, aligned as a `cmsghdr` is.
type Control = [u64; 3];

/// A control message's header and the segment size, without the end's padding: `CMSG_LEN(2)`.
const CONTROL_LEN: u64 = 18;

/// Bytes that go before a part; at most [`Head::MAX`].
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Head {
    /// The most it holds.
    pub const MAX: usize = 48;
    /// Nothing.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::MAX],
        len: 0,
    };

    /// Keeps the bytes; `None` when they are too many.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut head = Self::EMPTY;
        head.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        head.len = bytes.len() as u8;
        Some(head)
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// One datagram that leaves: head, a range of a buffer, and zero bytes.
#[derive(Debug)]
pub struct Part {
    /// The buffer it lies in.
    pub buffer: Buffer,
    /// Where in the buffer.
    pub range: Range<usize>,
    /// What goes before.
    pub head: Head,
    /// How many zero bytes go after; at most [`PADDING_MAX`].
    pub padding: usize,
    /// The caller's own.
    pub tag: u32,
}

impl Part {
    /// Bytes of the datagram.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::from(self.head.len) + self.range.len() + self.padding
    }
}

/// Datagrams that leave together. Must go back by `Ring::give_back_run` or `Ring::send_run`; a
/// dropped one is lost with its buffers.
#[must_use = "a run that is not given back is lost"]
pub struct Run {
    // Boxed, and what the kernel is shown of it: it does not move when the run does (4).
    pub(super) memory: Box<Memory>,
}

pub(super) struct Memory {
    /// Where it lives while the kernel has it.
    pub(super) slot: u16,
    parts: Vec<Part>,
    bytes: usize,
    to: Option<SocketAddr>,
    owner: OpToken,
    destination: RawAddress,
    control: Control,
    message: libc::msghdr,
    vectors: [libc::iovec; VECTORS_MAX],
}

const NOWHERE: libc::iovec = libc::iovec {
    iov_base: null_mut(),
    iov_len: 0,
};

impl Run {
    fn new(slot: u16) -> Self {
        let memory = Memory {
            slot,
            parts: Vec::with_capacity(RUN_PARTS_MAX),
            bytes: 0,
            to: None,
            owner: OpToken::new(OpKind::Run, 0, 0),
            destination: RawAddress::new(&SocketAddr::from(([0; 4], 0))),
            control: [0; 3],
            // SAFETY: all zeros is a valid `msghdr`: null pointers and zero lengths.
            message: unsafe { std::mem::zeroed() },
            vectors: [NOWHERE; VECTORS_MAX],
        };
        Self {
            memory: Box::new(memory),
        }
    }

    /// Adds a datagram, if it may follow what is there: no longer than the first, nothing shorter
    /// than the first or empty before it, and within the bounds.
    ///
    /// # Errors
    /// The part comes back.
    pub fn push(&mut self, part: Part) -> Result<(), Part> {
        let memory = &mut *self.memory;
        if part.padding > PADDING_MAX || !memory.admits(part.bytes()) {
            return Err(part);
        }
        memory.bytes += part.bytes();
        memory.parts.push(part);
        Ok(())
    }

    /// Takes the last datagram out again.
    pub fn pop(&mut self) -> Option<Part> {
        let part = self.memory.parts.pop()?;
        self.memory.bytes -= part.bytes();
        Some(part)
    }

    /// The datagrams, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.memory.parts
    }

    /// Bytes of every datagram but the last.
    #[must_use]
    pub fn segment(&self) -> usize {
        self.memory.parts.first().map_or(0, Part::bytes)
    }

    /// Where it was sent; `None` before.
    #[must_use]
    pub fn to(&self) -> Option<SocketAddr> {
        self.memory.to
    }

    /// What `Ring::send_run` was given to name its sender.
    #[must_use]
    pub fn owner(&self) -> OpToken {
        self.memory.owner
    }
}

impl Memory {
    fn admits(&self, bytes: usize) -> bool {
        let Some(segment) = self.parts.first().map(Part::bytes) else {
            return bytes <= RUN_BYTES_MAX;
        };
        (1..=segment).contains(&bytes)
            && self.bytes == segment * self.parts.len()
            && self.parts.len() < RUN_PARTS_MAX
            && self.bytes + bytes <= RUN_BYTES_MAX
    }

    /// Lays out what the kernel reads, and lends it the buffers; `false`, and nothing is lent, when
    /// a part is not inside its buffer.
    fn lay_out(&mut self, buffers: &mut Buffers, to: &SocketAddr) -> bool {
        let mut used = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let Some(payload) = buffers.lend_part(&part.buffer, &part.range) else {
                for lent in self.parts.iter().take(index) {
                    buffers.end_part(&lent.buffer);
                }
                return false;
            };
            let pieces = [
                (part.head.bytes.as_ptr(), usize::from(part.head.len)),
                (payload, part.range.len()),
                (PADDING.as_ptr(), part.padding),
            ];
            for (start, len) in pieces {
                if len > 0
                    && let Some(place) = self.vectors.get_mut(used)
                {
                    // The kernel only reads there.
                    place.iov_base = start.cast_mut().cast();
                    place.iov_len = len;
                    used += 1;
                }
            }
        }
        self.to = Some(*to);
        self.destination = RawAddress::new(to);
        self.message.msg_name = (&raw mut self.destination).cast();
        self.message.msg_namelen = self.destination.byte_len();
        self.message.msg_iov = self.vectors.as_mut_ptr();
        self.message.msg_iovlen = used as _;
        self.write_control();
        true
    }

    /// A lone datagram goes without: it may be larger than a segment can be.
    fn write_control(&mut self) {
        if self.parts.len() < 2 {
            self.message.msg_control = null_mut();
            self.message.msg_controllen = 0;
            return;
        }
        let segment = self.parts.first().map_or(0, Part::bytes) as u16;
        let [s0, s1] = segment.to_ne_bytes();
        let [l0, l1, l2, l3] = libc::SOL_UDP.to_ne_bytes();
        let [t0, t1, t2, t3] = libc::UDP_SEGMENT.to_ne_bytes();
        self.control = [
            CONTROL_LEN,
            u64::from_ne_bytes([l0, l1, l2, l3, t0, t1, t2, t3]),
            u64::from_ne_bytes([s0, s1, 0, 0, 0, 0, 0, 0]),
        ];
        self.message.msg_control = self.control.as_mut_ptr().cast();
        self.message.msg_controllen = size_of::<Control>() as _;
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("slot", &self.memory.slot)
            .field("parts", &self.memory.parts.len())
            .field("bytes", &self.memory.bytes)
            .finish_non_exhaustive()
    }
}

/// The runs of a ring: spare ones, and those in flight.
pub(super) struct Runs {
    spare: Vec<Run>,
    flying: Box<[Option<Run>]>,
}

impl Runs {
    pub(super) fn new(count: u16) -> Self {
        Self {
            spare: (0..count).map(Run::new).collect(),
            flying: (0..count).map(|_| None).collect(),
        }
    }

    pub(super) fn take(&mut self) -> Option<Run> {
        self.spare.pop()
    }

    /// Takes a run back, with its buffers.
    pub(super) fn give_back(&mut self, mut run: Run, buffers: &mut Buffers) {
        for part in run.memory.parts.drain(..) {
            buffers.give_back(part.buffer);
        }
        run.memory.bytes = 0;
        run.memory.to = None;
        // One of another ring could be one too many.
        if self.spare.len() < self.flying.len() {
            self.spare.push(run);
        }
    }

    /// Lends a run to the kernel: its slot and what the submission points at, which stays where it
    /// is until [`land`](Self::land).
    pub(super) fn launch(
        &mut self,
        mut run: Run,
        buffers: &mut Buffers,
        to: &SocketAddr,
        owner: OpToken,
    ) -> Result<(u16, *const libc::msghdr), Run> {
        let slot = run.memory.slot;
        let free = self.flying.get_mut(usize::from(slot));
        let Some(place) = free.filter(|place| place.is_none()) else {
            return Err(run);
        };
        if run.memory.parts.is_empty() || !run.memory.lay_out(buffers, to) {
            return Err(run);
        }
        run.memory.owner = owner;
        let run = place.insert(run);
        Ok((slot, &raw const run.memory.message))
    }

    /// Takes a run back from the kernel. `None` when the kernel did not have it.
    pub(super) fn land(&mut self, slot: u32, buffers: &mut Buffers) -> Option<Run> {
        let run = self.flying.get_mut(slot as usize)?.take()?;
        for part in run.parts() {
            buffers.end_part(&part.buffer);
        }
        Some(run)
    }
}
