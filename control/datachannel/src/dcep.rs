//! DCEP, the Data Channel Establishment Protocol (RFC 8832 section 5): one message that opens a
//! channel and one that says so.
//!
//! Only bytes and their meaning; who may send what and when is [`DataChannels`](crate::DataChannels)'
//! affair. Parsing borrows and allocates nothing.

use alloc::vec::Vec;

use thiserror::Error;

use crate::Reliability;

/// A DCEP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dcep<'a> {
    /// DATA_CHANNEL_OPEN (section 5.1).
    Open(DcepOpen<'a>),
    /// DATA_CHANNEL_ACK (section 5.2).
    Ack,
}

/// DATA_CHANNEL_OPEN (RFC 8832 section 5.1).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Message Type |  Channel Type |            Priority           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    Reliability Parameter                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |         Label Length          |       Protocol Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                             Label                             |
/// |                            Protocol                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DcepOpen<'a> {
    /// The channel type's high bit.
    pub is_unordered: bool,
    /// The channel type's other bits, with the reliability parameter.
    pub reliability: Reliability,
    /// The channel's weight among others.
    pub priority: u16,
    /// The channel's name; may be empty and need not be unique.
    pub label: &'a str,
    /// The subprotocol spoken on it; may be empty.
    pub protocol: &'a str,
}

/// Why a DCEP message makes no sense. The channel is closed for any of these (RFC 8831 section 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DcepError {
    /// It ends before its lengths say, or has no bytes at all.
    #[error("truncated")]
    Truncated,
    /// Neither DATA_CHANNEL_OPEN nor DATA_CHANNEL_ACK.
    #[error("unknown message type {0}")]
    UnknownMessageType(u8),
    /// None of the six channel types.
    #[error("unknown channel type {0}")]
    UnknownChannelType(u8),
    /// Label or protocol is not UTF-8.
    #[error("a name that is not UTF-8")]
    NotUtf8,
}

impl<'a> Dcep<'a> {
    /// Reads a message. Bytes after its end are ignored, as everybody does.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DcepError> {
        match bytes.split_first() {
            None => Err(DcepError::Truncated),
            Some((&OPEN, rest)) => DcepOpen::parse(rest).map(Self::Open),
            Some((&ACK, _)) => Ok(Self::Ack),
            Some((&other, _)) => Err(DcepError::UnknownMessageType(other)),
        }
    }
}

impl<'a> DcepOpen<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, DcepError> {
        let (&[kind, p0, p1, r0, r1, r2, r3, l0, l1, n0, n1], names) =
            bytes.split_first_chunk().ok_or(DcepError::Truncated)?;
        let parameter = u32::from_be_bytes([r0, r1, r2, r3]);
        let reliability = match kind & !UNORDERED {
            RELIABLE => Reliability::Reliable,
            RETRANSMISSIONS => Reliability::Retransmissions(parameter),
            LIFETIME => Reliability::LifetimeMs(parameter),
            _ => return Err(DcepError::UnknownChannelType(kind)),
        };
        let (label, names) = take_name(names, u16::from_be_bytes([l0, l1]))?;
        let (protocol, _) = take_name(names, u16::from_be_bytes([n0, n1]))?;
        Ok(Self {
            is_unordered: kind & UNORDERED != 0,
            reliability,
            priority: u16::from_be_bytes([p0, p1]),
            label,
            protocol,
        })
    }

    /// The message as bytes; `None` where a name is longer than 65,535 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let (kind, parameter) = match self.reliability {
            Reliability::Reliable => (RELIABLE, 0),
            Reliability::Retransmissions(most) => (RETRANSMISSIONS, most),
            Reliability::LifetimeMs(most) => (LIFETIME, most),
        };
        let order = if self.is_unordered { UNORDERED } else { 0 };
        let label_length = u16::try_from(self.label.len()).ok()?;
        let protocol_length = u16::try_from(self.protocol.len()).ok()?;
        let mut bytes = Vec::with_capacity(HEADER + self.label.len() + self.protocol.len());
        bytes.extend_from_slice(&[OPEN, kind | order]);
        bytes.extend_from_slice(&self.priority.to_be_bytes());
        bytes.extend_from_slice(&parameter.to_be_bytes());
        bytes.extend_from_slice(&label_length.to_be_bytes());
        bytes.extend_from_slice(&protocol_length.to_be_bytes());
        bytes.extend_from_slice(self.label.as_bytes());
        bytes.extend_from_slice(self.protocol.as_bytes());
        Some(bytes)
    }
}

fn take_name(bytes: &[u8], length: u16) -> Result<(&str, &[u8]), DcepError> {
    let (name, rest) = bytes
        .split_at_checked(length.into())
        .ok_or(DcepError::Truncated)?;
    let name = core::str::from_utf8(name).map_err(|_| DcepError::NotUtf8)?;
    Ok((name, rest))
}

/// DATA_CHANNEL_ACK: its type and nothing else (section 5.2).
pub(crate) const ACK_MESSAGE: [u8; 1] = [ACK];

/// Message types (section 8.2.1).
const ACK: u8 = 0x02;
const OPEN: u8 = 0x03;

/// Channel types (section 8.2.2); the high bit makes any of them unordered.
const RELIABLE: u8 = 0x00;
const RETRANSMISSIONS: u8 = 0x01;
const LIFETIME: u8 = 0x02;
const UNORDERED: u8 = 0x80;

/// DATA_CHANNEL_OPEN without its names.
const HEADER: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAT: DcepOpen<'_> = DcepOpen {
        is_unordered: true,
        reliability: Reliability::Retransmissions(3),
        priority: 256,
        label: "chat",
        protocol: "v1",
    };

    const CHAT_BYTES: &[u8] = b"\x03\x81\x01\x00\0\0\0\x03\0\x04\0\x02chatv1";

    #[test]
    fn open_is_written_and_read_as_rfc_8832_says() {
        assert_eq!(CHAT.to_bytes().unwrap(), CHAT_BYTES);
        assert_eq!(Dcep::parse(CHAT_BYTES), Ok(Dcep::Open(CHAT)));
    }

    #[test]
    fn every_channel_type_has_its_number() {
        let cases = [
            (0x00, false, Reliability::Reliable),
            (0x80, true, Reliability::Reliable),
            (0x01, false, Reliability::Retransmissions(7)),
            (0x81, true, Reliability::Retransmissions(7)),
            (0x02, false, Reliability::LifetimeMs(7)),
            (0x82, true, Reliability::LifetimeMs(7)),
        ];
        for (kind, is_unordered, reliability) in cases {
            let open = DcepOpen {
                is_unordered,
                reliability,
                ..CHAT
            };
            let bytes = open.to_bytes().unwrap();
            assert_eq!(bytes[1], kind);
            assert_eq!(Dcep::parse(&bytes), Ok(Dcep::Open(open)));
        }
    }

    #[test]
    fn reliability_parameter_of_a_reliable_channel_is_ignored() {
        let mut bytes = CHAT_BYTES.to_vec();
        bytes[1] = RELIABLE;
        let Ok(Dcep::Open(open)) = Dcep::parse(&bytes) else {
            panic!("not an open");
        };
        assert_eq!(open.reliability, Reliability::Reliable);
    }

    #[test]
    fn every_truncation_of_an_open_is_refused() {
        for length in 0..CHAT_BYTES.len() {
            let parsed = Dcep::parse(&CHAT_BYTES[..length]);
            assert_eq!(parsed, Err(DcepError::Truncated), "{length}");
        }
    }

    #[test]
    fn unknown_types_and_broken_names_are_refused() {
        let with = |at: usize, byte| {
            let mut bytes = CHAT_BYTES.to_vec();
            bytes[at] = byte;
            Dcep::parse(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 0x01), DcepError::UnknownMessageType(1));
        assert_eq!(with(1, 0x03), DcepError::UnknownChannelType(3));
        assert_eq!(with(1, 0x7F), DcepError::UnknownChannelType(0x7F));
        assert_eq!(with(12, 0xFF), DcepError::NotUtf8);
        assert_eq!(with(16, 0xFF), DcepError::NotUtf8);
    }

    #[test]
    fn ack_is_its_type_and_whatever_follows() {
        assert_eq!(Dcep::parse(&ACK_MESSAGE), Ok(Dcep::Ack));
        assert_eq!(Dcep::parse(&[ACK, 1, 2]), Ok(Dcep::Ack));
    }

    #[test]
    fn name_of_65_536_bytes_does_not_fit() {
        let name = "x".repeat(65_536);
        let fits = DcepOpen {
            label: &name[1..],
            protocol: &name[1..],
            ..CHAT
        };
        let bytes = fits.to_bytes().unwrap();
        assert_eq!(Dcep::parse(&bytes), Ok(Dcep::Open(fits)));
        let long = DcepOpen {
            label: &name,
            ..CHAT
        };
        assert_eq!(long.to_bytes(), None);
    }

    proptest! {
        #[test]
        fn whatever_parses_is_written_back_alike(bytes: Vec<u8>, kind in 0_u8..4) {
            let mut message = alloc::vec![OPEN, kind & 3];
            message.extend(bytes);
            if let Ok(Dcep::Open(open)) = Dcep::parse(&message) {
                let written = open.to_bytes().unwrap();
                prop_assert_eq!(Dcep::parse(&written), Ok(Dcep::Open(open)));
            }
        }
    }
}
