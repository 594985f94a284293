//! Two associations in a hostile world, from one seed.
//!
//! `TURNPIKE_SIM_SEEDS` says how many seeds to run (100), `TURNPIKE_SIM_SEED` which one to replay
//! with its trace.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_types,
    reason = "test code: a panic is the failure report, and progress is told in wall time"
)]

mod goodput;
mod pair;

use pair::ours::OURS;
use pair::seeds;

#[test]
fn invariants_hold_in_the_world_of_every_seed() {
    let totals = seeds::run([OURS, OURS]);
    // A world in which nothing happens would pass any check.
    let seeds = totals.seeds;
    assert!(
        seeds < 50
            || totals.delivered > 100 * seeds
                && totals.expired > seeds
                && totals.resets > seeds
                && totals.restarts > seeds / 20
                && totals.association_resets > seeds / 4,
        "{totals:?}"
    );
}
