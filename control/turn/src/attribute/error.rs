//! Attributes that say what failed (RFC 8656 sections 18.12 and 18.13).

use turnpike_stun::{Attribute, AttributeType, ErrorCode, ParseError, TransactionId, ValueWriter};
use turnpike_types::AddressFamily;

use super::{family_number, family_of_number};

/// Why one of two requested address families was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressErrorCode<'a> {
    /// The family that was not given.
    pub family: AddressFamily,
    /// 300 to 699.
    pub code: u16,
    /// For humans; may be empty.
    pub reason: &'a str,
}

impl<'a> Attribute<'a> for AddressErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ADDRESS_ERROR_CODE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, ParseError> {
        let Some(([family, _reserved], tail)) = value.split_first_chunk::<2>() else {
            return Err(ParseError::AttributeLength);
        };
        let family = family_of_number(*family).ok_or(ParseError::AttributeValue)?;
        let ErrorCode { code, reason } = ErrorCode::decode_tail(tail)?;
        Ok(Self {
            family,
            code,
            reason,
        })
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&[family_number(self.family), 0]);
        ErrorCode {
            code: self.code,
            reason: self.reason,
        }
        .encode_tail(writer);
    }
}

/// An ICMP error that answered a datagram to a peer.
///
/// The RFC gives the type seven bits and the code nine, so an ICMPv6 informational type (128 and
/// above, never an error) has no encoding: its top bit is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// The ICMP or ICMPv6 type, by the family of the peer; below 128.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The MTU of the next hop in a "packet too big"; zero otherwise.
    pub data: [u8; 4],
}

impl Attribute<'_> for Icmp {
    const TYPE: AttributeType = AttributeType::ICMP;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        let [_, _, high, code, data @ ..] =
            <[u8; 8]>::try_from(value).map_err(|_| ParseError::AttributeLength)?;
        if high & 0x01 != 0 {
            return Err(ParseError::AttributeValue);
        }
        Ok(Self {
            kind: high >> 1,
            code,
            data,
        })
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&[0, 0, self.kind << 1, self.code]);
        writer.write(&self.data);
    }
}
