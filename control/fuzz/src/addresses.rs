//! The few addresses that scenarios are played with: few, so that steps meet each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use turnpike_turn::RelayAddress;
use turnpike_types::{ClientAddr, FiveTuple, PeerAddr, ServerAddr, Transport};

/// Clients on all transports and both families; the first two differ by port alone.
pub(crate) fn five_tuple(choice: u8) -> FiveTuple {
    let v4 = |last: u8, port: u16| SocketAddr::from(([203, 0, 113, last], port));
    let v6 = SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).into(), 6_000);
    let (client, transport) = match choice % FIVE_TUPLES {
        0 => (v4(1, 6_000), Transport::Udp),
        1 => (v4(1, 6_001), Transport::Udp),
        2 => (v4(1, 6_000), Transport::Tcp),
        _ => (v6, Transport::Udp),
    };
    let server = if client.is_ipv4() {
        SERVER_V4
    } else {
        SERVER_V6
    };
    FiveTuple {
        client: ClientAddr(client),
        server: ServerAddr(server),
        transport,
    }
}

/// How many there are.
pub(crate) const FIVE_TUPLES: u8 = 4;

/// Peers: strangers of both families, ourselves by either name, our own services, and addresses
/// that must never be reached.
pub(crate) fn peer(choice: u8) -> PeerAddr {
    let v4 = |octets: [u8; 4], port: u16| SocketAddr::from((octets, port));
    PeerAddr(match choice % PEERS {
        0 => v4([8, 8, 8, 8], 7_000),
        1 => v4([8, 8, 8, 8], 7_001),
        2 => v4([9, 9, 9, 9], 7_000),
        3 => SocketAddr::new(PEER_V6.into(), 7_000),
        4 => SocketAddr::new(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0x808, 0x808).into(), 7_000),
        5 => SocketAddr::new(RELAY_V4_EXTERNAL.into(), PORTS.0),
        6 => SocketAddr::new(RELAY_V4.into(), PORTS.0 + 1),
        7 => SocketAddr::new(RELAY_V6.into(), PORTS.0),
        8 => SERVER_V4,
        9 => SocketAddr::new(RELAY_V4_EXTERNAL.into(), SERVER_V4.port()),
        10 => v4([127, 0, 0, 1], 7_000),
        11 => v4([8, 8, 8, 8], 53),
        12 => v4([8, 8, 8, 8], 0),
        _ => SocketAddr::new(Ipv4Addr::new(8, 8, 8, 8).to_ipv6_mapped().into(), 7_000),
    })
}

/// How many there are.
pub(crate) const PEERS: u8 = 14;

/// One address of each family, the first behind a NAT 1:1.
pub(crate) fn relay_addresses() -> Vec<RelayAddress> {
    let external = Some(IpAddr::V4(RELAY_V4_EXTERNAL));
    vec![
        RelayAddress {
            ip: RELAY_V4.into(),
            external,
        },
        RelayAddress {
            ip: RELAY_V6.into(),
            external: None,
        },
    ]
}

pub(crate) const RELAY_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
pub(crate) const RELAY_V4_EXTERNAL: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 1);
pub(crate) const RELAY_V6: Ipv6Addr = Ipv6Addr::new(0x2a00, 0, 0, 0, 0, 0, 0, 5);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, 0x1111);

/// Where clients reach the server; no peer may.
pub(crate) const SERVER_V4: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(RELAY_V4, 3_478));
const SERVER_V6: SocketAddr = SocketAddr::V6(std::net::SocketAddrV6::new(RELAY_V6, 3_478, 0, 0));

/// The relayed ports: six, so that they run out.
pub(crate) const PORTS: (u16, u16) = (50_000, 50_005);
