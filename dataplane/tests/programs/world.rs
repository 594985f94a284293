//! What a relay holds, in plain words: the kernel's tables are filled from it ([`super::kernel`]), and
//! the reference relay reads it ([`super::reference`]).

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Everything that packets may meet.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) allocations: Vec<Allocation>,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) relay_ips: Vec<IpAddr>,
    pub(crate) services: Vec<SocketAddr>,
    /// Whether Binding requests are answered in the kernel.
    pub(crate) answers_binding: bool,
    /// Ways out by where a packet goes; the first that begins with the address counts.
    pub(crate) hops: Vec<Hop>,
}

/// An allocation of a client that is reached over UDP.
#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// At most one of each family.
    pub(crate) relayed: Vec<SocketAddr>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) is_live: bool,
    /// Some of its entries are a lane's.
    pub(crate) is_partly_lane: bool,
    pub(crate) packets_per_second: Option<u32>,
    pub(crate) bytes_per_second: Option<u64>,
    /// Place of its user and what the user may relay.
    pub(crate) user: Option<(u32, Option<u32>, Option<u64>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) peer: SocketAddr,
    pub(crate) is_live: bool,
    pub(crate) is_lane: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Permission {
    pub(crate) ip: IpAddr,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) is_guarded: bool,
    pub(crate) is_live: bool,
    pub(crate) is_lane: bool,
}

/// A way out.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    pub(crate) id: u32,
    /// Which addresses it leads to.
    pub(crate) to: Vec<IpAddr>,
    pub(crate) mac: [u8; 6],
    pub(crate) from: [u8; 6],
    pub(crate) vlan: u16,
    pub(crate) mtu: u16,
    /// [`INGRESS`], [`OTHER`] or another; 0: not known.
    pub(crate) device: u32,
}

/// The device that test runs say packets came by: a namespace's loopback.
pub(crate) const INGRESS: u32 = 1;
/// Another device, that packets may be redirected to.
pub(crate) const OTHER: u32 = 77;
/// A device that nothing may leave by.
pub(crate) const FORBIDDEN: u32 = 78;

pub(crate) const RELAY_PORTS: RangeInclusive<u16> = 49_152..=65_535;

impl World {
    pub(crate) fn hop(&self, ip: IpAddr) -> &Hop {
        self.hops
            .iter()
            .find(|hop| hop.to.contains(&ip))
            .unwrap_or_else(|| panic!("no way to {ip}"))
    }

    /// Whether an address and port is one that this relay may hand out.
    pub(crate) fn is_here(&self, address: SocketAddr) -> bool {
        self.relay_ips.contains(&address.ip()) && RELAY_PORTS.contains(&address.port())
    }
}

impl Allocation {
    pub(crate) fn new(client: &str, server: &str, relayed: &[&str]) -> Self {
        Self {
            client: addr(client),
            server: addr(server),
            relayed: relayed.iter().map(|text| addr(text)).collect(),
            channels: Vec::new(),
            permissions: Vec::new(),
            is_live: true,
            is_partly_lane: false,
            packets_per_second: None,
            bytes_per_second: None,
            user: None,
        }
    }

    /// A live channel, with the permission that comes with it.
    pub(crate) fn bind(mut self, number: u16, peer: &str) -> Self {
        self.channels.push(Channel {
            number,
            peer: addr(peer),
            is_live: true,
            is_lane: false,
        });
        let ip = addr(peer).ip();
        if self
            .permissions
            .iter()
            .all(|permission| permission.ip != ip)
        {
            self = self.permit(&ip.to_string());
        }
        self
    }

    /// A live permission for every port.
    pub(crate) fn permit(mut self, ip: &str) -> Self {
        self.permissions.push(Permission {
            ip: ip.parse().unwrap(),
            ports: 1..=u16::MAX,
            is_guarded: false,
            is_live: true,
            is_lane: false,
        });
        self
    }

    /// The relayed address for peers of a family.
    pub(crate) fn relayed_for(&self, peer: IpAddr) -> Option<SocketAddr> {
        let mut relayed = self.relayed.iter().copied();
        relayed.find(|relayed| relayed.is_ipv4() == peer.is_ipv4())
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is no address"))
}

pub(crate) const SERVER_4: &str = "192.0.2.2:3478";
pub(crate) const SERVER_6: &str = "[2001:db8:2::2]:3478";
pub(crate) const PEER_4: &str = "203.0.113.9:6000";
pub(crate) const PEER_6: &str = "[2001:db8:9::9]:6001";
pub(crate) const CLIENT_4: &str = "198.51.100.1:40000";
pub(crate) const CLIENT_6: &str = "[2001:db8:1::1]:40001";

/// A relay with a client of each family, each bound to a peer of each family and to each other.
pub(crate) fn world() -> World {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let relayed_a = ["192.0.2.2:50000", "[2001:db8:2::2]:50000"];
    let relayed_b = ["192.0.2.2:50002", "[2001:db8:2::2]:50002"];
    let a = Allocation::new(CLIENT_4, SERVER_4, &relayed_a)
        .bind(0x4000, PEER_4)
        .bind(0x4001, PEER_6)
        .bind(0x4002, relayed_b[0])
        .bind(0x4003, relayed_b[1]);
    let b = Allocation::new(CLIENT_6, SERVER_6, &relayed_b)
        .bind(0x4fff, PEER_4)
        .bind(0x4ffe, PEER_6)
        .bind(0x4ffd, relayed_a[0])
        .bind(0x4ffc, relayed_a[1]);
    let hop = |id, last: u8, to: Vec<IpAddr>| Hop {
        id,
        to,
        mac: [2, 0, 0, 0, 0, last],
        from: [2, 0, 0, 0, 1, last],
        vlan: 0,
        mtu: 1_500,
        device: INGRESS,
    };
    let mut to_peer_4 = hop(2, 2, vec![ip("203.0.113.9"), ip("203.0.113.10")]);
    to_peer_4.device = OTHER;
    World {
        allocations: vec![a, b],
        listeners: vec![addr(SERVER_4), addr(SERVER_6)],
        relay_ips: vec![ip("192.0.2.2"), ip("2001:db8:2::2")],
        services: vec![addr("203.0.113.10:5432")],
        answers_binding: true,
        hops: vec![
            hop(1, 1, vec![ip("198.51.100.1"), ip("198.51.100.2")]),
            to_peer_4,
            hop(3, 3, vec![ip("2001:db8:1::1"), ip("2001:db8:1::2")]),
            hop(4, 4, vec![ip("2001:db8:9::9")]),
        ],
    }
}
