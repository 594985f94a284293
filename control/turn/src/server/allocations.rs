//! All allocations, found by five-tuple and by number.
//!
//! The index is made for the configured limit at the start, so that it never grows under load, and
//! it is never iterated. Bounded by [`Limits::allocations`](super::Limits::allocations).

use ahash::RandomState;
use hashbrown::HashTable;
use turnpike_types::{AllocationId, FiveTuple};

use super::allocation::Allocation;
use super::slab::Slab;
use super::users::{fold, spread};

/// The allocations that live.
#[derive(Debug)]
pub(super) struct Allocations {
    slab: Slab<Allocation>,
    index: HashTable<Place>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    slot: u32,
}

impl Allocations {
    pub(super) fn new(capacity: usize, hasher: RandomState) -> Self {
        Self {
            slab: Slab::new(),
            index: HashTable::with_capacity(capacity),
            hasher,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    /// Slots to look into when looking at all of them.
    pub(super) fn slots(&self) -> u32 {
        self.slab.slots()
    }

    /// Puts an allocation in; its five-tuple must be free.
    pub(super) fn insert(&mut self, allocation: Allocation) -> Option<AllocationId> {
        let hash = self.hash(&allocation.five_tuple);
        let (slot, generation) = self.slab.insert(allocation)?;
        self.index
            .insert_unique(spread(hash), Place { hash, slot }, |place| {
                spread(place.hash)
            });
        Some(AllocationId { slot, generation })
    }

    pub(super) fn remove(&mut self, id: AllocationId) -> Option<Allocation> {
        self.get(id)?;
        let allocation = self.slab.remove(id.slot)?;
        let hash = self.hash(&allocation.five_tuple);
        if let Ok(entry) = self
            .index
            .find_entry(spread(hash), |place| place.slot == id.slot)
        {
            entry.remove();
        }
        Some(allocation)
    }

    pub(super) fn find(&self, five_tuple: &FiveTuple) -> Option<AllocationId> {
        let hash = self.hash(five_tuple);
        let is_it = |place: &Place| {
            place.hash == hash
                && self
                    .slab
                    .get(place.slot)
                    .is_some_and(|found| found.five_tuple == *five_tuple)
        };
        self.index
            .find(spread(hash), is_it)
            .and_then(|place| self.id_of(place.slot))
    }

    /// The allocation in a slot, if the slot is taken.
    pub(super) fn id_of(&self, slot: u32) -> Option<AllocationId> {
        let generation = self.slab.generation(slot)?;
        Some(AllocationId { slot, generation })
    }

    pub(super) fn get(&self, id: AllocationId) -> Option<&Allocation> {
        let is_same = self.slab.generation(id.slot) == Some(id.generation);
        self.slab.get(id.slot).filter(|_| is_same)
    }

    pub(super) fn get_mut(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        let is_same = self.slab.generation(id.slot) == Some(id.generation);
        self.slab.get_mut(id.slot).filter(|_| is_same)
    }

    fn hash(&self, five_tuple: &FiveTuple) -> u32 {
        fold(self.hasher.hash_one(five_tuple))
    }
}
