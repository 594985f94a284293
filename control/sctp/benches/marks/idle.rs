//! What an established association that does nothing holds of the process's memory.

use bytes::Bytes;

use crate::cores::{Dcsctp, Ours, SctpProto};
use crate::options::Options;
use crate::pipe::{Core, Pipe};
use crate::report::{Figure, Mark, Report, Row};

/// Each has sent a message of 100 bytes and acknowledged it.
pub(crate) fn memory(options: &Options, report: &mut Report) {
    let rounds = options.rounds();
    let ours = slopes::<Ours>(rounds);
    let dcsctp = slopes::<Dcsctp>(rounds);
    let sctp_proto = slopes::<SctpProto>(rounds);
    report.add(Row {
        what: "resident memory an idle association".to_owned(),
        unit: "bytes",
        own: ours,
        peers: vec![
            (options.crate_name("dcsctp"), Ok(dcsctp)),
            (options.crate_name("sctp-proto"), Ok(sctp_proto)),
        ],
        mark: Mark::AtMost(8192.0),
    });
}

/// What some more of them add, several times; nothing is given back meanwhile.
fn slopes<C: Core>(rounds: usize) -> Figure {
    let mut kept = Vec::new();
    let mut figures = Vec::new();
    for round in 0..=rounds {
        let before = resident_bytes();
        for _ in 0..PAIRS {
            let pipe = Pipe::<C>::new(1 << 20, false, Bytes::new());
            kept.push(pipe.into_idle_ends(&Bytes::from_static(&[7; 100])));
        }
        // The first round fills what the allocator had left over.
        if round > 0 {
            let grown = resident_bytes().saturating_sub(before);
            figures.push(grown as f64 / (2 * PAIRS) as f64);
        }
    }
    Figure::of(&figures)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

const PAIRS: usize = 500;
