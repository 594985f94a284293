//! The engines' words as the programs' bytes: each command becomes writes to the maps, done before the
//! command is answered for.
//!
//! One [`Tables`] a shard, over maps that all shards share; a shard writes what its own allocations
//! need and nothing else. Values are replaced whole and carry a check over their key, so a packet that
//! meets a change sees the old value, the new one, or none. A clean order does the rest: what an entry
//! names is there before it, and goes after it.
//!
//! What finds no room in a map is left to the socket lane: the allocation is marked as split, and the
//! programs let through what they miss of it. Any other failure goes back to the engine.
//!
//! Not here: which packets may pass, which the programs decide by these entries; clients on streams,
//! whom the socket lane serves (only their relayed addresses are marked as its own).
//!
//! Bounded by the maps' sizes and the engine's quotas; a command is a few system calls for each entry
//! that it names.

mod apply;
mod maps;
mod moved;
mod record;
#[cfg(test)]
mod tests;
mod users;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use turnpike_abi::{Config, Traffic};
use turnpike_types::{Action, AllocationId, CommandError, DropReason, Meter, Timestamp};

use crate::counters::Counters;
use crate::meter::Buckets;
use crate::next_hop::{HopId, NextHops, Way};
use record::Record;

pub(crate) use maps::Maps;
pub(crate) use users::Users;

/// What all shards' tables have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hops: Arc<NextHops>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) meter: Buckets,
    pub(crate) users: Mutex<Users>,
    pub(crate) layout: Config,
    /// Our addresses that relayed ones are taken from.
    pub(crate) relay_ips: Vec<IpAddr>,
    pub(crate) relay_ports: RangeInclusive<u16>,
}

/// One shard's entries in the programs' tables.
pub struct Tables {
    inner: Mutex<Inner>,
    shard: u32,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Inner {
    shard: u32,
    shared: Arc<Shared>,
    maps: Maps,
    /// By the engine's slot.
    records: Vec<Option<Box<Record>>>,
    /// Entries that are in the socket lane alone, for want of room.
    left_out: u64,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

impl Tables {
    pub(crate) fn new(shard: u32, shared: Arc<Shared>, maps: Maps) -> Self {
        Self {
            inner: Mutex::new(Inner {
                shard,
                shared: Arc::clone(&shared),
                maps,
                records: Vec::new(),
                left_out: 0,
            }),
            shard,
            shared,
        }
    }

    /// Carries a command out, fully or not at all.
    ///
    /// # Errors
    /// [`CommandError::Absent`] for a refresh of what is not there, and for a permission or channel
    /// whose allocation is not; the kernel's refusals otherwise.
    pub fn carry_out(&self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        self.lock().apply(now, action)
    }

    /// What the programs relayed of an allocation, until its slot is used again.
    #[must_use]
    pub fn traffic(&self, id: AllocationId) -> Traffic {
        let inner = self.lock();
        let slot = inner.slot(id);
        let traffic = slot.and_then(|slot| inner.shared.counters.traffic(slot, id.generation));
        traffic.unwrap_or_default()
    }

    /// How many entries found no room and were left to the socket lane.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves entries that their ends take out of use.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter for Tables {
    fn charge(&self, id: AllocationId, now: Timestamp, bytes: usize) -> Result<(), DropReason> {
        let slot = self.shared.slot(self.shard, id);
        let slot = slot.ok_or(DropReason::NoAllocation)?;
        let meter = &self.shared.meter;
        meter.charge(slot, id.generation, bytes, now.as_nanos())
    }
}

impl Inner {
    /// The slot among those of all shards; `None` beyond the room there is.
    fn slot(&self, id: AllocationId) -> Option<u32> {
        self.shared.slot(self.shard, id)
    }

    fn record(&mut self, id: AllocationId) -> Result<&mut Record, CommandError> {
        let found = self.records.get_mut(id.slot as usize);
        found
            .and_then(|place| place.as_deref_mut())
            .filter(|record| record.generation == id.generation)
            .ok_or(CommandError::Absent)
    }
}

impl Shared {
    /// Slots of shards alternate.
    fn slot(&self, shard: u32, id: AllocationId) -> Option<u32> {
        let slot = id.slot.checked_mul(self.layout.shards)?;
        let slot = slot.checked_add(shard)?;
        (slot < self.layout.allocations).then_some(slot)
    }

    /// The next hop to a peer, by its address alone or with its port.
    fn hop_to_peer(&self, from: IpAddr, to: IpAddr, port: Option<u16>) -> HopId {
        if !self.relay_ips.contains(&to) {
            return self.hops.hold(Way { from, to });
        }
        if port.is_none_or(|port| self.relay_ports.contains(&port)) {
            HopId::HERE
        } else {
            HopId::NONE
        }
    }

    fn hop_to_client(&self, server: SocketAddr, client: SocketAddr) -> HopId {
        self.hops.hold(Way {
            from: server.ip(),
            to: client.ip(),
        })
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
