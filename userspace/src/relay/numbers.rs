//! The numbers of all shards, for whoever shows them.

use std::sync::Arc;

use turnpike_dataplane::counters::{Counters, Reasons};

use crate::shard::{Snapshot, Tally};

/// What the shards published last, and what the kernel relayed for them. Cheap to clone, and good after
/// the relay has stopped.
#[derive(Clone, Debug)]
pub struct Numbers {
    tallies: Arc<[Arc<Tally>]>,
    kernel: Option<Arc<Counters>>,
}

impl Numbers {
    pub(super) fn new(tallies: Vec<Arc<Tally>>, kernel: Option<Arc<Counters>>) -> Self {
        Self {
            tallies: tallies.into(),
            kernel,
        }
    }

    /// One snapshot a shard, in their order, each a fraction of a second old.
    #[must_use]
    pub fn per_shard(&self) -> Vec<Snapshot> {
        let shards = (0..).zip(&*self.tallies);
        shards
            .map(|(shard, tally)| self.complete(shard, tally.snapshot()))
            .collect()
    }

    /// All shards together.
    #[must_use]
    pub fn sum(&self) -> Snapshot {
        self.per_shard().into_iter().sum()
    }

    /// What became of the packets that the kernel's programs saw, where there are any.
    #[must_use]
    pub fn kernel(&self) -> Option<Reasons> {
        self.kernel.as_ref().map(|counters| counters.reasons())
    }

    fn complete(&self, shard: u16, snapshot: Snapshot) -> Snapshot {
        let relayed = self.kernel.as_ref().map(|it| it.relayed(shard));
        let relayed = relayed.unwrap_or_default();
        Snapshot {
            kernel_to_peer_packets: relayed.to_peer_packets,
            kernel_to_peer_bytes: relayed.to_peer_bytes,
            kernel_to_client_packets: relayed.to_client_packets,
            kernel_to_client_bytes: relayed.to_client_bytes,
            ..snapshot
        }
    }
}
