//! Live calls while strangers ask for what they do not get.
//!
//! 1,000 calls of a packet each 20 ms in either direction, and five requests without credentials for
//! each of their packets: 500,000 a second. Meanwhile new clients come, one after the other, and go
//! through whole cycles.

use super::fault::Fault;
use super::scene::CALLS;
use super::stage::{STRANGERS, Stage, Trial, Who};
use crate::load::clients::churn::Churn;
use crate::method::statistics::{Estimate, bootstrap_median};
use crate::report::{Better, Figure, Mark, Measured, Row, Unit};

type Flooded = Result<Vec<(Trial, Churn)>, Fault>;

/// What calls lose, and how new clients fare: marked where strangers come from few addresses.
pub(super) fn measure(stage: &mut Stage, name: &str, what: &str, spoofed: bool) -> Vec<Row> {
    let rounds = stage.effort.rounds;
    let scene = CALLS.flooded(spoofed);
    let taken = stage
        .take_turns(&[Who::FastPath], &scene, rounds, |playing| {
            Ok(vec![playing.with_newcomers(RATE)?])
        })
        .pop()
        .unwrap_or_else(|| Ok(Vec::new()));
    let subject = stage.name_of(Who::FastPath);
    let row = |ending: &str, of: &str, unit, marks, figure: Result<Figure, Fault>| Row {
        name: format!("{name}-{ending}"),
        what: format!("{of}: {what}"),
        unit,
        better: Better::Lower,
        measured: vec![Measured {
            subject: subject.clone(),
            figure: figure.map_err(|fault| fault.to_string()),
            points: Vec::new(),
        }],
        marks,
        notes: notes(&taken),
    };
    let waits = match spoofed {
        true => Vec::new(),
        false => vec![Mark::AtMost(1e6)],
    };
    vec![
        row(
            "loss",
            "packets of calls that were lost",
            Unit::Fraction,
            vec![Mark::AtMost(1e-3)],
            figure(&taken, |(trial, _)| trial.tally.loss()),
        ),
        row(
            "allocate",
            "a new client's slowest Allocate",
            Unit::Microseconds,
            waits,
            figure(&taken, |(_, came)| slowest_allocate(came)),
        ),
        row(
            "refused",
            "new clients that went without",
            Unit::Fraction,
            Vec::new(),
            figure(&taken, |(_, came)| share(came.failures, came.cycles)),
        ),
    ]
}

/// The worst of all trials: nobody asks for the middle of a flood.
fn figure(taken: &Flooded, of: impl Fn(&(Trial, Churn)) -> f64) -> Result<Figure, Fault> {
    let seen: Vec<f64> = taken
        .as_ref()
        .map_err(Clone::clone)?
        .iter()
        .map(of)
        .collect();
    let middle = bootstrap_median(&seen, SEED);
    let middle = middle.ok_or_else(|| Fault::Failed("no trial counted".to_owned()))?;
    let worst = seen.into_iter().fold(middle.value, f64::max);
    Ok(Figure::from(Estimate {
        value: worst,
        ..middle
    }))
}

fn notes(taken: &Flooded) -> Vec<String> {
    let Ok(taken) = taken else {
        return Vec::new();
    };
    let words = |(trial, came): &(Trial, Churn)| {
        let asked = trial.tally.sent_per_second() * f64::from(STRANGERS);
        format!(
            "{} requests a second of strangers beside {} packets a second of calls; {} new clients \
             served, {} not{}",
            Unit::PacketsASecond.number(asked),
            Unit::PacketsASecond.number(trial.tally.sent_per_second()),
            came.cycles,
            came.failures,
            came.first_failure
                .as_ref()
                .map_or_else(String::new, |why| format!(" ({why})")),
        )
    };
    taken.iter().map(words).collect()
}

/// From the first request to the success, microseconds.
#[expect(clippy::cast_precision_loss, reason = "a minute is far below 2^53 ns")]
fn slowest_allocate(came: &Churn) -> f64 {
    let [allocate, ..] = &came.steps;
    allocate.max() as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "no trial has 2^53 clients")]
fn share(part: u64, rest: u64) -> f64 {
    part as f64 / ((part + rest) as f64).max(1.0)
}

/// Packets a second of 1,000 calls.
const RATE: f64 = 100_000.0;

const SEED: u64 = 5;
