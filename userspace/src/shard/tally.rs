//! What a shard tells the rest of the process: plain numbers, written by one thread, read by any.

use std::sync::atomic::{AtomicU64, Ordering};

use turnpike_types::DropReason;

use super::StreamCounters;

const REASONS: usize = DropReason::ALL.len();

/// A shard's numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Allocations that live now.
    pub allocations: u64,
    /// Allocations that were ever made.
    pub allocations_total: u64,
    /// Relayed packets, client to peer.
    pub to_peer_packets: u64,
    /// Relayed payload bytes, client to peer.
    pub to_peer_bytes: u64,
    /// Relayed packets, peer to client.
    pub to_client_packets: u64,
    /// Relayed payload bytes, peer to client.
    pub to_client_bytes: u64,
    /// Packets that came in, from clients and peers: each is relayed, passed, dropped or still
    /// being sent.
    pub received: u64,
    /// Packets that the server took: requests and other STUN messages.
    pub passed: u64,
    /// Dropped packets, by reason.
    pub drops: [u64; REASONS],
    /// Messages of the server's own that the kernel did not take.
    pub replies_lost: u64,
    /// Commands that the lane could not carry out.
    pub commands_failed: u64,
    /// Connections of clients.
    pub streams: StreamCounters,
}

impl Snapshot {
    /// Relayed packets, both ways.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.to_peer_packets + self.to_client_packets
    }

    /// Relayed payload bytes, both ways.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.to_peer_bytes + self.to_client_bytes
    }

    /// Dropped packets, for all reasons.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Reasons with at least one drop.
    pub fn drops_by_reason(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .into_iter()
            .zip(self.drops)
            .filter(|(_, count)| *count > 0)
    }

    /// What was counted since `earlier`; the live allocations stay as they are.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut result = Self {
            allocations: self.allocations,
            streams: StreamCounters {
                live: self.streams.live,
                ..StreamCounters::default()
            },
            ..Self::default()
        };
        let pairs = self
            .streams
            .totals()
            .into_iter()
            .zip(earlier.streams.totals());
        for (place, (now, before)) in result.streams.totals_mut().into_iter().zip(pairs) {
            *place = now.saturating_sub(before);
        }
        let pairs = self.totals().into_iter().zip(earlier.totals());
        for (place, (now, before)) in result.totals_mut().into_iter().zip(pairs) {
            *place = now.saturating_sub(before);
        }
        for (place, (now, before)) in result
            .drops
            .iter_mut()
            .zip(self.drops.iter().zip(earlier.drops))
        {
            *place = now.saturating_sub(before);
        }
        result
    }

    const fn totals(&self) -> [u64; 9] {
        [
            self.allocations_total,
            self.to_peer_packets,
            self.to_peer_bytes,
            self.to_client_packets,
            self.to_client_bytes,
            self.received,
            self.passed,
            self.replies_lost,
            self.commands_failed,
        ]
    }

    const fn totals_mut(&mut self) -> [&mut u64; 9] {
        [
            &mut self.allocations_total,
            &mut self.to_peer_packets,
            &mut self.to_peer_bytes,
            &mut self.to_client_packets,
            &mut self.to_client_bytes,
            &mut self.received,
            &mut self.passed,
            &mut self.replies_lost,
            &mut self.commands_failed,
        ]
    }
}

/// The last [`Snapshot`] a shard published. Fields are read one by one: a reader may see two
/// neighbouring snapshots mixed, which a status line bears.
#[derive(Debug, Default)]
pub struct Tally {
    allocations: AtomicU64,
    totals: [AtomicU64; 9],
    drops: [AtomicU64; REASONS],
    connections: AtomicU64,
    streams: [AtomicU64; StreamCounters::TOTALS],
}

impl Tally {
    /// Publishes; for the shard's thread alone.
    pub fn publish(&self, snapshot: &Snapshot) {
        self.allocations
            .store(snapshot.allocations, Ordering::Relaxed);
        for (place, value) in self.totals.iter().zip(snapshot.totals()) {
            place.store(value, Ordering::Relaxed);
        }
        for (place, value) in self.drops.iter().zip(snapshot.drops) {
            place.store(value, Ordering::Relaxed);
        }
        self.connections
            .store(snapshot.streams.live, Ordering::Relaxed);
        for (place, value) in self.streams.iter().zip(snapshot.streams.totals()) {
            place.store(value, Ordering::Relaxed);
        }
    }

    /// Reads what was published last.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            allocations: self.allocations.load(Ordering::Relaxed),
            ..Snapshot::default()
        };
        for (place, value) in snapshot.totals_mut().into_iter().zip(&self.totals) {
            *place = value.load(Ordering::Relaxed);
        }
        for (place, value) in snapshot.drops.iter_mut().zip(&self.drops) {
            *place = value.load(Ordering::Relaxed);
        }
        snapshot.streams.live = self.connections.load(Ordering::Relaxed);
        let totals = snapshot.streams.totals_mut().into_iter();
        for (place, value) in totals.zip(&self.streams) {
            *place = value.load(Ordering::Relaxed);
        }
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Snapshot {
        let mut drops = [0; REASONS];
        drops[DropReason::NoChannel as usize] = 4;
        Snapshot {
            allocations: 1,
            allocations_total: 2,
            to_peer_packets: 3,
            to_peer_bytes: 4,
            to_client_packets: 5,
            to_client_bytes: 6,
            received: 7,
            passed: 8,
            drops,
            replies_lost: 9,
            commands_failed: 10,
            streams: StreamCounters {
                live: 11,
                accepted: 12,
                write_queue_dropped: 13,
                ..StreamCounters::default()
            },
        }
    }

    #[test]
    fn what_is_published_is_read() {
        let tally = Tally::default();
        tally.publish(&sample());
        assert_eq!(tally.snapshot(), sample());
    }

    #[test]
    fn difference_leaves_live_allocations_alone() {
        let zero = sample().since(&sample());
        assert_eq!(
            zero,
            Snapshot {
                allocations: 1,
                streams: StreamCounters {
                    live: 11,
                    ..StreamCounters::default()
                },
                ..Snapshot::default()
            }
        );
        assert_eq!(sample().since(&Snapshot::default()), sample());
        assert_eq!(
            sample().drops_by_reason().collect::<Vec<_>>(),
            [(DropReason::NoChannel, 4)]
        );
    }
}
