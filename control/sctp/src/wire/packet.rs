//! A received packet as a view (RFC 9260 section 3): the common header, and chunks one at a time.
//!
//! [`Packet::parse`] checks the header and the checksum; [`Packet::chunks`] cuts the rest into
//! chunks without looking into them: [`Chunk::parse`](super::Chunk::parse) does. Nothing
//! allocates, and work is linear in the packet's length.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          Source port          |       Destination port        |
//! +-------------------------------+-------------------------------+
//! |                       Verification tag                        |
//! +---------------------------------------------------------------+
//! |                      Checksum (CRC32c)                        |
//! +---------------+---------------+-------------------------------+
//! |  Chunk type   |  Chunk flags  |         Chunk length          |
//! +---------------+---------------+-------------------------------+
//! |                 Value, padded to four bytes ...               |
//! ```

use super::checksum::{self, ChecksumRule};
use super::{CHUNK_HEADER_LEN, HEADER_LEN, ParseError};

/// The common header without its checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// What the receiver asked for in its INIT or INIT ACK; zero with INIT alone.
    pub verification_tag: u32,
}

impl Header {
    /// The header with the checksum field left zero.
    pub(super) const fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [t0, t1, t2, t3] = self.verification_tag.to_be_bytes();
        [s0, s1, d0, d1, t0, t1, t2, t3, 0, 0, 0, 0]
    }
}

/// A packet whose header is whole and whose checksum is acceptable.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    chunks: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the common header and checks the checksum.
    ///
    /// # Errors
    ///
    /// [`ParseError::TooShort`] and [`ParseError::Checksum`]. Chunks are not looked at.
    #[inline]
    pub fn parse(datagram: &'a [u8], rule: ChecksumRule) -> Result<Self, ParseError> {
        let (header, chunks) = datagram
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::TooShort)?;
        if !checksum::is_acceptable(datagram, rule) {
            return Err(ParseError::Checksum);
        }
        Ok(Self { header, chunks })
    }

    /// Ports and verification tag.
    #[must_use]
    pub const fn header(&self) -> Header {
        let [s0, s1, d0, d1, t0, t1, t2, t3, ..] = *self.header;
        Header {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            verification_tag: u32::from_be_bytes([t0, t1, t2, t3]),
        }
    }

    /// Whether the checksum field is zero. With [`ChecksumRule::Required`] it then happens to be
    /// right.
    #[must_use]
    pub const fn has_zero_checksum(&self) -> bool {
        let [.., c0, c1, c2, c3] = *self.header;
        u32::from_be_bytes([c0, c1, c2, c3]) == 0
    }

    /// The chunks, in order.
    #[must_use]
    pub const fn chunks(&self) -> Chunks<'a> {
        Chunks { rest: self.chunks }
    }
}

/// A chunk before its value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawChunk<'a> {
    /// The chunk type; see [`kind`](super::kind).
    pub kind: u8,
    /// The flags, whose meaning is the type's.
    pub flags: u8,
    /// The chunk with its header and without its padding; at least four bytes.
    pub bytes: &'a [u8],
}

impl<'a> RawChunk<'a> {
    /// What follows the chunk header, without padding.
    #[inline]
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.bytes.get(CHUNK_HEADER_LEN..).unwrap_or_default()
    }
}

/// Iterates over the chunks of a packet; ends after the first error.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn step(&mut self) -> Option<RawChunk<'a>> {
        let [kind, flags, l0, l1] = *self.rest.first_chunk::<CHUNK_HEADER_LEN>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len < CHUNK_HEADER_LEN {
            return None;
        }
        let bytes = self.rest.get(..len)?;
        // The last chunk's padding may be missing (RFC 9260 section 3.2 wants robust receivers).
        let padded = len.next_multiple_of(4);
        self.rest = self.rest.get(padded..).unwrap_or_default();
        Some(RawChunk { kind, flags, bytes })
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<RawChunk<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let chunk = self.step();
        if chunk.is_none() {
            self.rest = &[];
        }
        Some(chunk.ok_or(ParseError::ChunkLength))
    }
}
