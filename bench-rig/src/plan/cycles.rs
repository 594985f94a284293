//! Whole cycles a second: Allocate with integrity, CreatePermission, ChannelBind, Refresh 0.

use super::fault::Fault;
use super::scene::Scene;
use super::stage::{Stage, Who};
use crate::method::statistics::bootstrap_median;
use crate::report::{Better, Figure, Mark, Measured, Row, Unit};

/// Measures everybody in `who`: as many as go, with the relay's core at its limit.
pub(super) fn measure(stage: &mut Stage, who: &[Who]) -> Row {
    let duration = stage.effort.trial;
    let taken = stage.take_turns(who, &Scene::voice(0), stage.effort.rounds, |playing| {
        Ok(vec![playing.churn(duration)?])
    });
    let measured = who
        .iter()
        .zip(taken)
        .map(|(who, taken)| Measured {
            subject: stage.name_of(*who),
            figure: taken
                .map_err(|fault: Fault| fault.to_string())
                .and_then(|churns| {
                    let rates: Vec<f64> = churns.iter().map(|churn| churn.per_second).collect();
                    let idle = churns.iter().any(|churn| churn.busy < BUSY);
                    bootstrap_median(&rates, SEED)
                        .map(|estimate| Figure {
                            estimate,
                            at_least: idle,
                        })
                        .ok_or_else(|| "no trial".to_owned())
                }),
            points: Vec::new(),
        })
        .collect();
    Row {
        name: "cycles".to_owned(),
        what: "cycles of Allocate with integrity, CreatePermission, ChannelBind and Refresh 0, one core"
            .to_owned(),
        unit: Unit::CyclesASecond,
        better: Better::Higher,
        measured,
        marks: vec![Mark::AtLeast(10_000.0), Mark::AtLeastTimes(5.0)],
        notes: Vec::new(),
    }
}

/// A relay that is busy for less than this share of the time could do more than it was asked for.
const BUSY: f64 = 0.95;

const SEED: u64 = 5;
