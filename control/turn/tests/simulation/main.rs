//! The whole TURN engine in a hostile world: server, lane, clients and peers, from one seed.
//!
//! `TURNPIKE_SIM_SEEDS` says how many seeds to run (100), `TURNPIKE_SIM_SEED` which one to replay
//! with its trace. After each step a model that sees only what clients see says whether all that
//! must hold does (`violation::Invariant` lists it).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_types,
    reason = "test code: a panic is the failure report, and progress is told in wall time"
)]

mod account;
mod caller;
mod lane;
mod ledger;
mod letter;
mod mirror;
mod mischief;
mod model;
mod peer;
mod plan;
mod prober;
mod relay;
mod scenario;
mod seeds;
mod stage;
mod vigil;
mod violation;

#[test]
fn invariants_hold_after_each_step_of_every_seed() {
    let number = |name: &str| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty());
        text.map(|text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
        })
    };
    seeds::run(
        number("TURNPIKE_SIM_SEEDS").unwrap_or(100),
        number("TURNPIKE_SIM_SEED"),
    );
}
