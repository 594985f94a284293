//! What a forwarder is by the words of `turnpike_types::forwarding`: lists, and a search for every
//! question. Token buckets are the real ones; they have tests of their own.

mod judge;

use std::net::IpAddr;

use turnpike_turn::forward::{ToPeer, Traffic};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, CommandError, DropReason,
    Entry, EntryKey, FiveTuple, PeerAddr, PermissionEntry, RateLimit, RelayedAddr, Timestamp,
    TokenBucket, UserId,
};

use crate::addresses::{RELAY_V4, RELAY_V4_EXTERNAL};

/// What should come of a packet.
#[derive(Debug)]
pub(in crate::forwarder) enum Expected {
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
pub(in crate::forwarder) struct Tally {
    pub(in crate::forwarder) from_client: u64,
    pub(in crate::forwarder) from_peer: u64,
    pub(in crate::forwarder) to_peer: u64,
    pub(in crate::forwarder) to_client: u64,
    pub(in crate::forwarder) passed: u64,
    pub(in crate::forwarder) dropped: [u64; DropReason::ALL.len()],
}

#[derive(Debug)]
pub(in crate::forwarder) struct Model {
    entries_max: usize,
    allocations: Vec<Allocation>,
    users: Vec<User>,
    pub(in crate::forwarder) tally: Tally,
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
    pub(in crate::forwarder) fn new(entries_max: usize) -> Self {
        let tally = Tally::default();
        Self {
            entries_max,
            allocations: Vec::new(),
            users: Vec::new(),
            tally,
        }
    }

    pub(in crate::forwarder) fn traffic(&self) -> impl Iterator<Item = (AllocationId, Traffic)> {
        self.allocations
            .iter()
            .map(|allocation| (allocation.id, allocation.traffic))
    }

    pub(in crate::forwarder) fn apply(
        &mut self,
        now: Timestamp,
        action: &Action,
    ) -> Result<(), CommandError> {
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
            allocation.bucket = TokenBucket::empty(now);
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
            bucket: TokenBucket::empty(now),
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
}

impl Allocation {
    fn new(now: Timestamp, entry: &AllocationEntry) -> Self {
        Self {
            id: entry.allocation,
            five_tuple: entry.five_tuple,
            user: entry.user,
            limit: entry.allocation_limit,
            bucket: TokenBucket::empty(now),
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
pub(in crate::forwarder) fn wire_ip(ip: IpAddr) -> IpAddr {
    if ip == IpAddr::V4(RELAY_V4_EXTERNAL) {
        RELAY_V4.into()
    } else {
        ip
    }
}
