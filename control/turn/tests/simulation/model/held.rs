//! The model against the lane: each live grant has its entry, and each entry a live grant.

use std::collections::BTreeMap;
use std::net::IpAddr;

use turnpike_turn::server::TICK;
use turnpike_types::{EntryKey, FiveTuple, Timestamp};

use super::Model;
use crate::mirror::{Held, Mirror};
use crate::violation::{Checked, ensure};

impl Model {
    /// Compares once outputs are drained and timers have run.
    pub(crate) fn check_lane(&mut self, now: Timestamp, lane: &Mirror) -> Checked {
        let entries = lane.held();
        let grants = self.grants(now);
        for (held, end) in &entries {
            if *end <= now {
                let is_late = *end + TICK < now;
                ensure!(
                    !is_late,
                    TimerInTime,
                    "{held:?} ended at {end}, and is still there"
                );
                continue;
            }
            let Some((granted, _)) = grants.get(held) else {
                crate::violation::violated!(EntryHasGrant, "{held:?} until {end}");
            };
            ensure!(
                end <= granted,
                EntryHasGrant,
                "{held:?} until {end}, not {granted}"
            );
        }
        for (held, (granted, is_certain)) in grants {
            match entries.get(&held) {
                Some(end) if *end == granted => {}
                // Without its permission a channel is not seen, and may still be bound.
                None if !is_certain && is_hidden(&held, &entries) => {}
                None if !is_certain => self.forget(&held),
                found => {
                    ensure!(
                        false,
                        GrantHasEntry,
                        "{held:?} until {granted}, but {found:?}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether a peer may talk to a client, and the client to the peer.
    pub(crate) fn permits(&self, now: Timestamp, five_tuple: &FiveTuple, wire_ip: IpAddr) -> bool {
        let allocation = self.allocations.get(five_tuple);
        allocation
            .and_then(|it| it.permission_end(wire_ip))
            .is_some_and(|end| end > now)
    }

    /// A command was not carried out: what it was about may be gone.
    pub(crate) fn failed(&mut self, key: &EntryKey, lane: &Mirror) {
        self.faults += 1;
        self.version += 1;
        for (five_tuple, channel) in lane.keys_to(key) {
            self.doubt(&five_tuple, &channel);
        }
        let (EntryKey::Allocation { allocation, .. }
        | EntryKey::Permission { allocation, .. }
        | EntryKey::Channel { allocation, .. }) = key;
        if let Some(five_tuple) = lane.five_tuple(*allocation) {
            self.doubt(&five_tuple, key);
        }
    }

    fn doubt(&mut self, five_tuple: &FiveTuple, key: &EntryKey) {
        let Some(allocation) = self.allocations.get_mut(five_tuple) else {
            return;
        };
        match key {
            EntryKey::Allocation { .. } => {}
            EntryKey::Permission { wire_ip, .. } => {
                if let Some(permission) = allocation.permissions.get_mut(wire_ip) {
                    permission.is_certain = false;
                }
                for channel in allocation.channels.values_mut() {
                    channel.is_certain &= channel.peer.ip() != *wire_ip;
                }
            }
            EntryKey::Channel { number, .. } => {
                if let Some(channel) = allocation.channels.get_mut(number) {
                    channel.is_certain = false;
                }
            }
        }
    }

    fn forget(&mut self, held: &Held) {
        match held {
            Held::Relay(five_tuple, _) => {
                self.allocations.remove(five_tuple);
            }
            Held::Permission(five_tuple, wire_ip) => {
                if let Some(allocation) = self.allocations.get_mut(five_tuple) {
                    allocation.permissions.remove(wire_ip);
                }
            }
            Held::Channel(five_tuple, number, _) => {
                if let Some(allocation) = self.allocations.get_mut(five_tuple) {
                    allocation.channels.remove(number);
                }
            }
        }
    }

    /// All that is live, with its effective end and whether it must be there.
    fn grants(&self, now: Timestamp) -> BTreeMap<Held, (Timestamp, bool)> {
        let mut grants = BTreeMap::new();
        for (five_tuple, allocation) in &self.allocations {
            for relay in allocation.relays.iter().flatten() {
                let held = Held::Relay(*five_tuple, relay.address);
                grants.insert(held, (relay.ends_at, true));
            }
            for (wire_ip, permission) in &allocation.permissions {
                let Some(end) = allocation.permission_end(*wire_ip) else {
                    continue;
                };
                let held = Held::Permission(*five_tuple, *wire_ip);
                grants.insert(held, (end, permission.is_certain));
            }
            for (number, channel) in &allocation.channels {
                let wire_ip = channel.peer.ip();
                let Some(end) = allocation.permission_end(wire_ip).filter(|end| *end > now) else {
                    continue;
                };
                let is_certain = channel.is_certain && allocation.permissions[&wire_ip].is_certain;
                let held = Held::Channel(*five_tuple, *number, channel.peer);
                grants.insert(held, (end.min(channel.ends_at), is_certain));
            }
        }
        grants.retain(|_, (end, _)| *end > now);
        grants
    }

    /// Allocations and reservations of a user that may still count.
    pub(super) fn holds(&self, identity: &str, at: Timestamp) -> usize {
        let counts = |end: Timestamp| end + TICK > at;
        let allocations = self.allocations.values();
        let allocations = allocations
            .filter(|it| it.identity == identity && counts(it.ends_at()))
            .count();
        let reserved = self.reserved.values();
        allocations
            + reserved
                .filter(|it| it.identity == identity && counts(it.ends_at))
                .count()
    }

    pub(super) fn per_user(&self) -> usize {
        self.rules.limits.allocations_per_user as usize
    }

    /// No user and no server has more than it may have.
    pub(super) fn check_quotas(&self, at: Timestamp, identity: &str) -> Checked {
        let live = self.allocations.values().filter(|it| it.is_live(at));
        let reserved = self
            .reserved
            .values()
            .filter(|it| it.is_certain && it.ends_at > at);
        let own = live.clone().filter(|it| it.identity == identity).count()
            + reserved
                .clone()
                .filter(|it| it.identity == identity)
                .count();
        ensure!(
            own <= self.per_user(),
            QuotaKept,
            "{own} allocations of {identity}"
        );
        let all = live.count() + reserved.count();
        ensure!(
            all <= self.rules.limits.allocations,
            QuotaKept,
            "{all} allocations"
        );
        Ok(())
    }

    /// Whether nothing is live; what is past its end is forgotten.
    pub(crate) fn is_empty(&mut self, now: Timestamp) -> bool {
        self.allocations.retain(|_, it| it.is_live(now));
        self.allocations.is_empty()
    }

    /// Who has an allocation, in order.
    pub(crate) fn five_tuples(&self) -> Vec<FiveTuple> {
        self.allocations.keys().copied().collect()
    }
}

/// Whether a channel's permission is gone from the lane, and the channel's entry with it.
fn is_hidden(held: &Held, entries: &BTreeMap<Held, Timestamp>) -> bool {
    match held {
        Held::Channel(five_tuple, _, peer) => {
            !entries.contains_key(&Held::Permission(*five_tuple, peer.ip()))
        }
        Held::Relay(..) | Held::Permission(..) => false,
    }
}
