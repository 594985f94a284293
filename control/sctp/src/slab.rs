//! A table with stable slots: vacant ones are used again, and an empty table gives its memory back.

use alloc::vec::Vec;

/// Where something is in a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// A growing table of `T` by [`Slot`]. The caller bounds it.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    vacant: Option<u32>,
    len: usize,
}

#[derive(Debug)]
enum Entry<T> {
    Occupied(T),
    Vacant { next: Option<u32> },
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            vacant: None,
            len: 0,
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> Slot {
        self.len += 1;
        if let Some(index) = self.vacant
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            if let Entry::Vacant { next } = *entry {
                self.vacant = next;
            }
            *entry = Entry::Occupied(value);
            return Slot(index);
        }
        // More than 2^32 entries do not fit the memory that bounds the table.
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry::Occupied(value));
        Slot(index)
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<T> {
        let entry = self.entries.get_mut(slot.0 as usize)?;
        if matches!(entry, Entry::Vacant { .. }) {
            return None;
        }
        let vacant = Entry::Vacant { next: self.vacant };
        let Entry::Occupied(value) = core::mem::replace(entry, vacant) else {
            return None;
        };
        self.vacant = Some(slot.0);
        self.len -= 1;
        if self.len == 0 && self.entries.len() > KEPT_MAX {
            *self = Self::new();
        }
        Some(value)
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&T> {
        match self.entries.get(slot.0 as usize)? {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        match self.entries.get_mut(slot.0 as usize)? {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant { .. } => None,
        })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// An empty table keeps this many entries for next time.
const KEPT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vacant_slot_is_used_again_and_answers_for_its_new_owner_only() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.get(a), None);
        let c = slab.insert('c');
        assert_eq!(c, a);
        assert_eq!(slab.get(c), Some(&'c'));
        assert_eq!(slab.get_mut(b), Some(&mut 'b'));
    }

    #[test]
    fn an_empty_table_gives_its_memory_back() {
        let mut slab = Slab::new();
        let slots: Vec<Slot> = (0..=KEPT_MAX).map(|n| slab.insert(n)).collect();
        for slot in slots {
            assert!(!slab.is_empty());
            slab.remove(slot);
        }
        assert!(slab.is_empty());
        assert_eq!(slab.entries.capacity(), 0);
    }
}
