//! What the load generator's programs and the rig that drives them agree on, byte by byte.
//!
//! The programs (`ebpf/generator`) run in the kernel and see nothing of the rig but its maps; these
//! are the maps' values, and the [`stamp`] that every generated payload begins with. Everything here
//! is plain memory without padding, in the machine's byte order unless a field says otherwise.
//!
//! Not here: how frames are made (the rig does) and what is done with the figures (the rig again).

#![no_std]
#![forbid(unsafe_code)]

pub mod histogram;
pub mod stamp;

use self::stamp::Stamp;

/// Room for the headers before a stamp: Ethernet, IPv6, UDP and a Send indication that names an
/// IPv6 peer take 110 bytes.
pub const HEAD_MAX: usize = 112;

/// The shortest headers before a stamp: Ethernet, IPv4, UDP.
pub const HEAD_MIN: usize = 42;

/// Room for the rest of a payload: an Ethernet frame carries 1,500 bytes.
pub const FILLER_MAX: usize = 1500;

/// The first of the addresses that spoofed frames come from, and the bits that differ: 100.64.0.0/10,
/// which is nobody's on any network (RFC 6598).
pub const SPOOFED: ([u8; 4], u32) = ([100, 64, 0, 0], 0x003f_ffff);

/// A flow at its sender: the beginning of its frames, made by the rig, finished for each packet by
/// the program. One an entry of the map `OUTGOING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Outgoing {
    /// The headers, moved to the end of this field; their checksums hold for every packet, because
    /// every payload has the same sum.
    pub head: [u8; HEAD_MAX],
    /// The stamp of the last packet, right behind the headers.
    pub stamp: Stamp,
    /// Where in `head` the frame begins; at most `HEAD_MAX - HEAD_MIN`.
    pub start: u32,
    /// The sum of what does not change in the payload ([`Stamp::check`]).
    pub constant: u32,
    /// Sequence number of the next packet.
    pub next: u32,
    /// Bytes of `FILLER` behind the stamp; at most [`FILLER_MAX`].
    pub behind: u32,
    /// The entry of `WAY_OUT` that its frames leave through.
    pub way: u32,
    /// Not zero: each frame, of IPv4, comes from another address of [`SPOOFED`]; the headers have 0.0.0.0
    /// there and no identification.
    pub spoofed: u32,
    /// Not used. The verifier does not see that headers which begin later are shorter, and wants
    /// room behind them.
    pub slack: [u32; 12],
}

/// What a sender does next; the map `COURSE` has one.
///
/// The schedule is one of trains: packets that are due at the same time. What is late is sent when
/// the program gets to it, and keeps its stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Course {
    /// How many entries of `OUTGOING` take turns.
    pub flows: u32,
    /// Packets back to back of one flow.
    pub burst: u32,
    /// Whose turn it is.
    pub flow: u32,
    /// Packets of this burst that are left.
    pub left: u32,
    /// Packets of one train.
    pub train: u32,
    /// Packets of this train that are left.
    pub train_left: u32,
    /// Trains that have not begun.
    pub trains: u64,
    /// When this train is due, nanoseconds of the monotonic clock.
    pub due: u64,
    /// Nanoseconds from one train to the next.
    pub interval: u64,
    /// By how many nanoseconds a train may begin late and not be counted.
    pub tolerance: u64,
    /// Packets made.
    pub sent: u64,
    /// Of these, packets of trains that began late.
    pub late: u64,
}

/// One direction of a flow at its receiver. Those of flow `n` are the entries `2 * n` and `2 * n + 1`
/// of the map `ARRIVALS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arrivals {
    /// Where its packets belong ([`place`]).
    pub place: u64,
    /// Which of the 64 sequence numbers below `next` have come; the lowest bit is `next - 1`.
    pub window: u64,
    /// One more than the highest sequence number seen.
    pub next: u64,
    /// Packets that came, each counted once.
    pub received: u64,
    /// Of these, packets that came behind a later one.
    pub reordered: u64,
    /// Packets that had come before.
    pub duplicated: u64,
    /// Packets that came to another place.
    pub misdirected: u64,
}

/// Where a packet came to, in one word: its ports, its channel if it is ChannelData, and the sum of
/// both addresses. Ports and channel as they lie in the frame.
#[inline(always)]
#[must_use]
pub const fn place(from_port: u16, to_port: u16, channel: u16, addresses: u16) -> u64 {
    (from_port as u64) << 48 | (to_port as u64) << 32 | (channel as u64) << 16 | addresses as u64
}

/// What a receiver expects and what it saw in all; the map `TOTALS` has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Totals {
    /// The number of the run that counts.
    pub run: u32,
    /// Bytes of every payload.
    pub payload: u32,
    /// Stamped packets of this run, whatever became of them.
    pub stamped: u64,
    /// Of these, packets whose payload has another sum or length than it was sent with.
    pub corrupted: u64,
    /// Of these, packets whose UDP checksum a socket would refuse.
    pub unreadable: u64,
    /// Of these, packets of a flow that this receiver does not have.
    pub strange: u64,
    /// Whole packets of another run.
    pub stale: u64,
    /// Frames that were not stamped, left to the host.
    pub passed: u64,
    /// Not zero: answers to Binding requests are counted, and not left to the host.
    pub takes_answers: u64,
    /// Answers to Binding requests.
    pub answered: u64,
}

/// The Ethernet addresses that a bare redirect writes, destination first; the map `ADDRESSES`.
pub type Addresses = [u8; 12];

const _: () = {
    assert!(size_of::<Outgoing>() == HEAD_MAX + stamp::LEN + 72);
    assert!(size_of::<Outgoing>() >= (HEAD_MAX - HEAD_MIN) + HEAD_MAX + stamp::LEN);
    assert!(size_of::<Course>() == 24 + 48);
    assert!(size_of::<Arrivals>() == 56);
    assert!(size_of::<Totals>() == 72);
};
