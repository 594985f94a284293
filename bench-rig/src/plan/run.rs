//! One experiment after the other, each row into the ledger as soon as it is there.

use super::fault::Fault;
use super::ledger::Ledger;
use super::progress::Progress;
use super::rate::Rates;
use super::scene::{FRAME, Scene, VIDEO, VOICE};
use super::stage::{Stage, Who};
use super::{Experiment, Plan, cost, cycles, delay, memory, rate};
use crate::method::statistics::median;
use crate::netns::NetnsError;
use crate::netns::bench::{BenchHosts, GENERATOR_CORE, Wires, pin_this_thread};
use crate::report::{Mark, Row, SubjectLine};
use crate::subject::{self, Subject, SubjectError, Turnpike};

/// Why a run could not be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There are no hosts to measure on.
    #[error(transparent)]
    Hosts(#[from] NetnsError),
    /// There is no Turnpike to measure.
    #[error("{0}; `cargo build --release -p turnpike` builds it, --turnpike names another")]
    NoTurnpike(SubjectError),
    /// No rival has that name.
    #[error("no rival is called that; there are: {0}")]
    NoRival(String),
}

/// Measures everything in the plan. What fails for one relay stands in its rows; the rest goes on.
///
/// # Errors
/// When nothing can be measured: no rights, no second core, no Turnpike.
pub fn run(plan: &Plan, ledger: &Ledger) -> Result<(), RunError> {
    pin_this_thread(GENERATOR_CORE)?;
    let subjects = subjects(plan, ledger)?;
    let expected = plan.experiments.iter();
    let relays = u32::try_from(subjects.len()).unwrap_or(u32::MAX);
    let progress = Progress::new(expected.map(|one| plan.effort.expected(*one, relays)).collect());
    let stage = Stage::new(BenchHosts::new(Wires::Two)?, subjects, plan.effort, &progress);
    let mut run = Run {
        stage,
        ledger,
        rates: None,
        ceiling: None,
    };
    for experiment in &plan.experiments {
        progress.next(experiment.name());
        for row in run.rows(*experiment) {
            ledger.row(row);
        }
    }
    progress.end();
    ledger.note(format!(
        "{} trials were thrown out: time was stolen, or the generator was late",
        run.stage.thrown_out()
    ));
    Ok(())
}

/// Turnpike, then the rivals that can be had; the ledger hears of all.
fn subjects(plan: &Plan, ledger: &Ledger) -> Result<Vec<Box<dyn Subject>>, RunError> {
    let turnpike = Turnpike::at("turnpike", &plan.turnpike).map_err(RunError::NoTurnpike)?;
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(turnpike)];
    let mut names = Vec::new();
    for rival in subject::rivals() {
        match rival {
            Ok(rival) => {
                names.push(rival.name().to_owned());
                if plan.rivals.include(rival.name()) {
                    subjects.push(rival);
                }
            }
            Err(missing) => ledger.note(format!("skipped: {missing}")),
        }
    }
    if plan.rivals.wants_somebody() && subjects.len() == 1 {
        return Err(RunError::NoRival(names.join(", ")));
    }
    for subject in &subjects {
        ledger.subject(SubjectLine {
            name: subject.name().to_owned(),
            version: subject.version().to_owned(),
        });
    }
    Ok(subjects)
}

/// A run under way, and what one experiment found that another needs.
struct Run<'p> {
    stage: Stage<'p>,
    ledger: &'p Ledger,
    rates: Option<Vec<Result<Vec<Rates>, Fault>>>,
    ceiling: Option<f64>,
}

impl Run<'_> {
    fn rows(&mut self, experiment: Experiment) -> Vec<Row> {
        let everybody = self.stage.everybody();
        match experiment {
            Experiment::Ceilings => self.ceilings(),
            Experiment::Rate => {
                let ceiling = self.ceiling;
                let rates = self.rates();
                rate::rows(&self.stage, &everybody, &rates, ceiling).into()
            }
            Experiment::Latency => self.latency(),
            Experiment::Cycles => vec![cycles::measure(&mut self.stage, &everybody)],
            Experiment::Memory => vec![memory::measure(&mut self.stage, &everybody)],
            Experiment::Allocations => vec![memory::ceiling(&mut self.stage, &everybody)],
            Experiment::Noise => {
                let scene = bursty();
                let (name, what) = (experiment.name(), experiment.what());
                vec![cost::noise(&mut self.stage, name, what, &scene, Who::Relay(0))]
            }
            _ => {
                let (scene, marks) = carried(experiment);
                let (name, what) = (experiment.name(), experiment.what());
                vec![cost::measure(&mut self.stage, name, what, &scene, &everybody, &marks)]
            }
        }
    }
}
