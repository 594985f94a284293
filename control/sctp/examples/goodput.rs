//! Prints how fast an association is over a bottleneck with a drop-tail queue of one
//! bandwidth-delay product, and how quickly it recovers a lost tail, in virtual time:
//! `cargo run --release -p turnpike-sctp --example goodput`.

#![expect(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_types,
    reason = "the tests' worlds, of which this uses a part"
)]

#[path = "../tests/simulation/pair/mod.rs"]
mod pair;

use pair::bulk::{Path, tail_loss_recovery, transfer};
use pair::ours::OURS;

fn main() {
    println!("100 Mbit/s, queue of one BDP, messages of 64 KiB, {SECONDS} s");
    println!(
        "RTT ms | Mbit/s from 3 s on | by second | queue drops | lost tail of 1, 10 packets, RTTs"
    );
    println!("--- | --- | --- | --- | ---");
    for ms in [20, 50, 100, 200] {
        let path = Path::of_round_trip_ms(ms);
        let transfer = transfer([OURS, OURS], path, 65_536, SECONDS);
        let by_second: Vec<String> = transfer
            .bytes_by_second
            .iter()
            .take(6)
            .map(|bytes| format!("{:.0}", *bytes as f64 * 8e-6))
            .collect();
        let tails = [1, 10].map(|packets| {
            let took = tail_loss_recovery([OURS, OURS], path, packets);
            format!("{:.2}", took.as_secs_f64() / path.round_trip.as_secs_f64())
        });
        println!(
            "{ms} | {:.1} | {} | {} | {}",
            transfer.goodput_from(3) as f64 * 1e-6,
            by_second.join(" "),
            transfer.drops,
            tails.join(", ")
        );
    }
}

const SECONDS: usize = 20;
