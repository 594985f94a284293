//! Carrying commands out: install, refresh, revoke.
//!
//! What stands in the table counts here, lapsed or not: the engine's clock and the lane's need not
//! agree to the nanosecond. An allocation that takes a slot, a five-tuple or a relayed address over
//! ends whatever held it.
//!
//! A call is bounded by the entries of the one allocation it names (and of those it takes over).

use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, CommandError, Entry, EntryKey, FiveTuple,
    PermissionEntry, RateLimit, RelayedAddr, Timestamp, TokenBucket,
};

use super::counters::Traffic;
use super::record::{Address, Allocation, Channel, Endpoint, Permission, User};
use super::slab::{Links, NIL};
use super::table::Table;
use super::user_buckets::UserBuckets;

impl Table {
    pub(super) fn apply(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        match action {
            Action::Install(Entry::Allocation(entry)) => self.install_allocation(now, entry),
            Action::Install(Entry::Permission(entry)) => self.install_permission(entry),
            Action::Install(Entry::Channel(entry)) => self.install_channel(entry),
            Action::Refresh { key, expires_at } => {
                let end = self.find_end(key).ok_or(CommandError::Absent)?;
                *end = *expires_at;
                Ok(())
            }
            Action::Revoke(key) => {
                self.revoke(key);
                Ok(())
            }
        }
    }

    fn install_allocation(
        &mut self,
        now: Timestamp,
        entry: &AllocationEntry,
    ) -> Result<(), CommandError> {
        let slot = entry.allocation.slot;
        if slot as usize >= self.entries_max() {
            return Err(CommandError::TableFull);
        }
        self.end_predecessors(entry);
        let relayed = Endpoint::from(entry.relayed.0);
        let existing = self.address_of(slot, relayed);
        if existing.is_none() {
            self.room()?;
        }
        self.set_terms(now, entry);
        match existing.and_then(|address| self.records.addresses.get_mut(address)) {
            Some(address) => address.expires_at = entry.expires_at,
            None => self.add_address(Address {
                allocation: slot,
                links: Links::NONE,
                relayed,
                expires_at: entry.expires_at,
            }),
        }
        Ok(())
    }

    fn end_predecessors(&mut self, entry: &AllocationEntry) {
        let AllocationId { slot, generation } = entry.allocation;
        let is_same = |found: &Allocation| {
            found.generation == generation && found.five_tuple == entry.five_tuple
        };
        if self
            .records
            .allocation(slot)
            .is_some_and(|found| !is_same(found))
        {
            self.end_allocation(slot);
        }
        if let Some(other) = self.allocation_by_five_tuple(&entry.five_tuple)
            && other != slot
        {
            self.end_allocation(other);
        }
        if let Some(address) = self.address_by_relayed(entry.relayed.0.into())
            && self
                .records
                .addresses
                .get(address)
                .is_some_and(|found| found.allocation != slot)
        {
            self.close_address(address);
        }
    }

    /// Makes the allocation if it is not there, and sets its user and limits.
    fn set_terms(&mut self, now: Timestamp, entry: &AllocationEntry) {
        let slot = entry.allocation.slot;
        let user = self.join_user(now, entry);
        let Some(allocation) = self.records.allocation_mut(slot) else {
            let limit = entry.allocation_limit;
            let allocation = Allocation {
                generation: entry.allocation.generation,
                five_tuple: entry.five_tuple,
                user,
                addresses: NIL,
                permissions: NIL,
                channels: NIL,
                limit,
                bucket: TokenBucket::empty(now),
                traffic: Traffic::default(),
            };
            self.add_allocation(slot, allocation);
            return;
        };
        if allocation.limit != entry.allocation_limit {
            allocation.limit = entry.allocation_limit;
            allocation.bucket = TokenBucket::empty(now);
        }
        let former = core::mem::replace(&mut allocation.user, user);
        self.leave_user(former);
    }

    fn join_user(&mut self, now: Timestamp, entry: &AllocationEntry) -> u32 {
        let limit = entry.user_limit;
        let bucket = TokenBucket::empty(now);
        let existing = self.user_by_id(entry.user);
        if let Some(slot) = existing
            && let Some(user) = self.records.users.get_mut(slot)
        {
            user.allocations += 1;
            if user.limit != limit {
                (user.limit, user.bucket) = (limit, bucket);
                self.with_shared(&limit, |shared| shared.empty(entry.user, &limit, now));
            }
            return slot;
        }
        self.with_shared(&limit, |shared| shared.enter(entry.user, &limit, now));
        self.add_user(User {
            id: entry.user,
            allocations: 1,
            limit,
            bucket,
        })
    }

    fn with_shared(&self, limit: &RateLimit, change: impl FnOnce(&UserBuckets)) {
        if let Some(shared) = &self.user_buckets
            && !limit.is_unlimited()
        {
            change(shared);
        }
    }

    fn leave_user(&mut self, slot: u32) {
        let Some(user) = self.records.users.get_mut(slot) else {
            return;
        };
        user.allocations -= 1;
        if user.allocations == 0 {
            self.remove_user(slot);
        }
    }

    fn install_permission(&mut self, entry: &PermissionEntry) -> Result<(), CommandError> {
        let (five_tuple, address) = self.anchor(entry.allocation, entry.relayed)?;
        match self.permission_by_client(&five_tuple, entry.wire_ip) {
            Some(existing) => self.remove_permission(existing),
            None => self.room()?,
        }
        self.add_permission(Permission {
            allocation: entry.allocation.slot,
            address,
            links: Links::NONE,
            wire_ip: entry.wire_ip,
            is_mapped: entry.peer_ip != entry.wire_ip,
            ports: entry.ports,
            expires_at: entry.expires_at,
        });
        Ok(())
    }

    fn install_channel(&mut self, entry: &ChannelEntry) -> Result<(), CommandError> {
        let (five_tuple, address) = self.anchor(entry.allocation, entry.relayed)?;
        if five_tuple != entry.five_tuple {
            return Err(CommandError::Absent);
        }
        let wire_peer = Endpoint::from(entry.wire_peer.0);
        let by_number = self.channel_by_client(&five_tuple, entry.number);
        let by_peer = self.channel_by_relayed(entry.relayed.0.into(), wire_peer);
        if by_number.or(by_peer).is_none() {
            self.room()?;
        }
        for existing in [by_number, by_peer.filter(|slot| Some(*slot) != by_number)] {
            existing
                .into_iter()
                .for_each(|slot| self.remove_channel(slot));
        }
        self.add_channel(Channel {
            allocation: entry.allocation.slot,
            address,
            links: Links::NONE,
            number: entry.number,
            wire_peer,
            expires_at: entry.expires_at,
        });
        Ok(())
    }

    /// What a permission or a channel hangs on: the allocation's five-tuple and its open address.
    fn anchor(
        &self,
        id: AllocationId,
        relayed: RelayedAddr,
    ) -> Result<(FiveTuple, u32), CommandError> {
        let allocation = self.records.allocation_of(id).ok_or(CommandError::Absent)?;
        let address = self
            .address_of(id.slot, relayed.0.into())
            .ok_or(CommandError::Absent)?;
        Ok((allocation.five_tuple, address))
    }

    fn find_end(&mut self, key: &EntryKey) -> Option<&mut Timestamp> {
        match self.find(key)? {
            Found::Address(slot) => self
                .records
                .addresses
                .get_mut(slot)
                .map(|found| &mut found.expires_at),
            Found::Permission(slot) => self
                .records
                .permissions
                .get_mut(slot)
                .map(|found| &mut found.expires_at),
            Found::Channel(slot) => self
                .records
                .channels
                .get_mut(slot)
                .map(|found| &mut found.expires_at),
        }
    }

    fn revoke(&mut self, key: &EntryKey) {
        match self.find(key) {
            Some(Found::Address(slot)) => self.close_address(slot),
            Some(Found::Permission(slot)) => self.remove_permission(slot),
            Some(Found::Channel(slot)) => self.remove_channel(slot),
            None => {}
        }
    }

    fn find(&self, key: &EntryKey) -> Option<Found> {
        let (EntryKey::Allocation { allocation, .. }
        | EntryKey::Permission { allocation, .. }
        | EntryKey::Channel { allocation, .. }) = key;
        let five_tuple = &self.records.allocation_of(*allocation)?.five_tuple;
        match key {
            EntryKey::Allocation { relayed, .. } => self
                .address_of(allocation.slot, relayed.0.into())
                .map(Found::Address),
            EntryKey::Permission { wire_ip, .. } => self
                .permission_by_client(five_tuple, *wire_ip)
                .map(Found::Permission),
            EntryKey::Channel { number, .. } => self
                .channel_by_client(five_tuple, *number)
                .map(Found::Channel),
        }
    }

    fn end_allocation(&mut self, slot: u32) {
        let mut next = self
            .records
            .allocation(slot)
            .map_or(NIL, |found| found.addresses);
        while let Some(address) = self.records.addresses.get(next) {
            let closing = next;
            next = address.links.next;
            self.close_address(closing);
        }
    }

    /// Removes an address with all that hangs on it, and the allocation with its last address.
    fn close_address(&mut self, slot: u32) {
        let Some(owner) = self
            .records
            .addresses
            .get(slot)
            .map(|found| found.allocation)
        else {
            return;
        };
        self.remove_hanging_on(owner, slot);
        self.remove_address(slot);
        if self
            .records
            .allocation(owner)
            .is_some_and(|found| found.addresses == NIL)
            && let Some(allocation) = self.remove_allocation(owner)
        {
            self.leave_user(allocation.user);
        }
    }

    fn remove_hanging_on(&mut self, owner: u32, address: u32) {
        let Some(allocation) = self.records.allocation(owner) else {
            return;
        };
        let (mut channel, mut permission) = (allocation.channels, allocation.permissions);
        while let Some(found) = self.records.channels.get(channel) {
            let (slot, hangs) = (channel, found.address == address);
            channel = found.links.next;
            if hangs {
                self.remove_channel(slot);
            }
        }
        while let Some(found) = self.records.permissions.get(permission) {
            let (slot, hangs) = (permission, found.address == address);
            permission = found.links.next;
            if hangs {
                self.remove_permission(slot);
            }
        }
    }
}

enum Found {
    Address(u32),
    Permission(u32),
    Channel(u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, SocketAddr};
    use turnpike_types::{
        ChannelNumber, ClientAddr, Entropy, PeerAddr, PortRule, RateLimit, ServerAddr, Transport,
        UserId,
    };

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn addr(last: u8, port: u32) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], u16::try_from(port).unwrap()))
    }

    /// An allocation with a permission and a channel; what it holds differs by `salt`.
    fn entries(slot: u32, generation: u32, salt: u32) -> [Entry; 3] {
        let allocation = AllocationId { slot, generation };
        let five_tuple = FiveTuple {
            client: ClientAddr(addr(1, 1 + slot)),
            server: ServerAddr(addr(2, 3_478)),
            transport: Transport::Udp,
        };
        let relayed = RelayedAddr(addr(3, 1 + slot));
        let wire_ip = IpAddr::from([203, 0, 113, u8::try_from(salt % 7).unwrap()]);
        let expires_at = Timestamp::MAX;
        let allocation_entry = AllocationEntry {
            allocation,
            five_tuple,
            relayed,
            user: UserId(slot),
            allocation_limit: RateLimit::UNLIMITED,
            user_limit: RateLimit::UNLIMITED,
            expires_at,
        };
        let permission_entry = PermissionEntry {
            allocation,
            relayed,
            wire_ip,
            peer_ip: wire_ip,
            ports: PortRule {
                min: 1,
                max: 9,
                guarded: false,
            },
            expires_at,
        };
        let channel_entry = ChannelEntry {
            allocation,
            five_tuple,
            relayed,
            number: ChannelNumber::new(0x4000 + u16::try_from(salt % 5).unwrap()).unwrap(),
            wire_peer: PeerAddr(SocketAddr::new(wire_ip, 7)),
            expires_at,
        };
        [
            Entry::Allocation(allocation_entry),
            Entry::Permission(permission_entry),
            Entry::Channel(channel_entry),
        ]
    }

    #[test]
    fn nothing_is_left_of_what_came_and_went() {
        let mut table = Table::new(200, None, &mut Zeros);
        for round in 0..1_000 {
            for entry in entries(round % 8, round / 100, round) {
                assert_eq!(
                    table.apply(Timestamp::ZERO, &Action::Install(entry)),
                    Ok(())
                );
            }
        }
        let highest = table.slots();
        assert!(
            highest.iter().all(|slots| *slots <= 8 * 7 + 1),
            "{highest:?}"
        );
        for slot in 0..8 {
            table.end_allocation(slot);
        }
        assert_eq!(table.indexed(), [0; 7]);
        assert_eq!(table.room(), Ok(()));
    }
}
