//! After the kernel's routes changed: entries whose next hop is another one now are written anew.
//!
//! Allocations are gone through a few at a time, so that a command never waits for all of them.

use std::sync::Arc;

use turnpike_types::AllocationId;

use super::{Inner, Tables};
use crate::next_hop::HopId;

/// Allocations gone through at a time.
const STRIDE: usize = 32;

impl Tables {
    /// Asks for every next hop again.
    pub(crate) fn follow_routes(&self) {
        let mut from = 0;
        loop {
            let mut inner = self.lock();
            let until = from + STRIDE;
            for slot in from..until.min(inner.records.len()) {
                inner.follow(slot);
            }
            if until >= inner.records.len() {
                return;
            }
            from = until;
        }
    }
}

impl Inner {
    fn follow(&mut self, slot: usize) {
        let Some(Some(record)) = self.records.get_mut(slot) else {
            return;
        };
        if !record.is_datagram {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mut old = Vec::new();
        let mut exchange = |place: &mut HopId, new| {
            let former = std::mem::replace(place, new);
            old.push(former);
            former != new
        };
        let to_client = shared.hop_to_client(record.server, record.client);
        let mut is_moved = exchange(&mut record.to_client, to_client);
        let [v4, v6] = record.relayed.map(|it| it.map(|it| it.address.ip()));
        for held in &mut record.permissions {
            let from = if held.wire_ip.is_ipv4() { v4 } else { v6 };
            if let Some(from) = from {
                let to_peer = shared.hop_to_peer(from, held.wire_ip, None);
                is_moved |= exchange(&mut held.to_peer, to_peer);
            }
        }
        for held in &mut record.channels {
            let from = if held.peer.is_ipv4() { v4 } else { v6 };
            if let Some(from) = from {
                let to_peer = shared.hop_to_peer(from, held.peer.ip(), Some(held.peer.port()));
                is_moved |= exchange(&mut held.to_peer, to_peer);
            }
        }
        let id = AllocationId {
            slot: slot as u32,
            generation: record.generation,
        };
        if is_moved {
            self.rewrite_entries(id);
        }
        // Only now no entry names them.
        for former in old {
            shared.hops.release(former);
        }
    }

    /// Entries are replaced, which takes no room; one that fails keeps to a hop that is resolved no
    /// more, and its packets take the slow lane.
    fn rewrite_entries(&mut self, id: AllocationId) {
        let Ok(record) = self.record(id) else { return };
        let (permissions, channels) = (record.permissions.clone(), record.channels.clone());
        for permitted in permissions {
            let _written = self.write_permission(id, &permitted);
        }
        for channel in channels {
            let _written = self.write_channel(id, &channel);
        }
    }
}
