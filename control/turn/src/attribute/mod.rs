//! Attributes of RFC 8656 section 18 as types, a file a group.
//!
//! Reserved bytes are written zero and ignored when read. What a value means for a request is
//! decided by the procedure that reads it.

mod address;
mod allocation;
mod error;
mod payload;

pub use address::{
    AdditionalAddressFamily, RequestedAddressFamily, XorPeerAddress, XorRelayedAddress,
};
pub use allocation::{EvenPort, Lifetime, RequestedTransport, ReservationToken};
pub use error::{AddressErrorCode, Icmp};
pub use payload::{ChannelNumberAttribute, Data, DontFragment};

use turnpike_stun::AttributeType;
use turnpike_types::AddressFamily;

/// The family's code point in RFC 8489 section 14.1.
const fn family_number(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::Ipv4 => 0x01,
        AddressFamily::Ipv6 => 0x02,
    }
}

const fn family_of_number(number: u8) -> Option<AddressFamily> {
    match number {
        0x01 => Some(AddressFamily::Ipv4),
        0x02 => Some(AddressFamily::Ipv6),
        _ => None,
    }
}

/// Comprehension-required attributes that are known here, beside the message integrity. One that
/// has no place in a message is ignored there (RFC 8489 section 6.3.1).
///
/// DONT-FRAGMENT is the last: to a server that cannot do it, it is unknown (RFC 8656 section 7.2).
pub(crate) const KNOWN: [AttributeType; 19] = [
    AttributeType::MAPPED_ADDRESS,
    AttributeType::USERNAME,
    AttributeType::ERROR_CODE,
    AttributeType::UNKNOWN_ATTRIBUTES,
    AttributeType::CHANNEL_NUMBER,
    AttributeType::LIFETIME,
    AttributeType::XOR_PEER_ADDRESS,
    AttributeType::DATA,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::XOR_RELAYED_ADDRESS,
    AttributeType::REQUESTED_ADDRESS_FAMILY,
    AttributeType::EVEN_PORT,
    AttributeType::REQUESTED_TRANSPORT,
    AttributeType::PASSWORD_ALGORITHM,
    AttributeType::USERHASH,
    AttributeType::XOR_MAPPED_ADDRESS,
    AttributeType::RESERVATION_TOKEN,
    AttributeType::DONT_FRAGMENT,
];

#[cfg(test)]
mod tests;
