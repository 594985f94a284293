//! The relay's host: server, lane and executor, driven as the engine contract says, and watched.

mod checks;
mod orders;
mod packets;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use turnpike_sim::{Executor, HostId, Outcome, SeededEntropy, World};
use turnpike_stun::{ErrorCode, Message};
use turnpike_turn::forward::{Forwarder, ForwarderConfig, UserBuckets};
use turnpike_turn::server::{Output, Server, TRANSMIT_MAX, UserLedger};
use turnpike_turn::{RelayAddress, advertised_ip};
use turnpike_types::{Action, Command, FiveTuple, Timestamp};

use crate::account::UNIX_START;
use crate::ledger::Ledger;
use crate::mirror::Mirror;
use crate::model::Model;
use crate::plan::{self, Plan};
use crate::vigil::Ending;
use crate::violation::{Checked, violated};

/// All that runs on the relay's host.
pub(crate) struct Relay {
    pub(crate) host: HostId,
    pub(crate) server: Server<SeededEntropy>,
    pub(crate) model: Model,
    lane: Mirror,
    executor: Executor,
    own: Vec<RelayAddress>,
    ports_max: usize,
    limit: usize,
    /// What the server counts users in, where it shares that.
    ledger: Option<Arc<Ledger>>,
    /// How far the server's clock is ahead of the world's.
    ahead: Duration,
    buf: Vec<u8>,
    /// The versions and the time at which model and lane last agreed.
    agreed: (u64, u64, Timestamp),
    counts: Counts,
    /// Requests that came while a command stalled: the engine is drained before it is fed again.
    backlog: VecDeque<(FiveTuple, Vec<u8>)>,
}

/// The driver's own count of what it showed the lane.
#[derive(Debug, Default)]
struct Counts {
    forwarded: u64,
    passed: u64,
    dropped: u64,
}

impl Relay {
    pub(crate) fn new(plan: &Plan, host: HostId, dice: &mut SeededEntropy) -> Self {
        let mut config = plan.config();
        let is_shared = plan.limits.allocations_per_user.is_multiple_of(2);
        let users = plan.limits.allocations;
        let ledger = is_shared.then(|| Arc::new(Ledger::new(users)));
        config.ledger = ledger.clone().map(|ledger| ledger as Arc<dyn UserLedger>);
        let mut server = Server::new(config, dice.fork(), Timestamp::ZERO).unwrap();
        server.set_wall_clock(Timestamp::ZERO, UNIX_START);
        let config = ForwarderConfig {
            entries_max: 4_096,
            services: plan::services(),
            relay_map: plan.relay.clone(),
            user_buckets: is_shared.then(|| Arc::new(UserBuckets::new(users))),
        };
        Self {
            host,
            ports_max: server.free_ports(),
            limit: plan.limits.allocations,
            ledger,
            server,
            model: Model::new(plan),
            lane: Mirror::new(Forwarder::new(config, dice)),
            executor: Executor::new(plan.faults, dice.fork()),
            own: plan.relay.clone(),
            ahead: Duration::ZERO,
            buf: vec![0; TRANSMIT_MAX],
            agreed: (0, 0, Timestamp::ZERO),
            counts: Counts::default(),
            backlog: VecDeque::new(),
        }
    }

    /// The time that server and lane are told.
    pub(crate) fn now(&self, world: &World) -> Timestamp {
        world.now() + self.ahead
    }

    /// When the world should look here again.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        let due = match self.executor.stalled_until() {
            Some(until) => until,
            None => self.server.poll_timeout()?.at,
        };
        Some(self.in_world(due))
    }

    /// Does what is due and checks that all is in order.
    pub(crate) fn settle(&mut self, world: &mut World) -> Checked {
        let now = self.now(world);
        if self
            .executor
            .stalled_until()
            .is_some_and(|until| until <= now)
        {
            self.drain(world)?;
            self.work_off(world)?;
        }
        for _ in 0..ROUNDS_MAX {
            if self.is_stalled() {
                return self.lane.check();
            }
            let due = self.server.poll_timeout().is_some_and(|due| due.at <= now);
            if !due {
                return self.check(now);
            }
            self.server.handle_timeout(now);
            self.drain(world)?;
        }
        violated!(DeadlineAhead, "{:?} at {now}", self.server.poll_timeout())
    }

    /// What ends first after a moment of the world's time, in the world's time and addresses.
    pub(crate) fn next_ending(&self, world_now: Timestamp) -> Option<Ending> {
        let mut ending = self
            .lane
            .next_ending(world_now + self.ahead + Duration::from_millis(3))?;
        ending.at = self.in_world(ending.at);
        let is_own = |relay: &RelayAddress| relay.ip == ending.peer.ip();
        ending.is_outside = !self.own.iter().any(is_own);
        let relayed = ending.relayed;
        ending
            .relayed
            .set_ip(advertised_ip(&self.own, relayed.ip()));
        Some(ending)
    }

    fn in_world(&self, at: Timestamp) -> Timestamp {
        let ahead = u64::try_from(self.ahead.as_nanos()).unwrap();
        Timestamp::from_nanos(at.as_nanos().saturating_sub(ahead))
    }

    /// Packets forwarded so far.
    pub(crate) const fn forwarded(&self) -> u64 {
        self.counts.forwarded
    }

    /// Takes outputs until there are none, or a command stalls.
    fn drain(&mut self, world: &mut World) -> Checked {
        let now = self.now(world);
        if let Some((command, outcome)) = self.executor.resume(now, &mut self.lane) {
            self.done(now, &command, outcome);
        }
        for _ in 0..OUTPUTS_MAX {
            if self.is_stalled() {
                return Ok(());
            }
            let mut buf = std::mem::take(&mut self.buf);
            let output = self.server.poll_output(&mut buf);
            self.buf = buf;
            self.tell(world, &output);
            match output {
                None => return self.model.drained(),
                Some(Output::Command(command)) => {
                    let outcome = self.executor.carry_out(now, &command, &mut self.lane);
                    if outcome != Outcome::Done && world.is_observed() {
                        world.note(&format!("{outcome:?}"));
                    }
                    self.done(now, &command, outcome);
                    self.lane.check()?;
                }
                Some(Output::Transmit(transmit)) => {
                    let FiveTuple { client, server, .. } = transmit.five_tuple;
                    let bytes = &self.buf[..transmit.len];
                    self.model.sent(&transmit.five_tuple, bytes, &self.lane)?;
                    world.send(self.host, server.0, client.0, bytes);
                }
                Some(Output::Event(event)) => self.model.event(now, &event)?,
            }
        }
        violated!(MemoryBounded, "outputs do not end")
    }

    /// Adds an output to the trace to read.
    fn tell(&self, world: &mut World, output: &Option<Output>) {
        if !world.is_observed() {
            return;
        }
        match output {
            Some(Output::Transmit(transmit)) => {
                if let Ok(message) = Message::parse(&self.buf[..transmit.len]) {
                    let code = message.get::<ErrorCode<'_>>().ok().flatten();
                    let (class, method) = (message.class(), message.method());
                    let code = code.map(|error| error.code);
                    world.note(&format!("{class:?} {method:?} {code:?}"));
                }
            }
            Some(output) => world.note(&format!("{output:?}")),
            None => {}
        }
    }

    fn done(&mut self, now: Timestamp, command: &Command, outcome: Outcome) {
        let Outcome::Failed(error) = outcome else {
            return;
        };
        let key = match &command.action {
            Action::Install(entry) => entry.key(),
            Action::Refresh { key, .. } | Action::Revoke(key) => *key,
        };
        self.model.failed(&key, &self.lane);
        self.server.handle_command_failed(now, command.id, error);
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.executor.stalled_until().is_some()
    }
}

/// How often one instant may bring new work.
const ROUNDS_MAX: usize = 16;

/// The most outputs of one drain.
const OUTPUTS_MAX: usize = 100_000;
