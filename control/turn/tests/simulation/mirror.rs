//! The lane of the simulation: a forwarder, and beside it a plain list of what it was told.
//!
//! The list says what the forwarder must answer, packet for packet, and in which order entries
//! come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use turnpike_sim::Lane;
use turnpike_turn::forward::Forwarder;
use turnpike_types::{
    Action, AllocationId, ChannelNumber, CommandError, Entry, EntryKey, FiveTuple, Timestamp,
};

use crate::violation::{Checked, Violation, ensure, violated};

/// What an entry or a grant is about, in words that server and lane share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    Relay(FiveTuple, SocketAddr),
    Permission(FiveTuple, IpAddr),
    Channel(FiveTuple, ChannelNumber, SocketAddr),
}

/// The forwarder and what it was told.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) forwarder: Forwarder,
    entries: BTreeMap<EntryKey, Entry>,
    five_tuples: BTreeMap<AllocationId, FiveTuple>,
    ever: BTreeSet<EntryKey>,
    violation: Option<Violation>,
    /// Grows with each change.
    pub(crate) version: u64,
}

impl Lane for Mirror {
    fn apply(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        self.version += 1;
        if let Err(violation) = self.check_order(action) {
            self.violation.get_or_insert(violation);
        }
        let result = self.forwarder.apply(now, action);
        match (&result, action) {
            (Err(error), _) => {
                let what = format!("the lane refused {action:?}: {error}");
                let invariant = crate::violation::Invariant::RevokeBeforeFree;
                self.violation.get_or_insert(Violation { invariant, what });
            }
            (Ok(()), Action::Install(entry)) => self.install(entry),
            (Ok(()), Action::Refresh { key, expires_at }) => {
                if let Some(entry) = self.entries.get_mut(key) {
                    *end_of_mut(entry) = *expires_at;
                }
            }
            (Ok(()), Action::Revoke(key)) => self.revoke(key),
        }
        result
    }
}

impl Mirror {
    pub(crate) const fn new(forwarder: Forwarder) -> Self {
        Self {
            forwarder,
            entries: BTreeMap::new(),
            five_tuples: BTreeMap::new(),
            ever: BTreeSet::new(),
            violation: None,
            version: 0,
        }
    }

    /// What went wrong while commands were carried out.
    pub(crate) fn check(&mut self) -> Checked {
        self.violation.take().map_or(Ok(()), Err)
    }

    /// All entries, as what they are about and when they end.
    pub(crate) fn held(&self) -> BTreeMap<Held, Timestamp> {
        let held = self.entries.values().map(|entry| match entry {
            Entry::Allocation(it) => (Held::Relay(it.five_tuple, it.relayed.0), it.expires_at),
            Entry::Permission(it) => {
                let five_tuple = self.five_tuples[&it.allocation];
                (Held::Permission(five_tuple, it.wire_ip), it.expires_at)
            }
            Entry::Channel(it) => (
                Held::Channel(it.five_tuple, it.number, it.wire_peer.0),
                it.expires_at,
            ),
        });
        held.collect()
    }

    /// The end of an entry, if it is there.
    pub(crate) fn end_of(&self, held: &Held) -> Option<Timestamp> {
        self.held().get(held).copied()
    }

    /// Relayed addresses that are open.
    pub(crate) fn relays(&self) -> usize {
        let is_relay = |entry: &&Entry| matches!(entry, Entry::Allocation(_));
        self.entries.values().filter(is_relay).count()
    }

    /// Allocations that have an open relayed address.
    pub(crate) fn allocations(&self) -> usize {
        self.five_tuples.len()
    }

    /// The end that comes first.
    pub(crate) fn first_end(&self) -> Option<Timestamp> {
        self.entries.values().map(end_of).min()
    }

    /// Whose entry a key is about.
    pub(crate) fn five_tuple(&self, id: AllocationId) -> Option<FiveTuple> {
        self.five_tuples.get(&id).copied()
    }

    /// The peer that a channel is bound to, as the lane has it.
    pub(crate) fn channel_peer(&self, key: &EntryKey) -> Option<SocketAddr> {
        match self.entries.get(key)? {
            Entry::Channel(channel) => Some(channel.wire_peer.0),
            _ => None,
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Checks that neither list nor forwarder holds anything.
    pub(crate) fn check_empty(&mut self, now: Timestamp) -> Checked {
        ensure!(
            self.entries.is_empty(),
            EmptyAtTheEnd,
            "left in the lane: {:?}",
            self.entries
        );
        for key in &self.ever {
            let refresh = Action::Refresh {
                key: *key,
                expires_at: Timestamp::MAX,
            };
            let found = self.forwarder.apply(now, &refresh);
            let absent = Err(CommandError::Absent);
            ensure!(
                found == absent,
                EmptyAtTheEnd,
                "the forwarder still has {key:?}"
            );
        }
        Ok(())
    }

    fn install(&mut self, entry: &Entry) {
        let key = entry.key();
        if let Entry::Allocation(it) = entry {
            self.five_tuples.insert(it.allocation, it.five_tuple);
        }
        self.ever.insert(key);
        self.entries.insert(key, *entry);
    }

    fn revoke(&mut self, key: &EntryKey) {
        self.entries.remove(key);
        if let EntryKey::Allocation { allocation, .. } = key {
            let is_its = |entry: &Entry| matches!(entry, Entry::Allocation(it) if it.allocation == *allocation);
            if !self.entries.values().any(is_its) {
                self.five_tuples.remove(allocation);
            }
        }
    }

    fn check_order(&self, action: &Action) -> Checked {
        match action {
            Action::Install(Entry::Allocation(new)) => {
                for entry in self.entries.values() {
                    let Entry::Allocation(old) = entry else {
                        continue;
                    };
                    let is_same = old.allocation == new.allocation;
                    ensure!(
                        is_same || old.relayed != new.relayed,
                        PortInOneAllocation,
                        "{:?} goes to {:?} while {:?} has it",
                        new.relayed,
                        new.allocation,
                        old.allocation
                    );
                    ensure!(
                        is_same || old.five_tuple != new.five_tuple,
                        RevokeBeforeFree,
                        "{:?} has two allocations at once",
                        new.five_tuple
                    );
                }
            }
            Action::Install(Entry::Permission(it)) => self.check_allocation(it.allocation)?,
            Action::Install(Entry::Channel(it)) => self.check_allocation(it.allocation)?,
            Action::Refresh { key, .. } => {
                let is_there = self.entries.contains_key(key);
                ensure!(
                    is_there,
                    RevokeBeforeFree,
                    "a refresh of {key:?}, which is not there"
                );
            }
            Action::Revoke(key) => self.check_nothing_hangs_on(key)?,
        }
        Ok(())
    }

    fn check_allocation(&self, id: AllocationId) -> Checked {
        let is_there = self.five_tuples.contains_key(&id);
        ensure!(
            is_there,
            RevokeBeforeFree,
            "an entry for {id:?}, which is not there"
        );
        Ok(())
    }

    fn check_nothing_hangs_on(&self, key: &EntryKey) -> Checked {
        for entry in self.entries.values() {
            let hangs = match (key, entry) {
                (
                    EntryKey::Allocation {
                        allocation,
                        relayed,
                    },
                    Entry::Permission(it),
                ) => (it.allocation, it.relayed) == (*allocation, *relayed),
                (
                    EntryKey::Allocation {
                        allocation,
                        relayed,
                    },
                    Entry::Channel(it),
                ) => (it.allocation, it.relayed) == (*allocation, *relayed),
                (
                    EntryKey::Permission {
                        allocation,
                        wire_ip,
                    },
                    Entry::Channel(it),
                ) => (it.allocation, it.wire_peer.ip()) == (*allocation, *wire_ip),
                _ => false,
            };
            if hangs {
                violated!(RevokeBeforeFree, "{key:?} is revoked before {entry:?}");
            }
        }
        Ok(())
    }
}

const fn end_of(entry: &Entry) -> Timestamp {
    match entry {
        Entry::Allocation(it) => it.expires_at,
        Entry::Permission(it) => it.expires_at,
        Entry::Channel(it) => it.expires_at,
    }
}

const fn end_of_mut(entry: &mut Entry) -> &mut Timestamp {
    match entry {
        Entry::Allocation(it) => &mut it.expires_at,
        Entry::Permission(it) => &mut it.expires_at,
        Entry::Channel(it) => &mut it.expires_at,
    }
}
