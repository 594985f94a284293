//! Packet memory shared with the kernel: the provided-buffer ring, the buffers in it, spare buffers
//! for replies, and a destination address for each.
//!
//! A buffer is laid out for forwarding in place:
//!
//! ```text
//! | 16 recvmsg header | 28 source address | 84 control | payload ...       | 16 tailroom |
//! |<--- HEADROOM_BYTES, for the prefix towards a client |                    ChannelData
//!       of a datagram that came alone                                        padding
//! ```
//!
//! The kernel may put a run of datagrams into one receive buffer (`UDP_GRO`): up to 64 KiB, as much
//! as an IP packet may claim to be, and what does not fit is lost. So receive buffers hold that much.
//! Buffers that are made here stay small. Several sends may read one buffer at a time, each of
//! another part; it is written again only when all of them are over.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use super::RawAddress;

/// Bytes before the payload of a received datagram that a sender may overwrite.
pub const HEADROOM_BYTES: usize = 128;

/// Bytes after the largest payload that a sender may use for padding.
pub const TAILROOM_BYTES: usize = 16;

/// A buffer that belongs to whoever holds this value, or shares it with other holders, and not to
/// the kernel.
///
/// It must go back through `Ring::give_back`, `Ring::send` or a run; dropping it loses the buffer.
#[derive(Debug)]
#[must_use = "a buffer that is not given back is lost"]
pub struct Buffer {
    index: u16,
}

/// For what the kernel has a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Provided,
    Sending,
}

/// Who has to do with a buffer. The kernel writes into one without holders, and only there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    /// `Buffer` values, those that are being sent from included.
    holders: u16,
    /// How many of them are being sent from.
    sending: u16,
}

impl Hold {
    const PROVIDED: Self = Self {
        holders: 0,
        sending: 0,
    };
    const SOLE: Self = Self {
        holders: 1,
        sending: 0,
    };
}

/// How many buffers there are and how large each is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Buffers to receive into; a power of two.
    pub(super) receive: u16,
    pub(super) receive_bytes: usize,
    /// Buffers to write into.
    pub(super) reply: u16,
    pub(super) reply_bytes: usize,
}

impl Sizes {
    /// Payload bytes that fit any buffer together with head- and tailroom.
    pub(super) fn payload_max(&self) -> usize {
        let bytes = self.receive_bytes.min(self.reply_bytes);
        bytes.saturating_sub(HEADROOM_BYTES + TAILROOM_BYTES)
    }
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
    sizes: Sizes,
    destinations_at: usize,
    ring_at: usize,
    tail: u16,
    holds: Box<[Hold]>,
    replies: Vec<Buffer>,
}

const DESTINATION_BYTES: usize = size_of::<RawAddress>();
const PAGE_BYTES: usize = 4_096;
const LINE_BYTES: usize = 64;

impl Buffers {
    /// Maps them.
    pub(super) fn new(sizes: Sizes) -> io::Result<Self> {
        let Sizes { receive, reply, .. } = sizes;
        let fits = |bytes: usize| {
            bytes.is_multiple_of(LINE_BYTES)
                && bytes > HEADROOM_BYTES + TAILROOM_BYTES
                && u32::try_from(bytes).is_ok()
        };
        let fit = receive.is_power_of_two()
            && receive <= 1 << 15
            && fits(sizes.receive_bytes)
            && fits(sizes.reply_bytes);
        let (true, Some(count)) = (fit, receive.checked_add(reply)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let destinations_at =
            usize::from(receive) * sizes.receive_bytes + usize::from(reply) * sizes.reply_bytes;
        let ring_at =
            (destinations_at + usize::from(count) * DESTINATION_BYTES).next_multiple_of(PAGE_BYTES);
        let ring_bytes = usize::from(receive) * size_of::<BufRingEntry>();
        let mapped = NonZeroUsize::new((ring_at + ring_bytes).next_multiple_of(PAGE_BYTES))
            .ok_or(io::ErrorKind::InvalidInput)?;
        let base = map(mapped)?;
        let mut buffers = Self {
            base,
            mapped,
            sizes,
            destinations_at,
            ring_at,
            tail: 0,
            holds: vec![Hold::SOLE; usize::from(count)].into_boxed_slice(),
            replies: Vec::with_capacity(usize::from(reply)),
        };
        for index in (0..count).rev() {
            let mut buffer = Buffer { index };
            // The kernel turns through all of these: their beginnings are had now, not one by one by
            // a fault beside the first packets.
            if !buffers.is_reply(&buffer)
                && let Some(first) = buffers.bytes_mut(&mut buffer).first_mut()
            {
                *first = 0;
            }
            buffers.give_back(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    pub(super) fn ring_address(&self) -> u64 {
        // SAFETY: `ring_at` is below `mapped`, so the result is inside the mapping (3).
        unsafe { self.base.add(self.ring_at) }.as_ptr() as u64
    }

    pub(super) const fn ring_entries(&self) -> u16 {
        self.sizes.receive
    }

    /// Payload bytes that fit any buffer together with head- and tailroom.
    pub(super) fn payload_max(&self) -> usize {
        self.sizes.payload_max()
    }

    /// The whole buffer; empty when it is of another ring.
    pub(super) fn bytes(&self, buffer: &Buffer) -> &[u8] {
        if !self.is_held(buffer) {
            return &[];
        }
        // SAFETY: `is_held` says that the kernel does not write these bytes (2) and that the index
        // is below `count` (3); the kernel gets them through `&mut self` only, which this borrow
        // excludes; the mapping was zeroed at first and lives as long as `self`.
        unsafe {
            let start = self.start_of(buffer.index).as_ptr();
            std::slice::from_raw_parts(start, self.bytes_of(buffer.index))
        }
    }

    /// The whole buffer, for writing; empty when it is of another ring, shared, or read by a send.
    pub(super) fn bytes_mut(&mut self, buffer: &mut Buffer) -> &mut [u8] {
        if !self.is_sole(buffer) {
            return &mut [];
        }
        // SAFETY: `is_sole` says that the kernel neither writes nor reads these bytes (2), the rest
        // is as in `bytes`; `&mut self` makes it the only reference.
        unsafe {
            let start = self.start_of(buffer.index).as_ptr();
            std::slice::from_raw_parts_mut(start, self.bytes_of(buffer.index))
        }
    }

    pub(super) const fn is_reply(&self, buffer: &Buffer) -> bool {
        buffer.index >= self.sizes.receive
    }

    pub(super) const fn spare_replies(&self) -> usize {
        self.replies.len()
    }

    pub(super) fn take_reply(&mut self) -> Option<Buffer> {
        self.replies.pop()
    }

    /// One more holder of the same bytes. `None` for a buffer of another ring.
    pub(super) fn share(&mut self, buffer: &Buffer) -> Option<Buffer> {
        if !self.is_held(buffer) {
            return None;
        }
        let hold = self.holds.get_mut(usize::from(buffer.index))?;
        hold.holders = hold.holders.checked_add(1)?;
        Some(Buffer {
            index: buffer.index,
        })
    }

    /// Ends a holder. The last one puts the buffer where it is taken from next: receive buffers into
    /// the provided ring (seen by the kernel after [`publish`](Self::publish)), reply buffers into
    /// the spare list.
    pub(super) fn give_back(&mut self, buffer: Buffer) {
        if !self.is_held(&buffer) {
            return;
        }
        if !self.is_sole(&buffer) {
            if let Some(hold) = self.holds.get_mut(usize::from(buffer.index)) {
                hold.holders -= 1;
            }
            return;
        }
        if self.is_reply(&buffer) {
            self.replies.push(buffer);
            return;
        }
        let slot = usize::from(self.tail & (self.sizes.receive - 1));
        self.mark(buffer.index, Hold::PROVIDED);
        let address = self.start_of(buffer.index).as_ptr() as u64;
        // SAFETY: `slot` is below `receive`, so the entry is inside the mapping (3). This buffer was
        // held, so fewer than `receive` are provided, and the slot at the tail is one that the
        // kernel has consumed and no longer reads; it reads none past the published tail (6).
        unsafe {
            let entries = self.base.add(self.ring_at).cast::<BufRingEntry>();
            let entry = entries.add(slot).as_mut();
            entry.set_addr(address);
            entry.set_len((self.sizes.receive_bytes - TAILROOM_BYTES) as u32);
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

    /// Gives a buffer to the kernel for one send to `to`; one that is shared or of another ring
    /// comes back.
    pub(super) fn lend(
        &mut self,
        buffer: Buffer,
        offset: usize,
        to: &SocketAddr,
    ) -> Result<Lent, Buffer> {
        if !self.is_sole(&buffer) {
            return Err(buffer);
        }
        let address = RawAddress::new(to);
        let at = self.destinations_at + usize::from(buffer.index) * DESTINATION_BYTES;
        let lent = Hold {
            holders: 1,
            sending: 1,
        };
        self.mark(buffer.index, lent);
        // SAFETY: `at` is the destination slot of this buffer, 32 aligned bytes inside the mapping
        // (3), which the kernel reads only while a send by this function is in flight: the buffer
        // was not being sent from, so none is (2). `offset` is clamped to the buffer.
        let lent = unsafe {
            let destination = self.base.add(at).cast::<RawAddress>();
            destination.write(address);
            Lent {
                index: buffer.index,
                data: self
                    .start_of(buffer.index)
                    .add(offset.min(self.bytes_of(buffer.index)))
                    .as_ptr(),
                destination: destination.as_ptr().cast(),
                destination_len: address.byte_len(),
            }
        };
        Ok(lent)
    }

    /// Gives a part of a buffer to the kernel for reading, beside other parts of it, until
    /// [`end_part`](Self::end_part). `None` when it is not inside, or of another ring.
    pub(super) fn lend_part(&mut self, buffer: &Buffer, range: &Range<usize>) -> Option<*const u8> {
        if !self.is_held(buffer) || self.bytes(buffer).get(range.clone()).is_none() {
            return None;
        }
        let hold = self.holds.get_mut(usize::from(buffer.index))?;
        hold.sending = hold.sending.checked_add(1)?;
        // SAFETY: the range was found inside the buffer just now (3).
        let start = unsafe { self.start_of(buffer.index).add(range.start) };
        Some(start.as_ptr())
    }

    /// Ends what [`lend_part`](Self::lend_part) began, when the kernel reads no more.
    pub(super) fn end_part(&mut self, buffer: &Buffer) {
        if let Some(hold) = self.holds.get_mut(usize::from(buffer.index)) {
            hold.sending = hold.sending.saturating_sub(1);
        }
    }

    /// Takes a buffer back from the kernel. `None` when it was not with the kernel for this.
    pub(super) fn reclaim(&mut self, index: u16, from: Owner) -> Option<Buffer> {
        let hold = self.holds.get_mut(usize::from(index))?;
        match from {
            Owner::Provided if *hold == Hold::PROVIDED => *hold = Hold::SOLE,
            Owner::Sending if hold.sending > 0 => hold.sending -= 1,
            _ => return None,
        }
        Some(Buffer { index })
    }

    /// Whether the buffer has a holder that is not being sent from, so that the kernel writes
    /// nothing into it. Not so of one that is beyond this ring's: a `Buffer` does not know which
    /// ring it is of.
    fn is_held(&self, buffer: &Buffer) -> bool {
        let hold = self.holds.get(usize::from(buffer.index));
        hold.is_some_and(|hold| hold.holders > hold.sending)
    }

    /// Whether the buffer has one holder and no send reads it.
    pub(super) fn is_sole(&self, buffer: &Buffer) -> bool {
        self.holds.get(usize::from(buffer.index)) == Some(&Hold::SOLE)
    }

    fn mark(&mut self, index: u16, hold: Hold) {
        if let Some(place) = self.holds.get_mut(usize::from(index)) {
            *place = hold;
        }
    }

    const fn bytes_of(&self, index: u16) -> usize {
        if index < self.sizes.receive {
            self.sizes.receive_bytes
        } else {
            self.sizes.reply_bytes
        }
    }

    fn start_of(&self, index: u16) -> NonNull<u8> {
        let replies = usize::from(index.saturating_sub(self.sizes.receive));
        let receives = usize::from(index.min(self.sizes.receive));
        let at = receives * self.sizes.receive_bytes + replies * self.sizes.reply_bytes;
        // SAFETY: every caller has found the index in `holds`, so it is below `count` (3).
        unsafe { self.base.add(at) }
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

    fn buffers(receive: u16, reply: u16) -> Buffers {
        Buffers::new(sizes(receive, reply, 1_024)).unwrap()
    }

    fn sizes(receive: u16, reply: u16, receive_bytes: usize) -> Sizes {
        Sizes {
            receive,
            receive_bytes,
            reply,
            reply_bytes: 256,
        }
    }

    #[test]
    fn buffer_is_reclaimed_once_and_only_from_its_owner() {
        let mut buffers = buffers(4, 2);
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
        let (mut one, mut other) = (buffers(4, 2), buffers(4, 0));
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
        let mut buffers = buffers(4, 2);
        let first = buffers.take_reply().unwrap();
        let _second = buffers.take_reply().unwrap();
        assert!(buffers.take_reply().is_none());
        buffers.give_back(first);
        assert!(buffers.take_reply().is_some());
    }

    #[test]
    fn buffers_do_not_overlap() {
        let mut buffers = buffers(4, 4);
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
        for refused in [
            sizes(3, 1, 1_024),
            sizes(4, 1, 64),
            sizes(4, u16::MAX, 1_024),
        ] {
            assert!(Buffers::new(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn shared_buffer_is_written_and_provided_again_only_after_its_last_holder_and_send() {
        let mut buffers = buffers(4, 2);
        let mut one = buffers.reclaim(1, Owner::Provided).unwrap();
        let other = buffers.share(&one).unwrap();
        assert!(buffers.bytes_mut(&mut one).is_empty());
        assert_eq!(buffers.bytes(&one).len(), 1_024);
        assert!(buffers.lend_part(&other, &(1_000..1_025)).is_none());
        assert!(buffers.lend_part(&other, &(10..20)).is_some());
        let tail = buffers.tail;
        buffers.give_back(one);
        assert!(buffers.reclaim(1, Owner::Provided).is_none());
        buffers.end_part(&other);
        assert_eq!(buffers.tail, tail);
        buffers.give_back(other);
        assert_eq!(buffers.tail, tail.wrapping_add(1));
        assert!(buffers.reclaim(1, Owner::Provided).is_some());
    }
}
