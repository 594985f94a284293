//! The connections of a shard: a slab, found again by five-tuple and counted by client address.
//!
//! A slot is used again, and its descriptor closed, only after the last completion on it, so that a
//! late completion never meets another connection. Bounded by the caller.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use turnpike_types::FiveTuple;

use super::ConnectionId;
use super::connection::Connection;

/// As many generations as a token tells apart.
const GENERATION_MASK: u32 = 0x00FF_FFFF;

/// The part of an IPv6 address that is one client's.
const CLIENT_PREFIX_V6: u128 = !0 << 64;

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
    by_address: HashMap<IpAddr, u32>,
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

    /// How many connections are from a client's address.
    pub(super) fn of_address(&self, ip: IpAddr) -> u32 {
        self.by_address.get(&client_of(ip)).copied().unwrap_or(0)
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
        *self
            .by_address
            .entry(client_of(five_tuple.client.ip()))
            .or_default() += 1;
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
        if !self.get_mut(id).is_some_and(|it| it.is_over()) {
            return;
        }
        let Some(slot) = self.slots.get_mut(id.slot as usize) else {
            return;
        };
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        self.free.push(id.slot);
        let Some(connection) = slot.connection.take() else {
            return;
        };
        let client = client_of(connection.five_tuple.client.ip());
        if let Entry::Occupied(mut count) = self.by_address.entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64, which one subscriber has whole.
fn client_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & CLIENT_PREFIX_V6).into()),
    }
}
