//! The bench rig on itself: the hosts are as promised, costs are charged to whom they belong, and
//! every subject answers and goes. Needs root, and has a core for the relay to itself.
//!
//! `TURNPIKE_BIN` names the relay's binary. Rivals that are not on this machine are left out.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

mod account;
mod bench;
mod client;
mod crooked;
mod faults;
mod hosts;
mod live;
mod load;
mod subjects;

use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};

fn hosts(wires: Wires) -> BenchHosts {
    BenchHosts::new(wires).unwrap_or_else(|error| panic!("{error}"))
}
