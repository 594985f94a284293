//! The stage: hosts, and the relays that take turns on them.
//!
//! A [`Playing`] is one relay with its flows, from its start to its end. Trials on it that were disturbed
//! are thrown out and repeated, a bounded number of times; a relay that dies gives a [`Fault`].

use std::time::Duration;

use super::effort::Effort;
use super::fault::Fault;
use super::progress::Progress;
use super::scene::Scene;
use crate::account::{Cost, Meter, resident_bytes};
use crate::load::packet::PacketLoad;
use crate::load::{Load, Tally};
use crate::method::alternate::{Disturbance, disturbance, turns, undisturbed};
use crate::netns::bench::BenchHosts;
use crate::subject::{Running, Settings, Subject};

/// Who can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// A relay, by its place: Turnpike is 0.
    Relay(usize),
    /// The kernel's routing between clients and peers: no relay.
    Routes,
    /// An XDP program that exchanges addresses and nothing else: no relay.
    Redirect,
}

/// Hosts and relays.
pub(super) struct Stage<'p> {
    pub(super) effort: Effort,
    hosts: BenchHosts,
    subjects: Vec<Box<dyn Subject>>,
    progress: &'p Progress,
    thrown_out: u32,
}

impl<'p> Stage<'p> {
    pub(super) fn new(
        hosts: BenchHosts,
        subjects: Vec<Box<dyn Subject>>,
        effort: Effort,
        progress: &'p Progress,
    ) -> Self {
        Self {
            effort,
            hosts,
            subjects,
            progress,
            thrown_out: 0,
        }
    }

    /// Everybody, Turnpike first.
    pub(super) fn everybody(&self) -> Vec<Who> {
        (0..self.subjects.len()).map(Who::Relay).collect()
    }

    pub(super) fn name_of(&self, who: Who) -> String {
        match who {
            Who::Relay(place) => self
                .subjects
                .get(place)
                .map_or_else(String::new, |subject| subject.name().to_owned()),
            Who::Routes => "kernel routing".to_owned(),
            Who::Redirect => "bare XDP redirect".to_owned(),
        }
    }

    /// How many trials were thrown out so far.
    pub(super) fn thrown_out(&self) -> u32 {
        self.thrown_out
    }

    /// Gives each of `who` its turns, A B B A, with a fresh start each; collects what the turns give.
    /// Who fails once gets no further turn.
    pub(super) fn take_turns<T>(
        &mut self,
        who: &[Who],
        scene: &Scene,
        rounds: usize,
        mut turn: impl FnMut(&mut Playing<'_>) -> Result<Vec<T>, Fault>,
    ) -> Vec<Result<Vec<T>, Fault>> {
        let mut taken: Vec<Result<Vec<T>, Fault>> = who.iter().map(|_| Ok(Vec::new())).collect();
        for (round, place) in turns(who.len(), rounds) {
            let (Some(who), Some(taken)) = (who.get(place), taken.get_mut(place)) else {
                continue;
            };
            let Ok(collected) = taken else {
                continue;
            };
            let name = self.name_of(*who);
            self.progress.step(&format!("{name}, round {} of {rounds}", round + 1));
            match self.play(*who, scene, &mut turn) {
                Ok(more) => collected.extend(more),
                Err(fault) => *taken = Err(fault),
            }
        }
        taken
    }

    fn play<T>(
        &mut self,
        who: Who,
        scene: &Scene,
        turn: impl FnOnce(&mut Playing<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut playing = self.open(who, scene)?;
        playing.warm_up()?;
        let outcome = turn(&mut playing);
        let thrown_out = playing.thrown_out;
        playing.end();
        self.thrown_out += thrown_out;
        outcome
    }
}

/// One relay, running, with its flows.
pub(super) struct Playing<'s> {
    hosts: &'s BenchHosts,
    effort: Effort,
    scene: Scene,
    running: Running,
    load: PacketLoad,
    thrown_out: u32,
}

impl Playing<'_> {
    /// One trial, whatever came of it.
    fn trial(&mut self, rate: f64, duration: Duration) -> Result<Trial, Fault> {
        let meter = Meter::start(self.hosts, &self.running.pids());
        let tally = self.load.run(&self.scene.shape, rate, duration)?;
        if !self.running.is_alive() {
            return Err(Fault::Died(last_words(&self.running.output())));
        }
        let cost = meter?.stop()?;
        Ok(Trial { tally, cost })
    }

    /// A trial of the usual length in which nothing was stolen and the generator was in time.
    pub(super) fn steady(&mut self, rate: f64) -> Result<Trial, Fault> {
        self.repeated(rate, Trial::disturbance)
    }

    /// A trial of the usual length in which nothing was stolen; the generator may have been late.
    pub(super) fn unstolen(&mut self, rate: f64) -> Result<Trial, Fault> {
        self.repeated(rate, |trial| disturbance(trial.cost.stolen_share(), 1.0))
    }

    fn repeated(
        &mut self,
        rate: f64,
        disturbed: impl Fn(&Trial) -> Option<Disturbance>,
    ) -> Result<Trial, Fault> {
        let duration = self.effort.trial;
        let kept = undisturbed(ATTEMPTS, || self.trial(rate, duration), disturbed)?;
        self.thrown_out += kept.thrown_out;
        Ok(kept.trial)
    }

    /// Traffic that is not counted.
    fn warm_up(&mut self) -> Result<(), Fault> {
        if self.scene.flows > 0 {
            self.trial(GENTLE, self.effort.warm_up)?;
        }
        Ok(())
    }

    /// About the highest rate with at most 0.5 % lost, from short trials at growing rates.
    pub(super) fn probe(&mut self) -> Result<f64, Fault> {
        let mut passed = GENTLE;
        let mut rate = GENTLE;
        for _ in 0..PROBES {
            let trial = self.trial(rate, PROBE)?;
            if trial.tally.loss() > PROBE_LOSS || !trial.tally.kept_pace() {
                break;
            }
            passed = rate;
            rate *= PROBE_STEP;
        }
        Ok(passed)
    }
}

/// What one trial showed.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// What became of the packets.
    pub(super) tally: Tally,
    /// What the relay cost meanwhile.
    pub(super) cost: Cost,
}

impl Trial {
    fn disturbance(&self) -> Option<Disturbance> {
        let sent = if self.tally.kept_pace() { 1.0 } else { self.tally.pace_kept() };
        disturbance(self.cost.stolen_share(), sent)
    }
}

/// The last lines that a relay printed, on one.
fn last_words(output: &str) -> String {
    let lines: Vec<&str> = output.lines().rev().take(3).collect();
    let words: Vec<&str> = lines.into_iter().rev().collect();
    if words.is_empty() {
        "it printed nothing".to_owned()
    } else {
        words.join(" / ")
    }
}

/// How often a disturbed trial is tried in all.
const ATTEMPTS: u32 = 5;

/// A rate that every relay can do, packets a second.
const GENTLE: f64 = 5_000.0;

const PROBE: Duration = Duration::from_millis(250);
const PROBE_STEP: f64 = 1.35;
const PROBES: u32 = 24;
const PROBE_LOSS: f64 = 5e-3;
