//! CPU a relayed packet, and what the same thing measured twice differs by.
//!
//! The cost is the slope of CPU time against packets at three fixed rates, the same for everybody and
//! below what the slowest can do; so what a relay costs when idle is not in it. Relays take turns
//! (A B B A), each started anew for its turn.

use super::fault::Fault;
use super::scene::Scene;
use super::stage::{Stage, Trial, Who};
use crate::method::statistics::{Estimate, Point, slope};
use crate::report::{Better, Figure, Mark, Measured, Row, Unit};

/// Measures what a packet costs everybody in `who`.
pub(super) fn measure(
    stage: &mut Stage,
    name: &str,
    what: &str,
    scene: &Scene,
    who: &[Who],
    marks: &[Mark],
) -> Row {
    let (taken, notes) = trials(stage, scene, who);
    let measured = who
        .iter()
        .zip(taken)
        .map(|(who, taken)| {
            let points = taken.as_ref().cloned().unwrap_or_default();
            Measured {
                subject: stage.name_of(*who),
                figure: taken
                    .and_then(|points| cost(&points))
                    .map(Figure::from)
                    .map_err(|fault| fault.to_string()),
                points,
            }
        })
        .collect();
    Row {
        name: name.to_owned(),
        what: what.to_owned(),
        unit: Unit::NanosecondsAPacket,
        better: Better::Lower,
        measured,
        marks: marks.to_vec(),
        notes,
    }
}

/// Measures one relay as if it were two, and says by how much of it the two differ.
pub(super) fn noise(stage: &mut Stage, name: &str, what: &str, scene: &Scene, who: Who) -> Row {
    let (taken, notes) = trials(stage, scene, &[who, who]);
    Row {
        name: name.to_owned(),
        what: what.to_owned(),
        unit: Unit::Fraction,
        better: Better::Lower,
        measured: vec![Measured {
            subject: stage.name_of(who),
            figure: difference(taken)
                .map(Figure::from)
                .map_err(|fault| fault.to_string()),
            points: Vec::new(),
        }],
        marks: Vec::new(),
        notes,
    }
}

/// The trials of each of `who`, at the same three rates, and what is to be said about them.
fn trials(
    stage: &mut Stage,
    scene: &Scene,
    who: &[Who],
) -> (Vec<Result<Vec<Point>, Fault>>, Vec<String>) {
    let probed = stage.take_turns(who, scene, 1, |playing| Ok(vec![playing.probe()?]));
    let slowest = probed
        .iter()
        .filter_map(|probed| probed.as_ref().ok()?.first().copied())
        .reduce(f64::min);
    let Some(slowest) = slowest else {
        return (
            probed
                .into_iter()
                .map(|probed| probed.map(|_| Vec::new()))
                .collect(),
            Vec::new(),
        );
    };
    let rates = SHARES.map(|share| (slowest * share / 100.0).round() * 100.0);
    let mut worst = 0.0_f64;
    let taken = stage.take_turns(who, scene, stage.effort.rounds, |playing| {
        let trials = rates
            .iter()
            .map(|rate| playing.steady(*rate))
            .collect::<Result<Vec<Trial>, Fault>>()?;
        worst = trials
            .iter()
            .map(|trial| trial.tally.loss())
            .fold(worst, f64::max);
        Ok(trials.iter().map(point).collect())
    });
    let notes = vec![format!(
        "slope over {} packets a second, {} rounds, trials of {:.1} s; at most {:.2} % of a trial lost",
        rates
            .map(|rate| Unit::PacketsASecond.number(rate))
            .join(", "),
        stage.effort.rounds,
        stage.effort.trial.as_secs_f64(),
        worst * 100.0
    )];
    (taken, notes)
}

/// Packets relayed a second, and nanoseconds charged a second.
fn point(trial: &Trial) -> Point {
    let wall = trial.cost.wall.as_secs_f64();
    Point {
        x: trial.tally.received_per_second() * trial.tally.wall.as_secs_f64() / wall,
        y: trial.cost.charged().as_secs_f64() * 1e9 / wall,
    }
}

fn cost(points: &[Point]) -> Result<Estimate, Fault> {
    slope(points).ok_or_else(|| Fault::Failed("too few trials for a slope".to_owned()))
}

/// By how much of the second cost the first differs from it.
fn difference(taken: Vec<Result<Vec<Point>, Fault>>) -> Result<Estimate, Fault> {
    let mut costs = Vec::new();
    for points in taken {
        costs.push(cost(&points?)?);
    }
    let [one, other] = costs.as_slice() else {
        return Err(Fault::Failed("too few trials".to_owned()));
    };
    let ratio = one
        .times(other)
        .ok_or_else(|| Fault::Failed("no cost was seen".to_owned()))?;
    let apart = |ratio: f64| (ratio - 1.0).abs();
    Ok(Estimate {
        value: apart(ratio.value),
        low: 0.0,
        high: apart(ratio.low).max(apart(ratio.high)),
    })
}

/// Shares of the slowest's rate at which everybody is measured.
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cost: f64) -> Vec<Point> {
        [1e4, 2e4, 3e4]
            .map(|x| Point {
                x,
                y: 5e6 + cost * x,
            })
            .to_vec()
    }

    #[test]
    fn what_costs_the_same_twice_does_not_differ() {
        let same = difference(vec![Ok(line(2_000.0)), Ok(line(2_000.0))]).unwrap();
        assert!(same.value < 1e-9);
        let more = difference(vec![Ok(line(2_100.0)), Ok(line(2_000.0))]).unwrap();
        assert!((more.value - 0.05).abs() < 1e-9);
    }

    #[test]
    fn a_relay_that_died_gives_its_reason() {
        let died = || Fault::Died("exit status: 1".to_owned());
        assert_eq!(difference(vec![Ok(line(1.0)), Err(died())]), Err(died()));
    }
}
