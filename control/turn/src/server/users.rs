//! Users that hold allocations, named by numbers and counted against their quota: here, or over all
//! engines where a [`UserLedger`] is shared.
//!
//! A user is here while it has an allocation or a reservation and not a moment longer, so the table
//! is bounded by the limit on allocations. A name is kept once, however many allocations it has.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use ahash::RandomState;
use hashbrown::HashTable;
use turnpike_types::UserId;

use super::slab::Slab;
use super::{Refusal, UserLedger};

/// Who a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity<'a> {
    /// Where the name comes from.
    pub kind: UserKind,
    /// The name.
    pub name: &'a str,
}

impl fmt::Debug for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(redacted)", self.kind)
    }
}

/// Where a name comes from: the same name from two sources is two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserKind {
    /// A user by name.
    Static,
    /// Behind a REST secret; the name is the part after the separator.
    Ephemeral,
    /// Not authenticated; the name is the client's IP address.
    Anonymous,
}

/// The users at work.
#[derive(Debug)]
pub(super) struct Users {
    users: Slab<User>,
    index: HashTable<Place>,
    /// Slots by the numbers that the ledger gave; without a ledger a number is a slot.
    by_number: HashTable<u32>,
    hasher: RandomState,
    ledger: Option<Arc<dyn UserLedger>>,
}

struct User {
    name: Box<str>,
    kind: UserKind,
    number: UserId,
    holds: u32,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User(redacted, holds {})", self.holds)
    }
}

/// A slot and the hash that leads to it: growing the table then looks at nothing else.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    slot: u32,
}

impl Users {
    pub(super) fn new(
        capacity: usize,
        hasher: RandomState,
        ledger: Option<Arc<dyn UserLedger>>,
    ) -> Self {
        Self {
            users: Slab::new(),
            index: HashTable::with_capacity(capacity),
            by_number: HashTable::with_capacity(ledger.as_ref().map_or(0, |_| capacity)),
            hasher,
            ledger,
        }
    }

    /// How many users hold something.
    pub(super) const fn len(&self) -> usize {
        self.users.len()
    }

    /// The number of a user that holds something.
    pub(super) fn find(&self, identity: &Identity<'_>) -> Option<UserId> {
        let hash = self.hash(identity);
        let is_it = |place: &Place| {
            place.hash == hash
                && self
                    .users
                    .get(place.slot)
                    .is_some_and(|user| user.identity() == *identity)
        };
        let place = self.index.find(spread(hash), is_it)?;
        self.users.get(place.slot).map(|user| user.number)
    }

    /// The name of a user that holds something.
    pub(super) fn name(&self, id: UserId) -> Option<&str> {
        self.user(id).map(|user| &*user.name)
    }

    /// Counts `more` allocations or reservations; each is for one [`release`](Self::release).
    ///
    /// # Errors
    ///
    /// 486 where the user would then hold over `most`, 508 when numbers are used up; nothing is
    /// counted then.
    pub(super) fn try_hold(
        &mut self,
        identity: &Identity<'_>,
        more: u32,
        most: u32,
    ) -> Result<UserId, Refusal> {
        let known = self.find(identity);
        let number = match &self.ledger {
            Some(ledger) => Some(ledger.try_hold(identity, more, most)?),
            None => {
                let held = known.and_then(|id| self.user(id));
                check(held.map_or(0, |user| user.holds), more, most)?;
                known
            }
        };
        let id = match known {
            Some(id) => id,
            None => self.add(identity, number, more)?,
        };
        if let Some(user) = self.user_mut(id) {
            user.holds = user.holds.saturating_add(more);
        }
        Ok(id)
    }

    /// Counts one more for a user that holds something already. `false`, and nothing counted, where
    /// that would be over `most`.
    pub(super) fn try_hold_more(&mut self, id: UserId, most: u32) -> bool {
        let Some(user) = self.user(id) else {
            return false;
        };
        let may = match &self.ledger {
            Some(ledger) => ledger.try_hold(&user.identity(), 1, most).is_ok(),
            None => check(user.holds, 1, most).is_ok(),
        };
        if let Some(user) = self.user_mut(id) {
            user.holds = user.holds.saturating_add(u32::from(may));
        }
        may
    }

    /// Makes a user who holds nothing yet; `counted` is what the ledger takes back if that fails.
    fn add(
        &mut self,
        identity: &Identity<'_>,
        number: Option<UserId>,
        counted: u32,
    ) -> Result<UserId, Refusal> {
        let user = User {
            name: identity.name.into(),
            kind: identity.kind,
            number: UserId(0),
            holds: 0,
        };
        let hash = self.hash(identity);
        let Some((slot, _)) = self.users.insert(user) else {
            if let Some(ledger) = &self.ledger {
                (0..counted).for_each(|_| ledger.release(identity));
            }
            return Err(Refusal::InsufficientCapacity);
        };
        self.index
            .insert_unique(spread(hash), Place { hash, slot }, |place| {
                spread(place.hash)
            });
        let id = number.unwrap_or(UserId(slot));
        if let Some(user) = self.users.get_mut(slot) {
            user.number = id;
        }
        if number.is_some() {
            let (users, hasher) = (&self.users, &self.hasher);
            let number = |slot: &u32| users.get(*slot).map_or(0, |user| user.number.0);
            let hash = |slot: &u32| hasher.hash_one(number(slot));
            self.by_number.insert_unique(hash(&slot), slot, hash);
        }
        Ok(id)
    }

    /// Counts one less, and forgets the user with the last.
    pub(super) fn release(&mut self, id: UserId) {
        let Some(slot) = self.slot(id) else {
            return;
        };
        let Some(user) = self.users.get_mut(slot) else {
            return;
        };
        user.holds = user.holds.saturating_sub(1);
        if let Some(ledger) = &self.ledger {
            ledger.release(&user.identity());
        }
        if user.holds > 0 {
            return;
        }
        let numbered = self
            .by_number
            .find_entry(self.hasher.hash_one(id.0), |found| *found == slot);
        if let Ok(entry) = numbered {
            entry.remove();
        }
        let Some(user) = self.users.remove(slot) else {
            return;
        };
        let hash = self.hash(&user.identity());
        if let Ok(entry) = self
            .index
            .find_entry(spread(hash), |place| place.slot == slot)
        {
            entry.remove();
        }
    }

    /// Whether this is the user of that number.
    pub(super) fn is(&self, id: UserId, identity: &Identity<'_>) -> bool {
        self.user(id)
            .is_some_and(|user| user.identity() == *identity)
    }

    fn slot(&self, id: UserId) -> Option<u32> {
        if self.ledger.is_none() {
            return Some(id.0);
        }
        let is_it = |slot: &u32| self.users.get(*slot).is_some_and(|user| user.number == id);
        let hash = self.hasher.hash_one(id.0);
        self.by_number.find(hash, is_it).copied()
    }

    fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(self.slot(id)?)
    }

    fn user_mut(&mut self, id: UserId) -> Option<&mut User> {
        self.users.get_mut(self.slot(id)?)
    }

    fn hash(&self, identity: &Identity<'_>) -> u32 {
        fold(self.hasher.hash_one(identity))
    }
}

impl User {
    const fn identity(&self) -> Identity<'_> {
        Identity {
            kind: self.kind,
            name: &self.name,
        }
    }
}

/// The quota where nobody else counts.
fn check(held: u32, more: u32, most: u32) -> Result<(), Refusal> {
    if held.saturating_add(more) <= most {
        Ok(())
    } else {
        Err(Refusal::AllocationQuotaReached)
    }
}

/// Half of a hash, which is what the tables keep.
pub(super) const fn fold(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The kept half again as a whole: a table takes its tag from the top and its place from the
/// bottom.
pub(super) const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Identity<'_> = Identity {
        kind: UserKind::Static,
        name: "alice",
    };
    const REST_ALICE: Identity<'_> = Identity {
        kind: UserKind::Ephemeral,
        name: "alice",
    };

    fn users() -> Users {
        Users::new(0, RandomState::with_seeds(1, 2, 3, 4), None)
    }

    #[test]
    fn user_is_forgotten_with_the_last_it_holds() {
        let mut users = users();
        let id = users.try_hold(&ALICE, 1, 2).unwrap();
        assert_eq!(users.try_hold(&ALICE, 1, 2), Ok(id));
        users.release(id);
        assert_eq!(users.name(id), Some("alice"));
        users.release(id);
        assert_eq!(
            (users.len(), users.find(&ALICE), users.name(id)),
            (0, None, None)
        );
    }

    #[test]
    fn same_name_from_two_sources_is_two_users() {
        let mut users = users();
        let id = users.try_hold(&ALICE, 1, 1).unwrap();
        assert_eq!(users.find(&REST_ALICE), None);
        assert!(users.is(id, &ALICE) && !users.is(id, &REST_ALICE));
    }

    #[test]
    fn hold_beyond_the_most_is_refused_and_counts_nothing() {
        let mut users = users();
        let id = users.try_hold(&ALICE, 2, 3).unwrap();
        let refused = Err(Refusal::AllocationQuotaReached);
        assert_eq!(users.try_hold(&ALICE, 2, 3), refused);
        assert!(users.try_hold_more(id, 3) && !users.try_hold_more(id, 3));
        assert_eq!(users.try_hold(&REST_ALICE, 1, 0), refused);
        assert_eq!((users.len(), users.users.get(id.0).unwrap().holds), (1, 3));
    }

    #[test]
    fn many_users_are_kept_apart() {
        let mut users = users();
        let names: alloc::vec::Vec<_> = (0..2_000)
            .map(|number| alloc::format!("user{number}"))
            .collect();
        let identity = |name| Identity {
            kind: UserKind::Static,
            name,
        };
        let ids: alloc::vec::Vec<_> = names
            .iter()
            .map(|name| users.try_hold(&identity(name), 1, 1).unwrap())
            .collect();
        for (name, id) in names.iter().zip(ids) {
            assert!(users.is(id, &identity(name)));
        }
    }
}
