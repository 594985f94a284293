//! Carrying commands out: install, refresh, revoke.
//!
//! Like the forwarder of the socket lane: an allocation that takes a slot over ends what held it, and
//! a relayed address that closes takes with it what hangs on it.

use std::sync::Arc;

use turnpike_abi::Terms;
use turnpike_types::{
    Action, AddressFamily, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber,
    CommandError, Entry, EntryKey, PermissionEntry, RelayedAddr, Timestamp, Transport,
};

use super::maps::{Maps, put, take};
use super::record::{Channel, Permitted, Record, Relayed};
use super::{Inner, Shared};
use crate::counters::limit;

impl Inner {
    pub(super) fn apply(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        match action {
            Action::Install(Entry::Allocation(entry)) => self.install_allocation(now, entry),
            Action::Install(entry @ (Entry::Permission(_) | Entry::Channel(_))) => {
                let result = match entry {
                    Entry::Permission(entry) => self.install_permission(entry),
                    Entry::Channel(entry) => self.install_channel(entry),
                    Entry::Allocation(_) => Ok(()),
                };
                if result.is_err() {
                    // The engine hears of the first failure, and takes it for absent.
                    let _nothing_left = self.revoke(&entry.key());
                }
                result
            }
            Action::Refresh { key, expires_at } => self.refresh(key, *expires_at),
            Action::Revoke(key) => self.revoke(key),
        }
    }

    fn install_allocation(
        &mut self,
        now: Timestamp,
        entry: &AllocationEntry,
    ) -> Result<(), CommandError> {
        let slot = self.slot(entry.allocation);
        let slot = slot.ok_or(CommandError::TableFull)?;
        let index = entry.allocation.slot as usize;
        if self.records.len() <= index {
            self.records.resize_with(index + 1, || None);
        }
        let place = self.records.get_mut(index);
        let place = place.ok_or(CommandError::OutOfResources)?;
        if place.as_ref().is_some_and(|found| !found.is_of(entry))
            && let Some(mut former) = place.take()
        {
            former.end(&mut self.maps, &self.shared)?;
        }
        let is_new = place.is_none();
        let record = place.get_or_insert_with(|| Box::new(Record::begin(slot, entry)));
        record.set_terms(now, entry, &self.shared, is_new);
        let result = record.open(entry, &mut self.maps);
        if result.is_err() && record.relayed.iter().all(Option::is_none) {
            // What could not be put in is not there; the engine hears of the first failure.
            let _nothing_left = record.end(&mut self.maps, &self.shared);
            *place = None;
        }
        result
    }

    fn install_permission(&mut self, entry: &PermissionEntry) -> Result<(), CommandError> {
        let shared = Arc::clone(&self.shared);
        let record = self.anchor(entry.allocation, entry.relayed)?;
        if !record.is_datagram {
            return Ok(());
        }
        let permitted = Permitted {
            wire_ip: entry.wire_ip,
            is_mapped: entry.peer_ip != entry.wire_ip,
            ports: entry.ports,
            expires_at: entry.expires_at,
            to_peer: shared.hop_to_peer(entry.relayed.ip(), entry.wire_ip, None),
        };
        let mut held = record.permissions.iter_mut();
        let former = match held.find(|it| it.wire_ip == entry.wire_ip) {
            Some(place) => Some(std::mem::replace(place, permitted)),
            None => {
                record.permissions.push(permitted);
                None
            }
        };
        if let Some(former) = former {
            shared.hops.release(former.to_peer);
        }
        self.write_permission(entry.allocation, &permitted)?;
        if permitted.is_mapped {
            // Its client names the peer by an address that no entry here has.
            self.split(entry.allocation)?;
        }
        Ok(())
    }

    fn install_channel(&mut self, entry: &ChannelEntry) -> Result<(), CommandError> {
        let shared = Arc::clone(&self.shared);
        let record = self.anchor(entry.allocation, entry.relayed)?;
        if record.client != entry.five_tuple.client.0 || record.server != entry.five_tuple.server.0
        {
            return Err(CommandError::Absent);
        }
        if !record.is_datagram {
            return Ok(());
        }
        let (number, peer) = (entry.number, entry.wire_peer.0);
        let channel = Channel {
            number,
            peer,
            expires_at: entry.expires_at,
            to_peer: shared.hop_to_peer(entry.relayed.ip(), peer.ip(), Some(peer.port())),
            is_left_out: false,
        };
        // One that stays as it is is replaced in the maps, and never absent.
        let mut gone = Vec::new();
        record.channels.retain(|it| {
            let stays = it.number != number && it.peer != peer;
            if !stays {
                gone.push(*it);
            }
            stays
        });
        record.channels.push(channel);
        for former in gone {
            if (former.number, former.peer) != (number, peer) {
                self.remove_flows(entry.allocation, &former)?;
            }
            shared.hops.release(former.to_peer);
        }
        self.write_channel(entry.allocation, &channel)
    }

    fn refresh(&mut self, key: &EntryKey, expires_at: Timestamp) -> Result<(), CommandError> {
        match key {
            EntryKey::Allocation {
                allocation,
                relayed,
            } => {
                let record = self.anchor(*allocation, *relayed)?;
                if let Some(Some(found)) = record.relayed_mut(relayed.family()) {
                    found.expires_at = expires_at;
                }
                self.rewrite_addresses(*allocation)
            }
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => {
                let record = self.record(*allocation)?;
                if !record.is_datagram {
                    return Ok(());
                }
                let mut held = record.permissions.iter_mut();
                let found = held.find(|it| it.wire_ip == *wire_ip);
                let found = found.ok_or(CommandError::Absent)?;
                found.expires_at = expires_at;
                let permitted = *found;
                self.write_permission(*allocation, &permitted)
            }
            EntryKey::Channel { allocation, number } => {
                let record = self.record(*allocation)?;
                if !record.is_datagram {
                    return Ok(());
                }
                let mut held = record.channels.iter_mut();
                let found = held.find(|it| it.number == *number);
                let found = found.ok_or(CommandError::Absent)?;
                found.expires_at = expires_at;
                let channel = *found;
                self.write_channel(*allocation, &channel)
            }
        }
    }

    fn revoke(&mut self, key: &EntryKey) -> Result<(), CommandError> {
        match key {
            EntryKey::Allocation {
                allocation,
                relayed,
            } => self.close(*allocation, *relayed),
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => {
                let Ok(record) = self.record(*allocation) else {
                    return Ok(());
                };
                let mut held = record.permissions.iter();
                let Some(index) = held.position(|it| it.wire_ip == *wire_ip) else {
                    return Ok(());
                };
                let permitted = record.permissions.swap_remove(index);
                let result = self.remove_permission(*allocation, &permitted);
                self.shared.hops.release(permitted.to_peer);
                result
            }
            EntryKey::Channel { allocation, number } => self.unbind(*allocation, *number),
        }
    }

    fn unbind(&mut self, id: AllocationId, number: ChannelNumber) -> Result<(), CommandError> {
        let Ok(record) = self.record(id) else {
            return Ok(());
        };
        let Some(index) = record.channels.iter().position(|it| it.number == number) else {
            return Ok(());
        };
        let channel = record.channels.swap_remove(index);
        let result = self.remove_flows(id, &channel);
        self.shared.hops.release(channel.to_peer);
        result
    }

    fn close(&mut self, id: AllocationId, relayed: RelayedAddr) -> Result<(), CommandError> {
        if self.anchor(id, relayed).is_err() {
            return Ok(());
        }
        let (maps, shared) = (&mut self.maps, &self.shared);
        let place = self.records.get_mut(id.slot as usize);
        let place = place.ok_or(CommandError::Absent)?;
        let Some(record) = place else { return Ok(()) };
        record.close(relayed.family(), maps, shared)?;
        if record.relayed.iter().all(Option::is_none) {
            let result = record.end(maps, shared);
            *place = None;
            return result;
        }
        self.rewrite_addresses(id)
    }

    /// The allocation that a permission or a channel hangs on, where that address is open.
    fn anchor(
        &mut self,
        id: AllocationId,
        relayed: RelayedAddr,
    ) -> Result<&mut Record, CommandError> {
        let record = self.record(id)?;
        if record.has(relayed) {
            Ok(record)
        } else {
            Err(CommandError::Absent)
        }
    }

    fn rewrite_addresses(&mut self, id: AllocationId) -> Result<(), CommandError> {
        let place = self.records.get_mut(id.slot as usize);
        let record = place.and_then(Option::as_deref_mut);
        let record = record.ok_or(CommandError::Absent)?;
        record.write_addresses(&mut self.maps)
    }

    pub(super) fn write_permission(
        &mut self,
        id: AllocationId,
        permitted: &Permitted,
    ) -> Result<(), CommandError> {
        let entry = self.record(id)?.permission(permitted);
        let entry = entry.ok_or(CommandError::Absent)?;
        let result = put(&mut self.maps.permissions, &entry);
        self.or_split(id, result)
    }

    /// Both directions; the peer's first, so that who hears of the channel is heard too.
    pub(super) fn write_channel(
        &mut self,
        id: AllocationId,
        channel: &Channel,
    ) -> Result<(), CommandError> {
        let [from_peer, from_client] = self
            .record(id)?
            .flows(channel)
            .ok_or(CommandError::Absent)?;
        let result = put(&mut self.maps.flows, &from_peer)
            .and_then(|()| put(&mut self.maps.flows, &from_client));
        self.note_left_out(id, channel, result == Err(CommandError::TableFull))?;
        self.or_split(id, result)
    }

    /// The permission of a channel's peer says whether the channel found room.
    fn note_left_out(
        &mut self,
        id: AllocationId,
        channel: &Channel,
        is_left_out: bool,
    ) -> Result<(), CommandError> {
        let record = self.record(id)?;
        let mut channels = record.channels.iter_mut();
        let held = channels.find(|it| it.number == channel.number);
        let was = held.map(|it| std::mem::replace(&mut it.is_left_out, is_left_out));
        let mut permissions = record.permissions.iter();
        let permitted = permissions.find(|it| it.wire_ip == channel.peer.ip());
        match permitted.copied() {
            Some(permitted) if was != Some(is_left_out) => self.write_permission(id, &permitted),
            _ => Ok(()),
        }
    }

    /// Where there is no room, the lane has the entry and the programs are told so.
    fn or_split(
        &mut self,
        id: AllocationId,
        result: Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        if result != Err(CommandError::TableFull) {
            return result;
        }
        self.left_out += 1;
        self.split(id)
    }

    /// Has the programs let through what they miss of an allocation.
    fn split(&mut self, id: AllocationId) -> Result<(), CommandError> {
        let record = self.record(id)?;
        if std::mem::replace(&mut record.is_split, true) {
            return Ok(());
        }
        self.rewrite_addresses(id)
    }

    fn remove_permission(
        &mut self,
        id: AllocationId,
        permitted: &Permitted,
    ) -> Result<(), CommandError> {
        let place = self.records.get(id.slot as usize);
        match place.and_then(Option::as_deref) {
            Some(record) => record.remove_permission(permitted, &mut self.maps),
            None => Ok(()),
        }
    }

    fn remove_flows(&mut self, id: AllocationId, channel: &Channel) -> Result<(), CommandError> {
        let place = self.records.get(id.slot as usize);
        match place.and_then(Option::as_deref) {
            Some(record) => record.remove_flows(channel, &mut self.maps),
            None => Ok(()),
        }
    }
}

impl Record {
    fn begin(slot: u32, entry: &AllocationEntry) -> Self {
        Self {
            slot,
            generation: entry.allocation.generation,
            client: entry.five_tuple.client.0,
            server: entry.five_tuple.server.0,
            is_datagram: entry.five_tuple.transport == Transport::Udp,
            user: entry.user,
            user_place: Terms::NO_USER,
            limits: [entry.allocation_limit, entry.user_limit],
            to_client: crate::next_hop::HopId::NONE,
            relayed: [None; 2],
            permissions: Vec::new(),
            channels: Vec::new(),
            is_split: false,
        }
    }

    /// Limits and counters, before any entry names them.
    fn set_terms(
        &mut self,
        now: Timestamp,
        entry: &AllocationEntry,
        shared: &Shared,
        is_new: bool,
    ) {
        let limits = [entry.allocation_limit, entry.user_limit];
        if !is_new && self.limits == limits && self.user == entry.user {
            return;
        }
        let mut users = shared.users();
        let place = users.join(now, entry.user, &entry.user_limit);
        if !is_new {
            users.leave(self.user);
        }
        drop(users);
        (self.user, self.user_place, self.limits) = (entry.user, place, limits);
        let terms = Terms {
            generation: self.generation,
            user: place,
            limit: limit(&entry.allocation_limit),
        };
        if is_new {
            shared.counters.begin(self.slot, &terms, now.as_nanos());
            if self.is_datagram {
                self.to_client = shared.hop_to_client(self.server, self.client);
            }
        } else {
            shared.counters.set_terms(self.slot, &terms, now.as_nanos());
        }
    }

    /// Opens a relayed address; another of the same family must be closed before.
    fn open(&mut self, entry: &AllocationEntry, maps: &mut Maps) -> Result<(), CommandError> {
        let opened = Relayed {
            address: entry.relayed.0,
            expires_at: entry.expires_at,
        };
        let family = entry.relayed.family();
        let place = self.relayed_mut(family).ok_or(CommandError::Absent)?;
        let former = place.replace(opened);
        let result = self.write_addresses(maps);
        if result.is_err()
            && let Some(place) = self.relayed_mut(family)
        {
            *place = former;
        }
        result
    }

    /// What the allocation is found by: its relayed addresses, then its five-tuple.
    fn write_addresses(&self, maps: &mut Maps) -> Result<(), CommandError> {
        for relayed in self.relayed.iter().flatten() {
            put(&mut maps.locals, &self.local_entry(relayed))?;
        }
        if self.is_datagram {
            put(&mut maps.clients, &self.client_entry())?;
        }
        Ok(())
    }

    /// Takes out a relayed address and what hangs on it.
    fn close(
        &mut self,
        family: AddressFamily,
        maps: &mut Maps,
        shared: &Shared,
    ) -> Result<(), CommandError> {
        let mut result = Ok(());
        for channel in std::mem::take(&mut self.channels) {
            if AddressFamily::of(&channel.peer.ip()) != family {
                self.channels.push(channel);
                continue;
            }
            result = self.remove_flows(&channel, maps).and(result);
            shared.hops.release(channel.to_peer);
        }
        for permitted in std::mem::take(&mut self.permissions) {
            if AddressFamily::of(&permitted.wire_ip) != family {
                self.permissions.push(permitted);
                continue;
            }
            result = self.remove_permission(&permitted, maps).and(result);
            shared.hops.release(permitted.to_peer);
        }
        if let Some(relayed) = self.relayed_mut(family).and_then(Option::take) {
            let (key, _) = self.local_entry(&relayed);
            // No two allocations have one relayed address: its port is free after this alone.
            result = take(&mut maps.locals, &key, |_| true).and(result);
        }
        result
    }

    /// Takes out all that there is of it.
    fn end(&mut self, maps: &mut Maps, shared: &Shared) -> Result<(), CommandError> {
        let v4 = self.close(AddressFamily::Ipv4, maps, shared);
        let v6 = self.close(AddressFamily::Ipv6, maps, shared);
        let key = self.client_key().words();
        let client = take(&mut maps.clients, &key, |it| self.owns_client(&key, it));
        shared.hops.release(self.to_client);
        if self.user_place != Terms::NO_USER {
            shared.users().leave(self.user);
        }
        v4.and(v6).and(client)
    }

    fn remove_permission(
        &self,
        permitted: &Permitted,
        maps: &mut Maps,
    ) -> Result<(), CommandError> {
        let Some((key, _)) = self.permission(permitted) else {
            return Ok(());
        };
        take(&mut maps.permissions, &key, |it| {
            self.owns_permission(&key, it)
        })
    }

    /// The client's direction first: what it may still send is not half answered.
    fn remove_flows(&self, channel: &Channel, maps: &mut Maps) -> Result<(), CommandError> {
        let Some([(from_peer, _), (from_client, _)]) = self.flows(channel) else {
            return Ok(());
        };
        let client = take(&mut maps.flows, &from_client, |it| {
            self.owns_flow(&from_client, it)
        });
        let peer = take(&mut maps.flows, &from_peer, |it| {
            self.owns_flow(&from_peer, it)
        });
        client.and(peer)
    }
}
