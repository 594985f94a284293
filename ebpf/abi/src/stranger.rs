//! Token buckets of those who have no allocation, by source prefix.

use crate::Address;

/// The key, 16 bytes: /32 of IPv4 or /64 of IPv6 (8), which of the two (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(pub [u64; 2]);

impl Prefix {
    /// The prefix that an address is in.
    #[inline(always)]
    #[must_use]
    pub const fn of(address: Address) -> Self {
        if address.is_v4() {
            Self([address.v4_word() as u64, 4])
        } else {
            let Address([high, _]) = address;
            Self([high, 6])
        }
    }
}

/// The value, 8 bytes: when the bucket will be full, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stranger(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_an_ipv4_address_or_an_ipv6_network() {
        let prefix = |text: &str| Prefix::of(Address::new(text.parse().unwrap()));
        assert_eq!(prefix("2001:db8::1"), prefix("2001:db8::2"));
        assert_ne!(prefix("2001:db8::1"), prefix("2001:db8:0:1::1"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.2.2"));
    }
}
