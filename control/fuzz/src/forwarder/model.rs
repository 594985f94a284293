//! What a forwarder is by the words of `turnpike_types::forwarding`: lists, and a search for every
//! question. Token buckets are the real ones; they have tests of their own.

use std::net::{IpAddr, SocketAddr};

use turnpike_turn::forward::{ToPeer, Traffic};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, CommandError, DropReason,
    Entry, EntryKey, FiveTuple, PeerAddr, PermissionEntry, RateLimit, RelayedAddr, Timestamp,
    TokenBucket, UserId,
};

use crate::addresses::{RELAY_V4, RELAY_V4_EXTERNAL, SERVER_V4};
use crate::naive_stun::{self, FINGERPRINT, NaiveMessage};

/// What should come of a packet.
#[derive(Debug)]
pub(super) enum Expected {
    ToPeer(ToPeer),
    ToClient {
        id: AllocationId,
        five_tuple: FiveTuple,
        channel: Option<ChannelNumber>,
        peer: PeerAddr,
    },
    Pass,
    Drop(DropReason),
}

/// Packets by what came of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) from_client: u64,
    pub(super) from_peer: u64,
    pub(super) to_peer: u64,
    pub(super) to_client: u64,
    pub(super) passed: u64,
    pub(super) dropped: [u64; DropReason::ALL.len()],
}

#[derive(Debug)]
pub(super) struct Model {
    entries_max: usize,
    allocations: Vec<Allocation>,
    users: Vec<User>,
    pub(super) tally: Tally,
}

#[derive(Debug)]
struct Allocation {
    id: AllocationId,
    five_tuple: FiveTuple,
    user: UserId,
    limit: RateLimit,
    bucket: TokenBucket,
    traffic: Traffic,
    addresses: Vec<(RelayedAddr, Timestamp)>,
    permissions: Vec<PermissionEntry>,
    channels: Vec<ChannelEntry>,
}

#[derive(Debug)]
struct User {
    id: UserId,
    limit: RateLimit,
    bucket: TokenBucket,
}

impl Model {
    pub(super) fn new(entries_max: usize) -> Self {
        let tally = Tally::default();
        Self {
            entries_max,
            allocations: Vec::new(),
            users: Vec::new(),
            tally,
        }
    }

    pub(super) fn traffic(&self) -> impl Iterator<Item = (AllocationId, Traffic)> {
        self.allocations
            .iter()
            .map(|allocation| (allocation.id, allocation.traffic))
    }

    pub(super) fn apply(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        let result = match action {
            Action::Install(Entry::Allocation(entry)) => self.install_allocation(now, entry),
            Action::Install(Entry::Permission(entry)) => self.install_permission(entry),
            Action::Install(Entry::Channel(entry)) => self.install_channel(entry),
            Action::Refresh { key, expires_at } => self.refresh(key, *expires_at),
            Action::Revoke(key) => {
                self.revoke(key);
                Ok(())
            }
        };
        // An allocation lives while it has an address, a user while it has an allocation.
        self.allocations
            .retain(|allocation| !allocation.addresses.is_empty());
        let allocations = &self.allocations;
        self.users
            .retain(|user| allocations.iter().any(|found| found.user == user.id));
        result
    }

    fn entries(&self) -> usize {
        let count = |found: &Allocation| {
            found.addresses.len() + found.permissions.len() + found.channels.len()
        };
        self.allocations.iter().map(count).sum()
    }

    fn room(&self) -> Result<(), CommandError> {
        if self.entries() < self.entries_max {
            Ok(())
        } else {
            Err(CommandError::TableFull)
        }
    }

    fn install_allocation(
        &mut self,
        now: Timestamp,
        entry: &AllocationEntry,
    ) -> Result<(), CommandError> {
        let AllocationId { slot, .. } = entry.allocation;
        if usize::try_from(slot).expect("64 bits") >= self.entries_max {
            return Err(CommandError::TableFull);
        }
        let is_same = |found: &Allocation| {
            found.id == entry.allocation && found.five_tuple == entry.five_tuple
        };
        self.allocations.retain(|found| {
            is_same(found) || (found.id.slot != slot && found.five_tuple != entry.five_tuple)
        });
        for other in self.allocations.iter_mut().filter(|found| !is_same(found)) {
            other.close(entry.relayed);
        }
        self.allocations.retain(|found| !found.addresses.is_empty());
        let users = &mut self.users;
        let allocations = &self.allocations;
        users.retain(|user| allocations.iter().any(|found| found.user == user.id));

        let existing = self.allocations.iter().position(is_same);
        let is_open = existing.is_some_and(|place| self.allocations[place].has(entry.relayed));
        if !is_open {
            self.room()?;
        }
        self.set_user(now, entry);
        let place = existing.unwrap_or_else(|| {
            self.allocations.push(Allocation::new(now, entry));
            self.allocations.len() - 1
        });
        let allocation = &mut self.allocations[place];
        allocation.user = entry.user;
        if allocation.limit != entry.allocation_limit {
            allocation.limit = entry.allocation_limit;
            allocation.bucket = TokenBucket::full(&entry.allocation_limit, now);
        }
        allocation
            .addresses
            .retain(|(relayed, _)| *relayed != entry.relayed);
        allocation.addresses.push((entry.relayed, entry.expires_at));
        Ok(())
    }

    fn set_user(&mut self, now: Timestamp, entry: &AllocationEntry) {
        let (id, limit) = (entry.user, entry.user_limit);
        let full = User {
            id,
            limit,
            bucket: TokenBucket::full(&limit, now),
        };
        match self.users.iter_mut().find(|user| user.id == id) {
            None => self.users.push(full),
            Some(user) if user.limit != limit => *user = full,
            Some(_) => {}
        }
    }

    fn of(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        self.allocations.iter_mut().find(|found| found.id == id)
    }

    fn anchor(
        &mut self,
        id: AllocationId,
        relayed: RelayedAddr,
    ) -> Result<&mut Allocation, CommandError> {
        self.of(id)
            .filter(|found| found.has(relayed))
            .ok_or(CommandError::Absent)
    }

    fn install_permission(&mut self, entry: &PermissionEntry) -> Result<(), CommandError> {
        let room = self.room();
        let allocation = self.anchor(entry.allocation, entry.relayed)?;
        let is_it = |found: &PermissionEntry| found.wire_ip == entry.wire_ip;
        if !allocation.permissions.iter().any(is_it) {
            room?;
        }
        allocation.permissions.retain(|found| !is_it(found));
        allocation.permissions.push(*entry);
        Ok(())
    }

    fn install_channel(&mut self, entry: &ChannelEntry) -> Result<(), CommandError> {
        let room = self.room();
        let allocation = self.anchor(entry.allocation, entry.relayed)?;
        if allocation.five_tuple != entry.five_tuple {
            return Err(CommandError::Absent);
        }
        let is_it = |found: &ChannelEntry| {
            found.number == entry.number
                || (found.relayed == entry.relayed && found.wire_peer == entry.wire_peer)
        };
        if !allocation.channels.iter().any(is_it) {
            room?;
        }
        allocation.channels.retain(|found| !is_it(found));
        allocation.channels.push(*entry);
        Ok(())
    }

    fn refresh(&mut self, key: &EntryKey, expires_at: Timestamp) -> Result<(), CommandError> {
        let end = match key {
            EntryKey::Allocation {
                allocation,
                relayed,
            } => self.of(*allocation).and_then(|found| {
                let mut addresses = found.addresses.iter_mut();
                addresses
                    .find(|(open, _)| open == relayed)
                    .map(|(_, end)| end)
            }),
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => self.of(*allocation).and_then(|found| {
                let mut permissions = found.permissions.iter_mut();
                let permission = permissions.find(|permission| permission.wire_ip == *wire_ip);
                permission.map(|permission| &mut permission.expires_at)
            }),
            EntryKey::Channel { allocation, number } => self.of(*allocation).and_then(|found| {
                let channel = found
                    .channels
                    .iter_mut()
                    .find(|channel| channel.number == *number);
                channel.map(|channel| &mut channel.expires_at)
            }),
        };
        *end.ok_or(CommandError::Absent)? = expires_at;
        Ok(())
    }

    fn revoke(&mut self, key: &EntryKey) {
        match key {
            EntryKey::Allocation {
                allocation,
                relayed,
            } => {
                if let Some(found) = self.of(*allocation) {
                    found.close(*relayed);
                }
            }
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => {
                if let Some(found) = self.of(*allocation) {
                    found
                        .permissions
                        .retain(|permission| permission.wire_ip != *wire_ip);
                }
            }
            EntryKey::Channel { allocation, number } => {
                if let Some(found) = self.of(*allocation) {
                    found.channels.retain(|channel| channel.number != *number);
                }
            }
        }
    }

    pub(super) fn client_sent(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Expected {
        self.tally.from_client += 1;
        match self.judge_client(now, five_tuple, packet) {
            Ok(Some(forward)) => {
                self.tally.to_peer += 1;
                Expected::ToPeer(forward)
            }
            Ok(None) => {
                self.tally.passed += 1;
                Expected::Pass
            }
            Err(reason) => self.drop_for(reason),
        }
    }

    fn judge_client(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<Option<ToPeer>, DropReason> {
        let first = packet.first().copied().ok_or(DropReason::Malformed)?;
        if (0x40..0x80).contains(&first) {
            return self.channel_data(now, five_tuple, packet).map(Some);
        }
        if packet.len() >= 2 && packet[..2] == [0x00, 0x16] {
            return self.send_indication(now, five_tuple, packet).map(Some);
        }
        let is_stun =
            first < 0x40 && packet.len() >= 20 && packet[4..8] == [0x21, 0x12, 0xA4, 0x42];
        if is_stun {
            Ok(None)
        } else {
            Err(DropReason::Malformed)
        }
    }

    fn channel_data(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<ToPeer, DropReason> {
        if packet.len() < 4 {
            return Err(DropReason::Malformed);
        }
        let number = u16::from_be_bytes([packet[0], packet[1]]);
        let payload = 4..4 + usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        if !(0x4000..=0x4FFF).contains(&number) || payload.end > packet.len() {
            return Err(DropReason::Malformed);
        }
        let allocation = self.under(five_tuple);
        let channel = allocation.and_then(|found| {
            let is_it = |channel: &&ChannelEntry| {
                channel.number.get() == number && channel.expires_at > now
            };
            found.channels.iter().find(is_it).copied()
        });
        let channel =
            channel.ok_or_else(|| self.missing(now, five_tuple, DropReason::NoChannel))?;
        let relayed = channel.relayed;
        self.relay(
            now,
            channel.allocation,
            relayed,
            channel.wire_peer,
            payload,
            false,
        )
    }

    fn send_indication(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<ToPeer, DropReason> {
        let message = NaiveMessage::parse(packet).ok_or(DropReason::Malformed)?;
        let is_foreign = |kind: u16| kind < 0x8000 && !HARMLESS.contains(&kind);
        let lies = |found: &naive_stun::NaiveAttribute| {
            is_foreign(found.kind) || (found.kind == 0x001A && !found.value.is_empty())
        };
        if message.attributes.iter().any(lies) {
            return Err(DropReason::Malformed);
        }
        let peer = message.first(0x0012).ok_or(DropReason::Malformed)?;
        let data = message.first(0x0013).ok_or(DropReason::Malformed)?;
        let peer = naive_stun::address(&peer.value, Some(&message.transaction_id))
            .ok_or(DropReason::Malformed)?;
        if message.first(FINGERPRINT).is_some() && message.fingerprint_is_valid() != Some(true) {
            return Err(DropReason::BadFingerprint);
        }
        let wire_peer = SocketAddr::new(wire_ip(peer.ip()), peer.port());
        let permission = self.under(five_tuple).and_then(|found| {
            let is_it = |permission: &&PermissionEntry| {
                permission.wire_ip == wire_peer.ip() && permission.expires_at > now
            };
            found.permissions.iter().find(is_it).copied()
        });
        let permission =
            permission.ok_or_else(|| self.missing(now, five_tuple, DropReason::NoPermission))?;
        if !admits(&permission, wire_peer) {
            return Err(DropReason::ForbiddenPort);
        }
        let payload = data.offset + 4..data.offset + 4 + data.value.len();
        let dont_fragment = message.first(0x001A).is_some();
        let wire_peer = PeerAddr(wire_peer);
        self.relay(
            now,
            permission.allocation,
            permission.relayed,
            wire_peer,
            payload,
            dont_fragment,
        )
    }

    fn relay(
        &mut self,
        now: Timestamp,
        id: AllocationId,
        relayed: RelayedAddr,
        peer: PeerAddr,
        payload: std::ops::Range<usize>,
        dont_fragment: bool,
    ) -> Result<ToPeer, DropReason> {
        self.charge(now, id, payload.len())?;
        let traffic = &mut self.of(id).ok_or(DropReason::NoAllocation)?.traffic;
        traffic.to_peer_packets += 1;
        traffic.to_peer_bytes += payload.len() as u64;
        Ok(ToPeer {
            allocation: id,
            relayed,
            peer,
            payload,
            dont_fragment,
        })
    }

    pub(super) fn peer_sent(
        &mut self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        len: usize,
    ) -> Expected {
        self.tally.from_peer += 1;
        match self.judge_peer(now, relayed, peer, len) {
            Ok(expected) => {
                self.tally.to_client += 1;
                expected
            }
            Err(reason) => self.drop_for(reason),
        }
    }

    fn judge_peer(
        &mut self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        len: usize,
    ) -> Result<Expected, DropReason> {
        let owner = self.allocations.iter().find(|found| found.has(relayed));
        let owner = owner.ok_or(DropReason::NoAllocation)?;
        let (id, five_tuple) = (owner.id, owner.five_tuple);
        let is_channel = |channel: &&ChannelEntry| {
            channel.relayed == relayed && channel.wire_peer == peer && channel.expires_at > now
        };
        let channel = owner
            .channels
            .iter()
            .find(is_channel)
            .map(|channel| channel.number);
        let mut known = peer;
        if channel.is_none() {
            let is_permission = |found: &&PermissionEntry| {
                found.relayed == relayed && found.wire_ip == peer.ip() && found.expires_at > now
            };
            let Some(permission) = owner.permissions.iter().find(is_permission) else {
                let mut addresses = owner.addresses.iter();
                let is_open = addresses.any(|(open, end)| *open == relayed && *end > now);
                return Err(if is_open {
                    DropReason::NoPermission
                } else {
                    DropReason::NoAllocation
                });
            };
            if !admits(permission, peer.0) {
                return Err(DropReason::ForbiddenPort);
            }
            known = PeerAddr(SocketAddr::new(permission.peer_ip, peer.port()));
        }
        self.charge(now, id, len)?;
        let overhead = match (channel, known.0) {
            (Some(_), _) if five_tuple.transport.is_stream() => 4 + len.next_multiple_of(4) - len,
            (Some(_), _) => 4,
            (None, SocketAddr::V4(_)) => 36 + len.next_multiple_of(4) - len,
            (None, SocketAddr::V6(_)) => 48 + len.next_multiple_of(4) - len,
        };
        if len + overhead > 65_507 {
            return Err(DropReason::Oversize);
        }
        let traffic = &mut self.of(id).ok_or(DropReason::NoAllocation)?.traffic;
        traffic.to_client_packets += 1;
        traffic.to_client_bytes += len as u64;
        Ok(Expected::ToClient {
            id,
            five_tuple,
            channel,
            peer: known,
        })
    }

    fn under(&self, five_tuple: &FiveTuple) -> Option<&Allocation> {
        self.allocations
            .iter()
            .find(|found| found.five_tuple == *five_tuple)
    }

    fn missing(&self, now: Timestamp, five_tuple: &FiveTuple, entry: DropReason) -> DropReason {
        let is_live = |found: &Allocation| found.addresses.iter().any(|(_, end)| *end > now);
        match self.under(five_tuple) {
            Some(found) if is_live(found) => entry,
            _ => DropReason::NoAllocation,
        }
    }

    fn charge(&mut self, now: Timestamp, id: AllocationId, len: usize) -> Result<(), DropReason> {
        let users = &mut self.users;
        let mut allocations = self.allocations.iter_mut();
        let allocation = allocations
            .find(|found| found.id == id)
            .ok_or(DropReason::NoAllocation)?;
        let user = users.iter_mut().find(|user| user.id == allocation.user);
        let user = user.ok_or(DropReason::NoAllocation)?;
        let mut bucket = allocation.bucket;
        if !bucket.take(&allocation.limit, now, len) {
            allocation.bucket = bucket;
            return Err(DropReason::AllocationRate);
        }
        if !user.bucket.take(&user.limit, now, len) {
            return Err(DropReason::UserRate);
        }
        allocation.bucket = bucket;
        Ok(())
    }

    fn drop_for(&mut self, reason: DropReason) -> Expected {
        self.tally.dropped[reason as usize] += 1;
        Expected::Drop(reason)
    }
}

impl Allocation {
    fn new(now: Timestamp, entry: &AllocationEntry) -> Self {
        Self {
            id: entry.allocation,
            five_tuple: entry.five_tuple,
            user: entry.user,
            limit: entry.allocation_limit,
            bucket: TokenBucket::full(&entry.allocation_limit, now),
            traffic: Traffic::default(),
            addresses: Vec::new(),
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    fn has(&self, relayed: RelayedAddr) -> bool {
        self.addresses.iter().any(|(open, _)| *open == relayed)
    }

    fn close(&mut self, relayed: RelayedAddr) {
        self.addresses.retain(|(open, _)| *open != relayed);
        self.permissions
            .retain(|permission| permission.relayed != relayed);
        self.channels.retain(|channel| channel.relayed != relayed);
    }
}

/// An own external address stands for the one behind it.
pub(super) fn wire_ip(ip: IpAddr) -> IpAddr {
    if ip == IpAddr::V4(RELAY_V4_EXTERNAL) {
        RELAY_V4.into()
    } else {
        ip
    }
}

fn admits(permission: &PermissionEntry, peer: SocketAddr) -> bool {
    let rule = permission.ports;
    let external = SocketAddr::new(RELAY_V4_EXTERNAL.into(), SERVER_V4.port());
    let is_service = peer == SERVER_V4 || peer == external;
    (rule.min..=rule.max).contains(&peer.port()) && !(rule.guarded && is_service)
}

/// Attributes that are known, and known to do no harm in a Send indication.
const HARMLESS: [u16; 21] = [
    0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x000C, 0x000D, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016,
    0x0017, 0x0018, 0x0019, 0x001A, 0x001C, 0x001D, 0x001E, 0x0020, 0x0022,
];
