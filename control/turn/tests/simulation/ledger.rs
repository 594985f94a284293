//! What users hold, as a process with several engines would count it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use turnpike_turn::server::{Identity, UserLedger};

/// Holdings by kind and name of the user.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<BTreeMap<String, u32>>);

impl Ledger {
    pub(crate) fn total(&self) -> usize {
        let held = self.0.lock().unwrap();
        held.values().map(|held| *held as usize).sum()
    }
}

impl UserLedger for Ledger {
    fn try_hold(&self, user: &Identity<'_>, more: u32, most: u32) -> bool {
        let mut all = self.0.lock().unwrap();
        let held = all.entry(key(user)).or_default();
        let may = *held + more <= most;
        *held += if may { more } else { 0 };
        may
    }

    fn release(&self, user: &Identity<'_>) {
        let mut all = self.0.lock().unwrap();
        let held = all.get_mut(&key(user)).unwrap();
        *held = held.checked_sub(1).unwrap();
    }
}

fn key(user: &Identity<'_>) -> String {
    format!("{:?} {}", user.kind, user.name)
}
