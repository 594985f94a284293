//! Type, length, value: the shape that parameters and error causes share (RFC 9260 sections 3.2.1
//! and 3.3.10).
//!
//! The length counts the four bytes of the header but not the padding; the last one's padding
//! belongs to the chunk and is not there. Bounded by [`PARAMETERS_MAX`].

use super::{CHUNK_HEADER_LEN, ParseError};

/// More parameters or error causes than any honest chunk has; one with more is refused.
pub const PARAMETERS_MAX: usize = 64;

/// One parameter or error cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tlv<'a> {
    pub(super) kind: u16,
    /// The value, without padding.
    pub(super) value: &'a [u8],
    /// Header and value, without padding.
    pub(super) bytes: &'a [u8],
}

/// Iterates over a list of them; ends after the first error.
#[derive(Clone, Debug)]
pub(super) struct Tlvs<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Tlvs<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            left: PARAMETERS_MAX,
        }
    }

    fn step(&mut self) -> Result<Tlv<'a>, ParseError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(ParseError::TooManyParameters)?;
        let [k0, k1, l0, l1] = *self
            .rest
            .first_chunk::<CHUNK_HEADER_LEN>()
            .ok_or(ParseError::ParameterLength)?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let bytes = self.rest.get(..len).ok_or(ParseError::ParameterLength)?;
        let value = bytes
            .get(CHUNK_HEADER_LEN..)
            .ok_or(ParseError::ParameterLength)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Ok(Tlv {
            kind: u16::from_be_bytes([k0, k1]),
            value,
            bytes,
        })
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}

/// What a TLV with a value of `len` bytes takes, padding included.
pub(super) const fn padded_len(len: usize) -> usize {
    CHUNK_HEADER_LEN + len.next_multiple_of(4)
}

/// The length of a chunk's value that is a list of TLVs after `fixed` bytes: the last one's padding
/// is not counted.
pub(super) fn list_len(fixed: usize, value_lens: impl Iterator<Item = usize>) -> usize {
    let (end, padding) = value_lens.fold((fixed, 0), |(end, _), len| {
        (end + padded_len(len), len.next_multiple_of(4) - len)
    });
    end - padding
}
