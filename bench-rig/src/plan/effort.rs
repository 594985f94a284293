//! How much time a run takes.

use std::time::Duration;

/// Lengths and counts of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// One trial.
    pub trial: Duration,
    /// Traffic that is not counted, after a relay's start: caches, branch predictors and tables fill.
    pub warm_up: Duration,
    /// Rounds of turns where cost and delay are measured.
    pub rounds: usize,
    /// Searches of a rate for each relay.
    pub searches: usize,
    /// Trials of one search at most.
    pub search_trials: u32,
    /// Allocations up to which memory is measured.
    pub memory_allocations: usize,
    /// Allocations that are tried for when the ceiling is looked for.
    pub allocations_wanted: usize,
}

impl Effort {
    /// Every mark in under six minutes.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            trial: Duration::from_millis(700),
            warm_up: Duration::from_millis(300),
            rounds: 2,
            searches: 1,
            search_trials: 24,
            memory_allocations: 4_000,
            allocations_wanted: 20_000,
        }
    }

    /// Everything in under half an hour.
    #[must_use]
    pub fn full() -> Self {
        Self {
            trial: Duration::from_secs(2),
            warm_up: Duration::from_millis(500),
            rounds: 4,
            searches: 2,
            search_trials: 40,
            memory_allocations: 10_000,
            allocations_wanted: 100_000,
        }
    }
}
