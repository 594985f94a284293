//! DATA (RFC 9260 section 3.3.1, RFC 7053) and I-DATA (RFC 8260 section 2.1): a fragment of a
//! message.
//!
//! ```text
//! DATA                                  I-DATA
//! +-------------------------------+     +-------------------------------+
//! |              TSN              |     |              TSN              |
//! +---------------+---------------+     +---------------+---------------+
//! |   Stream id   |      SSN      |     |   Stream id   |   Reserved    |
//! +---------------+---------------+     +---------------+---------------+
//! |             PPID              |     |              MID              |
//! +-------------------------------+     +-------------------------------+
//! |         User data ...         |     |  PPID in the first, else FSN  |
//!                                       +-------------------------------+
//!                                       |         User data ...         |
//! ```

use crate::wire::{CHUNK_HEADER_LEN, PacketWriter, ParseError, kind};
use crate::{Ppid, StreamId, Tsn};

/// Bytes of a DATA chunk before its user data.
pub const DATA_HEADER: usize = CHUNK_HEADER_LEN + DATA_FIXED;

/// Bytes of an I-DATA chunk before its user data.
pub const I_DATA_HEADER: usize = CHUNK_HEADER_LEN + I_DATA_FIXED;

const DATA_FIXED: usize = 12;
const I_DATA_FIXED: usize = 16;

const ENDING: u8 = 0x01;
const BEGINNING: u8 = 0x02;
const UNORDERED: u8 = 0x04;
/// RFC 7053: acknowledge at once.
const IMMEDIATE: u8 = 0x08;

/// A fragment of a message, in either chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<'a> {
    /// Whether the chunk is an I-DATA.
    pub is_interleaved: bool,
    /// Its number in the association.
    pub tsn: Tsn,
    /// The stream.
    pub stream: StreamId,
    /// The message's number in its stream: in DATA the SSN, 16 bits wide and meaningless when
    /// unordered; in I-DATA the MID.
    pub message: u32,
    /// The fragment's number in its message (FSN); zero in DATA and in the first fragment.
    pub fragment: u32,
    /// What the payload is; in I-DATA only the first fragment says so, the others have zero.
    pub ppid: Ppid,
    /// Whether it is the message's first fragment.
    pub is_begin: bool,
    /// Whether it is its last.
    pub is_end: bool,
    /// Whether the message may overtake others.
    pub is_unordered: bool,
    /// Whether the sender wants a SACK at once.
    pub is_immediate: bool,
    /// The user data; never empty.
    pub payload: &'a [u8],
}

impl<'a> Data<'a> {
    #[inline]
    pub(super) fn parse(flags: u8, value: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, payload) = value
            .split_first_chunk::<DATA_FIXED>()
            .ok_or(ParseError::ChunkValue)?;
        let [t0, t1, t2, t3, s0, s1, n0, n1, p0, p1, p2, p3] = *fixed;
        Self {
            message: u32::from(u16::from_be_bytes([n0, n1])),
            ppid: Ppid(u32::from_be_bytes([p0, p1, p2, p3])),
            tsn: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
            stream: StreamId(u16::from_be_bytes([s0, s1])),
            ..Self::flagged(flags, payload)
        }
        .with_user_data()
    }

    #[inline]
    pub(super) fn parse_interleaved(flags: u8, value: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, payload) = value
            .split_first_chunk::<I_DATA_FIXED>()
            .ok_or(ParseError::ChunkValue)?;
        let [t0, t1, t2, t3, s0, s1, _, _, m0, m1, m2, m3, f0, f1, f2, f3] = *fixed;
        let ppid_or_fsn = u32::from_be_bytes([f0, f1, f2, f3]);
        let is_begin = flags & BEGINNING != 0;
        let (ppid, fragment) = if is_begin {
            (ppid_or_fsn, 0)
        } else {
            (0, ppid_or_fsn)
        };
        Self {
            is_interleaved: true,
            message: u32::from_be_bytes([m0, m1, m2, m3]),
            fragment,
            ppid: Ppid(ppid),
            tsn: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
            stream: StreamId(u16::from_be_bytes([s0, s1])),
            ..Self::flagged(flags, payload)
        }
        .with_user_data()
    }

    const fn flagged(flags: u8, payload: &'a [u8]) -> Self {
        Self {
            is_interleaved: false,
            tsn: Tsn(0),
            stream: StreamId(0),
            message: 0,
            fragment: 0,
            ppid: Ppid(0),
            is_begin: flags & BEGINNING != 0,
            is_end: flags & ENDING != 0,
            is_unordered: flags & UNORDERED != 0,
            is_immediate: flags & IMMEDIATE != 0,
            payload,
        }
    }

    const fn with_user_data(self) -> Result<Self, ParseError> {
        if self.payload.is_empty() {
            return Err(ParseError::NoUserData(self.tsn));
        }
        Ok(self)
    }

    const fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.is_end {
            flags |= ENDING;
        }
        if self.is_begin {
            flags |= BEGINNING;
        }
        if self.is_unordered {
            flags |= UNORDERED;
        }
        if self.is_immediate {
            flags |= IMMEDIATE;
        }
        flags
    }

    const fn ppid_or_fsn(&self) -> u32 {
        if self.is_begin {
            self.ppid.0
        } else {
            self.fragment
        }
    }
}

impl PacketWriter<'_> {
    /// Adds a DATA or an I-DATA chunk. False, and nothing written, when it does not fit.
    #[inline]
    pub fn data(&mut self, data: &Data<'_>) -> bool {
        let [t0, t1, t2, t3] = data.tsn.0.to_be_bytes();
        let [s0, s1] = data.stream.0.to_be_bytes();
        let [m0, m1, m2, m3] = data.message.to_be_bytes();
        let flags = data.flags();
        if data.is_interleaved {
            let [f0, f1, f2, f3] = data.ppid_or_fsn().to_be_bytes();
            let fixed = [t0, t1, t2, t3, s0, s1, 0, 0, m0, m1, m2, m3, f0, f1, f2, f3];
            let len = I_DATA_FIXED + data.payload.len();
            return self.chunk(kind::I_DATA, flags, len, |value| {
                value.put(&fixed);
                value.put(data.payload);
            });
        }
        let [p0, p1, p2, p3] = data.ppid.0.to_be_bytes();
        // Only the low half of the number is on the wire.
        let fixed = [t0, t1, t2, t3, s0, s1, m2, m3, p0, p1, p2, p3];
        let len = DATA_FIXED + data.payload.len();
        self.chunk(kind::DATA, flags, len, |value| {
            value.put(&fixed);
            value.put(data.payload);
        })
    }
}
