//! What the programs count: packets by reason, and by allocation what was relayed.
//!
//! The programs count on each CPU by itself; here the CPUs are summed. Reading costs no system call
//! and stops nobody. Numbers only grow: what an allocation relayed is kept when its slot is used again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use turnpike_abi::{Config, Fate, Reason, Terms, Traffic};
use turnpike_types::RateLimit;

use crate::lines::Lines;

/// The counters of all shards.
#[derive(Debug)]
pub struct Counters {
    reasons: Lines,
    allocations: Lines,
    layout: Config,
    /// One more than the highest slot that was ever used.
    slots: AtomicU32,
    /// Of allocations whose slots are used again, by shard.
    former: Vec<[AtomicU64; WORDS]>,
}

/// Packets by reason, of all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasons([u64; REASONS]);

impl Reasons {
    /// Packets with one reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Packets that ended so.
    #[must_use]
    pub fn with_fate(&self, fate: Fate) -> u64 {
        let all = Reason::ALL.iter().filter(|reason| reason.fate() == fate);
        all.map(|reason| self.of(*reason)).sum()
    }
}

impl Default for Reasons {
    fn default() -> Self {
        Self([0; REASONS])
    }
}

impl Counters {
    pub(crate) fn new(reasons: Lines, allocations: Lines, layout: Config) -> Self {
        Self {
            reasons,
            allocations,
            layout,
            slots: AtomicU32::new(0),
            former: (0..layout.shards).map(|_| Default::default()).collect(),
        }
    }

    /// What became of all packets.
    #[must_use]
    pub fn reasons(&self) -> Reasons {
        let mut sums = Reasons::default();
        for (sum, reason) in sums.0.iter_mut().zip(Reason::ALL) {
            let cpus = 0..self.layout.cpus;
            let words = cpus.map(|cpu| Config::reason_line(*reason, cpu) as usize);
            let words = words.filter_map(|index| self.reasons.word(index));
            *sum = words.map(|word| word.load(Ordering::Relaxed)).sum();
        }
        sums
    }

    /// What all allocations of a shard relayed, those that ended too. Slots of shards alternate.
    #[must_use]
    pub fn relayed(&self, shard: u16) -> Traffic {
        let shard = u32::from(shard);
        let mut sums = [0; WORDS];
        for (sum, former) in sums.iter_mut().zip(self.former(shard)) {
            *sum = former.load(Ordering::Relaxed);
        }
        let slots = shard..self.slots.load(Ordering::Relaxed);
        for slot in slots.step_by(self.layout.shards.max(1) as usize) {
            self.add(slot, &mut sums);
        }
        Traffic::from_words(&sums)
    }

    fn former(&self, slot: u32) -> &[AtomicU64] {
        let shard = slot % self.layout.shards.max(1);
        let former = self.former.get(shard as usize);
        former.map_or(&[], |words| words.as_slice())
    }

    /// What the allocation in a slot relayed, as long as no other one is there.
    #[must_use]
    pub(crate) fn traffic(&self, slot: u32, generation: u32) -> Option<Traffic> {
        let [first, ..] = self
            .allocations
            .line::<WORDS>(self.layout.terms_line(slot))?;
        if first.load(Ordering::Relaxed) as u32 != generation {
            return None;
        }
        let mut sums = [0; WORDS];
        self.add(slot, &mut sums);
        Some(Traffic::from_words(&sums))
    }

    fn add(&self, slot: u32, sums: &mut [u64; WORDS]) {
        for cpu in 0..self.layout.cpus {
            let line = self.layout.traffic_line(slot, cpu);
            let words = self.allocations.line::<WORDS>(line);
            for (sum, word) in sums.iter_mut().zip(words.into_iter().flatten()) {
                *sum = sum.saturating_add(word.load(Ordering::Relaxed));
            }
        }
    }

    /// A line of `ALLOCATIONS`.
    pub(crate) fn line(&self, index: u32) -> Option<[&AtomicU64; WORDS]> {
        self.allocations.line::<WORDS>(index)
    }

    /// Begins an allocation in a slot that no entry names: its counters at zero, its limits empty.
    pub(crate) fn begin(&self, slot: u32, terms: &Terms, now: u64) {
        self.slots
            .fetch_max(slot.saturating_add(1), Ordering::Relaxed);
        for cpu in 0..self.layout.cpus {
            let line = self.layout.traffic_line(slot, cpu);
            let words = self.allocations.line::<WORDS>(line);
            for (former, word) in self.former(slot).iter().zip(words.into_iter().flatten()) {
                let counted = word.swap(0, Ordering::Relaxed);
                former.fetch_add(counted, Ordering::Relaxed);
            }
        }
        self.set_terms(slot, terms, now);
    }

    /// Changes the limits of the allocation in a slot, and empties its buckets.
    pub(crate) fn set_terms(&self, slot: u32, terms: &Terms, now: u64) {
        let line = self.allocations.line::<WORDS>(self.layout.terms_line(slot));
        let Some(line) = line else { return };
        // From the last to the first, which has the generation that entries are compared with.
        for (place, word) in line.iter().zip(terms.words(now)).rev() {
            place.store(word, Ordering::Release);
        }
    }
}

/// A rate limit in the programs' terms.
pub(crate) const fn limit(rate: &RateLimit) -> turnpike_abi::Limit {
    turnpike_abi::Limit::new(rate.packets_per_second, rate.bytes_per_second)
}

const REASONS: usize = Reason::COUNT as usize;

/// Of a line of `ALLOCATIONS`.
const WORDS: usize = 8;
