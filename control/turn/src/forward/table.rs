//! Slabs of entries and the hash tables that lead to them: what the forwarder knows.
//!
//! One look-up a packet on the way in, in constant time. Whoever is not found here is not relayed;
//! an entry whose end has come is not found either.
//!
//! Bounded by `entries_max`, counting relayed addresses, permissions and channels together.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashTable;
use turnpike_types::{
    AllocationId, ChannelNumber, CommandError, Entropy, FiveTuple, Timestamp, UserId,
};

use super::index::{KeyHasher, forget, ip_bits};
use super::record::{Address, Allocation, Channel, Endpoint, Permission, User};
use super::slab::{NIL, Slab};
use super::user_buckets::UserBuckets;

#[derive(Debug)]
pub(super) struct Table {
    pub(super) records: Records,
    pub(super) user_buckets: Option<Arc<UserBuckets>>,
    by_five_tuple: HashTable<u32>,
    by_relayed: HashTable<u32>,
    permissions_by_client: HashTable<u32>,
    permissions_by_relayed: HashTable<u32>,
    channels_by_client: HashTable<u32>,
    channels_by_relayed: HashTable<u32>,
    by_user: HashTable<u32>,
    entries: usize,
    entries_max: usize,
}

impl Table {
    pub(super) fn new(
        entries_max: usize,
        user_buckets: Option<Arc<UserBuckets>>,
        entropy: &mut impl Entropy,
    ) -> Self {
        let entries_max = entries_max.min(ENTRIES_CEILING);
        let reserved = (entries_max / KINDS).min(RESERVED_MAX);
        let index = || HashTable::with_capacity(reserved);
        Self {
            records: Records {
                keys: KeyHasher::new(entropy),
                allocations: Vec::with_capacity(reserved),
                addresses: Slab::with_capacity(reserved),
                permissions: Slab::with_capacity(reserved),
                channels: Slab::with_capacity(reserved),
                users: Slab::with_capacity(0),
            },
            user_buckets,
            by_five_tuple: index(),
            by_relayed: index(),
            permissions_by_client: index(),
            permissions_by_relayed: index(),
            channels_by_client: index(),
            channels_by_relayed: index(),
            by_user: HashTable::new(),
            entries: 0,
            entries_max,
        }
    }

    pub(super) const fn entries_max(&self) -> usize {
        self.entries_max
    }

    /// Whether one more entry fits.
    pub(super) const fn room(&self) -> Result<(), CommandError> {
        if self.entries < self.entries_max {
            Ok(())
        } else {
            Err(CommandError::TableFull)
        }
    }

    pub(super) fn allocation_by_five_tuple(&self, five_tuple: &FiveTuple) -> Option<u32> {
        let hash = self.records.keys.client(five_tuple, 0);
        let is_it = |slot: &u32| self.records.is_under(*slot, five_tuple);
        self.by_five_tuple.find(hash, is_it).copied()
    }

    pub(super) fn address_by_relayed(&self, relayed: Endpoint) -> Option<u32> {
        let hash = self.records.keys.local(relayed);
        let is_it = |slot: &u32| self.records.is_relayed(*slot, relayed);
        self.by_relayed.find(hash, is_it).copied()
    }

    pub(super) fn permission_by_client(&self, five_tuple: &FiveTuple, ip: IpAddr) -> Option<u32> {
        let hash = self.records.keys.client(five_tuple, ip_bits(ip));
        let is_it = |slot: &u32| {
            self.records
                .permissions
                .get(*slot)
                .is_some_and(|p| p.wire_ip == ip && self.records.is_under(p.allocation, five_tuple))
        };
        self.permissions_by_client.find(hash, is_it).copied()
    }

    pub(super) fn permission_by_relayed(&self, relayed: Endpoint, ip: IpAddr) -> Option<u32> {
        let hash = self.records.keys.relayed(relayed, Endpoint { ip, port: 0 });
        let is_it = |slot: &u32| {
            self.records
                .permissions
                .get(*slot)
                .is_some_and(|p| p.wire_ip == ip && self.records.is_relayed(p.address, relayed))
        };
        self.permissions_by_relayed.find(hash, is_it).copied()
    }

    pub(super) fn channel_by_client(
        &self,
        five_tuple: &FiveTuple,
        number: ChannelNumber,
    ) -> Option<u32> {
        let hash = self.records.keys.client(five_tuple, number.get().into());
        let is_it = |slot: &u32| {
            self.records.channels.get(*slot).is_some_and(|c| {
                c.number == number && self.records.is_under(c.allocation, five_tuple)
            })
        };
        self.channels_by_client.find(hash, is_it).copied()
    }

    pub(super) fn channel_by_relayed(&self, relayed: Endpoint, peer: Endpoint) -> Option<u32> {
        let hash = self.records.keys.relayed(relayed, peer);
        let is_it = |slot: &u32| {
            self.records
                .channels
                .get(*slot)
                .is_some_and(|c| c.wire_peer == peer && self.records.is_relayed(c.address, relayed))
        };
        self.channels_by_relayed.find(hash, is_it).copied()
    }

    pub(super) fn user_by_id(&self, id: UserId) -> Option<u32> {
        let is_it = |slot: &u32| {
            self.records
                .users
                .get(*slot)
                .is_some_and(|user| user.id == id)
        };
        self.by_user
            .find(self.records.keys.user(id), is_it)
            .copied()
    }

    /// The relayed address of one allocation, if it is its own.
    pub(super) fn address_of(&self, allocation: u32, relayed: Endpoint) -> Option<u32> {
        let slot = self.address_by_relayed(relayed)?;
        (self.records.addresses.get(slot)?.allocation == allocation).then_some(slot)
    }

    /// Puts an allocation without addresses in; it counts as an entry only with its addresses.
    pub(super) fn add_allocation(&mut self, slot: u32, allocation: Allocation) {
        let index = slot as usize;
        let records = &mut self.records;
        if records.allocations.len() <= index {
            records.allocations.resize_with(index + 1, || None);
        }
        if let Some(place) = records.allocations.get_mut(index) {
            *place = Some(allocation);
        }
        let hash = |slot: &u32| records.allocation_hash(*slot);
        self.by_five_tuple.insert_unique(hash(&slot), slot, hash);
    }

    /// Takes an allocation out that nothing hangs on.
    pub(super) fn remove_allocation(&mut self, slot: u32) -> Option<Allocation> {
        forget(
            &mut self.by_five_tuple,
            self.records.allocation_hash(slot),
            slot,
        );
        self.records.allocations.get_mut(slot as usize)?.take()
    }

    pub(super) fn add_address(&mut self, address: Address) {
        let owner = address.allocation;
        let records = &mut self.records;
        let slot = records.addresses.insert(address);
        if let Some(Some(allocation)) = records.allocations.get_mut(owner as usize) {
            records.addresses.link(&mut allocation.addresses, slot);
        }
        let hash = |slot: &u32| records.address_hash(*slot);
        self.by_relayed.insert_unique(hash(&slot), slot, hash);
        self.entries += 1;
    }

    pub(super) fn remove_address(&mut self, slot: u32) {
        let records = &mut self.records;
        forget(&mut self.by_relayed, records.address_hash(slot), slot);
        let Some(address) = records.addresses.remove(slot) else {
            return;
        };
        if let Some(Some(allocation)) = records.allocations.get_mut(address.allocation as usize) {
            records
                .addresses
                .unlink(&mut allocation.addresses, address.links);
        }
        self.entries -= 1;
    }

    pub(super) fn add_permission(&mut self, permission: Permission) {
        let owner = permission.allocation;
        let records = &mut self.records;
        let slot = records.permissions.insert(permission);
        if let Some(Some(allocation)) = records.allocations.get_mut(owner as usize) {
            records.permissions.link(&mut allocation.permissions, slot);
        }
        let client = |slot: &u32| records.permission_hashes(*slot).0;
        let relayed = |slot: &u32| records.permission_hashes(*slot).1;
        self.permissions_by_client
            .insert_unique(client(&slot), slot, client);
        self.permissions_by_relayed
            .insert_unique(relayed(&slot), slot, relayed);
        self.entries += 1;
    }

    pub(super) fn remove_permission(&mut self, slot: u32) {
        let records = &mut self.records;
        let (client, relayed) = records.permission_hashes(slot);
        forget(&mut self.permissions_by_client, client, slot);
        forget(&mut self.permissions_by_relayed, relayed, slot);
        let Some(permission) = records.permissions.remove(slot) else {
            return;
        };
        if let Some(Some(allocation)) = records.allocations.get_mut(permission.allocation as usize)
        {
            records
                .permissions
                .unlink(&mut allocation.permissions, permission.links);
        }
        self.entries -= 1;
    }

    pub(super) fn add_channel(&mut self, channel: Channel) {
        let owner = channel.allocation;
        let records = &mut self.records;
        let slot = records.channels.insert(channel);
        if let Some(Some(allocation)) = records.allocations.get_mut(owner as usize) {
            records.channels.link(&mut allocation.channels, slot);
        }
        let client = |slot: &u32| records.channel_hashes(*slot).0;
        let relayed = |slot: &u32| records.channel_hashes(*slot).1;
        self.channels_by_client
            .insert_unique(client(&slot), slot, client);
        self.channels_by_relayed
            .insert_unique(relayed(&slot), slot, relayed);
        self.entries += 1;
    }

    pub(super) fn remove_channel(&mut self, slot: u32) {
        let records = &mut self.records;
        let (client, relayed) = records.channel_hashes(slot);
        forget(&mut self.channels_by_client, client, slot);
        forget(&mut self.channels_by_relayed, relayed, slot);
        let Some(channel) = records.channels.remove(slot) else {
            return;
        };
        if let Some(Some(allocation)) = records.allocations.get_mut(channel.allocation as usize) {
            records
                .channels
                .unlink(&mut allocation.channels, channel.links);
        }
        self.entries -= 1;
    }

    pub(super) fn add_user(&mut self, user: User) -> u32 {
        let records = &mut self.records;
        let slot = records.users.insert(user);
        let hash = |slot: &u32| records.user_hash(*slot);
        self.by_user.insert_unique(hash(&slot), slot, hash);
        slot
    }

    pub(super) fn remove_user(&mut self, slot: u32) {
        forget(&mut self.by_user, self.records.user_hash(slot), slot);
        self.records.users.remove(slot);
    }
}

#[cfg(test)]
impl Table {
    /// How many slots each index holds.
    pub(super) fn indexed(&self) -> [usize; 7] {
        [
            &self.by_five_tuple,
            &self.by_relayed,
            &self.permissions_by_client,
            &self.permissions_by_relayed,
            &self.channels_by_client,
            &self.channels_by_relayed,
            &self.by_user,
        ]
        .map(HashTable::len)
    }

    /// How many slots each slab ever used.
    pub(super) fn slots(&self) -> [usize; 4] {
        let Records {
            addresses,
            permissions,
            channels,
            users,
            ..
        } = &self.records;
        [
            addresses.slots(),
            permissions.slots(),
            channels.slots(),
            users.slots(),
        ]
    }
}

/// The records themselves, and the hashes of their keys.
#[derive(Debug)]
pub(super) struct Records {
    keys: KeyHasher,
    allocations: Vec<Option<Allocation>>,
    pub(super) addresses: Slab<Address>,
    pub(super) permissions: Slab<Permission>,
    pub(super) channels: Slab<Channel>,
    pub(super) users: Slab<User>,
}

impl Records {
    pub(super) fn allocation(&self, slot: u32) -> Option<&Allocation> {
        self.allocations.get(slot as usize)?.as_ref()
    }

    pub(super) fn allocation_mut(&mut self, slot: u32) -> Option<&mut Allocation> {
        self.allocations.get_mut(slot as usize)?.as_mut()
    }

    /// The allocation of that very generation.
    pub(super) fn allocation_of(&self, id: AllocationId) -> Option<&Allocation> {
        self.allocation(id.slot)
            .filter(|allocation| allocation.generation == id.generation)
    }

    /// An allocation and its user, to charge both for one packet.
    pub(super) fn payers(&mut self, slot: u32) -> Option<(&mut Allocation, &mut User)> {
        let allocation = self.allocations.get_mut(slot as usize)?.as_mut()?;
        let user = self.users.get_mut(allocation.user)?;
        Some((allocation, user))
    }

    /// Whether any relayed address of the allocation is still open.
    pub(super) fn is_live(&self, slot: u32, now: Timestamp) -> bool {
        let mut next = self
            .allocation(slot)
            .map_or(NIL, |allocation| allocation.addresses);
        while let Some(address) = self.addresses.get(next) {
            if address.expires_at > now {
                return true;
            }
            next = address.links.next;
        }
        false
    }

    fn is_under(&self, allocation: u32, five_tuple: &FiveTuple) -> bool {
        self.allocation(allocation)
            .is_some_and(|found| found.five_tuple == *five_tuple)
    }

    fn is_relayed(&self, address: u32, relayed: Endpoint) -> bool {
        self.addresses
            .get(address)
            .is_some_and(|found| found.relayed == relayed)
    }

    fn client_hash(&self, allocation: u32, rest: u128) -> u64 {
        self.allocation(allocation)
            .map_or(0, |found| self.keys.client(&found.five_tuple, rest))
    }

    fn relayed_hash(&self, address: u32, peer: Endpoint) -> u64 {
        self.addresses
            .get(address)
            .map_or(0, |found| self.keys.relayed(found.relayed, peer))
    }

    fn allocation_hash(&self, slot: u32) -> u64 {
        self.client_hash(slot, 0)
    }

    fn address_hash(&self, slot: u32) -> u64 {
        self.addresses
            .get(slot)
            .map_or(0, |address| self.keys.local(address.relayed))
    }

    fn permission_hashes(&self, slot: u32) -> (u64, u64) {
        self.permissions.get(slot).map_or((0, 0), |permission| {
            let peer = Endpoint {
                ip: permission.wire_ip,
                port: 0,
            };
            let client = self.client_hash(permission.allocation, ip_bits(permission.wire_ip));
            (client, self.relayed_hash(permission.address, peer))
        })
    }

    fn channel_hashes(&self, slot: u32) -> (u64, u64) {
        self.channels.get(slot).map_or((0, 0), |channel| {
            let client = self.client_hash(channel.allocation, channel.number.get().into());
            (
                client,
                self.relayed_hash(channel.address, channel.wire_peer),
            )
        })
    }

    fn user_hash(&self, slot: u32) -> u64 {
        self.users
            .get(slot)
            .map_or(0, |user| self.keys.user(user.id))
    }
}

/// Slots are `u32` and one of them means none.
const ENTRIES_CEILING: usize = (u32::MAX - 1) as usize;

/// Addresses, permissions and channels: each kind gets its share of the room at the start, so that
/// no packet waits for a table that grows.
const KINDS: usize = 3;

/// The most that is reserved at the start, a kind; a larger table grows when it comes to that.
const RESERVED_MAX: usize = 1 << 20;
