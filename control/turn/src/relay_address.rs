//! The addresses this relay hands out, with the NAT 1:1 that may stand before each.

use core::net::IpAddr;

/// One IP address that relayed transport addresses are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// The address as bound on this host.
    pub ip: IpAddr,
    /// The address that clients and peers know, where a NAT 1:1 stands before this host.
    pub external: Option<IpAddr>,
}

impl RelayAddress {
    /// The address that clients and peers know.
    #[must_use]
    pub fn advertised(&self) -> IpAddr {
        self.external.unwrap_or(self.ip)
    }
}

/// What stands on the wire for a peer the client names: an own external address becomes the
/// address behind it, so that a call between two clients of this relay never leaves the host.
#[must_use]
pub fn wire_ip(addresses: &[RelayAddress], peer_ip: IpAddr) -> IpAddr {
    addresses
        .iter()
        .find(|own| own.external == Some(peer_ip))
        .map_or(peer_ip, |own| own.ip)
}

/// What the client is told of a peer seen on the wire: the inverse of [`wire_ip`].
#[must_use]
pub fn advertised_ip(addresses: &[RelayAddress], wire_ip: IpAddr) -> IpAddr {
    addresses
        .iter()
        .find(|own| own.ip == wire_ip)
        .map_or(wire_ip, RelayAddress::advertised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5));

    #[test]
    fn own_external_address_stands_for_the_one_behind_it() {
        let own = [RelayAddress {
            ip: INSIDE,
            external: Some(OUTSIDE),
        }];
        assert_eq!(wire_ip(&own, OUTSIDE), INSIDE);
        assert_eq!(wire_ip(&own, INSIDE), INSIDE);
        assert_eq!(advertised_ip(&own, INSIDE), OUTSIDE);
        assert_eq!(wire_ip(&own, STRANGER), STRANGER);
        assert_eq!(advertised_ip(&own, STRANGER), STRANGER);
    }
}
