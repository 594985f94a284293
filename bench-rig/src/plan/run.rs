//! One experiment after the other, each row into the ledger as soon as it is there.

use super::fault::Fault;
use super::ledger::Ledger;
use super::progress::Progress;
use super::rate::Rates;
use super::scene::{ASKERS, BURSTY, CALLS, FRAMES, MANY_CALLS, Scene};
use super::stage::{Stage, Who};
use super::{Experiment, Plan, cost, cycles, delay, flood, memory, rate};
use crate::load::profile;
use crate::netns::NetnsError;
use crate::netns::bench::{BenchHosts, GENERATOR_CORE, Wires, pin_this_thread};
use crate::report::{Mark, Row, SubjectLine, Unit};
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
    let turnpike = Turnpike::at("turnpike", &plan.turnpike).map_err(RunError::NoTurnpike)?;
    let fast_path = Box::new(turnpike.clone().in_kernel());
    let subjects = subjects(plan, turnpike, ledger)?;
    let expected = plan.experiments.iter();
    let relays = u32::try_from(subjects.len()).unwrap_or(u32::MAX);
    let expected = expected
        .map(|one| plan.effort.expected(*one, relays))
        .collect();
    let progress = Progress::new(expected, plan.trials);
    let hosts = BenchHosts::new(Wires::Two)?;
    let stage = Stage::new(hosts, subjects, fast_path, plan.effort, progress);
    let mut run = Run {
        stage,
        rates: Vec::new(),
        ceiling: None,
    };
    for experiment in &plan.experiments {
        run.stage.next(experiment.name());
        for row in run.rows(*experiment) {
            ledger.row(row);
        }
    }
    run.stage.end();
    ledger.note(format!(
        "{} trials were thrown out: time was stolen, or the generator was late",
        run.stage.thrown_out()
    ));
    Ok(())
}

/// Turnpike, then the rivals that can be had; the ledger hears of all.
fn subjects(
    plan: &Plan,
    turnpike: Turnpike,
    ledger: &Ledger,
) -> Result<Vec<Box<dyn Subject>>, RunError> {
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(turnpike)];
    let mut names = Vec::new();
    for rival in subject::all().into_iter().skip(1) {
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
struct Run {
    stage: Stage,
    rates: Vec<(Who, Result<Vec<Rates>, Fault>)>,
    /// The most that the generator can do, packets a second.
    ceiling: Option<f64>,
}

impl Run {
    fn rows(&mut self, experiment: Experiment) -> Vec<Row> {
        let everybody = self.stage.everybody();
        let (name, what) = (experiment.name(), experiment.what());
        match experiment {
            Experiment::Ceilings => vec![self.ceilings()],
            Experiment::Rate => {
                let rates = self.searched(&everybody);
                let found = (&*everybody, &*rates);
                rate::rows(&self.stage, name, found, self.ceiling, Some(1.5)).into()
            }
            Experiment::XdpRate => {
                let who = self.stage.fast_path_and_rivals();
                let rates = self.searched(&who);
                let found = (&*who, &*rates);
                rate::rows(&self.stage, name, found, self.ceiling, Some(20.0)).into()
            }
            Experiment::XdpCpu => {
                let who = self.stage.fast_path_and_rivals();
                let marks = [Mark::AtMostTimes(0.05)];
                let stage = &mut self.stage;
                vec![cost::measure(stage, name, what, &MANY_CALLS, &who, &marks)]
            }
            Experiment::Flood => flood::measure(&mut self.stage, name, what, false),
            Experiment::FloodSpoofed => flood::measure(&mut self.stage, name, what, true),
            Experiment::Binding => vec![self.binding(what)],
            Experiment::XdpShare => {
                let who = [Who::FastPath, Who::Redirect];
                vec![cost::share(&mut self.stage, name, what, &MANY_CALLS, who)]
            }
            Experiment::Latency => self.latency(),
            Experiment::Cycles => vec![cycles::measure(&mut self.stage, &everybody)],
            // The fast path has no socket an allocation.
            Experiment::Memory => [(name, &*everybody), ("xdp-memory", &[Who::FastPath][..])]
                .map(|(name, who)| memory::measure(&mut self.stage, name, who))
                .into(),
            Experiment::Allocations => [
                (name, &*everybody),
                ("xdp-allocations", &[Who::FastPath][..]),
            ]
            .map(|(name, who)| memory::ceiling(&self.stage, name, who))
            .into(),
            Experiment::Noise => {
                let own = Who::Relay(0);
                vec![cost::noise(&mut self.stage, name, what, &BURSTY, own)]
            }
            _ => {
                let (scene, marks) = carried(experiment);
                vec![cost::measure(
                    &mut self.stage,
                    name,
                    what,
                    &scene,
                    &everybody,
                    &marks,
                )]
            }
        }
    }

    /// What others than relays do on these hosts.
    fn ceilings(&mut self) -> Row {
        let who = [Who::Redirect, Who::Routes];
        let found = rate::search(&mut self.stage, &MANY_CALLS, &who);
        let [row, _] = rate::rows(&self.stage, "", (&who, &found), None, None);
        // XDP's redirect passes the wires' queues by, so the kernel's routing may lose less.
        let best = [row.own(), row.best_rival().map(|(_, figure)| figure)];
        let rates = best
            .into_iter()
            .flatten()
            .map(|figure| figure.estimate.value);
        self.ceiling = rates.reduce(f64::max);
        Row {
            name: Experiment::Ceilings.name().to_owned(),
            what: "highest rate with at most 1 in 10,000 lost, without a relay".to_owned(),
            marks: Vec::new(),
            ..row
        }
    }

    /// Who answers most Binding requests.
    fn binding(&mut self, what: &str) -> Row {
        let who = self.stage.fast_path_and_rivals();
        let found = rate::search(&mut self.stage, &ASKERS, &who);
        let [row, _] = rate::rows(&self.stage, "", (&who, &found), self.ceiling, Some(20.0));
        Row {
            name: Experiment::Binding.name().to_owned(),
            what: what.to_owned(),
            unit: Unit::RequestsASecond,
            ..row
        }
    }

    /// The rates of these; each is searched once in a run.
    fn searched(&mut self, who: &[Who]) -> Vec<Result<Vec<Rates>, Fault>> {
        let unknown: Vec<Who> = who
            .iter()
            .filter(|who| !self.rates.iter().any(|(known, _)| known == *who))
            .copied()
            .collect();
        let found = rate::search(&mut self.stage, &MANY_CALLS, &unknown);
        let rates = found
            .iter()
            .filter_map(|found| found.as_ref().ok()?.first());
        if let Some(slowest) = rates.map(|rates| rates.half.rate).reduce(f64::min) {
            self.stage.learn_rate(CALLS, slowest);
            self.stage.learn_rate(MANY_CALLS, slowest);
        }
        self.rates.extend(unknown.into_iter().zip(found));
        let rate_of = |who: &Who| self.rates.iter().find(|(known, _)| known == who);
        who.iter()
            .filter_map(|who| rate_of(who).map(|(_, found)| found.clone()))
            .collect()
    }

    /// Delay at shares of the best rival's rate; of Turnpike's own where there is no rival.
    fn latency(&mut self) -> Vec<Row> {
        let everybody = self.stage.everybody();
        let rates = self.searched(&everybody);
        let [row, _] = rate::rows(&self.stage, "", (&everybody, &rates), None, None);
        let reference = row
            .best_rival()
            .map(|(_, figure)| figure)
            .or_else(|| row.own());
        match reference {
            Some(figure) => delay::measure(
                &mut self.stage,
                &MANY_CALLS,
                &everybody,
                figure.estimate.value,
            ),
            None => Vec::new(),
        }
    }
}

/// What a relay carries where its cost is measured, and the marks.
fn carried(experiment: Experiment) -> (Scene, Vec<Mark>) {
    match experiment {
        Experiment::CpuBursty => (BURSTY, vec![Mark::AtMostTimes(0.5)]),
        Experiment::CpuVideo => (FRAMES, Vec::new()),
        Experiment::CpuSmall => (Scene::of(profile::SMALL), Vec::new()),
        Experiment::CpuIndications => (Scene::of(profile::INDICATIONS), Vec::new()),
        Experiment::CpuHairpin => (Scene::of(profile::HAIRPIN), Vec::new()),
        Experiment::CpuIpv6 => (Scene::of(profile::IPV6), Vec::new()),
        Experiment::CpuCross => (Scene::of(profile::CROSS_FAMILY), Vec::new()),
        _ => (CALLS, vec![Mark::AtMostTimes(0.75)]),
    }
}
