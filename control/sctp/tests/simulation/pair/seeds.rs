//! Many seeds, or one to look at.

use std::time::{Duration, Instant};

use turnpike_sim::seeds;

use super::endpoint::Sort;
use super::scenario::{Scenario, Summary};
use super::violation::{Checked, Invariant, Violation};

/// Runs as many seeds as the environment asks for (100), or replays the one it asks for. With
/// `TURNPIKE_SIM_SURVEY` it does not stop at the first that fails.
pub(crate) fn run(sorts: [Sort; 2]) -> Totals {
    let names = sorts.map(|sort| sort.name);
    if let Some(seed) = number("TURNPIKE_SIM_SEED") {
        match run_observed(seed, sorts) {
            Ok(summary) => println!("{names:?}, seed {seed}: {summary:?}"),
            Err(violation) => fail(seed, &violation),
        }
        return Totals::default();
    }
    let seeds = number("TURNPIKE_SIM_SEEDS").unwrap_or(100);
    let (started, mut told) = (Instant::now(), Instant::now());
    let mut totals = Totals::default();
    let is_survey = number("TURNPIKE_SIM_SURVEY").is_some();
    let mut failed = Vec::new();
    for seed in 0..seeds {
        match run_checked(seed, sorts) {
            Ok(summary) => totals.add(&summary),
            Err(violation) => failed.push((seed, violation)),
        }
        if !is_survey && !failed.is_empty() {
            break;
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            println!("{} of {seeds} seeds: {totals:?}", seed + 1);
        }
    }
    let took = started.elapsed();
    println!("{names:?}, {seeds} seeds, {took:.1?}: {totals:?}");
    for (seed, violation) in failed.iter().skip(1) {
        println!("seed {seed}: {violation}");
    }
    if let Some((seed, violation)) = failed.first() {
        fail(*seed, violation);
    }
    totals
}

fn run_checked(seed: u64, sorts: [Sort; 2]) -> Checked<Summary> {
    let run = || Scenario::new(seed, sorts, false).run();
    seeds::checked(seed, Invariant::SameTrace, Invariant::NoPanic, run)
}

fn run_observed(seed: u64, sorts: [Sort; 2]) -> Checked<Summary> {
    seeds::caught(Invariant::NoPanic, || {
        Scenario::new(seed, sorts, true).run()
    })
}

fn fail(seed: u64, violation: &Violation) -> ! {
    panic!("seed {seed}: {violation}\nreplay it with: make sim ROOM=sctp SEED={seed}");
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// What all seeds together came to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    pub(crate) steps: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) delivered: u64,
    pub(crate) expired: u64,
    pub(crate) resets: u64,
    pub(crate) restarts: u64,
    pub(crate) association_resets: u64,
}

impl Totals {
    const fn add(&mut self, summary: &Summary) {
        self.seeds += 1;
        self.steps += summary.steps;
        self.messages += summary.messages;
        self.bytes += summary.bytes;
        self.delivered += summary.delivered;
        self.expired += summary.expired;
        self.resets += summary.resets;
        self.restarts += summary.restarts;
        self.association_resets += summary.association_resets;
    }
}
