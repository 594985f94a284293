//! Engine to engine on one core: what a byte and a small message cost both ends together.

use std::time::Duration;

use bytes::Bytes;

use crate::cores::{Dcsctp, Ours, SctpProto};
use crate::options::Options;
use crate::pipe::{Core, Pipe};
use crate::report::{Figure, Mark, Report, Row};

const WINDOWS: [(u32, &str); 4] = [
    (256 << 10, "256 KiB"),
    (1 << 20, "1 MiB"),
    (4 << 20, "4 MiB"),
    (32 << 20, "32 MiB"),
];

/// Messages of 64 KB through windows of several sizes.
pub(crate) fn bulk(options: &Options, report: &mut Report) {
    for (has_zero_checksum, checksum, least) in
        [(true, "zero checksum", 8_000.0), (false, "CRC32c", 4_000.0)]
    {
        let mut own = Vec::new();
        for (window, words) in WINDOWS {
            let payload = Bytes::from(vec![7; 64 << 10]);
            let row = alternate(options, window, has_zero_checksum, &payload, 8e-6);
            own.push(row.0.median);
            report.add(Row {
                what: format!("engine to engine on one core, 64 KB, window {words}, {checksum}"),
                unit: "Mbit/s",
                own: row.0,
                peers: row.1,
                mark: Mark::AtLeast(least),
            });
        }
        let (low, high) = own.iter().fold((f64::MAX, 0.0), |(low, high), it| {
            (it.min(low), it.max(high))
        });
        report.add(Row {
            what: format!("the slowest of these windows over the quickest, {checksum}"),
            unit: "of 1",
            own: Figure::exact(low / high),
            peers: Vec::new(),
            mark: Mark::AtLeast(FLAT),
        });
    }
}

/// Messages of 64 bytes on one stream.
pub(crate) fn small_messages(options: &Options, report: &mut Report) {
    for (has_zero_checksum, checksum) in [(true, "zero checksum"), (false, "CRC32c")] {
        let payload = Bytes::from(vec![7; 64]);
        let row = alternate(options, 1 << 20, has_zero_checksum, &payload, 1.0 / 64.0);
        report.add(Row {
            what: format!("messages of 64 bytes a second on one core, {checksum}"),
            unit: "messages/s",
            own: row.0,
            peers: row.1,
            mark: Mark::AtLeast(1e6),
        });
    }
}

type Peers = Vec<(String, Result<Figure, String>)>;

/// Ours and the peers by turns, `factor` times the bytes a second of each pass.
fn alternate(
    options: &Options,
    window: u32,
    has_zero_checksum: bool,
    payload: &Bytes,
    factor: f64,
) -> (Figure, Peers) {
    let mut ours = Passes::<Ours>::new(window, has_zero_checksum, payload, factor);
    let mut dcsctp = Passes::<Dcsctp>::new(window, has_zero_checksum, payload, factor);
    let mut sctp_proto = (!has_zero_checksum)
        .then(|| Passes::<SctpProto>::new(window, has_zero_checksum, payload, factor));
    for _ in 0..options.rounds() {
        ours.measure();
        dcsctp.measure();
        if let Some(passes) = &mut sctp_proto {
            passes.measure();
        }
    }
    let sctp_proto = match sctp_proto {
        Some(passes) => Ok(Figure::of(&passes.figures)),
        None => Err("it has no zero checksum".to_owned()),
    };
    let peers = vec![
        (
            options.crate_name("dcsctp"),
            Ok(Figure::of(&dcsctp.figures)),
        ),
        (options.crate_name("sctp-proto"), sctp_proto),
    ];
    (Figure::of(&ours.figures), peers)
}

/// One engine's pipe and what it reached, pass by pass.
struct Passes<C> {
    pipe: Pipe<C>,
    factor: f64,
    figures: Vec<f64>,
}

impl<C: Core> Passes<C> {
    fn new(window: u32, has_zero_checksum: bool, payload: &Bytes, factor: f64) -> Self {
        let mut pipe = Pipe::new(window, has_zero_checksum, payload.clone());
        pipe.run(WARM_UP);
        Self {
            pipe,
            factor,
            figures: Vec::new(),
        }
    }

    fn measure(&mut self) {
        let (bytes, took) = self.pipe.run(PASS);
        self.figures
            .push(bytes as f64 * self.factor / took.as_secs_f64());
    }
}

/// Until the congestion window is as large as the receiver's.
const WARM_UP: Duration = Duration::from_millis(700);
const PASS: Duration = Duration::from_millis(250);

/// What counts as flat: the books of a window of 32 MiB are larger than a core's caches.
const FLAT: f64 = 0.75;
