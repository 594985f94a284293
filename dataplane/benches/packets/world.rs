//! A data plane with so many sessions, in a network namespace of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;

use aya::programs::{ProgramFd, loaded_programs};
use nix::sched::{CloneFlags, unshare};
use turnpike_abi::Reason;
use turnpike_dataplane::loader::Sizes;
use turnpike_dataplane::tables::Tables;
use turnpike_dataplane::{DataPlane, Settings};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, ClientAddr, Entry,
    FiveTuple, PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr, ServerAddr, Timestamp,
    Transport, UserId,
};

/// What sessions are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of IPv4: an allocation with a permission and a channel to a peer of its own.
    Ipv4,
    /// The peer is the next allocation, and it is that one's.
    Pairs,
    /// All of IPv6.
    Ipv6,
}

/// The lower 32 bits of the first session's addresses.
pub(crate) const CLIENT: u32 = 0x0a40_0000;
pub(crate) const PEER: u32 = 0x0ac0_0000;
pub(crate) const RELAYED: u32 = 0x0a63_0101;
pub(crate) const RELAYED_V6: u32 = 1;

/// Relay addresses: as many as a million sessions need.
const RELAYS: u32 = 64;

/// No session comes near it, and each packet is held against it: an allocation's and its user's.
const LIMIT: RateLimit = RateLimit {
    packets_per_second: Some(100_000_000),
    bytes_per_second: Some(50_000_000_000),
};

pub(crate) struct World {
    plane: DataPlane,
}

/// Goes into a network namespace with one wire whose other side is known.
pub(crate) fn namespace() {
    unshare(CloneFlags::CLONE_NEWNET).expect("this needs root");
    let mut lines = vec![
        "link add wire0 type veth peer name wire1".to_owned(),
        "addr add 10.99.0.1/24 dev wire0".to_owned(),
        "addr add 2001:db8:99::1/64 dev wire0 nodad".to_owned(),
        "link set wire0 up".to_owned(),
        "link set wire1 up".to_owned(),
    ];
    for number in 0..RELAYS {
        for ip in [relay(Kind::Ipv4, number), relay(Kind::Ipv6, number)] {
            let (bits, rest) = if ip.is_ipv4() {
                (32, "")
            } else {
                (128, " nodad")
            };
            lines.push(format!("addr add {ip}/{bits} dev wire0{rest}"));
        }
    }
    for gateway in ["10.99.0.2", "2001:db8:99::2"] {
        lines.push(format!(
            "neigh add {gateway} lladdr 02:00:00:00:00:02 dev wire0 nud permanent"
        ));
        lines.push(format!("route add default via {gateway} dev wire0"));
    }
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("ip is installed");
    let text = lines.join("\n");
    ip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{text}");
}

impl World {
    pub(crate) fn new(kind: Kind, sessions: u32) -> Self {
        let plane = DataPlane::start(&settings(sessions)).unwrap_or_else(|error| panic!("{error}"));
        let tables = plane.tables(0).unwrap();
        for session in 0..sessions {
            install(&tables, kind, session);
        }
        Self { plane }
    }

    pub(crate) fn device(&self) -> u32 {
        self.plane.devices()[0].index
    }

    /// The program that is on the wire.
    pub(crate) fn program(&self) -> ProgramFd {
        let shown = Command::new("ip")
            .args(["-d", "link", "show", "wire0"])
            .output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        let (_, rest) = shown
            .split_once("prog/xdp id ")
            .expect("a program is on it");
        let id: u32 = rest.split(' ').next().unwrap().parse().unwrap();
        let found = loaded_programs()
            .flatten()
            .find(|program| program.id() == id);
        found.expect("it is loaded").fd().expect("root may have it")
    }

    /// Packets that were counted under a reason.
    pub(crate) fn packets(&self, reason: Reason) -> u64 {
        self.plane.counters().reasons().of(reason)
    }

    /// All that was counted.
    pub(crate) fn reasons(&self) -> BTreeMap<&'static str, u64> {
        let all = Reason::ALL.iter();
        all.map(|reason| (reason.name(), self.packets(*reason)))
            .filter(|(_, packets)| *packets != 0)
            .collect()
    }
}

fn settings(sessions: u32) -> Settings {
    let listeners = [Kind::Ipv4, Kind::Ipv6].map(server);
    Settings {
        interfaces: vec!["wire0".to_owned()],
        is_named: true,
        generic: false,
        shards: 1,
        allocations_a_shard: sessions,
        sizes: Sizes {
            channels: sessions,
            permissions: sessions,
            own_addresses: 256,
            users: sessions.next_power_of_two(),
            strangers: 65_536,
        },
        relay_ips: (0..RELAYS)
            .flat_map(|number| [relay(Kind::Ipv4, number), relay(Kind::Ipv6, number)])
            .collect(),
        relay_ports: 49_152..=65_535,
        listeners: listeners.to_vec(),
        services: Vec::new(),
        strangers_per_second: 10_000,
    }
}

fn install(tables: &Arc<Tables>, kind: Kind, session: u32) {
    let peer = match kind {
        Kind::Ipv4 => SocketAddr::new(v4(PEER + session), 5_000),
        Kind::Pairs => relayed(kind, session ^ 1),
        Kind::Ipv6 => SocketAddr::new(v6(0xc0, PEER + session), 5_000),
    };
    for entry in entries(kind, session, peer) {
        let result = tables.carry_out(Timestamp::ZERO, &Action::Install(entry));
        assert_eq!(result, Ok(()), "{entry:?}");
    }
}

fn entries(kind: Kind, session: u32, peer: SocketAddr) -> [Entry; 3] {
    let allocation = AllocationId {
        slot: session,
        generation: 1,
    };
    let client = match kind {
        Kind::Ipv6 => v6(0x40, CLIENT + session),
        _ => v4(CLIENT + session),
    };
    let five_tuple = FiveTuple {
        client: ClientAddr(SocketAddr::new(client, 40_000)),
        server: ServerAddr(server(kind)),
        transport: Transport::Udp,
    };
    let relayed = RelayedAddr(relayed(kind, session));
    let expires_at = Timestamp::MAX;
    [
        Entry::Allocation(AllocationEntry {
            allocation,
            five_tuple,
            relayed,
            user: UserId(session),
            allocation_limit: LIMIT,
            user_limit: LIMIT,
            expires_at,
        }),
        Entry::Permission(PermissionEntry {
            allocation,
            relayed,
            wire_ip: peer.ip(),
            peer_ip: peer.ip(),
            ports: PortRule {
                min: 1_024,
                max: u16::MAX,
                guarded: false,
            },
            expires_at,
        }),
        Entry::Channel(ChannelEntry {
            allocation,
            five_tuple,
            relayed,
            number: ChannelNumber::new(ChannelNumber::MIN).unwrap(),
            wire_peer: PeerAddr(peer),
            expires_at,
        }),
    ]
}

fn server(kind: Kind) -> SocketAddr {
    let ip: IpAddr = match kind {
        Kind::Ipv6 => "2001:db8:99::1".parse().unwrap(),
        _ => "10.99.0.1".parse().unwrap(),
    };
    SocketAddr::new(ip, 3_478)
}

/// 16,384 sessions share an address.
fn relayed(kind: Kind, session: u32) -> SocketAddr {
    let port = 49_152 + (session & 0x3fff) as u16;
    SocketAddr::new(relay(kind, session >> 14), port)
}

fn relay(kind: Kind, number: u32) -> IpAddr {
    match kind {
        Kind::Ipv6 => {
            Ipv6Addr::from_bits(0x2001_0db8_0099_0001 << 64 | u128::from(RELAYED_V6 + number))
                .into()
        }
        _ => v4(RELAYED + number),
    }
}

fn v4(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn v6(net: u128, bits: u32) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | net << 80 | u128::from(bits)).into()
}
