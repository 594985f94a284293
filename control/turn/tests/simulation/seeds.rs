//! Many seeds, or one to look at.

use std::time::{Duration, Instant};

use turnpike_sim::seeds;

use crate::scenario::{Scenario, Summary};
use crate::violation::{Checked, Invariant, Violation};

/// Runs as many seeds as asked for, or replays the one asked for.
pub(crate) fn run(seeds: u64, replay: Option<u64>) {
    if let Some(seed) = replay {
        match run_observed(seed) {
            Ok(summary) => println!("seed {seed}: {summary:?}"),
            Err(violation) => fail(seed, &violation),
        }
        return;
    }
    let (started, mut told) = (Instant::now(), Instant::now());
    let mut total = Totals::default();
    for seed in 0..seeds {
        match run_checked(seed) {
            Ok(summary) => total.add(&summary),
            Err(violation) => fail(seed, &violation),
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            println!(
                "{} of {seeds} seeds, {:.0?}: {total:?}",
                seed + 1,
                started.elapsed()
            );
        }
    }
    println!("{seeds} seeds, {:.1?}: {total:?}", started.elapsed());
    // A world in which nothing happens would pass any check.
    assert!(
        seeds < 20 || total.allocations > seeds && total.forwarded > 10 * seeds,
        "{total:?}"
    );
}

fn run_checked(seed: u64) -> Checked<Summary> {
    let run = || Scenario::new(seed, false).run();
    seeds::checked(seed, Invariant::SameTrace, Invariant::NoPanic, run)
}

fn run_observed(seed: u64) -> Checked<Summary> {
    seeds::caught(Invariant::NoPanic, || Scenario::new(seed, true).run())
}

fn fail(seed: u64, violation: &Violation) -> ! {
    panic!("seed {seed}: {violation}\nreplay it with: make sim ROOM=turn SEED={seed}");
}

/// What all seeds together came to.
#[derive(Debug, Default)]
struct Totals {
    steps: u64,
    datagrams: u64,
    allocations: u64,
    permissions: u64,
    channels: u64,
    faults: u64,
    forwarded: u64,
}

impl Totals {
    const fn add(&mut self, summary: &Summary) {
        self.steps += summary.steps;
        self.datagrams += summary.datagrams;
        self.allocations += summary.allocations;
        self.permissions += summary.permissions;
        self.channels += summary.channels;
        self.faults += summary.faults;
        self.forwarded += summary.forwarded;
    }
}
