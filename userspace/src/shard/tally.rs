//! What a shard tells the rest of the process: plain numbers, written by one thread, read by any.
//!
//! A number is named once, in the list below; publishing, reading, differences and sums follow.
//! Nothing here is labelled or formatted: `metrics` does that.

use std::iter::Sum;
use std::sync::atomic::{AtomicU64, Ordering};

use turnpike_turn::server::{Procedure, Refusal};
use turnpike_types::{DropReason, Transport};

use super::connection::{ConnectionEnd, ConnectionRefusal};

const REASONS: usize = DropReason::ALL.len();
const TRANSPORTS: usize = Transport::ALL.len();
const PROCEDURES: usize = Procedure::ALL.len();
const REFUSALS: usize = Refusal::ALL.len();

/// A number, or a table of numbers indexed by an enumeration.
trait Cells {
    fn each(&mut self, visit: &mut impl FnMut(&mut u64));
}

impl Cells for u64 {
    fn each(&mut self, visit: &mut impl FnMut(&mut Self)) {
        visit(self);
    }
}

impl<T: Cells, const N: usize> Cells for [T; N] {
    fn each(&mut self, visit: &mut impl FnMut(&mut u64)) {
        for cells in self {
            cells.each(visit);
        }
    }
}

macro_rules! numbers {
    (
        now { $($(#[$now_doc:meta])+ $now:ident: $now_type:ty,)+ }
        total { $($(#[$doc:meta])+ $name:ident: $type:ty,)+ }
    ) => {
        /// A shard's numbers at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            /// When it was published, in nanoseconds of the monotonic clock; of a sum, the oldest.
            pub published_at: u64,
            $($(#[$now_doc])+ pub $now: $now_type,)+
            $($(#[$doc])+ pub $name: $type,)+
        }

        impl Snapshot {
            fn each_now(&mut self, visit: &mut impl FnMut(&mut u64)) {
                $(self.$now.each(visit);)+
            }

            fn each_total(&mut self, visit: &mut impl FnMut(&mut u64)) {
                $(self.$name.each(visit);)+
            }
        }
    };
}

numbers! {
    now {
        /// Allocations that live now.
        allocations: u64,
        /// The same by how their clients reach us, a [`Transport`] each.
        allocations_by_transport: [u64; TRANSPORTS],
        /// Users that hold allocations or reservations.
        users: u64,
        /// Relayed ports that are free.
        free_ports: u64,
        /// Open connections, a [`Transport`] each.
        connections: [u64; TRANSPORTS],
    }
    total {
        /// Allocations that were ever made.
        allocations_total: u64,
        /// Allocations that ended for want of a refresh.
        allocations_expired: u64,
        /// Relayed packets, client to peer.
        to_peer_packets: u64,
        /// Relayed payload bytes, client to peer.
        to_peer_bytes: u64,
        /// Relayed packets, peer to client.
        to_client_packets: u64,
        /// Relayed payload bytes, peer to client.
        to_client_bytes: u64,
        /// Packets that the kernel relayed, client to peer. The shard does not see them: whoever
        /// reads its numbers adds these.
        kernel_to_peer_packets: u64,
        /// The same in payload bytes.
        kernel_to_peer_bytes: u64,
        /// Packets that the kernel relayed, peer to client.
        kernel_to_client_packets: u64,
        /// The same in payload bytes.
        kernel_to_client_bytes: u64,
        /// Permissions and channels that found no room in the kernel's tables: sockets serve them.
        left_out_of_kernel: u64,
        /// Packets that came in, from clients and peers: each is relayed, passed, dropped or still
        /// being sent.
        received: u64,
        /// Packets that the server took: requests and other STUN messages.
        passed: u64,
        /// Clients' datagrams passed on to another shard, which counts them as received.
        hopped: u64,
        /// Dropped packets, by reason.
        drops: [u64; REASONS],
        /// Requests granted, a [`Procedure`] each.
        granted: [u64; PROCEDURES],
        /// Requests refused, by [`Procedure`] and [`Refusal`].
        refused: [[u64; REFUSALS]; PROCEDURES],
        /// Messages of the server's own that could not be sent.
        replies_lost: u64,
        /// Commands that the lane could not carry out.
        commands_failed: u64,
        /// Connections that were accepted, a [`Transport`] each.
        connections_accepted: [u64; TRANSPORTS],
        /// Connections that were closed as soon as they came, a [`ConnectionRefusal`] each.
        connections_refused: [u64; ConnectionRefusal::ALL.len()],
        /// Connections that ended, a [`ConnectionEnd`] each.
        connections_closed: [u64; ConnectionEnd::ALL.len()],
        /// Connections handed to another shard after they were served here.
        connections_moved: u64,
        /// Relayed packets that found a connection's write queue full; also among the drops.
        write_queue_dropped: u64,
        /// Turns of the loop.
        turns: u64,
        /// Nanoseconds of its core that the shard's thread has used, the kernel's work on its
        /// behalf included.
        busy_nanos: u64,
    }
}

impl Snapshot {
    /// Relayed packets and payload bytes, client to peer, whichever way they took.
    #[must_use]
    pub const fn to_peer(&self) -> (u64, u64) {
        (
            self.to_peer_packets + self.kernel_to_peer_packets,
            self.to_peer_bytes + self.kernel_to_peer_bytes,
        )
    }

    /// The same, peer to client.
    #[must_use]
    pub const fn to_client(&self) -> (u64, u64) {
        (
            self.to_client_packets + self.kernel_to_client_packets,
            self.to_client_bytes + self.kernel_to_client_bytes,
        )
    }

    /// Relayed packets, both ways.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.to_peer().0 + self.to_client().0
    }

    /// Relayed payload bytes, both ways.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.to_peer().1 + self.to_client().1
    }

    /// Dropped packets, for any reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Open connections, of all transports.
    #[must_use]
    pub fn live_connections(&self) -> u64 {
        self.connections.iter().sum()
    }

    /// Connections that were accepted, of all transports.
    #[must_use]
    pub fn accepted_connections(&self) -> u64 {
        self.connections_accepted.iter().sum()
    }

    /// Connections that ended so.
    #[must_use]
    pub fn closed_connections(&self, end: ConnectionEnd) -> u64 {
        self.connections_closed
            .get(end as usize)
            .copied()
            .unwrap_or(0)
    }

    /// Connections that were refused so.
    #[must_use]
    pub fn refused_connections(&self, refusal: ConnectionRefusal) -> u64 {
        self.connections_refused
            .get(refusal as usize)
            .copied()
            .unwrap_or(0)
    }

    /// Reasons with at least one drop.
    pub fn drops_by_reason(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .into_iter()
            .zip(self.drops)
            .filter(|(_, count)| *count > 0)
    }

    /// What was counted since `earlier`; what lives now stays as it is.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut result = *self;
        let mut before = Vec::with_capacity(CELLS);
        let mut earlier = *earlier;
        earlier.each_total(&mut |cell| before.push(*cell));
        let mut before = before.into_iter();
        result.each_total(&mut |cell| *cell = cell.saturating_sub(before.next().unwrap_or(0)));
        result
    }

    fn each(&mut self, visit: &mut impl FnMut(&mut u64)) {
        visit(&mut self.published_at);
        self.each_now(visit);
        self.each_total(visit);
    }
}

/// The shards together.
impl Sum for Snapshot {
    fn sum<I: Iterator<Item = Self>>(mut shards: I) -> Self {
        let first = shards.next().unwrap_or_default();
        shards.fold(first, |mut sum, mut shard| {
            let published_at = sum.published_at.min(shard.published_at);
            let mut cells = Vec::with_capacity(CELLS);
            shard.each(&mut |cell| cells.push(*cell));
            let mut cells = cells.into_iter();
            sum.each(&mut |cell| *cell = cell.saturating_add(cells.next().unwrap_or(0)));
            Self {
                published_at,
                ..sum
            }
        })
    }
}

/// How many numbers a [`Snapshot`] is made of.
const CELLS: usize = size_of::<Snapshot>() / size_of::<u64>();

/// The last [`Snapshot`] a shard published. Numbers are read one by one: a reader may see two
/// neighbouring snapshots mixed, which a status line bears.
#[derive(Debug)]
pub struct Tally([AtomicU64; CELLS]);

impl Default for Tally {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CELLS])
    }
}

impl Tally {
    /// Publishes; for the shard's thread alone.
    pub fn publish(&self, snapshot: &Snapshot) {
        let mut places = self.0.iter();
        let mut snapshot = *snapshot;
        snapshot.each(&mut |cell| {
            if let Some(place) = places.next() {
                place.store(*cell, Ordering::Relaxed);
            }
        });
    }

    /// Reads what was published last.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut places = self.0.iter();
        let mut snapshot = Snapshot::default();
        snapshot.each(&mut |cell| {
            if let Some(place) = places.next() {
                *cell = place.load(Ordering::Relaxed);
            }
        });
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number another.
    fn sample() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut next = 0;
        snapshot.each(&mut |cell| {
            next += 1;
            *cell = next;
        });
        snapshot
    }

    #[test]
    fn every_number_has_a_cell_of_its_own() {
        let mut visited = 0;
        Snapshot::default().each(&mut |_| visited += 1);
        assert_eq!(visited, CELLS);
        assert!(visited > PROCEDURES * REFUSALS);
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
        assert_eq!(zero.allocations, sample().allocations);
        assert_eq!((zero.packets(), zero.bytes(), zero.dropped()), (0, 0, 0));
        assert_eq!(zero.refused, Snapshot::default().refused);
        assert_eq!(sample().since(&Snapshot::default()), sample());
    }

    #[test]
    fn sum_adds_every_number_and_is_as_old_as_the_oldest() {
        let older = Snapshot {
            published_at: 0,
            ..sample()
        };
        let sum: Snapshot = [sample(), older].into_iter().sum();
        assert_eq!(sum.published_at, 0);
        assert_eq!(sum.allocations, 2 * sample().allocations);
        assert_eq!(sum.refused[4][12], 2 * sample().refused[4][12]);
        assert_eq!(sum.busy_nanos, 2 * sample().busy_nanos);
        assert_eq!(
            [].into_iter().sum::<Snapshot>(),
            Snapshot::default(),
            "of no shard"
        );
    }

    #[test]
    fn only_reasons_with_drops_are_named() {
        let mut snapshot = Snapshot::default();
        snapshot.drops[DropReason::NoChannel as usize] = 4;
        assert_eq!(
            snapshot.drops_by_reason().collect::<Vec<_>>(),
            [(DropReason::NoChannel, 4)]
        );
    }
}
