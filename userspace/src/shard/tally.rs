//! What a shard tells the rest of the process: plain numbers, written by one thread, read by any.

use std::sync::atomic::{AtomicU64, Ordering};

use turnpike_types::DropReason;

const REASONS: usize = DropReason::ALL.len();

/// Numbers that only grow, beside the drops.
const TOTALS: usize = 10;

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
    /// Clients' datagrams passed on to another shard, which counts them as received.
    pub hopped: u64,
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
            ..Self::default()
        };
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

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut result = *self;
        result.allocations += other.allocations;
        for (place, more) in result.totals_mut().into_iter().zip(other.totals()) {
            *place += more;
        }
        for (place, more) in result.drops.iter_mut().zip(other.drops) {
            *place += more;
        }
        result
    }

    const fn totals(&self) -> [u64; TOTALS] {
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
            self.hopped,
        ]
    }

    const fn totals_mut(&mut self) -> [&mut u64; TOTALS] {
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
            &mut self.hopped,
        ]
    }
}

/// The last [`Snapshot`] a shard published. Fields are read one by one: a reader may see two
/// neighbouring snapshots mixed, which a status line bears.
#[derive(Debug, Default)]
pub struct Tally {
    allocations: AtomicU64,
    totals: [AtomicU64; TOTALS],
    drops: [AtomicU64; REASONS],
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
            hopped: 11,
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
                ..Snapshot::default()
            }
        );
        assert_eq!(sample().since(&Snapshot::default()), sample());
        let both = sample().plus(&sample());
        assert_eq!((both.allocations, both.hopped), (2, 22));
        assert_eq!(
            Snapshot {
                allocations: 1,
                ..both.since(&sample())
            },
            sample()
        );
        assert_eq!(
            sample().drops_by_reason().collect::<Vec<_>>(),
            [(DropReason::NoChannel, 4)]
        );
    }
}
