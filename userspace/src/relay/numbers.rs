//! The numbers of all shards, for whoever shows them.

use std::sync::Arc;

use crate::shard::{Snapshot, Tally};

/// What the shards published last. Cheap to clone, and good after the relay has stopped.
#[derive(Clone, Debug)]
pub struct Numbers {
    tallies: Arc<[Arc<Tally>]>,
}

impl Numbers {
    pub(super) fn new(tallies: Vec<Arc<Tally>>) -> Self {
        Self {
            tallies: tallies.into(),
        }
    }

    /// One snapshot a shard, in their order, each a fraction of a second old.
    #[must_use]
    pub fn per_shard(&self) -> Vec<Snapshot> {
        self.tallies.iter().map(|tally| tally.snapshot()).collect()
    }

    /// All shards together.
    #[must_use]
    pub fn sum(&self) -> Snapshot {
        self.tallies.iter().map(|tally| tally.snapshot()).sum()
    }
}
