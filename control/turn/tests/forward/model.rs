//! A naive forwarder, ordered maps and searches, that must agree with the real one on everything.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use turnpike_turn::forward::Verdict;
use turnpike_turn::{advertised_ip, wire_ip};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, CommandError, DropReason,
    Entry, EntryKey, FiveTuple, PeerAddr, PermissionEntry, PortRule, RateLimit, RelayedAddr,
    Timestamp, TokenBucket, Transport, UserId,
};

use crate::world::*;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    ToPeer(AllocationId, RelayedAddr, PeerAddr),
    ToClient(AllocationId, FiveTuple, Read),
    Pass,
    Drop(DropReason),
}

#[derive(Default)]
struct Model {
    entries_max: usize,
    services: Vec<SocketAddr>,
    addresses: BTreeMap<(AllocationId, RelayedAddr), AllocationEntry>,
    permissions: BTreeMap<(AllocationId, IpAddr), PermissionEntry>,
    channels: BTreeMap<(AllocationId, ChannelNumber), ChannelEntry>,
    users: BTreeMap<AllocationId, UserId>,
    allocation_budgets: BTreeMap<AllocationId, (RateLimit, TokenBucket)>,
    user_budgets: BTreeMap<UserId, (RateLimit, TokenBucket)>,
}

impl Model {
    fn apply(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        match action {
            Action::Install(Entry::Allocation(entry)) => self.install_allocation(now, entry),
            Action::Install(Entry::Permission(entry)) => {
                let key = (entry.allocation, entry.wire_ip);
                self.anchor(entry.allocation, entry.relayed)?;
                self.room(self.permissions.contains_key(&key))?;
                self.permissions.insert(key, *entry);
                Ok(())
            }
            Action::Install(Entry::Channel(entry)) => self.install_channel(entry),
            Action::Refresh { key, expires_at } => {
                *self.end_of(key).ok_or(CommandError::Absent)? = *expires_at;
                Ok(())
            }
            Action::Revoke(EntryKey::Allocation {
                allocation,
                relayed,
            }) => {
                self.close(*allocation, *relayed);
                Ok(())
            }
            Action::Revoke(EntryKey::Permission {
                allocation,
                wire_ip,
            }) => {
                self.permissions.remove(&(*allocation, *wire_ip));
                Ok(())
            }
            Action::Revoke(EntryKey::Channel { allocation, number }) => {
                self.channels.remove(&(*allocation, *number));
                Ok(())
            }
        }
    }

    fn install_allocation(
        &mut self,
        now: Timestamp,
        entry: &AllocationEntry,
    ) -> Result<(), CommandError> {
        let id = entry.allocation;
        if id.slot as usize >= self.entries_max {
            return Err(CommandError::TableFull);
        }
        let ended: Vec<_> = self
            .addresses
            .values()
            .filter(|other| {
                let same = other.allocation == id && other.five_tuple == entry.five_tuple;
                let takes_relayed =
                    other.relayed == entry.relayed && other.allocation.slot != id.slot;
                let takes_rest =
                    other.allocation.slot == id.slot || other.five_tuple == entry.five_tuple;
                takes_relayed || (takes_rest && !same)
            })
            .map(|other| (other.allocation, other.relayed))
            .collect();
        for (allocation, relayed) in ended {
            self.close(allocation, relayed);
        }
        self.room(self.addresses.contains_key(&(id, entry.relayed)))?;
        self.addresses.insert((id, entry.relayed), *entry);
        self.users.insert(id, entry.user);
        renew(
            self.allocation_budgets.entry(id),
            entry.allocation_limit,
            now,
        );
        renew(self.user_budgets.entry(entry.user), entry.user_limit, now);
        self.forget_users();
        Ok(())
    }

    fn install_channel(&mut self, entry: &ChannelEntry) -> Result<(), CommandError> {
        let five_tuple = self.anchor(entry.allocation, entry.relayed)?;
        if five_tuple != entry.five_tuple {
            return Err(CommandError::Absent);
        }
        let key = (entry.allocation, entry.number);
        let before = self.channels.len();
        let kept = |other: &ChannelEntry| {
            (other.relayed, other.wire_peer) != (entry.relayed, entry.wire_peer)
        };
        let replaces = self
            .channels
            .iter()
            .any(|(k, other)| *k == key || !kept(other));
        self.room(replaces)?;
        self.channels.retain(|k, other| *k != key && kept(other));
        assert!(self.channels.len() + 2 >= before);
        self.channels.insert(key, *entry);
        Ok(())
    }

    fn anchor(&self, id: AllocationId, relayed: RelayedAddr) -> Result<FiveTuple, CommandError> {
        self.addresses
            .get(&(id, relayed))
            .map(|entry| entry.five_tuple)
            .ok_or(CommandError::Absent)
    }

    fn room(&self, replaces: bool) -> Result<(), CommandError> {
        let entries = self.addresses.len() + self.permissions.len() + self.channels.len();
        if replaces || entries < self.entries_max {
            Ok(())
        } else {
            Err(CommandError::TableFull)
        }
    }

    fn close(&mut self, id: AllocationId, relayed: RelayedAddr) {
        if self.addresses.remove(&(id, relayed)).is_none() {
            return;
        }
        let hangs = |allocation, address| (allocation, address) == (id, relayed);
        self.permissions
            .retain(|_, entry| !hangs(entry.allocation, entry.relayed));
        self.channels
            .retain(|_, entry| !hangs(entry.allocation, entry.relayed));
        if !self
            .addresses
            .keys()
            .any(|(allocation, _)| *allocation == id)
        {
            self.users.remove(&id);
            self.allocation_budgets.remove(&id);
        }
        self.forget_users();
    }

    fn forget_users(&mut self) {
        let users = &self.users;
        self.user_budgets
            .retain(|user, _| users.values().any(|holder| holder == user));
    }

    fn end_of(&mut self, key: &EntryKey) -> Option<&mut Timestamp> {
        match key {
            EntryKey::Allocation {
                allocation,
                relayed,
            } => self
                .addresses
                .get_mut(&(*allocation, *relayed))
                .map(|e| &mut e.expires_at),
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => self
                .permissions
                .get_mut(&(*allocation, *wire_ip))
                .map(|e| &mut e.expires_at),
            EntryKey::Channel { allocation, number } => self
                .channels
                .get_mut(&(*allocation, *number))
                .map(|e| &mut e.expires_at),
        }
    }

    fn five_tuple_of(&self, id: AllocationId) -> FiveTuple {
        self.addresses
            .values()
            .find(|entry| entry.allocation == id)
            .unwrap()
            .five_tuple
    }

    fn missing(&self, now: Timestamp, client: &FiveTuple, otherwise: DropReason) -> Outcome {
        let is_live = self
            .addresses
            .values()
            .any(|entry| entry.five_tuple == *client && entry.expires_at > now);
        Outcome::Drop(if is_live {
            otherwise
        } else {
            DropReason::NoAllocation
        })
    }

    fn channel_data(&mut self, now: Timestamp, client: &FiveTuple, number: u16) -> Outcome {
        let found = self.channels.values().find(|entry| {
            entry.five_tuple == *client && entry.number.get() == number && entry.expires_at > now
        });
        match found.copied() {
            None => self.missing(now, client, DropReason::NoChannel),
            Some(entry) => match self.charge(now, entry.allocation) {
                Some(reason) => Outcome::Drop(reason),
                None => Outcome::ToPeer(entry.allocation, entry.relayed, entry.wire_peer),
            },
        }
    }

    fn send(&mut self, now: Timestamp, client: &FiveTuple, peer: SocketAddr) -> Outcome {
        let wire = SocketAddr::new(wire_ip(&relay_map(), peer.ip()), peer.port());
        let found = self.permissions.values().find(|entry| {
            self.five_tuple_of(entry.allocation) == *client
                && entry.wire_ip == wire.ip()
                && entry.expires_at > now
        });
        let Some(entry) = found.copied() else {
            return self.missing(now, client, DropReason::NoPermission);
        };
        if !entry.ports.admits_service(&wire, &self.services) {
            return Outcome::Drop(DropReason::ForbiddenPort);
        }
        match self.charge(now, entry.allocation) {
            Some(reason) => Outcome::Drop(reason),
            None => Outcome::ToPeer(entry.allocation, entry.relayed, PeerAddr(wire)),
        }
    }

    fn peer_sends(&mut self, now: Timestamp, relayed: RelayedAddr, peer: SocketAddr) -> Outcome {
        let channel = self.channels.values().find(|entry| {
            entry.relayed == relayed && entry.wire_peer.0 == peer && entry.expires_at > now
        });
        let permission = self.permissions.values().find(|entry| {
            entry.relayed == relayed && entry.wire_ip == peer.ip() && entry.expires_at > now
        });
        let (id, form) = match (channel, permission) {
            (Some(entry), _) => (
                entry.allocation,
                Read::ChannelData(entry.number.get(), PAYLOAD.to_vec()),
            ),
            (None, Some(entry)) => {
                if !entry.ports.admits_service(&peer, &self.services) {
                    return Outcome::Drop(DropReason::ForbiddenPort);
                }
                let ip = if entry.peer_ip == entry.wire_ip {
                    entry.peer_ip
                } else {
                    advertised_ip(&relay_map(), entry.wire_ip)
                };
                let known = SocketAddr::new(ip, peer.port());
                (
                    entry.allocation,
                    Read::DataIndication(known, PAYLOAD.to_vec()),
                )
            }
            (None, None) => {
                let is_open = |e: &AllocationEntry| e.relayed == relayed && e.expires_at > now;
                let is_open = self.addresses.values().any(is_open);
                return Outcome::Drop(if is_open {
                    DropReason::NoPermission
                } else {
                    DropReason::NoAllocation
                });
            }
        };
        match self.charge(now, id) {
            Some(reason) => Outcome::Drop(reason),
            None => Outcome::ToClient(id, self.five_tuple_of(id), form),
        }
    }

    fn charge(&mut self, now: Timestamp, id: AllocationId) -> Option<DropReason> {
        let (limit, bucket) = self.allocation_budgets.get_mut(&id).unwrap();
        let (user_limit, user_bucket) = self.user_budgets.get_mut(&self.users[&id]).unwrap();
        let (mut spent, mut user_spent) = (*bucket, *user_bucket);
        if !spent.take(limit, now, PAYLOAD.len()) {
            *bucket = spent;
            return Some(DropReason::AllocationRate);
        }
        if !user_spent.take(user_limit, now, PAYLOAD.len()) {
            *user_bucket = user_spent;
            return Some(DropReason::UserRate);
        }
        (*bucket, *user_bucket) = (spent, user_spent);
        None
    }
}

/// Sets a limit; a new or another one starts empty.
fn renew<K: Ord>(
    entry: std::collections::btree_map::Entry<'_, K, (RateLimit, TokenBucket)>,
    limit: RateLimit,
    now: Timestamp,
) {
    let fresh = (limit, TokenBucket::empty(now));
    let held = entry.or_insert(fresh);
    if held.0 != limit {
        *held = fresh;
    }
}

const PAYLOAD: &[u8] = b"payload";

#[derive(Clone, Debug)]
enum Step {
    Apply(Action),
    Advance(u64),
    ChannelData(FiveTuple, u16),
    Send(FiveTuple, SocketAddr),
    FromPeer(RelayedAddr, SocketAddr),
    Binding(FiveTuple),
}

fn pick<T: Clone + std::fmt::Debug + 'static>(options: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(options.to_vec())
}

fn id() -> impl Strategy<Value = AllocationId> {
    (0..3_u32, 1..3_u32).prop_map(|(slot, generation)| AllocationId { slot, generation })
}

fn client() -> impl Strategy<Value = FiveTuple> {
    (1..3_u16, pick(&[Transport::Udp, Transport::Tcp]))
        .prop_map(|(client, transport)| five_tuple(client, transport))
}

fn relayed() -> impl Strategy<Value = RelayedAddr> {
    pick(&[RELAYED, "10.0.0.5:50001", RELAYED_V6]).prop_map(|text| RelayedAddr(addr(text)))
}

fn peer_ip() -> impl Strategy<Value = IpAddr> {
    pick(&[
        "203.0.113.9",
        "10.0.0.5",
        EXTERNAL_IP,
        "2001:db8:9::9",
        "::ffff:203.0.113.9",
    ])
    .prop_map(ip)
}

fn peer() -> impl Strategy<Value = SocketAddr> {
    (peer_ip(), pick(&[7_000, 5_432, 50_001, 50_080, 80]))
        .prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

/// Ends near enough to come during a run; now and then exactly at a step of the clock.
fn end() -> impl Strategy<Value = Timestamp> {
    (0..40_u64).prop_map(|half_seconds| NOW + std::time::Duration::from_millis(half_seconds * 500))
}

fn limit() -> impl Strategy<Value = RateLimit> {
    let limited = RateLimit {
        packets_per_second: Some(3),
        bytes_per_second: Some(25),
    };
    prop_oneof![3 => Just(RateLimit::UNLIMITED), 1 => Just(limited)]
}

fn number() -> impl Strategy<Value = ChannelNumber> {
    (0x4000..0x4003_u16).prop_map(|number| ChannelNumber::new(number).unwrap())
}

fn entry() -> impl Strategy<Value = Entry> {
    let allocation = (id(), client(), relayed(), 1..3_u32, limit(), limit(), end()).prop_map(
        |(allocation, five_tuple, relayed, user, allocation_limit, user_limit, expires_at)| {
            Entry::Allocation(AllocationEntry {
                allocation,
                five_tuple,
                relayed,
                user: UserId(user),
                allocation_limit,
                user_limit,
                expires_at,
            })
        },
    );
    let ports = (pick(&[1, 1_024]), any::<bool>()).prop_map(|(min, guarded)| PortRule {
        min,
        max: u16::MAX,
        guarded,
    });
    let permission = (id(), relayed(), peer_ip(), ports, end()).prop_map(
        |(allocation, relayed, peer_ip, ports, expires_at)| {
            let wire_ip = wire_ip(&relay_map(), peer_ip);
            Entry::Permission(PermissionEntry {
                allocation,
                relayed,
                wire_ip,
                peer_ip,
                ports,
                expires_at,
            })
        },
    );
    let channel = (id(), client(), relayed(), number(), peer(), end()).prop_map(
        |(allocation, five_tuple, relayed, number, wire_peer, expires_at)| {
            let wire_peer = PeerAddr(wire_peer);
            Entry::Channel(ChannelEntry {
                allocation,
                five_tuple,
                relayed,
                number,
                wire_peer,
                expires_at,
            })
        },
    );
    prop_oneof![2 => allocation, 2 => permission, 3 => channel]
}

fn key() -> impl Strategy<Value = EntryKey> {
    prop_oneof![
        (id(), relayed()).prop_map(|(allocation, relayed)| EntryKey::Allocation {
            allocation,
            relayed
        }),
        (id(), peer_ip()).prop_map(|(allocation, wire_ip)| EntryKey::Permission {
            allocation,
            wire_ip
        }),
        (id(), number()).prop_map(|(allocation, number)| EntryKey::Channel { allocation, number }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => entry().prop_map(|entry| Step::Apply(Action::Install(entry))),
        2 => (key(), end())
            .prop_map(|(key, expires_at)| Step::Apply(Action::Refresh { key, expires_at })),
        1 => key().prop_map(|key| Step::Apply(Action::Revoke(key))),
        2 => (0..3_u64).prop_map(Step::Advance),
        4 => (client(), 0x4000..0x4004_u16).prop_map(|(tuple, n)| Step::ChannelData(tuple, n)),
        4 => (client(), peer()).prop_map(|(client, peer)| Step::Send(client, peer)),
        8 => (relayed(), peer()).prop_map(|(relayed, peer)| Step::FromPeer(relayed, peer)),
        1 => client().prop_map(Step::Binding),
    ]
}

fn outcome(verdict: Verdict, packet: &[u8]) -> Outcome {
    match verdict {
        Verdict::ToPeer(forward) => {
            assert_eq!(&packet[forward.payload], PAYLOAD);
            Outcome::ToPeer(forward.allocation, forward.relayed, forward.peer)
        }
        Verdict::ToClient(forward) => {
            let read = read(&forward, PAYLOAD);
            Outcome::ToClient(forward.allocation, forward.five_tuple, read)
        }
        Verdict::Pass => Outcome::Pass,
        Verdict::Drop(reason) => Outcome::Drop(reason),
    }
}

/// Makes one step with both; `None` for a step without a packet.
fn take(world: &mut World, model: &mut Model, step: &Step) -> Option<(Outcome, Outcome)> {
    let (forwarder, now) = (&mut world.forwarder, world.now);
    let from_client = |client: &FiveTuple, packet: &[u8], forwarder: &mut _| {
        let forwarder: &mut turnpike_turn::forward::Forwarder = forwarder;
        outcome(forwarder.from_client(now, client, packet), packet)
    };
    match step {
        Step::Apply(action) => {
            assert_eq!(
                forwarder.apply(now, action),
                model.apply(now, action),
                "{action:?}"
            );
            None
        }
        Step::Advance(half_seconds) => {
            world.now = now + std::time::Duration::from_millis(half_seconds * 500);
            None
        }
        Step::ChannelData(client, number) => {
            let packet = channel_data(*number, PAYLOAD);
            let real = from_client(client, &packet, forwarder);
            Some((real, model.channel_data(now, client, *number)))
        }
        Step::Send(client, peer) => {
            let packet = send_indication(&peer.to_string(), PAYLOAD);
            let real = from_client(client, &packet, forwarder);
            Some((real, model.send(now, client, *peer)))
        }
        Step::FromPeer(relayed, peer) => {
            let verdict = forwarder.from_peer(now, *relayed, PeerAddr(*peer), PAYLOAD.len());
            Some((
                outcome(verdict, &[]),
                model.peer_sends(now, *relayed, *peer),
            ))
        }
        Step::Binding(client) => {
            let packet = message(
                turnpike_stun::Class::Request,
                turnpike_stun::Method::BINDING,
                |_| {},
            );
            Some((from_client(client, &packet, forwarder), Outcome::Pass))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_naive_model(
        entries_max in pick(&[3, 5, 40]),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::empty(entries_max);
        let mut model = Model { entries_max, ..Model::default() };
        model.services =
            [SERVICE, "10.0.0.5:50080", "198.51.100.5:50080", "0.0.0.0:50080"].map(addr).to_vec();
        let mut packets = 0;
        for step in &steps {
            if let Some((real, expected)) = take(&mut world, &mut model, step) {
                prop_assert_eq!(real, expected, "{:?}", step);
                packets += 1;
            }
        }
        let counters = world.forwarder.counters();
        prop_assert_eq!(counters.received(), packets);
        let accounted = counters.forwarded() + counters.passed + counters.dropped_total();
        prop_assert_eq!(accounted, packets);
    }
}
