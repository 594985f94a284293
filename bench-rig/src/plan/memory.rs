//! Resident memory an allocation with one permission and one channel, and how many there can be.
//!
//! The slope of the process's resident memory against the number of allocations: what the program
//! needs when idle is not in it, and neither is the kernel's memory for its sockets and tables.

use super::fault::Fault;
use super::scene::CALLS;
use super::stage::{Stage, Who};
use crate::method::statistics::{Estimate, Point, slope};
use crate::report::{Better, Figure, Mark, Measured, Row, Unit};

/// Memory an allocation.
pub(super) fn measure(stage: &mut Stage, name: &str, who: &[Who]) -> Row {
    let most = stage.effort.memory_allocations;
    let measured = who
        .iter()
        .map(|who| {
            let points = STEPS
                .iter()
                .map(|share| resident(stage, *who, most * share / 4))
                .collect::<Result<Vec<Point>, Fault>>();
            let figure = match &points {
                Ok(points) => slope(points)
                    .map(Figure::from)
                    .ok_or_else(|| "too few points".to_owned()),
                Err(fault) => Err(fault.to_string()),
            };
            Measured {
                subject: stage.name_of(*who),
                figure,
                points: points.unwrap_or_default(),
            }
        })
        .collect();
    Row {
        name: name.to_owned(),
        what: "resident memory an allocation with one permission and one channel".to_owned(),
        unit: Unit::Bytes,
        better: Better::Lower,
        measured,
        marks: vec![Mark::AtMost(2048.0)],
        notes: vec![format!(
            "slope from 0 to {most} allocations, without the kernel's memory for sockets and tables"
        )],
    }
}

fn resident(stage: &Stage, who: Who, flows: u32) -> Result<Point, Fault> {
    let playing = stage.open(who, &CALLS.with_flows(flows))?;
    Ok(Point {
        x: f64::from(flows),
        y: number(playing.resident_bytes()?),
    })
}

/// How many allocations each holds, of so many that are asked for.
pub(super) fn ceiling(stage: &Stage, name: &str, who: &[Who]) -> Row {
    let wanted = stage.effort.allocations_wanted;
    let mut notes = Vec::new();
    let measured = who
        .iter()
        .map(|who| {
            let subject = stage.name_of(*who);
            let reached = stage.most_allocations(*who, wanted);
            if let Ok((_, Some(why))) = &reached {
                notes.push(format!("{subject}: {why}"));
            }
            Measured {
                subject,
                figure: reached
                    .map(|(count, _)| Figure {
                        estimate: Estimate::exact(f64::from(count)),
                        at_least: count >= wanted,
                    })
                    .map_err(|fault| fault.to_string()),
                points: Vec::new(),
            }
        })
        .collect();
    Row {
        name: name.to_owned(),
        what: format!("allocations of {wanted} that one relay holds"),
        unit: Unit::Allocations,
        better: Better::Higher,
        measured,
        marks: Vec::new(),
        notes,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^53 bytes")]
fn number(bytes: u64) -> f64 {
    bytes as f64
}

/// Quarters of the most allocations at which memory is looked at.
const STEPS: [u32; 5] = [0, 1, 2, 3, 4];
