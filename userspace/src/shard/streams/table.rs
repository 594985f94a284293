//! The connections of a shard: a slab, found again by five-tuple.
//!
//! A slot is used again, and its descriptor closed, only after the last completion on it, so that a
//! late completion never meets another connection. Bounded by the places
//! that its connections hold.

use std::collections::HashMap;

use turnpike_types::FiveTuple;

use super::ConnectionId;
use super::connection::Connection;

/// As many generations as a token tells apart.
const GENERATION_MASK: u32 = 0x00FF_FFFF;

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    // Boxed: slots are many, and most of the time few are in use.
    connection: Option<Box<Connection>>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_five_tuple: HashMap<FiveTuple, ConnectionId>,
}

impl Table {
    /// How many descriptors are open.
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The most that were ever open at a time.
    pub(super) const fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn insert(&mut self, connection: Connection) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let five_tuple = connection.five_tuple;
        let mut generation = 0;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.connection = Some(Box::new(connection));
            generation = place.generation;
        }
        let id = ConnectionId { slot, generation };
        self.by_five_tuple.insert(five_tuple, id);
        id
    }

    /// The open connection of a five-tuple.
    pub(super) fn find(&self, five_tuple: &FiveTuple) -> Option<ConnectionId> {
        self.by_five_tuple.get(five_tuple).copied()
    }

    pub(super) fn find_mut(&mut self, five_tuple: &FiveTuple) -> Option<&mut Connection> {
        self.get_mut(self.find(five_tuple)?)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        (slot.generation == id.generation)
            .then_some(slot.connection.as_deref_mut())
            .flatten()
    }

    /// A connection that closes is not found by its five-tuple any more.
    pub(super) fn forget(&mut self, five_tuple: &FiveTuple) {
        self.by_five_tuple.remove(five_tuple);
    }

    /// Closes the descriptor if no completion is to come on it.
    pub(super) fn remove_if_over(&mut self, id: ConnectionId) {
        if self.get_mut(id).is_some_and(|it| it.is_over()) {
            let _closed = self.take(id);
        }
    }

    /// Frees the slot of a connection on which no completion is to come.
    pub(super) fn take(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let connection = slot.connection.take()?;
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        self.free.push(id.slot);
        Some(connection)
    }

    /// The connections there are.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        let used = (0..).zip(&self.slots);
        used.filter(|(_, slot)| slot.connection.is_some())
            .map(|(slot, place)| ConnectionId {
                slot,
                generation: place.generation,
            })
            .collect()
    }
}
