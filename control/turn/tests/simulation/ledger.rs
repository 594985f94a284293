//! What users hold, as a process with several engines would count it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use turnpike_turn::forward::UserBuckets;
use turnpike_turn::server::{Identity, Refusal, UserLedger};
use turnpike_types::UserId;

/// Holdings by kind and name of the user.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<Holdings>);

#[derive(Debug)]
struct Holdings {
    users: BTreeMap<String, (u32, UserId)>,
    vacant: VecDeque<UserId>,
    places: u32,
}

impl Ledger {
    /// For as many users as there are buckets.
    pub(crate) fn new(users: usize) -> Self {
        let places = UserBuckets::places(users);
        Self(Mutex::new(Holdings {
            users: BTreeMap::new(),
            vacant: (0..places).map(UserId).collect(),
            places,
        }))
    }

    pub(crate) fn total(&self) -> usize {
        let all = self.0.lock().unwrap();
        all.users.values().map(|(held, _)| *held as usize).sum()
    }
}

impl UserLedger for Ledger {
    fn try_hold(&self, user: &Identity<'_>, more: u32, most: u32) -> Result<UserId, Refusal> {
        let all = &mut *self.0.lock().unwrap();
        let (held, number) = match all.users.get(&key(user)) {
            Some(holding) => *holding,
            None => (0, *all.vacant.front().ok_or(Refusal::InsufficientCapacity)?),
        };
        if held + more > most {
            return Err(Refusal::AllocationQuotaReached);
        }
        if all.users.insert(key(user), (held + more, number)).is_none() {
            all.vacant.pop_front();
        }
        Ok(number)
    }

    fn release(&self, user: &Identity<'_>) {
        let all = &mut *self.0.lock().unwrap();
        let (held, number) = all.users.get_mut(&key(user)).unwrap();
        *held = held.checked_sub(1).unwrap();
        if *held == 0 {
            all.vacant.push_back(UserId(number.0 + all.places));
            all.users.remove(&key(user));
        }
    }
}

fn key(user: &Identity<'_>) -> String {
    format!("{:?} {}", user.kind, user.name)
}
