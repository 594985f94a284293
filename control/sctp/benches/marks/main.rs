//! The marks of the SCTP engine beside its peers, measured in one run and printed as a table.
//!
//! `make bench-sctp` builds and runs it: see `scripts/bench-sctp.sh`, which says where the peers'
//! programs are. Words on the command line are `name=value`; `only=engine,udp` runs parts of it.
//!
//! Peers take turns with us, pass by pass, pinned to the same cores; a figure is the median of its
//! passes, with the lowest and the highest.

#![expect(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_types,
    reason = "a bench: a panic is its way to report, it owns the clock, and uses a part of the tests' worlds"
)]

mod cores;
#[path = "../../tests/strangers/dcsctp.rs"]
mod dcsctp;
mod engine;
mod idle;
mod options;
#[path = "../../tests/strangers/orders.rs"]
mod orders;
#[path = "../../tests/simulation/pair/mod.rs"]
mod pair;
mod pipe;
#[path = "../../tests/strangers/usrsctp/process.rs"]
mod process;
mod report;
#[path = "../../tests/strangers/sctp_proto.rs"]
mod sctp_proto;
mod udp;
mod world;

use options::Options;
use report::Report;

fn main() {
    let options = Options::read();
    if options.is_empty() {
        println!("`make bench-sctp` runs this, with what it needs");
        return;
    }
    let mut report = Report::default();
    type Part = fn(&Options, &mut Report);
    let parts: [(&str, Part); 5] = [
        // First: it looks at what the process grows by, and nothing is free yet.
        ("memory", idle::memory),
        ("engine", engine::bulk),
        ("messages", engine::small_messages),
        ("udp", udp::loopback),
        ("world", world::goodput_and_tails),
    ];
    for (name, part) in parts {
        if options.wants(name) {
            eprintln!("measuring: {name}");
            part(&options, &mut report);
        }
    }
    print!("{}", report.table());
    if let Some(path) = options.get("json") {
        report.write_json(path);
        println!("\nthe same as JSON: {path}");
    }
}
