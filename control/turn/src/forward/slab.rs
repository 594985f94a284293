//! Records by number: a vector that uses its gaps again.

use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Option<T>>,
    vacant: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            slots: Vec::with_capacity(capacity),
            vacant: Vec::new(),
        }
    }

    /// Puts a record in and names its slot. The caller keeps the count below `u32::MAX`.
    pub(super) fn insert(&mut self, record: T) -> u32 {
        if let Some(slot) = self.vacant.pop()
            && let Some(place) = self.slots.get_mut(slot as usize)
        {
            *place = Some(record);
            return slot;
        }
        self.slots.push(Some(record));
        u32::try_from(self.slots.len() - 1).unwrap_or(NIL)
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let record = self.slots.get_mut(slot as usize)?.take()?;
        self.vacant.push(slot);
        Some(record)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }
}

#[cfg(test)]
impl<T> Slab<T> {
    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }
}

/// No slot: the end of a list.
pub(super) const NIL: u32 = u32::MAX;

/// A record in a doubly linked list of its allocation.
pub(super) trait Linked {
    fn links(&mut self) -> &mut Links;
}

/// The neighbours of a record in its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl Links {
    pub(super) const NONE: Self = Self {
        prev: NIL,
        next: NIL,
    };
}

impl<T: Linked> Slab<T> {
    /// Puts the record of `slot` before the one that `head` names.
    pub(super) fn link(&mut self, head: &mut u32, slot: u32) {
        let next = core::mem::replace(head, slot);
        if let Some(record) = self.get_mut(slot) {
            *record.links() = Links { prev: NIL, next };
        }
        if let Some(after) = self.get_mut(next) {
            after.links().prev = slot;
        }
    }

    /// Takes a record that was at `links` out of its list.
    pub(super) fn unlink(&mut self, head: &mut u32, links: Links) {
        match self.get_mut(links.prev) {
            Some(before) => before.links().next = links.next,
            None => *head = links.next,
        }
        if let Some(after) = self.get_mut(links.next) {
            after.links().prev = links.prev;
        }
    }
}
