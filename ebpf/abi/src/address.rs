//! IP addresses in the one form that keys have: 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section
//! 2.5.5.2). No packet may carry such an address itself; the programs see to that.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IP address, 16 bytes in network order as two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address(pub [u64; 2]);

impl Address {
    /// An IPv4 address whose bytes were loaded as one word, as they lie in a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_v4_word(word: u32) -> Self {
        Self([0, (word as u64) << 32 | MAPPED as u64])
    }

    /// The IPv4 address as it lies in a packet; means nothing unless [`is_v4`](Self::is_v4).
    #[inline(always)]
    #[must_use]
    pub const fn v4_word(self) -> u32 {
        let Self([_, low]) = self;
        (low >> 32) as u32
    }

    /// Whether it stands for an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        let Self([high, low]) = self;
        high == 0 && low as u32 == MAPPED
    }

    /// The address of a key or value as the control plane knows it.
    #[must_use]
    pub const fn new(ip: IpAddr) -> Self {
        let octets = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let whole = u128::from_ne_bytes(octets);
        Self([whole as u64, (whole >> 64) as u64])
    }

    /// The address in the standard library's words.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        let Self([high, low]) = self;
        let octets = (high as u128 | (low as u128) << 64).to_ne_bytes();
        if self.is_v4() {
            let [.., a, b, c, d] = octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from_octets(octets))
        }
    }
}

/// ::ffff:0:0, bytes 8 to 12.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// An address and a port. The port is as it lies in a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The IP address.
    pub address: Address,
    /// The port, network order.
    pub port: u16,
}

impl Endpoint {
    /// The endpoint of a key or value as the control plane knows it.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address: Address::new(address.ip()),
            port: address.port().to_be(),
        }
    }

    /// The endpoint in the standard library's words.
    #[must_use]
    pub const fn socket_addr(self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), u16::from_be(self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went_in() {
        for text in [
            "192.0.2.1:3478",
            "[2001:db8::5]:49152",
            "0.0.0.0:0",
            "[::]:1",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Endpoint::new(address).socket_addr(), address);
        }
    }

    #[test]
    fn words_lie_in_memory_as_in_a_packet() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let Address([high, low]) = Address::new(ip);
        assert_eq!(high, 0);
        assert_eq!(low.to_ne_bytes(), [0, 0, 0xff, 0xff, 192, 0, 2, 1]);
        let loaded = u32::from_ne_bytes([192, 0, 2, 1]);
        assert_eq!(Address::from_v4_word(loaded), Address::new(ip));
        assert_eq!(Address::new(ip).v4_word(), loaded);
        let ip: IpAddr = "2001:db8::ff".parse().unwrap();
        let Address([high, low]) = Address::new(ip);
        assert_eq!(high.to_ne_bytes(), [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0]);
        assert_eq!(low.to_ne_bytes(), [0, 0, 0, 0, 0, 0, 0, 0xff]);
        assert!(!Address::new(ip).is_v4());
    }
}
