//! A slab with generations that grows by whole chunks.
//!
//! A `Vec` would copy a million slots at once when it grows; a chunk is never moved. Slots are
//! dense, so that lanes may index their own slabs with them.
//!
//! Bounded by the caller's limits; a freed slot is used again before a new one is added.

use alloc::vec::Vec;

/// Slots a chunk.
const CHUNK_LEN: usize = 256;
const NIL: u32 = u32::MAX;

/// Values named by a slot number.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    vacant: u32,
    len: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Vacant { next: u32, generation: u32 },
    Taken { generation: u32, value: T },
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            vacant: NIL,
            len: 0,
        }
    }

    /// How many slots are taken.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many slots there are, taken or not: the numbers below it are worth a look.
    pub(super) fn slots(&self) -> u32 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_LEN;
        u32::try_from(full + self.chunks.last().map_or(0, Vec::len)).unwrap_or(NIL)
    }

    /// Puts a value in and names its slot and generation; `None` when slot numbers are used up.
    pub(super) fn insert(&mut self, value: T) -> Option<(u32, u32)> {
        let slot = self.vacant;
        let Some(place) = self.slot_mut(slot) else {
            return self.push(value);
        };
        let Slot::Vacant { next, generation } = *place else {
            return None;
        };
        *place = Slot::Taken { generation, value };
        self.vacant = next;
        self.len += 1;
        Some((slot, generation))
    }

    /// Takes a value out; the slot's next use has another generation.
    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let next = self.vacant;
        let place = self.slot_mut(slot)?;
        let Slot::Taken { generation, .. } = *place else {
            return None;
        };
        let vacant = Slot::Vacant {
            next,
            generation: generation.wrapping_add(1),
        };
        let Slot::Taken { value, .. } = core::mem::replace(place, vacant) else {
            return None;
        };
        self.vacant = slot;
        self.len -= 1;
        Some(value)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        match self.slot(slot)? {
            Slot::Taken { value, .. } => Some(value),
            Slot::Vacant { .. } => None,
        }
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.slot_mut(slot)? {
            Slot::Taken { value, .. } => Some(value),
            Slot::Vacant { .. } => None,
        }
    }

    /// The generation of a taken slot.
    pub(super) fn generation(&self, slot: u32) -> Option<u32> {
        match self.slot(slot)? {
            Slot::Taken { generation, .. } => Some(*generation),
            Slot::Vacant { .. } => None,
        }
    }

    fn push(&mut self, value: T) -> Option<(u32, u32)> {
        let slot = self.slots();
        if slot == NIL {
            return None;
        }
        let taken = Slot::Taken {
            generation: 0,
            value,
        };
        match self
            .chunks
            .last_mut()
            .filter(|chunk| chunk.len() < CHUNK_LEN)
        {
            Some(chunk) => chunk.push(taken),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK_LEN);
                chunk.push(taken);
                self.chunks.push(chunk);
            }
        }
        self.len += 1;
        Some((slot, 0))
    }

    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        let index = slot as usize;
        self.chunks.get(index / CHUNK_LEN)?.get(index % CHUNK_LEN)
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        let index = slot as usize;
        self.chunks
            .get_mut(index / CHUNK_LEN)?
            .get_mut(index % CHUNK_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_slot_is_used_again_with_another_generation() {
        let mut slab = Slab::new();
        assert_eq!(slab.insert('a'), Some((0, 0)));
        assert_eq!(slab.insert('b'), Some((1, 0)));
        assert_eq!(slab.remove(0), Some('a'));
        assert_eq!(slab.remove(0), None);
        assert_eq!(slab.get(0), None);
        assert_eq!(slab.insert('c'), Some((0, 1)));
        assert_eq!(slab.generation(0), Some(1));
        assert_eq!((slab.len(), slab.slots()), (2, 2));
    }

    #[test]
    fn slots_stay_dense_across_chunks() {
        let mut slab = Slab::new();
        for number in 0..1_000_u32 {
            assert_eq!(slab.insert(number), Some((number, 0)));
        }
        assert_eq!(slab.get(999), Some(&999));
        assert_eq!(slab.slots(), 1_000);
    }
}
