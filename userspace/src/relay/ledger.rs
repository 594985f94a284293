//! What every user holds over all shards: the [`UserLedger`] of the process.
//!
//! Maps behind locks, of which a user always meets the same one. They are taken when an allocation
//! begins or ends, for one look-up each, and never by a packet.
//!
//! Bounded by the allocations of all shards.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use turnpike_turn::server::{Identity, Refusal, UserLedger};
use turnpike_types::UserId;

use super::user_numbers::UserNumbers;

/// Locks: enough that shards seldom meet at one.
const STRIPES: usize = 64;

/// Names and what they hold, by kind of user.
type Held = [HashMap<Box<str>, Holding>; 3];

#[derive(Clone, Copy)]
struct Holding {
    count: u32,
    number: UserId,
}

/// The holdings of all users.
pub(super) struct Ledger {
    stripes: [Mutex<Held>; STRIPES],
    numbers: Mutex<UserNumbers>,
    hasher: RandomState,
}

impl Ledger {
    /// A ledger for so many users at a time.
    pub(super) fn new(users: usize) -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
            numbers: Mutex::new(UserNumbers::new(users)),
            hasher: RandomState::new(),
        }
    }

    fn stripe(&self, user: &Identity<'_>) -> Option<MutexGuard<'_, Held>> {
        let place = self.hasher.hash_one(user) as usize % STRIPES;
        let stripe = self.stripes.get(place)?;
        // A count is changed in one step: what a thread that panicked left is sound.
        Some(stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Taken within a stripe's lock, never before one.
    fn numbers(&self) -> MutexGuard<'_, UserNumbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UserLedger for Ledger {
    fn try_hold(&self, user: &Identity<'_>, more: u32, most: u32) -> Result<UserId, Refusal> {
        let mut stripe = self.stripe(user);
        let names = stripe
            .as_mut()
            .and_then(|it| it.get_mut(user.kind as usize))
            .ok_or(Refusal::InsufficientCapacity)?;
        let held = names.get(user.name).map_or(0, |holding| holding.count);
        let count = held.saturating_add(more);
        if count > most {
            return Err(Refusal::AllocationQuotaReached);
        }
        if let Some(holding) = names.get_mut(user.name) {
            holding.count = count;
            return Ok(holding.number);
        }
        let number = self.numbers().draw().ok_or(Refusal::InsufficientCapacity)?;
        names.insert(user.name.into(), Holding { count, number });
        Ok(number)
    }

    fn release(&self, user: &Identity<'_>) {
        let mut stripe = self.stripe(user);
        let Some(names) = stripe
            .as_mut()
            .and_then(|it| it.get_mut(user.kind as usize))
        else {
            return;
        };
        let Some(holding) = names.get_mut(user.name) else {
            return;
        };
        holding.count = holding.count.saturating_sub(1);
        if holding.count == 0 {
            self.numbers().give_back(holding.number);
            names.remove(user.name);
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ledger(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use turnpike_turn::server::UserKind;

    const fn user(kind: UserKind) -> Identity<'static> {
        Identity {
            kind,
            name: "alice",
        }
    }

    fn names(ledger: &Ledger) -> usize {
        let of = |stripe: &Mutex<Held>| {
            stripe
                .lock()
                .unwrap()
                .iter()
                .map(HashMap::len)
                .sum::<usize>()
        };
        ledger.stripes.iter().map(of).sum()
    }

    #[test]
    fn threads_together_never_hold_more_than_the_most() {
        const MOST: u32 = 5;
        let ledger = Ledger::new(8);
        let alice = user(UserKind::Static);
        let in_use = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if ledger.try_hold(&alice, 2, MOST).is_ok() {
                            let now = in_use.fetch_add(2, std::sync::atomic::Ordering::SeqCst) + 2;
                            assert!(now <= MOST, "{now}");
                            in_use.fetch_sub(2, std::sync::atomic::Ordering::SeqCst);
                            ledger.release(&alice);
                            ledger.release(&alice);
                        }
                    }
                });
            }
        });
        assert_eq!(names(&ledger), 0);
    }

    #[test]
    fn same_name_from_another_source_is_another_user() {
        let ledger = Ledger::new(8);
        let hold = |kind| ledger.try_hold(&user(kind), 1, 1);
        let first = hold(UserKind::Static).unwrap();
        assert_eq!(hold(UserKind::Static), Err(Refusal::AllocationQuotaReached));
        let second = hold(UserKind::Ephemeral).unwrap();
        let third = hold(UserKind::Anonymous).unwrap();
        assert_eq!(BTreeSet::from([first, second, third]).len(), 3);
        assert_eq!(names(&ledger), 3);
    }

    #[test]
    fn user_has_one_number_while_it_holds_anything_and_then_another() {
        let ledger = Ledger::new(8);
        let alice = user(UserKind::Static);
        let number = ledger.try_hold(&alice, 2, 3);
        assert_eq!(ledger.try_hold(&alice, 1, 3), number);
        (0..2).for_each(|_| ledger.release(&alice));
        assert_eq!(ledger.try_hold(&alice, 1, 3), number);
        (0..2).for_each(|_| ledger.release(&alice));
        let again = ledger.try_hold(&alice, 1, 3);
        assert!(again.is_ok() && again != number);
    }

    #[test]
    fn one_user_more_than_there_are_numbers_is_refused_until_one_goes() {
        let ledger = Ledger::new(2);
        let hold = |name| {
            let user = Identity {
                kind: UserKind::Static,
                name,
            };
            ledger.try_hold(&user, 1, 1)
        };
        assert!(hold("bob").is_ok() && hold("alice").is_ok());
        assert_eq!(hold("carol"), Err(Refusal::InsufficientCapacity));
        assert_eq!(names(&ledger), 2);
        ledger.release(&user(UserKind::Static));
        assert!(hold("carol").is_ok());
    }
}
