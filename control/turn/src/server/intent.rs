//! Changes of state together with what the lanes must hear of them.
//!
//! The rule kept here: a lane holds an entry exactly while it is live here, and a channel's only
//! while its permission is. Entries carry effective ends; one that does not move is not told.
//!
//! A change that a reply promises says how to undo it. Bounded by one allocation's quotas.

use alloc::vec::Vec;
use core::net::IpAddr;

use turnpike_types::{
    Action, AddressFamily, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, Entropy,
    Entry, EntryKey, PermissionEntry, RelayedAddr, Timestamp,
};

use super::Server;
use super::allocation::{Allocation, ChannelBinding, Permission, Relay};
use super::output::{Freed, Undo};

impl<E: Entropy> Server<E> {
    /// Tells the lanes of a new allocation's relayed address, if it has one of this family.
    pub(super) fn install_relay(&mut self, id: AllocationId, family: AddressFamily) {
        let Some(relay) = self
            .allocations
            .get(id)
            .and_then(|found| found.relay(family))
        else {
            return;
        };
        self.relays.set_owner(relay.address, relay.port, id.slot);
        if let Some(entry) = self.relay_entry(id, family) {
            self.outputs
                .command(Action::Install(Entry::Allocation(entry)), true, None);
        }
    }

    /// Moves the end of a relayed address, and with it the effective end of all it carries.
    pub(super) fn put_relay_end(
        &mut self,
        id: AllocationId,
        family: AddressFamily,
        expires_at: Timestamp,
        promised: bool,
    ) -> Option<Undo> {
        let before = self.effective_ends(id, family);
        let relay = self.allocations.get_mut(id)?.relay_mut(family).as_mut()?;
        let undo = Undo::Relay {
            family,
            expires_at: relay.expires_at,
        };
        let moved = core::mem::replace(&mut relay.expires_at, expires_at) != expires_at;
        if moved {
            let key = self.relay_key(id, family)?;
            self.outputs
                .command(Action::Refresh { key, expires_at }, promised, None);
        }
        for (now, (key, expires_at)) in self.effective_ends(id, family).into_iter().enumerate() {
            if before
                .get(now)
                .is_none_or(|(_, before)| *before != expires_at)
            {
                self.outputs
                    .command(Action::Refresh { key, expires_at }, promised, None);
            }
        }
        self.look_again_by(id, expires_at);
        Some(undo)
    }

    /// Grants a permission or changes one; channels to its peer live and end with it.
    pub(super) fn put_permission(
        &mut self,
        id: AllocationId,
        permission: Permission,
        promised: bool,
    ) -> Option<Undo> {
        let allocation = self.allocations.get_mut(id)?;
        let before = allocation.set_permission(permission);
        let before_end = before.map(|before| allocation.permission_end(&before));
        let expires_at = allocation.permission_end(&permission);
        let same_rule = before.is_some_and(|before| {
            (before.ports, before.by_external) == (permission.ports, permission.by_external)
        });
        let channels = channels_to(allocation, permission.wire_ip);
        if !same_rule {
            let entry = self.permission_entry(id, &permission)?;
            self.outputs
                .command(Action::Install(Entry::Permission(entry)), promised, None);
        } else if before_end != Some(expires_at) {
            let key = permission_key(id, permission.wire_ip);
            self.outputs
                .command(Action::Refresh { key, expires_at }, promised, None);
        }
        for channel in channels {
            let before = before_end.map(|before_end| before_end.min(channel.expires_at));
            self.tell_channel(id, &channel, before, promised);
        }
        self.look_again_by(id, permission.expires_at);
        Some(match before {
            None => Undo::Permission {
                added: permission.wire_ip,
            },
            Some(before) => Undo::PermissionChange { before },
        })
    }

    /// Binds a channel or refreshes one. Its peer's permission is there already.
    pub(super) fn put_channel(
        &mut self,
        id: AllocationId,
        channel: ChannelBinding,
        promised: bool,
    ) -> Option<Undo> {
        let allocation = self.allocations.get_mut(id)?;
        let before = allocation.set_channel(channel);
        let before_end = before.and_then(|before| allocation.channel_end(&before));
        self.tell_channel(id, &channel, before_end, promised);
        self.look_again_by(id, channel.expires_at);
        Some(match before {
            None => Undo::Channel {
                added: channel.number,
            },
            Some(before) => Undo::ChannelChange { before },
        })
    }

    /// Ends a permission. Channels to its peer stay bound but carry nothing until it is granted
    /// again.
    pub(super) fn drop_permission(&mut self, id: AllocationId, wire_ip: IpAddr) {
        let Some(allocation) = self.allocations.get_mut(id) else {
            return;
        };
        if allocation.remove_permission(wire_ip).is_none() {
            return;
        }
        for channel in channels_to(allocation, wire_ip) {
            self.outputs
                .command(Action::Revoke(channel_key(id, channel.number)), false, None);
        }
        self.outputs
            .command(Action::Revoke(permission_key(id, wire_ip)), false, None);
    }

    /// Ends a channel binding.
    pub(super) fn drop_channel(&mut self, id: AllocationId, number: ChannelNumber) {
        let Some(allocation) = self.allocations.get_mut(id) else {
            return;
        };
        let Some(channel) = allocation.remove_channel(number) else {
            return;
        };
        if allocation.permission(channel.wire_peer.ip()).is_some() {
            self.outputs
                .command(Action::Revoke(channel_key(id, number)), false, None);
        }
    }

    /// Ends one relayed address of a dual allocation, and all that it carries.
    pub(super) fn drop_relay(&mut self, id: AllocationId, family: AddressFamily) {
        let Some(allocation) = self.allocations.get(id) else {
            return;
        };
        let of_family = |ip: IpAddr| AddressFamily::of(&ip) == family;
        let channels = allocation.channels.iter();
        let channels: Vec<_> = channels
            .filter(|c| of_family(c.wire_peer.ip()))
            .map(|c| c.number)
            .collect();
        let permissions = allocation.permissions.iter();
        let permissions: Vec<_> = permissions
            .filter(|p| of_family(p.wire_ip))
            .map(|p| p.wire_ip)
            .collect();
        for number in channels {
            self.drop_channel(id, number);
        }
        for wire_ip in permissions {
            self.drop_permission(id, wire_ip);
        }
        let key = self.relay_key(id, family);
        let Some(allocation) = self.allocations.get_mut(id) else {
            return;
        };
        let Some(relay) = allocation.relay_mut(family).take() else {
            return;
        };
        self.free_relay(relay, key, None);
    }

    /// Revokes a relayed address; its port is free once the command is polled.
    pub(super) fn free_relay(
        &mut self,
        relay: Relay,
        key: Option<EntryKey>,
        user: Option<turnpike_types::UserId>,
    ) {
        let Relay { address, port, .. } = relay;
        self.relays.clear_owner(address, port);
        if let Some(key) = key {
            self.outputs.command(
                Action::Revoke(key),
                false,
                Some(Freed {
                    address,
                    port,
                    user,
                }),
            );
        }
    }

    /// Takes back one change, now that a lane could not carry out what was promised with it.
    pub(super) fn undo(&mut self, id: AllocationId, undo: Undo) {
        match undo {
            Undo::Relay { family, expires_at } => {
                self.put_relay_end(id, family, expires_at, false);
            }
            Undo::Permission { added } => self.drop_permission(id, added),
            Undo::PermissionChange { before } => {
                self.put_permission(id, before, false);
            }
            Undo::Channel { added } => self.drop_channel(id, added),
            Undo::ChannelChange { before } => {
                self.put_channel(id, before, false);
            }
        }
    }

    /// What a lane should hold under a key, in full.
    pub(super) fn entry(&self, key: &EntryKey) -> Option<Entry> {
        match *key {
            EntryKey::Allocation {
                allocation,
                relayed,
            } => self
                .relay_entry(allocation, relayed.family())
                .map(Entry::Allocation),
            EntryKey::Permission {
                allocation,
                wire_ip,
            } => {
                let permission = self.allocations.get(allocation)?.permission(wire_ip)?;
                self.permission_entry(allocation, permission)
                    .map(Entry::Permission)
            }
            EntryKey::Channel { allocation, number } => {
                let channel = self.allocations.get(allocation)?.channel(number)?;
                self.channel_entry(allocation, channel).map(Entry::Channel)
            }
        }
    }

    /// The relayed address of a family, as bound.
    pub(super) fn relayed(&self, id: AllocationId, family: AddressFamily) -> Option<RelayedAddr> {
        let relay = self.allocations.get(id)?.relay(family)?;
        self.relayed_of(relay)
    }

    pub(super) fn relayed_of(&self, relay: Relay) -> Option<RelayedAddr> {
        self.relays
            .ip(relay.address)
            .map(|ip| RelayedAddr(relay.at(ip)))
    }

    pub(super) fn relay_entry(
        &self,
        id: AllocationId,
        family: AddressFamily,
    ) -> Option<AllocationEntry> {
        let allocation = self.allocations.get(id)?;
        Some(AllocationEntry {
            allocation: id,
            five_tuple: allocation.five_tuple,
            relayed: self.relayed(id, family)?,
            user: allocation.user,
            allocation_limit: self.config.limits.allocation_rate,
            user_limit: self.config.limits.user_rate,
            expires_at: allocation.relay(family)?.expires_at,
        })
    }

    fn permission_entry(&self, id: AllocationId, it: &Permission) -> Option<PermissionEntry> {
        let allocation = self.allocations.get(id)?;
        Some(PermissionEntry {
            allocation: id,
            relayed: self.relayed(id, AddressFamily::of(&it.wire_ip))?,
            wire_ip: it.wire_ip,
            peer_ip: self.known_ip(it),
            ports: it.ports,
            expires_at: allocation.permission_end(it),
        })
    }

    fn channel_entry(&self, id: AllocationId, it: &ChannelBinding) -> Option<ChannelEntry> {
        let allocation = self.allocations.get(id)?;
        Some(ChannelEntry {
            allocation: id,
            five_tuple: allocation.five_tuple,
            relayed: self.relayed(id, it.wire_peer.family())?,
            number: it.number,
            wire_peer: it.wire_peer,
            expires_at: allocation.channel_end(it)?,
        })
    }

    /// Tells a channel's effective end, which was `before`, or that it has one now.
    fn tell_channel(
        &mut self,
        id: AllocationId,
        channel: &ChannelBinding,
        before: Option<Timestamp>,
        promised: bool,
    ) {
        let Some(entry) = self.channel_entry(id, channel) else {
            return;
        };
        let expires_at = entry.expires_at;
        if before.is_none() {
            self.outputs
                .command(Action::Install(Entry::Channel(entry)), promised, None);
        } else if before != Some(expires_at) {
            let key = channel_key(id, channel.number);
            self.outputs
                .command(Action::Refresh { key, expires_at }, promised, None);
        }
    }

    /// Keys and effective ends of what a relayed address carries; always in the same order.
    fn effective_ends(
        &self,
        id: AllocationId,
        family: AddressFamily,
    ) -> Vec<(EntryKey, Timestamp)> {
        let Some(allocation) = self.allocations.get(id) else {
            return Vec::new();
        };
        let of_family = |ip: IpAddr| AddressFamily::of(&ip) == family;
        let permissions = allocation
            .permissions
            .iter()
            .filter(|permission| of_family(permission.wire_ip))
            .map(|permission| {
                let end = allocation.permission_end(permission);
                (permission_key(id, permission.wire_ip), end)
            });
        let channels = allocation
            .channels
            .iter()
            .filter(|channel| of_family(channel.wire_peer.ip()))
            .filter_map(|channel| {
                Some((
                    channel_key(id, channel.number),
                    allocation.channel_end(channel)?,
                ))
            });
        permissions.chain(channels).collect()
    }

    pub(super) fn relay_key(&self, id: AllocationId, family: AddressFamily) -> Option<EntryKey> {
        let relayed = self.relayed(id, family)?;
        Some(EntryKey::Allocation {
            allocation: id,
            relayed,
        })
    }
}

fn channels_to(allocation: &Allocation, wire_ip: IpAddr) -> Vec<ChannelBinding> {
    let channels = allocation.channels.iter();
    channels
        .filter(|channel| channel.wire_peer.ip() == wire_ip)
        .copied()
        .collect()
}

pub(super) const fn permission_key(allocation: AllocationId, wire_ip: IpAddr) -> EntryKey {
    EntryKey::Permission {
        allocation,
        wire_ip,
    }
}

pub(super) const fn channel_key(allocation: AllocationId, number: ChannelNumber) -> EntryKey {
    EntryKey::Channel { allocation, number }
}
