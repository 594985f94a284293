//! Whole cycles a second: Allocate with integrity, CreatePermission, ChannelBind, Refresh 0.

use super::fault::Fault;
use super::scene::IDLE;
use super::stage::{Churned, Stage, Who};
use crate::method::statistics::bootstrap_median;
use crate::report::{Better, Figure, Mark, Measured, Row, Unit};

/// Measures everybody in `who`: as many as go.
pub(super) fn measure(stage: &mut Stage, who: &[Who]) -> Row {
    let rounds = stage.effort.rounds;
    let taken = stage.take_turns(who, &IDLE, rounds, |playing| {
        playing
            .churn(CLIENTS, WARM_UP_CLIENTS)
            .map(|churned| vec![churned])
    });
    let mut notes = vec![format!("{CLIENTS} clients, each in one cycle at a time")];
    let measured = who
        .iter()
        .zip(taken)
        .map(|(who, taken)| {
            let subject = stage.name_of(*who);
            if let Ok(churned) = &taken {
                notes.extend(failures(&subject, churned));
            }
            Measured {
                subject,
                figure: taken
                    .and_then(|churned| figure(&churned))
                    .map_err(|fault| fault.to_string()),
                points: Vec::new(),
            }
        })
        .collect();
    Row {
        name: "cycles".to_owned(),
        what: "Allocate with integrity, CreatePermission, ChannelBind, Refresh 0, on one core"
            .to_owned(),
        unit: Unit::CyclesASecond,
        better: Better::Higher,
        measured,
        marks: vec![Mark::AtLeast(10_000.0), Mark::AtLeastTimes(5.0)],
        notes,
    }
}

/// A relay that was not busy could do more than it was asked for.
fn figure(churned: &[Churned]) -> Result<Figure, Fault> {
    let rates: Vec<f64> = churned.iter().map(|churned| churned.per_second).collect();
    let estimate = bootstrap_median(&rates, SEED)
        .filter(|estimate| estimate.value > 0.0)
        .ok_or_else(|| Fault::Failed(reason(churned)))?;
    Ok(Figure {
        estimate,
        at_least: churned.iter().any(|churned| churned.busy < BUSY),
    })
}

fn failures(subject: &str, churned: &[Churned]) -> Option<String> {
    let failures: u64 = churned.iter().map(|churned| churned.failures).sum();
    (failures > 0).then(|| {
        format!(
            "{subject}: {failures} cycles failed; it {}",
            reason(churned)
        )
    })
}

fn reason(churned: &[Churned]) -> String {
    churned
        .iter()
        .find_map(|churned| churned.first_failure.clone())
        .unwrap_or_else(|| "did not finish a cycle".to_owned())
}

/// Clients at a time: enough that a relay never waits for the generator.
const CLIENTS: u32 = 64;

/// Clients of the churn that is not counted.
const WARM_UP_CLIENTS: u32 = 8;

/// The least share of its core that a relay at its limit uses.
const BUSY: f64 = 0.9;

const SEED: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn churned(per_second: f64, busy: f64) -> Churned {
        Churned {
            per_second,
            busy,
            failures: 1,
            first_failure: Some("answered 508".to_owned()),
        }
    }

    #[test]
    fn a_relay_with_time_to_spare_does_at_least_that() {
        assert!(!figure(&[churned(9e3, 0.99)]).unwrap().at_least);
        assert!(
            figure(&[churned(9e3, 0.99), churned(9e3, 0.5)])
                .unwrap()
                .at_least
        );
    }

    #[test]
    fn a_relay_that_finishes_no_cycle_has_its_reason_instead_of_a_figure() {
        let fault = figure(&[churned(0.0, 0.1)]).unwrap_err();
        assert_eq!(fault, Fault::Failed("answered 508".to_owned()));
        let note = failures("coturn", &[churned(1.0, 1.0)]).unwrap();
        assert_eq!(note, "coturn: 1 cycles failed; it answered 508");
    }
}
