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

use turnpike_turn::server::{Identity, UserLedger};

/// Locks: enough that shards seldom meet at one.
const STRIPES: usize = 64;

/// Names and what they hold, by kind of user.
type Held = [HashMap<Box<str>, u32>; 3];

/// The holdings of all users.
pub(super) struct Ledger {
    stripes: [Mutex<Held>; STRIPES],
    hasher: RandomState,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Ledger {
    fn stripe(&self, user: &Identity<'_>) -> Option<MutexGuard<'_, Held>> {
        let place = self.hasher.hash_one(user) as usize % STRIPES;
        let stripe = self.stripes.get(place)?;
        // A count is changed in one step: what a thread that panicked left is sound.
        Some(stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl UserLedger for Ledger {
    fn try_hold(&self, user: &Identity<'_>, more: u32, most: u32) -> bool {
        let mut stripe = self.stripe(user);
        let Some(names) = stripe
            .as_mut()
            .and_then(|it| it.get_mut(user.kind as usize))
        else {
            return false;
        };
        let held = names
            .get(user.name)
            .copied()
            .unwrap_or(0)
            .saturating_add(more);
        if held > most {
            return false;
        }
        match names.get_mut(user.name) {
            Some(place) => *place = held,
            None => {
                names.insert(user.name.into(), held);
            }
        }
        true
    }

    fn release(&self, user: &Identity<'_>) {
        let mut stripe = self.stripe(user);
        let Some(names) = stripe
            .as_mut()
            .and_then(|it| it.get_mut(user.kind as usize))
        else {
            return;
        };
        if let Some(held) = names.get_mut(user.name) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                names.remove(user.name);
            }
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
        let ledger = Ledger::default();
        let alice = user(UserKind::Static);
        let in_use = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if ledger.try_hold(&alice, 2, MOST) {
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
        let ledger = Ledger::default();
        assert!(ledger.try_hold(&user(UserKind::Static), 1, 1));
        assert!(!ledger.try_hold(&user(UserKind::Static), 1, 1));
        assert!(ledger.try_hold(&user(UserKind::Ephemeral), 1, 1));
        assert!(ledger.try_hold(&user(UserKind::Anonymous), 1, 1));
        assert_eq!(names(&ledger), 3);
    }
}
