//! Writes a packet into the caller's buffer (RFC 9260 sections 3 and 6.10).
//!
//! A chunk is written whole, with its padding, or not at all, and the writer says which: bundling
//! is trying the next chunk until one does not fit. The methods for the chunks live with their
//! types in [`chunk`](super::chunk). Bounded by the buffer, the limit and the 16-bit length field.

use super::checksum::{self, Checksum};
use super::{CHUNK_HEADER_LEN, HEADER_LEN, Header};

/// A packet being written.
#[derive(Debug)]
pub struct PacketWriter<'b> {
    /// As long as the packet may become; a multiple of four.
    buf: &'b mut [u8],
    len: usize,
}

impl<'b> PacketWriter<'b> {
    /// Starts a packet at the buffer's first byte; it never grows beyond `limit` bytes. `None` when
    /// not even the header fits.
    pub fn new(buf: &'b mut [u8], limit: usize, header: Header) -> Option<Self> {
        let limit = limit.min(buf.len());
        let buf = buf.get_mut(..limit - limit % 4)?;
        buf.first_chunk_mut::<HEADER_LEN>()?
            .copy_from_slice(&header.to_bytes());
        Some(Self {
            buf,
            len: HEADER_LEN,
        })
    }

    /// Bytes left for whole chunks, their headers and padding included.
    #[inline]
    #[must_use]
    pub const fn room(&self) -> usize {
        self.buf.len().saturating_sub(self.len)
    }

    /// Bytes that a packet like this has for chunks.
    #[must_use]
    pub const fn room_if_empty(&self) -> usize {
        self.buf.len().saturating_sub(HEADER_LEN)
    }

    /// Whether there is no chunk yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == HEADER_LEN
    }

    /// Fills in the checksum and says how long the packet is.
    #[must_use]
    pub fn finish(self, checksum: Checksum) -> usize {
        let Self { buf, len } = self;
        checksum::fill_in(buf.get_mut(..len).unwrap_or_default(), checksum);
        len
    }

    /// The longest value that a chunk may still have.
    pub(super) fn value_room(&self) -> usize {
        let longest = usize::from(u16::MAX) - CHUNK_HEADER_LEN;
        self.room().saturating_sub(CHUNK_HEADER_LEN).min(longest)
    }

    /// Adds a chunk with a value of `len` bytes, which `fill` writes. False, and nothing written,
    /// when it does not fit.
    #[inline]
    pub(super) fn chunk(
        &mut self,
        kind: u8,
        flags: u8,
        len: usize,
        fill: impl FnOnce(&mut Value<'_>),
    ) -> bool {
        let chunk_len = CHUNK_HEADER_LEN + len;
        let Ok(length) = u16::try_from(chunk_len) else {
            return false;
        };
        let end = self.len + chunk_len.next_multiple_of(4);
        let Some(rest) = self.buf.get_mut(self.len..end) else {
            return false;
        };
        let mut value = Value { rest };
        let [l0, l1] = length.to_be_bytes();
        value.put(&[kind, flags, l0, l1]);
        fill(&mut value);
        // Only the padding is left.
        debug_assert!(
            value.rest.len() < 4,
            "a chunk's value is not as long as said"
        );
        value.rest.fill(0);
        self.len = end;
        true
    }

    /// Adds a chunk that is nothing but its header.
    pub(super) fn bare_chunk(&mut self, kind: u8, flags: u8) -> bool {
        self.chunk(kind, flags, 0, |_| {})
    }
}

/// The value of a chunk being written.
#[derive(Debug)]
pub(super) struct Value<'v> {
    rest: &'v mut [u8],
}

impl Value<'_> {
    /// The caller has counted: there is always room.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        let Some((here, rest)) = rest.split_at_mut_checked(bytes.len()) else {
            debug_assert!(bytes.is_empty(), "a chunk's value is longer than said");
            return;
        };
        here.copy_from_slice(bytes);
        self.rest = rest;
    }

    #[inline]
    pub(super) fn put_u16(&mut self, number: u16) {
        self.put(&number.to_be_bytes());
    }

    #[inline]
    pub(super) fn put_u32(&mut self, number: u32) {
        self.put(&number.to_be_bytes());
    }

    /// A parameter or an error cause: type, length, value, padding. Where the last one's padding
    /// is not part of the chunk it is the chunk's own.
    pub(super) fn put_tlv(&mut self, kind: u16, len: usize, fill: impl FnOnce(&mut Self)) {
        self.put_u16(kind);
        self.put_u16(u16::try_from(CHUNK_HEADER_LEN + len).unwrap_or(u16::MAX));
        fill(self);
        self.pad(len);
    }

    /// Zeroes up to the next multiple of four after `len` bytes, as far as there is room.
    pub(super) fn pad(&mut self, len: usize) {
        let padding = (len.next_multiple_of(4) - len).min(self.rest.len());
        self.put([0; 3].get(..padding).unwrap_or_default());
    }
}
