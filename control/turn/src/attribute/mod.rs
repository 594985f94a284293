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

#[cfg(test)]
mod tests;
