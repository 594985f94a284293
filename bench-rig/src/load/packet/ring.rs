//! Receiving: a ring of frames that the kernel writes and we read in place (`TPACKET_V2`).
//!
//! Each slot begins with a word that says whose it is. The kernel marks each frame with the time at
//! which the device's receiver had it, so that how late we come to read it does not count as latency.
//! A full ring drops frames, and [`Ring::dropped`] tells how many: that loss is ours, not the relay's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{TP_STATUS_CSUMNOTREADY, TP_STATUS_KERNEL, TP_STATUS_USER, tpacket_req, tpacket2_hdr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::LoadError;
use super::filter::Wanted;
use super::socket;
use super::wire::Wire;

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The frame, from the Ethernet header on; cut off after `SLOT` bytes less a header.
    pub frame: &'a [u8],
    /// Nanoseconds of `CLOCK_REALTIME` at which it was received.
    pub at: u64,
    /// Its checksum is unfinished, or it is several packets in one: an offload is on.
    pub is_offloaded: bool,
}

/// A packet socket with its ring.
#[derive(Debug)]
pub struct Ring {
    // Declared before the socket: it is unmapped before the socket is closed.
    map: Map,
    socket: OwnedFd,
    slots: usize,
    next: usize,
}

impl Ring {
    /// Receives on a wire, with room for `slots` frames, a multiple of 64.
    ///
    /// # Errors
    /// When the kernel refuses the socket or the ring.
    pub fn new(wire: &Wire<'_>, wanted: Wanted, slots: usize) -> Result<Self, LoadError> {
        let socket = socket::for_receiving(wire, wanted, |socket| request(socket, slots))?;
        let map = Map::new(&socket, slots * SLOT).map_err(LoadError::system("mapping a ring"))?;
        Ok(Self {
            map,
            socket,
            slots,
            next: 0,
        })
    }

    /// Hands at most `most` frames to `take`, in the order in which they came, and gives their slots
    /// back. Returns how many there were.
    #[inline]
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(Received<'_>)) -> usize {
        for taken in 0..most {
            let slot = self.map.slot(self.next);
            if !slot.with_frame(&mut take) {
                return taken;
            }
            self.next += 1;
            if self.next == self.slots {
                self.next = 0;
            }
        }
        most
    }

    /// Throws away what has come so far, and forgets what was dropped.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn clear(&mut self) -> Result<(), LoadError> {
        self.drain(self.slots, |_| ());
        self.dropped().map(drop)
    }

    /// Frames dropped since this was last asked because the ring was full.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn dropped(&self) -> Result<u64, LoadError> {
        socket::dropped(&self.socket).map_err(LoadError::system("asking a ring for its drops"))
    }

    /// Waits for a frame, at most so many milliseconds.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait(&self, milliseconds: u16) -> Result<(), LoadError> {
        let mut wanted = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, PollTimeout::from(milliseconds)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(LoadError::system("waiting for frames")(errno.into())),
        }
    }
}

/// Asks the kernel for the ring.
fn request(socket: &OwnedFd, slots: usize) -> io::Result<()> {
    let number = |value: usize| u32::try_from(value).map_err(io::Error::other);
    let version = libc::tpacket_versions::TPACKET_V2 as i32;
    socket::set(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
    let wanted = tpacket_req {
        tp_block_size: number(SLOT * SLOTS_A_BLOCK)?,
        tp_block_nr: number(slots / SLOTS_A_BLOCK)?,
        tp_frame_size: number(SLOT)?,
        tp_frame_nr: number(slots)?,
    };
    socket::set(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &wanted)
}

/// The memory shared with the kernel.
#[derive(Debug)]
struct Map {
    memory: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone (the kernel's side is ruled by the slots' status
// words), and it may be used from any thread.
unsafe impl Send for Map {}

impl Map {
    fn new(socket: &OwnedFd, len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at a place of the kernel's choice; it disturbs no memory of ours.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                socket.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { memory, len })
    }

    /// A slot; a number past the end is the first one.
    fn slot(&mut self, number: usize) -> Slot<'_> {
        let offset = number * SLOT;
        let offset = if offset + SLOT <= self.len { offset } else { 0 };
        Slot {
            // SAFETY: the whole slot is inside the mapping, as was just seen; a ring has one slot at
            // least.
            start: unsafe { self.memory.add(offset) },
            _map: self,
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: it is what was mapped, and no slot borrows it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.len) };
    }
}

/// One slot of [`SLOT`] bytes.
struct Slot<'m> {
    start: NonNull<u8>,
    _map: &'m mut Map,
}

impl Slot<'_> {
    /// Hands over the frame and gives the slot back; false when the kernel has it.
    #[inline]
    fn with_frame(&self, take: &mut impl FnMut(Received<'_>)) -> bool {
        // SAFETY: a slot begins with its header, whose first field is the status, aligned as slots
        // are; both sides use it atomically only.
        let status = unsafe { AtomicU32::from_ptr(self.start.as_ptr().cast()) };
        let flags = status.load(Ordering::Acquire);
        if flags & TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the status says that the slot is ours and its header written; it is plain numbers.
        let header = unsafe { self.start.cast::<tpacket2_hdr>().read() };
        let at = usize::from(header.tp_mac).min(SLOT);
        let kept = usize::try_from(header.tp_snaplen).unwrap_or(0);
        // SAFETY: `at` is at most the slot's length, and the length is cut to what is left of the
        // slot; the kernel does not write here before the status is given back below.
        let frame =
            unsafe { std::slice::from_raw_parts(self.start.add(at).as_ptr(), kept.min(SLOT - at)) };
        let whole = usize::try_from(header.tp_len).unwrap_or(usize::MAX);
        take(Received {
            frame,
            at: u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec),
            is_offloaded: flags & TP_STATUS_CSUMNOTREADY != 0
                || whole > super::super::frame::FRAME_MAX,
        });
        status.store(TP_STATUS_KERNEL, Ordering::Release);
        true
    }
}

/// Bytes of a slot: a frame of 1,514 bytes behind the kernel's header.
const SLOT: usize = 2_048;

/// The kernel takes the ring's memory in pieces of this many slots.
const SLOTS_A_BLOCK: usize = 64;
