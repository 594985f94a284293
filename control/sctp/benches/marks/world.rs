//! Goodput over a bottleneck and the time that a lost tail takes, in virtual time: the same on any
//! machine.

use std::panic::catch_unwind;

use crate::dcsctp::DCSCTP;
use crate::options::Options;
use crate::pair::bulk::{Path, tail_loss_recovery, transfer};
use crate::pair::endpoint::Sort;
use crate::pair::ours::OURS;
use crate::report::{Figure, Mark, Report, Row};
use crate::sctp_proto::SCTP_PROTO;

const ROUND_TRIPS_MS: [u64; 4] = [20, 50, 100, 200];

/// 100 Mbit/s, a drop-tail queue of one bandwidth-delay product, no random loss.
pub(crate) fn goodput_and_tails(options: &Options, report: &mut Report) {
    for ms in ROUND_TRIPS_MS {
        let path = Path::of_round_trip_ms(ms);
        report.add(row(
            options,
            format!("goodput from 3 s on, 100 Mbit/s, queue of one BDP, RTT {ms} ms, virtual time"),
            "Mbit/s",
            Mark::AtLeast(92.0),
            |sort| transfer([sort, sort], path, 65_536, SECONDS).goodput_from(3) as f64 * 1e-6,
        ));
    }
    for ms in ROUND_TRIPS_MS {
        let path = Path::of_round_trip_ms(ms);
        report.add(row(
            options,
            format!("a lost tail packet of ten arrives, RTT {ms} ms, virtual time"),
            "round trips",
            Mark::AtMost(2.5),
            |sort| {
                let took = tail_loss_recovery([sort, sort], path, 10);
                took.as_secs_f64() / path.round_trip.as_secs_f64()
            },
        ));
    }
}

fn row(
    options: &Options,
    what: String,
    unit: &'static str,
    mark: Mark,
    measure: impl Fn(Sort) -> f64 + std::panic::RefUnwindSafe,
) -> Row {
    let peers = [DCSCTP, SCTP_PROTO].map(|sort| {
        let figure = catch_unwind(|| measure(sort));
        let figure = figure.map(Figure::exact);
        let name = options.crate_name(sort.name);
        (name, figure.map_err(|_| "it gave up".to_owned()))
    });
    Row {
        what,
        unit,
        own: Figure::exact(measure(OURS)),
        peers: peers.into(),
        mark,
    }
}

const SECONDS: usize = 20;
