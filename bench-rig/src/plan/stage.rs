//! The stage: hosts, and the relays that take turns on them.
//!
//! A [`Playing`] is one relay with its flows, from its start to its end. Trials on it that were disturbed
//! are thrown out and repeated, a bounded number of times; a relay that dies gives a [`Fault`].

use std::thread;
use std::time::Duration;

use super::act::{Act, crowd};
use super::effort::Effort;
use super::fault::Fault;
use super::progress::Progress;
use super::scene::{CALLS, Generator, Scene};
use crate::account::{Cost, Meter, resident_bytes};
use crate::load::clients::churn::{Churn, churn, newcomers};
use crate::load::live::{LiveFrames, Strangers};
use crate::load::packet::{PacketLoad, Wire};
use crate::load::{Load, Tally};
use crate::method::alternate::{Disturbance, SENT_MIN, disturbance, turns, undisturbed};
use crate::netns::bench::BenchHosts;
use crate::subject::Subject;

/// Who can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// A relay, by its place: Turnpike, relaying through sockets, is 0.
    Relay(usize),
    /// Turnpike, relaying in the kernel.
    FastPath,
    /// The kernel's routing between clients and peers: no relay.
    Routes,
    /// An XDP program that exchanges addresses and nothing else: no relay.
    Redirect,
}

/// Hosts and relays.
pub(super) struct Stage {
    pub(super) effort: Effort,
    hosts: BenchHosts,
    subjects: Vec<Box<dyn Subject>>,
    fast_path: Box<dyn Subject>,
    progress: Progress,
    thrown_out: u32,
    /// About what the slowest can do, by scene.
    rates: Vec<(Scene, f64)>,
}

impl Stage {
    pub(super) fn new(
        hosts: BenchHosts,
        subjects: Vec<Box<dyn Subject>>,
        fast_path: Box<dyn Subject>,
        effort: Effort,
        progress: Progress,
    ) -> Self {
        Self {
            effort,
            hosts,
            subjects,
            fast_path,
            progress,
            thrown_out: 0,
            rates: Vec::new(),
        }
    }

    /// Everybody who relays through sockets, Turnpike first.
    pub(super) fn everybody(&self) -> Vec<Who> {
        (0..self.subjects.len()).map(Who::Relay).collect()
    }

    /// Turnpike relaying in the kernel, and its rivals.
    pub(super) fn fast_path_and_rivals(&self) -> Vec<Who> {
        let rivals = (1..self.subjects.len()).map(Who::Relay);
        [Who::FastPath].into_iter().chain(rivals).collect()
    }

    /// A relay.
    fn subject(&self, who: Who) -> Option<&dyn Subject> {
        match who {
            Who::Relay(place) => self.subjects.get(place).map(AsRef::as_ref),
            Who::FastPath => Some(self.fast_path.as_ref()),
            Who::Routes | Who::Redirect => None,
        }
    }

    pub(super) fn name_of(&self, who: Who) -> String {
        match who {
            Who::Relay(_) | Who::FastPath => self
                .subject(who)
                .map_or_else(String::new, |subject| subject.name().to_owned()),
            Who::Routes => "kernel routing".to_owned(),
            Who::Redirect => "bare XDP redirect".to_owned(),
        }
    }

    /// About what the slowest relay can do of this, if an experiment has found out.
    pub(super) fn known_rate(&self, scene: &Scene) -> Option<f64> {
        let known = self.rates.iter().find(|(known, _)| known == scene);
        known.map(|(_, rate)| *rate)
    }

    /// Keeps it for later experiments.
    pub(super) fn learn_rate(&mut self, scene: Scene, rate: f64) {
        self.rates.push((scene, rate));
    }

    /// The next experiment begins.
    pub(super) fn next(&mut self, title: &'static str) {
        self.progress.next(title);
    }

    /// The last one has ended.
    pub(super) fn end(&self) {
        self.progress.end();
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
            self.progress
                .step(&format!("{name}, round {} of {rounds}", round + 1));
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
        let (outcome, thrown_out) = {
            let mut playing = self.open(who, scene)?;
            playing.warm_up()?;
            let outcome = turn(&mut playing);
            let thrown_out = playing.thrown_out;
            playing.end();
            (outcome, thrown_out)
        };
        self.thrown_out += thrown_out;
        outcome
    }

    /// Starts one with all of the scene's flows.
    pub(super) fn open(&self, who: Who, scene: &Scene) -> Result<Playing<'_>, Fault> {
        let playing = self.open_as_far_as_it_goes(who, scene)?;
        match playing.act.ceiling() {
            Some(ceiling) => Err(Fault::Failed(ceiling.to_owned())),
            None => Ok(playing),
        }
    }

    /// How many allocations one gives of so many, and why it stopped.
    pub(super) fn most_allocations(
        &self,
        who: Who,
        wanted: u32,
    ) -> Result<(u32, Option<String>), Fault> {
        self.progress
            .step(&format!("{}, {wanted} allocations", self.name_of(who)));
        let playing = self.open_as_far_as_it_goes(who, &CALLS.with_flows(wanted))?;
        let reached = u32::try_from(playing.act.flows().len()).unwrap_or(u32::MAX);
        Ok((reached, playing.act.ceiling().map(str::to_owned)))
    }

    fn open_as_far_as_it_goes(&self, who: Who, scene: &Scene) -> Result<Playing<'_>, Fault> {
        let hosts = &self.hosts;
        let (act, scene) = match who {
            Who::Relay(_) | Who::FastPath => {
                let subject = self.subject(who);
                let subject = subject.ok_or_else(|| Fault::Failed("is not here".to_owned()))?;
                (Act::relay(hosts, subject, scene)?, *scene)
            }
            Who::Routes => (Act::routes(hosts, scene)?, scene.straight()),
            Who::Redirect => (Act::redirect(hosts, scene)?, scene.straight()),
        };
        let load: Box<dyn Load + '_> = match scene.generator {
            Generator::LiveFrames => Box::new(LiveFrames::new(hosts, act.flows())?),
            Generator::Flood { spoofed } => {
                // What receives has interrupts wherever a relay is flooded.
                hosts.receive_first()?;
                let strangers = act.running().map(|running| Strangers {
                    server: running.server(),
                    each: STRANGERS,
                    spoofed,
                });
                Box::new(LiveFrames::among(strangers, hosts, act.flows())?)
            }
            Generator::Sockets => {
                let (clients, peers) = (Wire::of_clients(hosts), Wire::of_peers(hosts));
                Box::new(PacketLoad::new(&clients, &peers, act.flows())?)
            }
        };
        Ok(Playing {
            load,
            hosts,
            progress: &self.progress,
            effort: self.effort,
            scene,
            act,
            thrown_out: 0,
        })
    }
}

/// One relay, running, with its flows.
pub(super) struct Playing<'h> {
    hosts: &'h BenchHosts,
    progress: &'h Progress,
    effort: Effort,
    scene: Scene,
    act: Act<'h>,
    load: Box<dyn Load + 'h>,
    thrown_out: u32,
}

impl Playing<'_> {
    /// One trial, whatever came of it.
    fn trial(&mut self, rate: f64, duration: Duration) -> Result<Trial, Fault> {
        self.act.keep_alive()?;
        let meter = Meter::start(self.hosts, &self.act.pids())?;
        let tally = self.load.run(&self.scene.profile.shape, rate, duration)?;
        self.act.check()?;
        let trial = Trial {
            tally,
            cost: meter.stop()?,
        };
        self.progress.trial(|| trial.words(rate));
        Ok(trial)
    }

    /// A trial of the usual length in which nothing was stolen and the generator sent all.
    pub(super) fn steady(&mut self, rate: f64) -> Result<Trial, Fault> {
        self.repeated(rate, |trial| trial.disturbance(trial.sent()))
    }

    /// A trial of the usual length in which nothing was stolen; the generator may have been late.
    pub(super) fn unstolen(&mut self, rate: f64) -> Result<Trial, Fault> {
        self.repeated(rate, |trial| trial.disturbance(1.0))
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
        let (mut passed, mut rate) = (GENTLE, PROBE_FROM);
        for _ in 0..PROBES {
            // One unlucky trial must not decide for all that follow.
            let good = self.passes(rate)? || self.passes(rate)?;
            if !good {
                break;
            }
            passed = rate;
            rate *= PROBE_STEP;
        }
        Ok(passed)
    }

    fn passes(&mut self, rate: f64) -> Result<bool, Fault> {
        let trial = self.trial(rate, PROBE)?;
        Ok(trial.tally.loss() <= PROBE_LOSS && !trial.is_late())
    }

    /// Cycles of allocations of so many clients, for the usual length; of fewer first, uncounted.
    pub(super) fn churn(&mut self, clients: u32, warm_up: u32) -> Result<Churned, Fault> {
        let wire = Wire::of_clients(self.hosts);
        let running = self.act.running();
        let running = running.ok_or_else(|| Fault::Failed("is no relay".to_owned()))?;
        let few = crowd(running, &CALLS, warm_up);
        churn(&wire, &few, 0, self.effort.warm_up)?;
        let meter = Meter::start(self.hosts, &self.act.pids())?;
        let many = crowd(running, &CALLS, clients);
        let churned = churn(&wire, &many, AFTER_WARM_UP, self.effort.trial)?;
        self.act.check()?;
        let cost = meter.stop()?;
        Ok(Churned {
            per_second: churned.cycles_per_second(),
            busy: cost.core_busy.as_secs_f64() / churned.wall.as_secs_f64(),
            failures: churned.failures,
            first_failure: churned.first_failure,
        })
    }

    /// A trial of the usual length, and what clients saw that came meanwhile, one after the other.
    pub(super) fn with_newcomers(&mut self, rate: f64) -> Result<(Trial, Churn), Fault> {
        let (hosts, duration) = (self.hosts, self.effort.trial);
        let running = self.act.running();
        let running = running.ok_or_else(|| Fault::Failed("is no relay".to_owned()))?;
        let crowd = crowd(running, &CALLS, 1);
        let mut first = AFTER_WARM_UP;
        let both = || {
            first += NEWCOMERS_MAX;
            let wire = Wire::of_clients(hosts);
            thread::scope(|scope| {
                let coming = scope.spawn(|| newcomers(&wire, &crowd, first, duration));
                let trial = self.trial(rate, duration);
                let came = coming.join();
                let came = came.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                Ok((trial?, came?))
            })
        };
        let kept = undisturbed(ATTEMPTS, both, |(trial, _)| trial.disturbance(trial.sent()))?;
        self.thrown_out += kept.thrown_out;
        Ok(kept.trial)
    }

    /// Ends it.
    fn end(self) {
        self.act.end();
    }

    /// Bytes of the relay's memory that are resident.
    pub(super) fn resident_bytes(&self) -> Result<u64, Fault> {
        let sizes = self.act.pids().into_iter().map(resident_bytes);
        Ok(sizes.sum::<Result<u64, _>>()?)
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
    /// The share of the wanted packets that went out.
    #[expect(clippy::cast_precision_loss, reason = "no trial has 2^53 packets")]
    fn sent(&self) -> f64 {
        self.tally.sent as f64 / (self.tally.wanted as f64).max(1.0)
    }

    /// What disturbed it; `sent` is the share of the wanted packets that has to count.
    fn disturbance(&self, sent: f64) -> Option<Disturbance> {
        let Cost {
            wall, core_busy, ..
        } = self.cost;
        let others = core_busy.saturating_sub(self.tasks());
        let shared = others.as_secs_f64() / wall.as_secs_f64();
        disturbance(self.cost.stolen_share(), shared, sent)
    }

    /// CPU time of everything that works for the relay, by the clocks of those tasks.
    pub(super) fn tasks(&self) -> Duration {
        self.cost.process + self.cost.napi + self.cost.softirqs
    }

    /// Whether the generator sent less than was wanted, or most of it late: then nobody was offered that
    /// rate.
    pub(super) fn is_late(&self) -> bool {
        self.sent() < SENT_MIN || self.tally.late > self.tally.sent / 2
    }

    /// A line for those who look for the reason of a figure.
    fn words(&self, rate: f64) -> String {
        let Self { tally, cost } = self;
        let share = |part: Duration| 100.0 * part.as_secs_f64() / cost.wall.as_secs_f64();
        format!(
            "  {rate:.0}/s: sent {} of {}, late {}, received {}, lost {} ({:.3} %), own loss {}; \
             p50 {} us, p99 {} us; core {:.1} %, process {:.1} %, napi {:.1} %, stolen {:.1} %",
            tally.sent,
            tally.wanted,
            tally.late,
            tally.received,
            tally.lost,
            tally.loss() * 100.0,
            tally.own_loss,
            tally.latency.value_at_quantile(0.5) / 1_000,
            tally.latency.value_at_quantile(0.99) / 1_000,
            share(cost.core_busy),
            share(cost.process),
            share(cost.napi),
            cost.stolen_share() * 100.0,
        )
    }
}

/// What a time of churn showed.
#[derive(Debug, Clone)]
pub(super) struct Churned {
    /// Whole cycles a second.
    pub(super) per_second: f64,
    /// The share of the time in which the relay's core was busy.
    pub(super) busy: f64,
    /// Cycles in which a step failed.
    pub(super) failures: u64,
    /// What the relay did in the first of them.
    pub(super) first_failure: Option<String>,
}

/// How often a disturbed trial is tried in all.
const ATTEMPTS: u32 = 5;

/// A rate that every relay can do, packets a second.
const GENTLE: f64 = 10_000.0;

/// Addresses that no churn of a warm-up comes to.
const AFTER_WARM_UP: u32 = 1_000_000;

/// More than come within a trial.
const NEWCOMERS_MAX: u32 = 100_000;

/// Requests of strangers for each packet of a call, in a flood.
pub(super) const STRANGERS: u32 = 5;

const PROBE: Duration = Duration::from_millis(250);
const PROBE_FROM: f64 = 20_000.0;
const PROBE_STEP: f64 = 1.4;
const PROBES: u32 = 20;
const PROBE_LOSS: f64 = 5e-3;
