//! How fast sessions are put into the tables, and what they cost: an allocation with a permission and a
//! channel each. Needs root; makes a network namespace of its own.
//!
//! ```text
//! cargo bench -p turnpike-dataplane --bench sessions -- 1000000
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement: a panic says why there is none"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use turnpike_dataplane::loader::Sizes;
use turnpike_dataplane::tables::Tables;
use turnpike_dataplane::{DataPlane, Settings};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, ClientAddr, Entry,
    FiveTuple, PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr, ServerAddr, Timestamp,
    Transport, UserId,
};

/// Without an argument.
const SESSIONS: u32 = 100_000;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

fn main() {
    let asked = std::env::args().find_map(|text| text.parse().ok());
    let sessions: u32 = asked.unwrap_or(SESSIONS);
    unshare(CloneFlags::CLONE_NEWNET).expect("this needs root");
    for arguments in [
        "link add wire0 type veth peer name wire1",
        "addr add 10.99.0.1/8 dev wire0",
        "link set wire0 up",
        "link set wire1 up",
    ] {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        assert!(status.unwrap().success(), "ip {arguments}");
    }
    let (before, started) = (resident(), Instant::now());
    let plane =
        DataPlane::start(&settings(sessions), &[]).unwrap_or_else(|error| panic!("{error}"));
    println!("tables made in       {:?}", started.elapsed());
    println!("tables in the kernel {} MB", kernel_bytes() / 1_000_000);
    let tables = plane.tables(0).unwrap();
    let installed = timed(|| (0..sessions).for_each(|slot| install(&tables, slot)));
    told("installed", sessions, installed);
    let refreshed = timed(|| (0..sessions).for_each(|slot| refresh(&tables, slot)));
    told("refreshed", sessions, refreshed);
    println!(
        "in the process       {} MB",
        (resident() - before) / 1_000_000
    );
    let revoked = timed(|| (0..sessions).for_each(|slot| revoke(&tables, slot)));
    told("revoked", sessions, revoked);
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn told(what: &str, sessions: u32, took: Duration) {
    let rate = f64::from(sessions) / took.as_secs_f64();
    println!("{what:<20} {sessions} in {took:.2?}: {rate:.0} a second");
}

fn settings(sessions: u32) -> Settings {
    Settings {
        interfaces: vec!["wire0".to_owned()],
        is_named: true,
        generic: false,
        shards: 1,
        allocations_a_shard: sessions,
        sizes: Sizes {
            channels: sessions,
            permissions: sessions,
            own_addresses: 8,
            users: 1,
            strangers: 65_536,
        },
        relay_ips: vec![SERVER.into()],
        relay_ports: 49_152..=65_535,
        listeners: vec![(SERVER, 3_478).into()],
        services: Vec::new(),
        strangers_per_second: 10_000,
    }
}

fn install(tables: &Tables, slot: u32) {
    for entry in entries(slot) {
        let result = tables.carry_out(Timestamp::ZERO, &Action::Install(entry));
        assert_eq!(result, Ok(()), "{entry:?}");
    }
}

fn refresh(tables: &Tables, slot: u32) {
    for entry in entries(slot) {
        let action = Action::Refresh {
            key: entry.key(),
            expires_at: Timestamp::MAX,
        };
        assert_eq!(tables.carry_out(Timestamp::ZERO, &action), Ok(()));
    }
}

fn revoke(tables: &Tables, slot: u32) {
    for entry in entries(slot).into_iter().rev() {
        let result = tables.carry_out(Timestamp::ZERO, &Action::Revoke(entry.key()));
        assert_eq!(result, Ok(()));
    }
}

/// An allocation with all that is its own: client, relayed address and peer differ between slots.
fn entries(slot: u32) -> [Entry; 3] {
    let allocation = AllocationId {
        slot,
        generation: 1,
    };
    let [_, a, b, c] = slot.to_be_bytes();
    let address = |net, port| SocketAddr::new(IpAddr::from([10, net | a, b, c]), port);
    let five_tuple = FiveTuple {
        client: ClientAddr(address(0x40, 40_000)),
        server: ServerAddr((SERVER, 3_478).into()),
        transport: Transport::Udp,
    };
    let relayed = RelayedAddr(address(0x80, 50_000));
    let peer = address(0xc0, 5_000);
    let expires_at = Timestamp::MAX;
    [
        Entry::Allocation(AllocationEntry {
            allocation,
            five_tuple,
            relayed,
            user: UserId(0),
            allocation_limit: RateLimit::UNLIMITED,
            user_limit: RateLimit::UNLIMITED,
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

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1_024
}

/// What the kernel says that the tables take, each once.
fn kernel_bytes() -> u64 {
    let mut maps = std::collections::BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|text| text.trim().parse::<u64>().ok())
        };
        if let (Some(id), Some(bytes)) = (number("map_id:"), number("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    maps.values().sum()
}
