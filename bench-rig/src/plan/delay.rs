//! What a relay adds to the delay, at shares of the best rival's rate.
//!
//! Delay counts from when a packet was due, so a relay that stalls cannot hide it. What the same
//! packets take without a relay, at the same rate, is taken off, quantile by quantile.

use super::fault::Fault;
use super::scene::Scene;
use super::stage::{Playing, Stage, Who};
use crate::method::statistics::{bootstrap_median, median};
use crate::report::{Better, Figure, Mark, Measured, Row, Unit};

/// The quantiles of one turn, nanoseconds, at each share.
type Turn = [[f64; QUANTILES.len()]; SHARES.len()];

/// Measures everybody in `who` at shares of `rate`, and the path without a relay.
pub(super) fn measure(stage: &mut Stage, scene: &Scene, who: &[Who], rate: f64) -> Vec<Row> {
    let rounds = stage.effort.rounds;
    let straight = stage
        .take_turns(&[Who::Redirect], scene, rounds, |playing| {
            Ok(vec![turn(playing, rate)?])
        })
        .pop()
        .unwrap_or_else(|| Ok(Vec::new()))
        .map(|turns| typical(&turns));
    let taken = stage.take_turns(who, scene, rounds, |playing| Ok(vec![turn(playing, rate)?]));
    let mut rows = Vec::new();
    for (place, share) in SHARES.into_iter().enumerate() {
        for (quantile, (_, words)) in QUANTILES.into_iter().enumerate() {
            let pick = |turn: &Turn| -> f64 {
                turn.get(place)
                    .and_then(|quantiles| quantiles.get(quantile))
                    .copied()
                    .unwrap_or_default()
            };
            let measured = who.iter().zip(&taken).map(|(who, taken)| Measured {
                subject: stage.name_of(*who),
                figure: added(taken, &straight, pick).map_err(|fault| fault.to_string()),
                points: Vec::new(),
            });
            rows.push(row(share, words, rate, measured.collect(), &straight, pick));
        }
    }
    rows
}

fn turn(playing: &mut Playing<'_>, rate: f64) -> Result<Turn, Fault> {
    let mut all = Turn::default();
    for (quantiles, share) in all.iter_mut().zip(SHARES) {
        let trial = playing.steady(rate * share)?;
        for (value, (quantile, _)) in quantiles.iter_mut().zip(QUANTILES) {
            *value = nanoseconds(trial.tally.latency.value_at_quantile(quantile));
        }
    }
    Ok(all)
}

/// The middle of each quantile over the turns.
fn typical(turns: &[Turn]) -> Turn {
    let mut all = Turn::default();
    for (place, quantiles) in all.iter_mut().enumerate() {
        for (quantile, value) in quantiles.iter_mut().enumerate() {
            let seen: Vec<f64> = turns
                .iter()
                .filter_map(|turn| turn.get(place)?.get(quantile).copied())
                .collect();
            *value = median(&seen).unwrap_or_default();
        }
    }
    all
}

/// Microseconds over the path without a relay.
fn added(
    taken: &Result<Vec<Turn>, Fault>,
    straight: &Result<Turn, Fault>,
    pick: impl Fn(&Turn) -> f64,
) -> Result<Figure, Fault> {
    let base = pick(straight.as_ref().map_err(Clone::clone)?);
    let seen: Vec<f64> = taken
        .as_ref()
        .map_err(Clone::clone)?
        .iter()
        .map(|turn| ((pick(turn) - base) / 1e3).max(0.0))
        .collect();
    let estimate = bootstrap_median(&seen, SEED);
    estimate
        .map(Figure::from)
        .ok_or_else(|| Fault::Failed("no trial".to_owned()))
}

fn row(
    share: f64,
    quantile: &str,
    rate: f64,
    measured: Vec<Measured>,
    straight: &Result<Turn, Fault>,
    pick: impl Fn(&Turn) -> f64,
) -> Row {
    let percent = share * 100.0;
    let straight = match straight {
        Ok(straight) => Unit::Microseconds.number(pick(straight) / 1e3),
        Err(fault) => fault.to_string(),
    };
    let marked = quantile == "p99" && percent == 50.0;
    Row {
        name: format!("latency-{percent:.0}-{quantile}"),
        what: format!("added delay, {quantile}, at {percent:.0} % of the best rival's rate"),
        unit: Unit::Microseconds,
        better: Better::Lower,
        measured,
        marks: if marked {
            vec![Mark::AtMostTimes(0.5)]
        } else {
            Vec::new()
        },
        notes: vec![format!(
            "at {} packets a second; without a relay: {straight} us",
            Unit::PacketsASecond.number(rate * share)
        )],
    }
}

#[expect(clippy::cast_precision_loss, reason = "a minute is far below 2^53 ns")]
fn nanoseconds(latency: u64) -> f64 {
    latency as f64
}

const SHARES: [f64; 3] = [0.1, 0.5, 0.9];

const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];

const SEED: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::statistics::Estimate;

    #[test]
    fn what_the_path_itself_takes_is_taken_off() {
        let relayed = [[3e3; 3], [5e3; 3], [9e3; 3]];
        let straight = typical(&[[[1e3; 3]; 3], [[2e3; 3]; 3], [[1e3; 3]; 3]]);
        let pick = |turn: &Turn| turn[1][2];
        let figure = added(&Ok(vec![relayed, relayed]), &Ok(straight), pick).unwrap();
        assert_eq!(figure.estimate, Estimate::exact(4.0));
    }
}
