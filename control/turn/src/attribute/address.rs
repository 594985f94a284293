//! Attributes that hold an address or its family (RFC 8656 sections 18.3, 18.5, 18.6 and 18.11).

use core::net::SocketAddr;

use turnpike_stun::attribute::{decode_xor_address, encode_xor_address};
use turnpike_stun::{Attribute, AttributeType, ParseError, TransactionId, ValueWriter};
use turnpike_types::AddressFamily;

use super::{family_number, family_of_number};

/// The peer's transport address, as the client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct XorPeerAddress(pub SocketAddr);

/// The relayed transport address, as clients and peers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct XorRelayedAddress(pub SocketAddr);

/// The family of the relayed transport address that the client wants. A number that is neither
/// IPv4's nor IPv6's is [`ParseError::AttributeValue`], which the RFC answers with 440.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestedAddressFamily(pub AddressFamily);

/// The family of a second relayed transport address that the client wants; only IPv6 makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdditionalAddressFamily(pub AddressFamily);

macro_rules! xor_address {
    ($name:ident $kind:ident) => {
        impl Attribute<'_> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            fn decode(value: &[u8], transaction_id: &TransactionId) -> Result<Self, ParseError> {
                decode_xor_address(value, transaction_id).map(Self)
            }

            fn encode(&self, transaction_id: &TransactionId, writer: &mut ValueWriter<'_>) {
                encode_xor_address(&self.0, transaction_id, writer);
            }
        }
    };
}

macro_rules! address_family {
    ($name:ident $kind:ident) => {
        impl Attribute<'_> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
                let [number, ..] =
                    <[u8; 4]>::try_from(value).map_err(|_| ParseError::AttributeLength)?;
                family_of_number(number)
                    .map(Self)
                    .ok_or(ParseError::AttributeValue)
            }

            fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
                writer.write(&[family_number(self.0), 0, 0, 0]);
            }
        }
    };
}

xor_address!(XorPeerAddress XOR_PEER_ADDRESS);
xor_address!(XorRelayedAddress XOR_RELAYED_ADDRESS);
address_family!(RequestedAddressFamily REQUESTED_ADDRESS_FAMILY);
address_family!(AdditionalAddressFamily ADDITIONAL_ADDRESS_FAMILY);
