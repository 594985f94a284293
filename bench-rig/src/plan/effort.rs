//! How much time a run takes.

use std::time::Duration;

use super::Experiment;

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
    pub memory_allocations: u32,
    /// Allocations that are tried for when the ceiling is looked for.
    pub allocations_wanted: u32,
}

impl Effort {
    /// Every mark in under six minutes.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            trial: Duration::from_millis(600),
            warm_up: Duration::from_millis(200),
            rounds: 2,
            searches: 1,
            search_trials: 10,
            memory_allocations: 10_000,
            allocations_wanted: 20_000,
        }
    }

    /// Everything in under half an hour.
    #[must_use]
    pub fn full() -> Self {
        Self {
            trial: Duration::from_millis(1_500),
            warm_up: Duration::from_millis(500),
            rounds: 4,
            searches: 2,
            search_trials: 40,
            memory_allocations: 10_000,
            allocations_wanted: 100_000,
        }
    }

    /// About how long an experiment takes with so many relays. Learnt from runs; for the time left
    /// that is shown, and for nothing else.
    pub(super) fn expected(&self, experiment: Experiment, relays: u32) -> Duration {
        let rounds = u32::try_from(self.rounds).unwrap_or(u32::MAX);
        let searches = u32::try_from(self.searches).unwrap_or(u32::MAX);
        let turn = START + self.warm_up + 3 * (self.trial + OVERHEAD);
        let search = START + PROBE + self.search_trials / 2 * (self.trial + OVERHEAD);
        match experiment {
            Experiment::Ceilings => 2 * searches * search,
            Experiment::Rate => relays * searches * search,
            // The rivals are known by then.
            Experiment::XdpRate => searches * search,
            Experiment::Latency => (relays + 1) * rounds * turn,
            Experiment::Cycles => relays * rounds * (START + self.trial),
            Experiment::Memory => relays * 5 * 2 * START,
            Experiment::Allocations => relays * 10 * START,
            Experiment::Noise | Experiment::XdpShare => 2 * (START + PROBE + rounds * turn),
            _ => relays * (START + PROBE + rounds * turn),
        }
    }
}

/// From a relay's start to its first packet.
const START: Duration = Duration::from_millis(1_500);

/// What a trial takes beside its length: stragglers, clocks.
const OVERHEAD: Duration = Duration::from_millis(300);

const PROBE: Duration = Duration::from_secs(5);
