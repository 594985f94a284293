//! The tables against the maps of the real object, which is loaded and attached to nothing. Needs root.

use std::sync::atomic::{AtomicBool, Ordering};

use turnpike_abi::{
    Address, Client, Endpoint, Flow, FlowKey, Local, LocalKey, Permission, maps as names,
};
use turnpike_types::{
    AllocationEntry, ChannelEntry, ChannelNumber, ClientAddr, DropReason, Entry, EntryKey,
    FiveTuple, Meter, PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr, ServerAddr,
    Transport, UserId,
};

use super::*;
use crate::loader::{self, Loaded, Sizes};
use crate::next_hop::Limits;
use crate::plane;

const NOW: Timestamp = Timestamp::from_secs(100);
const END: Timestamp = Timestamp::from_secs(700);

struct Bench {
    tables: Tables,
    maps: Maps,
    shared: Arc<Shared>,
    _loaded: Loaded,
}

/// Tables of shard 1 of 2 with room for so many channels, on a host whose routes are not asked for.
fn bench(channels: u32) -> Bench {
    let layout = Config {
        stranger_cost: 0,
        stranger_full: 0,
        relay_port_min: 49_152,
        relay_port_max: 65_535,
        flags: 0,
        cpus: u32::try_from(aya::util::nr_cpus().unwrap()).unwrap(),
        shards: 2,
        allocations: 16,
    };
    let sizes = Sizes {
        channels,
        permissions: 64,
        own_addresses: 8,
        users: 8,
        strangers: 8,
    };
    let loaded = loader::load(&layout, &sizes).unwrap_or_else(|error| panic!("{error}"));
    let writer = Box::new(|_, _: Option<&crate::next_hop::NextHop>| Ok(()));
    let hops = NextHops::new(Vec::new(), Limits::default(), writer).unwrap();
    let buckets = plane::lines(&loaded, names::USERS, sizes.users, 4).unwrap();
    let shared = Arc::new(Shared {
        hops: Arc::new(hops),
        counters: Arc::new(plane::counters(&loaded, layout).unwrap()),
        meter: Buckets {
            counters: Arc::new(plane::counters(&loaded, layout).unwrap()),
            users: plane::lines(&loaded, names::USERS, sizes.users, 4).unwrap(),
            layout,
        },
        users: Mutex::new(Users::new(buckets, sizes.users)),
        layout,
        relay_ips: ["192.0.2.1", "2001:db8::1"]
            .map(|it| it.parse().unwrap())
            .to_vec(),
        relay_ports: 49_152..=65_535,
    });
    Bench {
        tables: Tables::new(1, Arc::clone(&shared), plane::open_maps(&loaded).unwrap()),
        maps: plane::open_maps(&loaded).unwrap(),
        shared,
        _loaded: loaded,
    }
}

impl Bench {
    fn install(&self, entry: Entry) {
        let action = Action::Install(entry);
        assert_eq!(self.tables.carry_out(NOW, &action), Ok(()), "{entry:?}");
    }

    fn revoke(&self, key: EntryKey) {
        let action = Action::Revoke(key);
        assert_eq!(self.tables.carry_out(NOW, &action), Ok(()), "{key:?}");
    }

    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        let words = self.maps.flows.get(&key.words(), 0).ok()?;
        Some(Flow::open(&key.words(), &words).expect("a value that holds"))
    }

    fn permission(&self, peer: &str, relayed: SocketAddr) -> Option<Permission> {
        let near = Endpoint::new(relayed);
        let key = FlowKey::permission(Address::new(peer.parse().unwrap()), near).words();
        let words = self.maps.permissions.get(&key, 0).ok()?;
        Some(Permission::open(&key, &words).expect("a value that holds"))
    }

    fn client(&self, id: u32) -> Option<Client> {
        let key = client_key(id, 0).words();
        let words = self.maps.clients.get(&key, 0).ok()?;
        Some(Client::open(&key, &words).expect("a value that holds"))
    }

    fn local(&self, id: u32) -> Option<Local> {
        let key = LocalKey(Endpoint::new(relayed(id).0)).words();
        let words = self.maps.locals.get(&key, 0).ok()?;
        Some(Local::open(&key, &words).expect("a value that holds"))
    }

    /// Entries in all maps.
    fn entries(&self) -> usize {
        self.maps.flows.keys().count()
            + self.maps.permissions.keys().count()
            + self.maps.clients.keys().count()
            + self.maps.locals.keys().count()
    }
}

fn id(slot: u32) -> AllocationId {
    AllocationId {
        slot,
        generation: 7,
    }
}

fn five_tuple(slot: u32) -> FiveTuple {
    let port = u16::try_from(1_000 + slot).unwrap();
    FiveTuple {
        client: ClientAddr(SocketAddr::new("198.51.100.1".parse().unwrap(), port)),
        server: ServerAddr("192.0.2.1:3478".parse().unwrap()),
        transport: Transport::Udp,
    }
}

fn relayed(slot: u32) -> RelayedAddr {
    let port = u16::try_from(50_000 + slot).unwrap();
    RelayedAddr(SocketAddr::new("192.0.2.1".parse().unwrap(), port))
}

fn client_key(slot: u32, channel: u16) -> FlowKey {
    FlowKey {
        far: Endpoint::new(five_tuple(slot).client.0),
        near: Endpoint::new(five_tuple(slot).server.0),
        channel: channel.to_be(),
    }
}

fn peer_key(slot: u32, peer: &str) -> FlowKey {
    FlowKey {
        far: Endpoint::new(peer.parse().unwrap()),
        near: Endpoint::new(relayed(slot).0),
        channel: 0,
    }
}

fn allocation(slot: u32) -> AllocationEntry {
    AllocationEntry {
        allocation: id(slot),
        five_tuple: five_tuple(slot),
        relayed: relayed(slot),
        user: UserId(3),
        allocation_limit: RateLimit::UNLIMITED,
        user_limit: RateLimit::UNLIMITED,
        expires_at: END,
    }
}

fn permission(slot: u32, peer: &str) -> PermissionEntry {
    PermissionEntry {
        allocation: id(slot),
        relayed: relayed(slot),
        wire_ip: peer.parse().unwrap(),
        peer_ip: peer.parse().unwrap(),
        ports: PortRule {
            min: 1_024,
            max: u16::MAX,
            guarded: false,
        },
        expires_at: END,
    }
}

fn channel(slot: u32, number: u16, peer: &str) -> ChannelEntry {
    ChannelEntry {
        allocation: id(slot),
        five_tuple: five_tuple(slot),
        relayed: relayed(slot),
        number: ChannelNumber::new(number).unwrap(),
        wire_peer: PeerAddr(peer.parse().unwrap()),
        expires_at: END,
    }
}

const PEER: &str = "203.0.113.9:5000";

#[test]
fn channel_is_found_by_its_client_and_by_its_peer_and_gone_after_its_end() {
    let bench = bench(8);
    bench.install(Entry::Allocation(allocation(2)));
    let entry = Entry::Channel(channel(2, 0x4001, PEER));
    bench.install(entry);
    let to_peer = bench.flow(&client_key(2, 0x4001)).unwrap();
    assert_eq!(to_peer.source.socket_addr(), relayed(2).0);
    assert_eq!(to_peer.destination.socket_addr(), PEER.parse().unwrap());
    assert_eq!((to_peer.channel, to_peer.expires_at), (0, END.as_nanos()));
    // Slots of two shards alternate.
    assert_eq!((to_peer.allocation, to_peer.generation), (5, 7));
    let to_client = bench.flow(&peer_key(2, PEER)).unwrap();
    assert_eq!(to_client.source.socket_addr(), five_tuple(2).server.0);
    assert_eq!(to_client.destination.socket_addr(), five_tuple(2).client.0);
    assert_eq!(to_client.channel, 0x4001_u16.to_be());
    bench.revoke(entry.key());
    assert_eq!(bench.flow(&client_key(2, 0x4001)), None);
    assert_eq!(bench.flow(&peer_key(2, PEER)), None);
    assert!(bench.client(2).is_some() && bench.local(2).is_some());
}

#[test]
fn end_of_an_allocation_leaves_nothing() {
    let bench = bench(8);
    for slot in 0..4 {
        bench.install(Entry::Allocation(allocation(slot)));
        bench.install(Entry::Permission(permission(slot, "203.0.113.9")));
        bench.install(Entry::Channel(channel(slot, 0x4000, PEER)));
    }
    assert_eq!(bench.entries(), 4 * 5);
    for slot in 0..4 {
        bench.revoke(Entry::Allocation(allocation(slot)).key());
    }
    assert_eq!(bench.entries(), 0);
    let late = Action::Install(Entry::Channel(channel(0, 0x4000, PEER)));
    assert_eq!(
        bench.tables.carry_out(NOW, &late),
        Err(CommandError::Absent)
    );
}

#[test]
fn refresh_moves_the_end_of_what_is_there_and_of_nothing_else() {
    let bench = bench(8);
    bench.install(Entry::Allocation(allocation(0)));
    bench.install(Entry::Permission(permission(0, "203.0.113.9")));
    bench.install(Entry::Channel(channel(0, 0x4000, PEER)));
    let later = Timestamp::from_secs(900);
    let keys = [
        Entry::Allocation(allocation(0)).key(),
        Entry::Permission(permission(0, "203.0.113.9")).key(),
        Entry::Channel(channel(0, 0x4000, PEER)).key(),
    ];
    for key in keys {
        let refresh = Action::Refresh {
            key,
            expires_at: later,
        };
        assert_eq!(bench.tables.carry_out(NOW, &refresh), Ok(()));
    }
    let ends = [
        bench.client(0).unwrap().expires_at,
        bench.local(0).unwrap().expires_at,
        bench
            .permission("203.0.113.9", relayed(0).0)
            .unwrap()
            .expires_at,
        bench.flow(&client_key(0, 0x4000)).unwrap().expires_at,
        bench.flow(&peer_key(0, PEER)).unwrap().expires_at,
    ];
    assert_eq!(ends, [later.as_nanos(); 5]);
    let absent = Action::Refresh {
        key: Entry::Channel(channel(0, 0x4001, PEER)).key(),
        expires_at: later,
    };
    assert_eq!(
        bench.tables.carry_out(NOW, &absent),
        Err(CommandError::Absent)
    );
}

#[test]
fn number_and_peer_that_are_bound_anew_take_the_old_binding_with_them() {
    let bench = bench(8);
    bench.install(Entry::Allocation(allocation(0)));
    bench.install(Entry::Channel(channel(0, 0x4000, PEER)));
    let other = "203.0.113.9:5001";
    bench.install(Entry::Channel(channel(0, 0x4000, other)));
    assert_eq!(bench.flow(&peer_key(0, PEER)), None);
    bench.install(Entry::Channel(channel(0, 0x4002, other)));
    assert_eq!(bench.flow(&client_key(0, 0x4000)), None);
    let to_client = bench.flow(&peer_key(0, other)).unwrap();
    assert_eq!(to_client.channel, 0x4002_u16.to_be());
    assert_eq!(bench.maps.flows.keys().count(), 2);
}

#[test]
fn what_finds_no_room_is_left_to_the_socket_lane_and_said_so() {
    let bench = bench(2);
    bench.install(Entry::Allocation(allocation(0)));
    assert_eq!(bench.client(0).unwrap().flags, 0);
    for number in 0..4 {
        let peer = format!("203.0.113.9:{}", 5_000 + number);
        bench.install(Entry::Channel(channel(0, 0x4000 + number, &peer)));
    }
    assert_eq!(bench.tables.left_out(), 2);
    assert_eq!(bench.client(0).unwrap().flags, Client::LANE);
    assert_eq!(bench.local(0).unwrap().flags, Local::LANE);
    bench.revoke(Entry::Allocation(allocation(0)).key());
    assert_eq!(bench.entries(), 0);
}

/// Else the programs would take a peer's datagrams for indications.
#[test]
fn permission_of_a_channel_that_found_no_room_is_the_socket_lanes_until_it_finds_some() {
    let bench = bench(1);
    bench.install(Entry::Allocation(allocation(0)));
    bench.install(Entry::Channel(channel(0, 0x4000, PEER)));
    let ip = "203.0.113.10";
    bench.install(Entry::Permission(permission(0, ip)));
    let late = Entry::Channel(channel(0, 0x4001, &format!("{ip}:5000")));
    bench.install(late);
    let flags = || bench.permission(ip, relayed(0).0).unwrap().flags;
    assert_eq!(flags(), Permission::LANE);
    bench.install(Entry::Permission(permission(0, ip)));
    assert_eq!(flags(), Permission::LANE, "refreshed");
    bench.revoke(Entry::Channel(channel(0, 0x4000, PEER)).key());
    let refresh = Action::Refresh {
        key: late.key(),
        expires_at: END,
    };
    assert_eq!(bench.tables.carry_out(NOW, &refresh), Ok(()));
    assert_eq!(flags(), 0);
}

#[test]
fn client_on_a_stream_is_the_socket_lanes() {
    let bench = bench(8);
    let mut entry = allocation(0);
    entry.five_tuple.transport = Transport::Tcp;
    bench.install(Entry::Allocation(entry));
    bench.install(Entry::Permission(permission(0, "203.0.113.9")));
    let mut bound = channel(0, 0x4000, PEER);
    bound.five_tuple.transport = Transport::Tcp;
    bench.install(Entry::Channel(bound));
    assert_eq!(bench.entries(), 1);
    assert_eq!(bench.local(0).unwrap().flags, Local::LANE);
}

#[test]
fn peer_that_is_another_relayed_address_is_here() {
    let bench = bench(8);
    bench.install(Entry::Allocation(allocation(0)));
    bench.install(Entry::Channel(channel(0, 0x4000, "192.0.2.1:50001")));
    bench.install(Entry::Channel(channel(0, 0x4001, "192.0.2.1:2000")));
    let hop = |number| HopId(bench.flow(&client_key(0, number)).unwrap().next_hop);
    assert_eq!(hop(0x4000), HopId::HERE);
    assert_eq!(hop(0x4001), HopId::NONE, "no relayed address");
}

#[test]
fn peer_known_by_another_address_and_guarded_ports_are_marked() {
    let bench = bench(8);
    bench.install(Entry::Allocation(allocation(0)));
    let mut entry = permission(0, "203.0.113.9");
    entry.peer_ip = "203.0.113.10".parse().unwrap();
    entry.ports.guarded = true;
    bench.install(Entry::Permission(entry));
    let flags = bench.permission("203.0.113.9", relayed(0).0).unwrap().flags;
    assert_eq!(flags, Permission::LANE | Permission::GUARDED);
    assert_eq!(bench.client(0).unwrap().flags, Client::LANE);
}

#[test]
fn slot_that_is_used_again_begins_with_nothing_of_the_old_allocation() {
    let bench = bench(8);
    bench.install(Entry::Allocation(allocation(0)));
    bench.install(Entry::Channel(channel(0, 0x4000, PEER)));
    let mut again = allocation(0);
    again.allocation.generation = 8;
    again.five_tuple = five_tuple(9);
    again.relayed = relayed(9);
    bench.install(Entry::Allocation(again));
    assert_eq!(bench.entries(), 2, "its five-tuple and relayed address");
    assert_eq!(bench.client(9).unwrap().generation, 8);
    assert_eq!(bench.tables.traffic(id(0)), Traffic::default());
    bench.revoke(Entry::Allocation(allocation(0)).key());
    assert_eq!(bench.entries(), 2, "the old one is long gone");
}

#[test]
fn bucket_of_a_limited_user_is_emptied_for_each_user_that_gets_its_place() {
    let bench = bench(8);
    let rate = RateLimit {
        packets_per_second: Some(10),
        bytes_per_second: None,
    };
    let limited = |slot, user| AllocationEntry {
        user: UserId(user),
        user_limit: rate,
        ..allocation(slot)
    };
    let mut users = bench.shared.users();
    assert_eq!(users.join(NOW, UserId(9), &rate), 1);
    assert_eq!(users.join(NOW, UserId(4), &RateLimit::UNLIMITED), u32::MAX);
    users.leave(UserId(9));
    drop(users);
    bench.install(Entry::Allocation(limited(0, 17)));
    bench.install(Entry::Allocation(limited(1, 17)));
    let key = Entry::Allocation(limited(0, 17)).key();
    bench.revoke(key);
    bench.revoke(Entry::Allocation(limited(1, 17)).key());
    assert_eq!(bench.entries(), 0);
}

/// What the programs take from a bucket is gone for packets that go through sockets, and so the other
/// way round: they are charged to the same words.
#[test]
fn packets_through_sockets_are_charged_to_the_buckets_of_the_programs() {
    let bench = bench(8);
    let limit = |packets| RateLimit {
        packets_per_second: Some(packets),
        bytes_per_second: Some(1_000),
    };
    let mut entry = allocation(0);
    (entry.allocation_limit, entry.user_limit) = (limit(10), limit(15));
    bench.install(Entry::Allocation(entry));
    let charge = |slot, now, bytes| bench.tables.charge(id(slot), now, bytes);
    let rate = Err(DropReason::AllocationRate);
    assert_eq!(charge(0, NOW, 1), rate, "it begins empty");
    let full = NOW + std::time::Duration::from_secs(2);
    let taken = |slot, now| {
        (0..100)
            .take_while(|_| charge(slot, now, 1).is_ok())
            .count()
    };
    assert_eq!(taken(0, full), 10);
    entry = AllocationEntry {
        allocation_limit: RateLimit::UNLIMITED,
        user_limit: limit(15),
        ..allocation(1)
    };
    bench.install(Entry::Allocation(entry));
    assert_eq!(taken(1, full), 5, "of the same user");
    assert_eq!(charge(1, full, 1), Err(DropReason::UserRate));
    let later = full + std::time::Duration::from_secs(2);
    assert_eq!(charge(0, later, 1_001), rate, "more bytes than a second's");
    assert_eq!(taken(0, later), 10, "what was refused has cost nothing");
    assert_eq!(charge(3, later, 1), Err(DropReason::NoAllocation));
    let line = bench
        .shared
        .counters
        .line(bench.shared.layout.terms_line(1));
    let full_at = line.unwrap()[turnpike_abi::Terms::BUCKETS].load(Ordering::Relaxed);
    assert!(full_at > later.as_nanos(), "in the programs' own table");
}

/// A reader that looks an entry up as fast as it can, while the entry is refreshed, taken out and put
/// in for another channel, never sees a value that holds and is not one of those.
#[test]
fn no_reader_sees_half_of_a_change() {
    const ROUNDS: u64 = 20_000;
    let bench = bench(8);
    bench.install(Entry::Allocation(allocation(0)));
    let done = AtomicBool::new(false);
    let key = peer_key(0, PEER);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut held = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let Ok(words) = bench.maps.flows.get(&key.words(), 0) else {
                    continue;
                };
                if let Some(flow) = Flow::open(&key.words(), &words) {
                    held += 1;
                    let number = u64::from(u16::from_be(flow.channel) - 0x4000);
                    let end = Timestamp::from_secs(1_000 + number).as_nanos();
                    assert_eq!(flow.expires_at, end, "a mixture");
                }
            }
            held
        });
        for round in 0..ROUNDS {
            let number = u16::try_from(round % 7).unwrap();
            let mut entry = channel(0, 0x4000 + number, PEER);
            entry.expires_at = Timestamp::from_secs(1_000 + u64::from(number));
            bench.install(Entry::Channel(entry));
            if round % 5 == 0 {
                bench.revoke(Entry::Channel(entry).key());
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(
            reader.join().unwrap() > 100,
            "the reader saw next to nothing"
        );
    });
}
