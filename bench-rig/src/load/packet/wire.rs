//! Where packet sockets are: the far end of a wire, and the virtual addresses behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::frame::Link;
use crate::netns::Host;
use crate::netns::bench::{BenchHosts, FAR_DEVICE};

/// The far end of a wire of the relay.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'h> {
    /// The host that the device is on.
    pub host: &'h Host,
    /// The device.
    pub device: &'h str,
    /// Ethernet addresses of frames to the relay.
    pub link: Link,
    /// Whose frames are taken from the wire.
    pub net: VirtualNet,
}

impl<'h> Wire<'h> {
    /// The wire that clients are behind.
    #[must_use]
    pub fn of_clients(hosts: &'h BenchHosts) -> Self {
        Self {
            host: hosts.clients(),
            device: FAR_DEVICE,
            link: Link {
                source: hosts.client_mac(),
                destination: hosts.relay_client_mac(),
            },
            net: CLIENTS,
        }
    }

    /// The wire that peers are behind.
    #[must_use]
    pub fn of_peers(hosts: &'h BenchHosts) -> Self {
        Self {
            host: hosts.peers(),
            device: FAR_DEVICE,
            link: Link {
                source: hosts.peer_mac(),
                destination: hosts.relay_peer_mac(),
            },
            net: PEERS,
        }
    }
}

/// Addresses that are nobody's but the load's: 65,536 of IPv4, and IPv6 ones with the same endings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualNet {
    /// The upper 16 bits of the IPv4 addresses.
    pub v4: [u8; 2],
    /// The upper 64 bits of the IPv6 addresses.
    pub v6: [u16; 4],
}

/// Virtual clients: 10.80.0.0/16 and fd00:80::/64.
pub const CLIENTS: VirtualNet = VirtualNet {
    v4: [10, 80],
    v6: [0xFD00, 0x80, 0, 0],
};

/// Virtual peers: 10.90.0.0/16 and fd00:90::/64.
pub const PEERS: VirtualNet = VirtualNet {
    v4: [10, 90],
    v6: [0xFD00, 0x90, 0, 0],
};

impl VirtualNet {
    /// The IPv4 address with these lower 16 bits.
    #[must_use]
    pub const fn v4(self, ending: u16) -> IpAddr {
        let [a, b] = self.v4;
        let [c, d] = ending.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    }

    /// The IPv6 address with these lower 16 bits.
    #[must_use]
    pub const fn v6(self, ending: u16) -> IpAddr {
        let [a, b, c, d] = self.v6;
        IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, ending))
    }
}
