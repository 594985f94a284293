//! Users that hold allocations, named by small numbers and counted against their quota.
//!
//! A user is here while it has an allocation or a reservation and not a moment longer, so the table
//! is bounded by the limit on allocations. A name is kept once, however many allocations it has.

use alloc::boxed::Box;
use core::fmt;

use ahash::RandomState;
use hashbrown::HashTable;
use turnpike_types::UserId;

use super::slab::Slab;

/// Who a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity<'a> {
    pub(super) kind: UserKind,
    pub(super) name: &'a str,
}

/// Where a name comes from: the same name from two sources is two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum UserKind {
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
    hasher: RandomState,
}

struct User {
    name: Box<str>,
    kind: UserKind,
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
    pub(super) fn new(capacity: usize, hasher: RandomState) -> Self {
        Self {
            users: Slab::new(),
            index: HashTable::with_capacity(capacity),
            hasher,
        }
    }

    /// How many users hold something.
    pub(super) const fn len(&self) -> usize {
        self.users.len()
    }

    /// How many allocations and reservations the user holds.
    pub(super) fn holds(&self, identity: &Identity<'_>) -> u32 {
        let user = self.find(identity).and_then(|id| self.users.get(id.0));
        user.map_or(0, |user| user.holds)
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
        self.index
            .find(spread(hash), is_it)
            .map(|place| UserId(place.slot))
    }

    /// The name of a user that holds something.
    pub(super) fn name(&self, id: UserId) -> Option<&str> {
        self.users.get(id.0).map(|user| &*user.name)
    }

    /// Counts one more allocation or reservation. `None` when numbers are used up.
    pub(super) fn hold(&mut self, identity: &Identity<'_>) -> Option<UserId> {
        if let Some(id) = self.find(identity) {
            self.hold_more(id);
            return Some(id);
        }
        let user = User {
            name: identity.name.into(),
            kind: identity.kind,
            holds: 1,
        };
        let hash = self.hash(identity);
        let (slot, _) = self.users.insert(user)?;
        self.index
            .insert_unique(spread(hash), Place { hash, slot }, |place| {
                spread(place.hash)
            });
        Some(UserId(slot))
    }

    /// Counts one more for a user that holds something already.
    pub(super) fn hold_more(&mut self, id: UserId) {
        if let Some(user) = self.users.get_mut(id.0) {
            user.holds = user.holds.saturating_add(1);
        }
    }

    /// Counts one less, and forgets the user with the last.
    pub(super) fn release(&mut self, id: UserId) {
        let Some(user) = self.users.get_mut(id.0) else {
            return;
        };
        user.holds = user.holds.saturating_sub(1);
        if user.holds > 0 {
            return;
        }
        let Some(user) = self.users.remove(id.0) else {
            return;
        };
        let hash = self.hash(&user.identity());
        if let Ok(entry) = self
            .index
            .find_entry(spread(hash), |place| place.slot == id.0)
        {
            entry.remove();
        }
    }

    /// Whether this is the user of that number.
    pub(super) fn is(&self, id: UserId, identity: &Identity<'_>) -> bool {
        self.users
            .get(id.0)
            .is_some_and(|user| user.identity() == *identity)
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
        Users::new(0, RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn user_is_forgotten_with_the_last_it_holds() {
        let mut users = users();
        let id = users.hold(&ALICE).unwrap();
        assert_eq!(users.hold(&ALICE), Some(id));
        assert_eq!(users.holds(&ALICE), 2);
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
        let id = users.hold(&ALICE).unwrap();
        assert_eq!(users.find(&REST_ALICE), None);
        assert!(users.is(id, &ALICE) && !users.is(id, &REST_ALICE));
    }

    #[test]
    fn many_users_are_kept_apart() {
        let mut users = users();
        let names: alloc::vec::Vec<_> = (0..2_000)
            .map(|number| alloc::format!("user{number}"))
            .collect();
        for name in &names {
            users
                .hold(&Identity {
                    kind: UserKind::Static,
                    name,
                })
                .unwrap();
        }
        for name in &names {
            assert_eq!(
                users.holds(&Identity {
                    kind: UserKind::Static,
                    name
                }),
                1
            );
        }
    }
}
