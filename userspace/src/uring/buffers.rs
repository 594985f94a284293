//! Packet memory shared with the kernel: the provided-buffer ring, the buffers in it, spare buffers
//! for replies, and a destination address for each.
//!
//! A buffer is laid out for forwarding in place:
//!
//! ```text
//! | 16 recvmsg header | 32 source address | payload ...                    | 16 tailroom |
//! |<------- HEADROOM_BYTES, for the ----->|                                  ChannelData
//!           prefix towards a client                                          padding
//! ```

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use super::RawAddress;

/// Bytes before the payload of a received datagram that a sender may overwrite.
pub const HEADROOM_BYTES: usize = 48;

/// Bytes after the largest payload that a sender may use for padding.
pub const TAILROOM_BYTES: usize = 16;

/// Payload bytes that fit a buffer of `buffer_bytes` together with head- and tailroom.
#[must_use]
pub const fn payload_max(buffer_bytes: usize) -> usize {
    buffer_bytes.saturating_sub(HEADROOM_BYTES + TAILROOM_BYTES)
}

/// A buffer that belongs to whoever holds this value, and not to the kernel.
///
/// It must go back through `Ring::give_back` or `Ring::send`; dropping it loses the buffer.
#[derive(Debug)]
#[must_use = "a buffer that is not given back is lost"]
pub struct Buffer {
    index: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Holder,
    Provided,
    Sending,
}

/// What a send submission points at.
pub(super) struct Lent {
    pub(super) index: u16,
    pub(super) data: *const u8,
    pub(super) destination: *const libc::sockaddr,
    pub(super) destination_len: libc::socklen_t,
}

pub(super) struct Buffers {
    base: NonNull<u8>,
    mapped: NonZeroUsize,
    stride: usize,
    receive: u16,
    destinations_at: usize,
    ring_at: usize,
    tail: u16,
    state: Box<[Owner]>,
    replies: Vec<Buffer>,
}

const DESTINATION_BYTES: usize = size_of::<RawAddress>();
const PAGE_BYTES: usize = 4_096;
const LINE_BYTES: usize = 64;

impl Buffers {
    /// Maps `receive` (a power of two) + `reply` buffers of `stride` bytes.
    pub(super) fn new(receive: u16, reply: u16, stride: usize) -> io::Result<Self> {
        let fits = receive.is_power_of_two()
            && receive <= 1 << 15
            && stride.is_multiple_of(LINE_BYTES)
            && stride > HEADROOM_BYTES + TAILROOM_BYTES
            && u32::try_from(stride).is_ok();
        let (true, Some(count)) = (fits, receive.checked_add(reply)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let count = usize::from(count);
        let destinations_at = count * stride;
        let ring_at = (destinations_at + count * DESTINATION_BYTES).next_multiple_of(PAGE_BYTES);
        let ring_bytes = usize::from(receive) * size_of::<BufRingEntry>();
        let mapped = NonZeroUsize::new((ring_at + ring_bytes).next_multiple_of(PAGE_BYTES))
            .ok_or(io::ErrorKind::InvalidInput)?;
        let base = map(mapped)?;
        let mut buffers = Self {
            base,
            mapped,
            stride,
            receive,
            destinations_at,
            ring_at,
            tail: 0,
            state: vec![Owner::Holder; count].into_boxed_slice(),
            replies: Vec::with_capacity(usize::from(reply)),
        };
        for index in (0..receive + reply).rev() {
            buffers.give_back(Buffer { index });
        }
        buffers.publish();
        Ok(buffers)
    }

    pub(super) fn ring_address(&self) -> u64 {
        // SAFETY: `ring_at` is below `mapped`, so the result is inside the mapping (3).
        unsafe { self.base.add(self.ring_at) }.as_ptr() as u64
    }

    pub(super) const fn ring_entries(&self) -> u16 {
        self.receive
    }

    /// Payload bytes that fit a buffer together with head- and tailroom.
    pub(super) const fn payload_max(&self) -> usize {
        payload_max(self.stride)
    }

    /// The whole buffer; empty when it is of another ring.
    pub(super) fn bytes(&self, buffer: &Buffer) -> &[u8] {
        if !self.is_held(buffer) {
            return &[];
        }
        // SAFETY: `is_held` says that the kernel does not hold these bytes (2) and that the index
        // is below `count` (3); the kernel gets them through `&mut self` only, which this borrow
        // excludes; the mapping was zeroed at first and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start_of(buffer.index).as_ptr(), self.stride) }
    }

    /// The whole buffer, for writing; empty when it is of another ring.
    pub(super) fn bytes_mut(&mut self, buffer: &mut Buffer) -> &mut [u8] {
        if !self.is_held(buffer) {
            return &mut [];
        }
        // SAFETY: as in `bytes`; `&mut self` makes it the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start_of(buffer.index).as_ptr(), self.stride) }
    }

    pub(super) const fn is_reply(&self, buffer: &Buffer) -> bool {
        buffer.index >= self.receive
    }

    pub(super) const fn spare_replies(&self) -> usize {
        self.replies.len()
    }

    pub(super) fn take_reply(&mut self) -> Option<Buffer> {
        self.replies.pop()
    }

    /// Puts a buffer where it is taken from next: receive buffers into the provided ring (seen by
    /// the kernel after [`publish`](Self::publish)), reply buffers into the spare list.
    pub(super) fn give_back(&mut self, buffer: Buffer) {
        if !self.is_held(&buffer) {
            return;
        }
        if self.is_reply(&buffer) {
            self.replies.push(buffer);
            return;
        }
        let slot = usize::from(self.tail & (self.receive - 1));
        self.mark(buffer.index, Owner::Provided);
        let address = self.start_of(buffer.index).as_ptr() as u64;
        // SAFETY: `slot` is below `receive`, so the entry is inside the mapping (3). This buffer was
        // held, so fewer than `receive` are provided, and the slot at the tail is one that the
        // kernel has consumed and no longer reads; it reads none past the published tail (6).
        unsafe {
            let entries = self.base.add(self.ring_at).cast::<BufRingEntry>();
            let entry = entries.add(slot).as_mut();
            entry.set_addr(address);
            entry.set_len((self.stride - TAILROOM_BYTES) as u32);
            entry.set_bid(buffer.index);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back since the last call.
    pub(super) fn publish(&mut self) {
        // SAFETY: the ring begins page-aligned at `ring_at`, and its first entry's last two bytes
        // are the tail, which user space alone writes, here, with release (6).
        unsafe {
            let entries = self.base.add(self.ring_at).cast::<BufRingEntry>();
            let tail = BufRingEntry::tail(entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Gives a buffer to the kernel for one send to `to`; one of another ring comes back.
    pub(super) fn lend(
        &mut self,
        buffer: Buffer,
        offset: usize,
        to: &SocketAddr,
    ) -> Result<Lent, Buffer> {
        if !self.is_held(&buffer) {
            return Err(buffer);
        }
        let address = RawAddress::new(to);
        let at = self.destinations_at + usize::from(buffer.index) * DESTINATION_BYTES;
        self.mark(buffer.index, Owner::Sending);
        // SAFETY: `at` is the destination slot of this buffer, 32 aligned bytes inside the mapping
        // (3), which the kernel reads only while a send of the same buffer is in flight: the buffer
        // was held, so none is (2). `offset` is clamped to the buffer.
        let lent = unsafe {
            let destination = self.base.add(at).cast::<RawAddress>();
            destination.write(address);
            Lent {
                index: buffer.index,
                data: self
                    .start_of(buffer.index)
                    .add(offset.min(self.stride))
                    .as_ptr(),
                destination: destination.as_ptr().cast(),
                destination_len: address.byte_len(),
            }
        };
        Ok(lent)
    }

    /// Takes a buffer back from the kernel. `None` when it was not with the kernel for this.
    pub(super) fn reclaim(&mut self, index: u16, from: Owner) -> Option<Buffer> {
        let owner = self.state.get_mut(usize::from(index))?;
        if *owner != from {
            return None;
        }
        *owner = Owner::Holder;
        Some(Buffer { index })
    }

    /// Whether the buffer is neither with the kernel nor beyond this ring's: a `Buffer` does not
    /// know which ring it is of.
    fn is_held(&self, buffer: &Buffer) -> bool {
        self.state.get(usize::from(buffer.index)) == Some(&Owner::Holder)
    }

    fn mark(&mut self, index: u16, owner: Owner) {
        if let Some(state) = self.state.get_mut(usize::from(index)) {
            *state = owner;
        }
    }

    fn start_of(&self, index: u16) -> NonNull<u8> {
        // SAFETY: every caller has found the index in `state`, so it is below `count` (3).
        unsafe { self.base.add(usize::from(index) * self.stride) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the range is the one that `map` returned, and `Ring` drops this only when no
        // request that points into it is left (1). A failure leaves it mapped, which is harmless.
        let _still_mapped = unsafe { munmap(self.base.cast(), self.mapped.get()) };
    }
}

fn map(length: NonZeroUsize) -> io::Result<NonNull<u8>> {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh private mapping at an address of the kernel's choice; it aliases nothing.
    let base = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }?;
    // Fewer TLB misses, and no page fault while packets flow. A kernel that cannot does as well.
    for advice in [MmapAdvise::MADV_HUGEPAGE, MmapAdvise::MADV_POPULATE_WRITE] {
        // SAFETY: the range was mapped just now, and neither advice changes its contents.
        let _slower = unsafe { madvise(base, length.get(), advice) };
    }
    Ok(base.cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_reclaimed_once_and_only_from_its_owner() {
        let mut buffers = Buffers::new(4, 2, 1_024).unwrap();
        let buffer = buffers.reclaim(1, Owner::Provided).unwrap();
        assert!(buffers.reclaim(1, Owner::Provided).is_none());
        assert!(buffers.reclaim(1, Owner::Sending).is_none());
        let to = "192.0.2.1:9".parse().unwrap();
        let lent = buffers.lend(buffer, 4, &to).ok().unwrap();
        assert_eq!(lent.index, 1);
        assert!(buffers.reclaim(1, Owner::Provided).is_none());
        let again = buffers.reclaim(1, Owner::Sending).unwrap();
        buffers.give_back(again);
        assert!(buffers.reclaim(6, Owner::Provided).is_none());
    }

    #[test]
    fn buffer_of_another_ring_opens_nothing() {
        let (mut one, mut other) = (
            Buffers::new(4, 2, 1_024).unwrap(),
            Buffers::new(4, 0, 1_024).unwrap(),
        );
        let mut beyond = one.take_reply().unwrap();
        let mut provided = one.reclaim(1, Owner::Provided).unwrap();
        for foreign in [&mut beyond, &mut provided] {
            assert!(other.bytes(foreign).is_empty());
            assert!(other.bytes_mut(foreign).is_empty());
        }
        let to = "192.0.2.1:9".parse().unwrap();
        let provided = other.lend(provided, 0, &to).err().unwrap();
        let tail = other.tail;
        other.give_back(provided);
        other.give_back(beyond);
        assert_eq!(other.tail, tail);
        assert!(other.take_reply().is_none());
    }

    #[test]
    fn spare_buffers_end_and_come_back() {
        let mut buffers = Buffers::new(4, 2, 1_024).unwrap();
        let first = buffers.take_reply().unwrap();
        let _second = buffers.take_reply().unwrap();
        assert!(buffers.take_reply().is_none());
        buffers.give_back(first);
        assert!(buffers.take_reply().is_some());
    }

    #[test]
    fn buffers_do_not_overlap() {
        let mut buffers = Buffers::new(4, 4, 256).unwrap();
        let mut held: Vec<Buffer> = (0..4)
            .map(|index| buffers.reclaim(index, Owner::Provided).unwrap())
            .collect();
        held.extend(std::iter::from_fn(|| buffers.take_reply()));
        assert_eq!(held.len(), 8);
        for buffer in &mut held {
            let index = buffer.index as u8;
            buffers.bytes_mut(buffer).fill(index);
        }
        for buffer in &held {
            assert!(
                buffers
                    .bytes(buffer)
                    .iter()
                    .all(|byte| *byte == buffer.index as u8)
            );
        }
    }

    #[test]
    fn sizes_that_the_kernel_refuses_are_refused_here() {
        assert!(Buffers::new(3, 1, 1_024).is_err());
        assert!(Buffers::new(4, 1, 64).is_err());
        assert!(Buffers::new(4, u16::MAX, 1_024).is_err());
    }
}
