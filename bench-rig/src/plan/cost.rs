//! CPU a relayed packet, and what the same thing measured twice differs by.
//!
//! The cost is the slope of CPU time against packets at three fixed rates, the same for everybody and
//! below what the slowest can do; so what a relay costs when idle is not in it. Relays take turns
//! (A B B A), each started anew for its turn.
//!
//! CPU time is that of all tasks that work for the relay: its threads, the kernel's threads that receive
//! for its devices, and the softirq thread of its core. What its core was not idle is the check on that:
//! the same slope by that clock stands in the row's notes. It sees what the tasks' clocks may miss, and
//! also whoever else came to run on that core.

use std::time::Duration;

use super::fault::Fault;
use super::scene::Scene;
use super::stage::{Stage, Trial, Who};
use crate::method::statistics::{Estimate, Point, median, slope};
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
    let (taken, mut notes) = trials(stage, scene, who);
    let mut measured = Vec::new();
    for (who, taken) in who.iter().zip(taken) {
        let subject = stage.name_of(*who);
        if let Ok(trials) = &taken {
            notes.push(format!(
                "{subject}: {} by its core's idle clock; all its CPU at the highest rate, {} a packet",
                by_core(trials),
                at_most(&by_tasks(trials))
            ));
        }
        let points = taken.as_deref().map(by_tasks).unwrap_or_default();
        let figure = taken.and_then(|_| cost(&points)).map(Figure::from);
        measured.push(Measured {
            subject,
            figure: figure.map_err(|fault| fault.to_string()),
            points,
        });
    }
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
    let costs = taken.into_iter().map(|trials| cost(&by_tasks(&trials?)));
    Row {
        name: name.to_owned(),
        what: what.to_owned(),
        unit: Unit::Fraction,
        better: Better::Lower,
        measured: vec![Measured {
            subject: stage.name_of(who),
            figure: difference(costs)
                .map(Figure::from)
                .map_err(|fault| fault.to_string()),
            points: Vec::new(),
        }],
        marks: Vec::new(),
        notes,
    }
}

/// Which share of the rate of `ceiling` one core could do as `who`, by what a packet costs either: on
/// these hosts the generator's core is full before the relay's is.
pub(super) fn share(
    stage: &mut Stage,
    name: &str,
    what: &str,
    scene: &Scene,
    [who, ceiling]: [Who; 2],
) -> Row {
    let pair = [who, ceiling];
    let (taken, mut notes) = match probed(stage, scene, &pair) {
        Ok(slowest) => trials_below(slowest, stage, scene, &pair),
        Err(faults) => (faults, Vec::new()),
    };
    let costs: Vec<Result<Estimate, Fault>> = taken
        .into_iter()
        .map(|trials| cost(&by_tasks(&trials?)))
        .collect();
    for (who, cost) in pair.into_iter().zip(&costs) {
        if let Ok(cost) = cost {
            let cost = Unit::NanosecondsAPacket.number(cost.value);
            notes.push(format!("{}: {cost} ns a packet", stage.name_of(who)));
        }
    }
    let ratio = ratio(costs.into_iter().rev());
    Row {
        name: name.to_owned(),
        what: what.to_owned(),
        unit: Unit::Fraction,
        better: Better::Higher,
        measured: vec![Measured {
            subject: stage.name_of(who),
            figure: ratio.map(Figure::from).map_err(|fault| fault.to_string()),
            points: Vec::new(),
        }],
        marks: vec![Mark::AtLeast(0.7)],
        notes,
    }
}

/// The trials of each of `who`, at the same three rates, and what is to be said about them.
fn trials(
    stage: &mut Stage,
    scene: &Scene,
    who: &[Who],
) -> (Vec<Result<Vec<Clocks>, Fault>>, Vec<String>) {
    match slowest(stage, scene, who) {
        Ok(slowest) => trials_below(slowest, stage, scene, who),
        Err(faults) => (faults, Vec::new()),
    }
}

fn trials_below(
    slowest: f64,
    stage: &mut Stage,
    scene: &Scene,
    who: &[Who],
) -> (Vec<Result<Vec<Clocks>, Fault>>, Vec<String>) {
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
        let whole = trials.iter().filter(|trial| trial.tally.loss() <= LOSS_MAX);
        Ok(whole.map(Clocks::of).collect())
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

/// About what the slowest of `who` can do, packets a second; or why none of them does anything.
fn slowest<T>(
    stage: &mut Stage,
    scene: &Scene,
    who: &[Who],
) -> Result<f64, Vec<Result<Vec<T>, Fault>>> {
    if let Some(known) = stage.known_rate(scene) {
        return Ok(known);
    }
    let slowest = probed(stage, scene, who)?;
    stage.learn_rate(*scene, slowest);
    Ok(slowest)
}

/// The same, whatever is known.
fn probed<T>(
    stage: &mut Stage,
    scene: &Scene,
    who: &[Who],
) -> Result<f64, Vec<Result<Vec<T>, Fault>>> {
    let probed = stage.take_turns(who, scene, 1, |playing| Ok(vec![playing.probe()?]));
    let rates = probed
        .iter()
        .filter_map(|probed| probed.as_ref().ok()?.first().copied());
    rates.reduce(f64::min).ok_or_else(|| {
        probed
            .into_iter()
            .map(|probed| probed.map(|_| Vec::new()))
            .collect()
    })
}

/// One trial by two clocks.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    tasks: Point,
    core: Point,
}

impl Clocks {
    /// Packets relayed a second, and nanoseconds of CPU a second.
    fn of(trial: &Trial) -> Self {
        let cost = &trial.cost;
        let wall = cost.wall.as_secs_f64();
        let x = trial.tally.received_per_second() * trial.tally.wall.as_secs_f64() / wall;
        let by = |clock: Duration| Point {
            x,
            y: clock.as_secs_f64() * 1e9 / wall,
        };
        Self {
            tasks: by(trial.tasks()),
            core: by(cost.core_busy),
        }
    }
}

fn by_core(trials: &[Clocks]) -> String {
    let points: Vec<Point> = trials.iter().map(|trial| trial.core).collect();
    slope(&points).map_or_else(
        || "unknown".to_owned(),
        |cost| Unit::NanosecondsAPacket.number(cost.value),
    )
}

/// All CPU time over all packets, in the trials with the most packets.
fn at_most(points: &[Point]) -> String {
    let most = points.iter().map(|point| point.x).fold(0.0, f64::max);
    let ratios: Vec<f64> = points
        .iter()
        .filter(|point| point.x > most * 0.95)
        .map(|point| point.y / point.x)
        .collect();
    median(&ratios).map_or_else(
        || "unknown".to_owned(),
        |cost| Unit::NanosecondsAPacket.number(cost),
    )
}

fn by_tasks(trials: &[Clocks]) -> Vec<Point> {
    trials.iter().map(|trial| trial.tasks).collect()
}

fn cost(points: &[Point]) -> Result<Estimate, Fault> {
    slope(points).ok_or_else(|| Fault::Failed("too few trials for a slope".to_owned()))
}

/// By how much of the second cost the first differs from it.
fn difference(costs: impl Iterator<Item = Result<Estimate, Fault>>) -> Result<Estimate, Fault> {
    let ratio = ratio(costs)?;
    let apart = |ratio: f64| (ratio - 1.0).abs();
    Ok(Estimate {
        value: apart(ratio.value),
        low: 0.0,
        high: apart(ratio.low).max(apart(ratio.high)),
    })
}

/// The first cost in terms of the second.
fn ratio(costs: impl Iterator<Item = Result<Estimate, Fault>>) -> Result<Estimate, Fault> {
    let costs = costs.collect::<Result<Vec<Estimate>, Fault>>()?;
    let [one, other] = costs.as_slice() else {
        return Err(Fault::Failed("too few trials".to_owned()));
    };
    one.times(other)
        .ok_or_else(|| Fault::Failed("no cost was seen".to_owned()))
}

/// Shares of the slowest's rate at which everybody is measured.
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];

/// A trial in which more was lost is left out: what is lost is not paid for in full.
const LOSS_MAX: f64 = 5e-3;

#[cfg(test)]
mod tests {
    use super::*;

    fn sure(value: f64) -> Result<Estimate, Fault> {
        Ok(Estimate::exact(value))
    }

    #[test]
    fn what_costs_the_same_twice_does_not_differ() {
        let same = difference([sure(2_000.0), sure(2_000.0)].into_iter()).unwrap();
        assert!(same.value < 1e-9);
        let more = difference([sure(2_100.0), sure(2_000.0)].into_iter()).unwrap();
        assert!((more.value - 0.05).abs() < 1e-9);
    }

    #[test]
    fn a_relay_that_died_gives_its_reason() {
        let died = || Fault::Died("exit status: 1".to_owned());
        assert_eq!(
            difference([sure(1.0), Err(died())].into_iter()),
            Err(died())
        );
    }
}
