//! Which virtual address a client or a peer has, by its number, and back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use turnpike_types::AddressFamily;

use super::super::packet::VirtualNet;

/// The transport address of the virtual host with this number: hosts have an IP address each, until
/// there are no more, and then the next port.
pub(super) fn of(net: VirtualNet, family: AddressFamily, number: u32) -> SocketAddr {
    let (round, place) = (number / HOSTS, number % HOSTS);
    let ending = u16::try_from(place + 1).unwrap_or(1);
    let port = FIRST_PORT + u16::try_from(round).unwrap_or(0);
    let ip = match family {
        AddressFamily::Ipv4 => net.v4(ending),
        AddressFamily::Ipv6 => net.v6(ending),
    };
    SocketAddr::new(ip, port)
}

/// The number of the virtual host with this transport address.
pub(super) fn number(address: SocketAddr) -> Option<u32> {
    let ending = match address {
        SocketAddr::V4(v4) => {
            let [_, _, high, low] = v4.ip().octets();
            u16::from_be_bytes([high, low])
        }
        SocketAddr::V6(v6) => {
            let [.., ending] = v6.ip().segments();
            ending
        }
    };
    let place = u32::from(ending).checked_sub(1)?;
    let round = u32::from(address.port().checked_sub(FIRST_PORT)?);
    (place < HOSTS).then(|| round * HOSTS + place)
}

/// Nobody's.
pub(super) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Virtual hosts with an IP address of their own.
const HOSTS: u32 = 50_000;

/// The port of the first client of an address.
const FIRST_PORT: u16 = 20_000;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::super::packet::{CLIENTS, PEERS};
    use super::*;

    #[test]
    fn a_hundred_thousand_addresses_are_different_and_lead_back() {
        for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
            let mut seen = HashSet::new();
            for wanted in 0..100_000 {
                let address = of(CLIENTS, family, wanted);
                assert!(seen.insert(address), "{address}");
                assert_eq!(number(address), Some(wanted));
            }
        }
    }

    #[test]
    fn clients_and_peers_stand_where_their_routes_lead() {
        let clients = of(CLIENTS, AddressFamily::Ipv4, 0);
        assert_eq!(clients, "10.80.0.1:20000".parse().unwrap());
        let peers = of(PEERS, AddressFamily::Ipv6, 50_001);
        assert_eq!(peers, "[fd00:90::2]:20001".parse().unwrap());
    }
}
