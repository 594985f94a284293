//! The shard's numbers, gathered from who counts them and handed to the tally.
//!
//! Ten times a second while packets flow, else once: never for a packet.

use turnpike_turn::server::{Procedure, Refusal};
use turnpike_types::{DropReason, Transport};

use super::complaints::Trouble;
use super::{Shard, Snapshot};
use crate::clock;

/// What no other part of the shard counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noted {
    /// Turns of the loop.
    pub(super) turns: u64,
    /// Live allocations by how their clients reach us.
    pub(super) allocations: [u64; Transport::ALL.len()],
    /// Entries that found no room in the kernel's tables.
    pub(super) left_out: u64,
}

impl Noted {
    pub(super) fn allocation_created(&mut self, transport: Transport) {
        if let Some(count) = self.allocations.get_mut(transport as usize) {
            *count += 1;
        }
    }

    pub(super) fn allocation_ended(&mut self, transport: Transport) {
        if let Some(count) = self.allocations.get_mut(transport as usize) {
            *count = count.saturating_sub(1);
        }
    }
}

impl Shard {
    pub(super) fn publish(&mut self) {
        self.published = self.now;
        self.unpublished = false;
        self.lane.count_lasting_drops();
        self.note_left_out();
        let decided = self.lane.forwarder.counters();
        let judged = self.server.counters();
        let lane = &self.lane.counters;
        let mut drops = lane.drops;
        let mut taken = decided.passed;
        for (place, reason) in drops.iter_mut().zip(DropReason::ALL) {
            *place += decided.dropped(reason) + judged.dropped(reason);
            taken = taken.saturating_sub(judged.dropped(reason));
        }
        let connections = self.streams.counters();
        self.tally.publish(&Snapshot {
            published_at: self.now.as_nanos(),
            allocations: self.server.allocations() as u64,
            allocations_by_transport: self.noted.allocations,
            users: self.server.users() as u64,
            free_ports: self.server.free_ports() as u64,
            connections: connections.live,
            allocations_total: judged.allocations_created,
            allocations_expired: judged.allocations_expired,
            to_peer_packets: lane.to_peer_packets,
            to_peer_bytes: lane.to_peer_bytes,
            to_client_packets: lane.to_client_packets,
            to_client_bytes: lane.to_client_bytes,
            left_out_of_kernel: self.noted.left_out,
            received: decided.received() + lane.refused,
            passed: taken,
            hopped: self.hop.hopped,
            drops,
            granted: Procedure::ALL.map(|procedure| judged.granted(procedure)),
            refused: Procedure::ALL
                .map(|procedure| Refusal::ALL.map(|refusal| judged.refused(procedure, refusal))),
            replies_lost: lane.replies_lost + judged.replies_lost,
            commands_failed: lane.commands_failed,
            connections_accepted: connections.accepted,
            connections_refused: connections.refused,
            connections_closed: connections.closed,
            connections_moved: connections.moved,
            write_queue_dropped: connections.write_queue_dropped,
            turns: self.noted.turns,
            busy_nanos: clock::thread_nanos(),
            ..Snapshot::default()
        });
    }

    /// What the kernel's tables have no room for goes through sockets, which its operator must hear of.
    fn note_left_out(&mut self) {
        let left_out = self.lane.left_out();
        if left_out > self.noted.left_out {
            self.noted.left_out = left_out;
            self.complain(
                Trouble::FastPathFull,
                "the tables of the fast path are full: permissions and channels beyond go through \
                 sockets; raise fast_path.channels and fast_path.permissions",
            );
        }
    }
}
