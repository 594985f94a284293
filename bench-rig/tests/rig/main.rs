//! The bench rig on itself: the hosts are as promised, costs are charged to whom they belong, and
//! every subject answers and goes. Needs root, and has a core for the relay to itself.

#![forbid(unsafe_code)]
#![expect(clippy::panic, reason = "test helpers: a panic is the failure report")]

mod hosts;
mod live;
mod load;
mod relay;

use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};

fn hosts(wires: Wires) -> BenchHosts {
    BenchHosts::new(wires).unwrap_or_else(|error| panic!("{error}"))
}
