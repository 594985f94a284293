//! The highest rates: with at most 1 packet in 10,000 lost, and with 1 in 200.

use super::fault::Fault;
use super::scene::Scene;
use super::stage::{Playing, Stage, Who};
use crate::method::is_at_least;
use crate::method::search::{BoundedBy, HALF_PERCENT, Highest, Outcome, Trials, ZERO_LOSS};
use crate::method::statistics::{Estimate, bootstrap_median};
use crate::report::{Better, Figure, Mark, Measured, Row, Unit};

/// Both rates of one search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) zero: Highest,
    pub(super) half: Highest,
}

/// Searches both rates of everybody in `who`, so many times each, by turns.
pub(super) fn search(
    stage: &mut Stage,
    scene: &Scene,
    who: &[Who],
) -> Vec<Result<Vec<Rates>, Fault>> {
    let trials_max = stage.effort.search_trials;
    stage.take_turns(who, scene, stage.effort.searches, |playing| {
        let start = playing.probe()?;
        Ok(vec![both(playing, start, trials_max)?])
    })
}

fn both(playing: &mut Playing<'_>, start: f64, trials_max: u32) -> Result<Rates, Fault> {
    let trial = |rate: f64| {
        let trial = playing.unstolen(rate)?;
        Ok::<Outcome, Fault>(Outcome {
            loss: trial.tally.loss(),
            late: trial.is_late(),
        })
    };
    let mut trials = Trials::new(SLOWEST, FASTEST, trials_max, trial);
    let none = || Fault::Failed("loses packets at every rate".to_owned());
    let zero = trials.highest(ZERO_LOSS, start)?.ok_or_else(none)?;
    let half = trials.highest(HALF_PERCENT, zero.rate)?.ok_or_else(none)?;
    Ok(Rates { zero, half })
}

/// The two rows, whose names begin with `prefix`; how many times the best rival's rate without loss
/// is the mark.
pub(super) fn rows(
    stage: &Stage,
    prefix: &str,
    (who, found): (&[Who], &[Result<Vec<Rates>, Fault>]),
    ceiling: Option<f64>,
    mark: Option<f64>,
) -> [Row; 2] {
    let row = |name: &str, what: &str, marks: Vec<Mark>, pick: fn(&Rates) -> Highest| Row {
        name: format!("{prefix}-{name}"),
        what: what.to_owned(),
        unit: Unit::PacketsASecond,
        better: Better::Higher,
        measured: who
            .iter()
            .zip(found)
            .map(|(who, found)| Measured {
                subject: stage.name_of(*who),
                figure: found.as_ref().map_err(Fault::to_string).and_then(|found| {
                    let found: Vec<Highest> = found.iter().map(pick).collect();
                    figure(&found, ceiling).ok_or_else(|| "not found".to_owned())
                }),
                points: Vec::new(),
            })
            .collect(),
        marks,
        notes: Vec::new(),
    };
    [
        row(
            "zero-loss",
            "highest rate with at most 1 in 10,000 lost, 1,000 allocations, both directions, 172 bytes",
            mark.map(Mark::AtLeastTimes).into_iter().collect(),
            |rates| rates.zero,
        ),
        row(
            "half-percent",
            "highest rate with at most 0.5 % lost, the same",
            Vec::new(),
            |rates| rates.half,
        ),
    ]
}

/// The median of the searches. Its interval reaches from the lowest rate found to the first above
/// the highest that was not met.
pub(super) fn figure(found: &[Highest], ceiling: Option<f64>) -> Option<Figure> {
    let rates: Vec<f64> = found.iter().map(|found| found.rate).collect();
    let median = bootstrap_median(&rates, SEED)?;
    let above = found
        .iter()
        .map(|found| found.above)
        .fold(median.high, f64::max);
    let bounded = found
        .iter()
        .any(|found| found.bounded_by != BoundedBy::Loss);
    Some(Figure {
        estimate: Estimate {
            high: above,
            ..median
        },
        at_least: bounded || ceiling.is_some_and(|ceiling| is_at_least(median.value, ceiling)),
    })
}

/// Below this a relay counts as broken, packets a second.
const SLOWEST: f64 = 1_000.0;

/// More than any path here can do, packets a second.
const FASTEST: f64 = 10_000_000.0;

const SEED: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rate: f64, bounded_by: BoundedBy) -> Highest {
        Highest {
            rate,
            above: rate * 1.03,
            bounded_by,
        }
    }

    #[test]
    fn the_figure_is_the_median_and_reaches_to_the_first_rate_that_lost() {
        let figure = figure(
            &[found(100.0, BoundedBy::Loss), found(110.0, BoundedBy::Loss)],
            None,
        )
        .unwrap();
        assert_eq!(figure.estimate.value, 105.0);
        assert_eq!(figure.estimate.low, 100.0);
        assert!((figure.estimate.high - 113.3).abs() < 0.01);
        assert!(!figure.at_least);
    }

    #[test]
    fn a_figure_the_generator_bounds_is_at_least() {
        let own = [found(100.0, BoundedBy::Generator)];
        assert!(figure(&own, None).unwrap().at_least);
        let near = [found(100.0, BoundedBy::Loss)];
        assert!(figure(&near, Some(110.0)).unwrap().at_least);
        assert!(!figure(&near, Some(200.0)).unwrap().at_least);
    }
}
