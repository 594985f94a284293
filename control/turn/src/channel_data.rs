//! ChannelData (RFC 8656 section 12.4): four bytes of header, then the payload.
//!
//! A datagram may carry bytes after the payload (padding is allowed there); they are ignored. On
//! a stream the framer of the STUN crate has already cut the message out.

use core::ops::Range;

use turnpike_types::ChannelNumber;

/// Bytes before the payload.
pub const HEADER_LEN: usize = 4;

/// Where a ChannelData message holds what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelData {
    /// The channel.
    pub number: ChannelNumber,
    /// The payload within the bytes that were parsed; may be empty.
    pub payload: Range<usize>,
}

/// Why bytes are not ChannelData.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelDataError {
    /// Fewer bytes than a header.
    #[error("shorter than a ChannelData header")]
    TooShort,
    /// The number is outside 0x4000 to 0x7FFF.
    #[error("not a channel number")]
    NotAChannel,
    /// The length field says more than there is.
    #[error("payload runs past the end")]
    PayloadPastEnd,
}

impl ChannelData {
    /// Reads a datagram, or what a framer cut out of a stream.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, ChannelDataError> {
        let Some(([n0, n1, l0, l1], rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(ChannelDataError::TooShort);
        };
        let Some(number) = ChannelNumber::new(u16::from_be_bytes([*n0, *n1])) else {
            return Err(ChannelDataError::NotAChannel);
        };
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        if len > rest.len() {
            return Err(ChannelDataError::PayloadPastEnd);
        }
        Ok(Self {
            number,
            payload: HEADER_LEN..HEADER_LEN + len,
        })
    }

    /// The header before a payload of `len` bytes; `None` when the length field cannot say so.
    #[must_use]
    pub fn header(number: ChannelNumber, len: usize) -> Option<[u8; HEADER_LEN]> {
        let [n0, n1] = number.get().to_be_bytes();
        let [l0, l1] = u16::try_from(len).ok()?.to_be_bytes();
        Some([n0, n1, l0, l1])
    }

    /// How many zero bytes follow a payload of `len` bytes on a stream.
    #[must_use]
    pub const fn padding(len: usize) -> usize {
        len.wrapping_neg() & 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: u16 = 0x4001;

    #[test]
    fn header_and_parse_agree() {
        let number = ChannelNumber::new(NUMBER).unwrap();
        for len in [0usize, 1, 3, 4, 1_200] {
            let mut bytes = [0xAA; HEADER_LEN + 1_200];
            bytes[..HEADER_LEN].copy_from_slice(&ChannelData::header(number, len).unwrap());
            let parsed = ChannelData::parse(&bytes[..HEADER_LEN + len]).unwrap();
            assert_eq!(
                parsed,
                ChannelData {
                    number,
                    payload: 4..4 + len
                }
            );
        }
    }

    #[test]
    fn length_of_more_than_sixteen_bits_has_no_header() {
        let number = ChannelNumber::new(NUMBER).unwrap();
        assert!(ChannelData::header(number, 0xFFFF).is_some());
        assert!(ChannelData::header(number, 0x1_0000).is_none());
    }

    #[test]
    fn bytes_after_the_payload_are_tolerated_in_a_datagram() {
        let parsed = ChannelData::parse(&[0x40, 0x01, 0, 1, 0xAA, 0, 0, 0]).unwrap();
        assert_eq!(parsed.payload, 4..5);
    }

    #[test]
    fn length_beyond_the_datagram_is_refused() {
        let parsed = ChannelData::parse(&[0x40, 0x01, 0, 2, 0xAA]);
        assert_eq!(parsed, Err(ChannelDataError::PayloadPastEnd));
        let parsed = ChannelData::parse(&[0x40, 0x01, 0xFF, 0xFF]);
        assert_eq!(parsed, Err(ChannelDataError::PayloadPastEnd));
    }

    #[test]
    fn numbers_outside_the_range_and_short_bytes_are_refused() {
        for high in [0x3F, 0x80, 0xFF] {
            let parsed = ChannelData::parse(&[high, 0xFF, 0, 0]);
            assert_eq!(parsed, Err(ChannelDataError::NotAChannel));
        }
        for len in 0..HEADER_LEN {
            let parsed = ChannelData::parse(&[0x40, 0, 0, 0][..len]);
            assert_eq!(parsed, Err(ChannelDataError::TooShort));
        }
    }

    #[test]
    fn padding_completes_four_bytes() {
        assert_eq!([0, 1, 2, 3, 4].map(ChannelData::padding), [0, 3, 2, 1, 0]);
    }
}
