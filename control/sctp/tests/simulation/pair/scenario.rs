//! One seed from beginning to end: both talk for a while, then what is left must arrive, then the
//! association ends.

use std::time::Duration;

use turnpike_sctp::{CloseReason, Event, Incoming};
use turnpike_sim::World;
use turnpike_types::Timestamp;

use super::direction::Direction;
use super::endpoint::{Output, Sort};
use super::letter;
use super::plan::{Ending, Plan};
use super::side::Side;
use super::sniffer;
use super::violation::{Checked, ensure};
use super::wire::Wire;

pub(crate) struct Scenario {
    plan: Plan,
    wire: Wire,
    sides: [Side; 2],
    /// By sender.
    directions: [Direction; 2],
    phase: Phase,
    patience_until: Timestamp,
    restarted: bool,
    steps: u64,
    steps_at_once: u32,
    busy_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Talk,
    /// All that was handed over arrives.
    Arrive,
    End,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) trace_hash: u64,
    pub(crate) steps: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) delivered: u64,
    pub(crate) expired: u64,
    pub(crate) resets: u64,
    pub(crate) restarts: u64,
    pub(crate) association_resets: u64,
}

impl Scenario {
    pub(crate) fn new(seed: u64, sorts: [Sort; 2], observe: bool) -> Self {
        let mut world = World::new(seed);
        if observe {
            world.observe(Box::new(|at, happening| println!("{at} {happening}")));
        }
        let mut dice = world.fork_entropy();
        let plan = Plan::draw(&mut dice, sorts[0].abilities.and(sorts[1].abilities));
        if observe {
            println!("{plan:#?}");
        }
        let sides = [0, 1].map(|side| Side::new(&plan, side, sorts[side], &mut dice));
        Self {
            wire: Wire::planned(world, &plan),
            sides,
            directions: [Direction::default(), Direction::default()],
            phase: Phase::Talk,
            patience_until: Timestamp::MAX,
            restarted: false,
            steps: 0,
            steps_at_once: 0,
            busy_at: Timestamp::ZERO,
            plan,
        }
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Checked<Summary> {
        while !self.is_over() {
            self.step()?;
            self.check_progress()?;
        }
        self.check_end()?;
        Ok(Summary {
            trace_hash: self.wire.world.trace_hash(),
            steps: self.steps,
            messages: self.directions.iter().map(Direction::messages).sum(),
            bytes: self.directions.iter().map(Direction::bytes).sum(),
            delivered: self.directions.iter().map(|it| it.delivered).sum(),
            expired: self.directions.iter().map(|it| it.expired).sum(),
            resets: self.sides.iter().map(|it| it.resets).sum(),
            restarts: u64::from(self.restarted),
            association_resets: self.sides.iter().map(|it| it.association_resets).sum(),
        })
    }

    fn step(&mut self) -> Checked {
        self.steps += 1;
        let until = self.next_at();
        let before = self.wire.now();
        if let Some((to, datagram)) = self.wire.poll(until) {
            let now = self.wire.now();
            self.sides[to].endpoint.handle_input(now, &datagram);
            self.settle(to)?;
        } else {
            self.wire.change();
            for side in [0, 1] {
                self.wake(side)?;
            }
            self.advance()?;
        }
        self.steps_at_once = if self.wire.now() > before {
            0
        } else {
            self.steps_at_once + 1
        };
        let at_once = self.steps_at_once;
        ensure!(
            at_once < AT_ONCE_MAX,
            TimePasses,
            "{at_once} steps at {before}"
        );
        ensure!(
            self.steps < STEPS_MAX,
            TimePasses,
            "{STEPS_MAX} steps, and it is {before}"
        );
        Ok(())
    }

    fn next_at(&self) -> Timestamp {
        let now = self.wire.now();
        let is_talking = self.phase == Phase::Talk;
        let mut next = self.patience_until;
        if is_talking {
            next = next.min(self.plan.talk_until);
        }
        for side in &self.sides {
            next = next.min(side.endpoint.poll_timeout().unwrap_or(Timestamp::MAX));
            next = next.min(side.connects_at.unwrap_or(Timestamp::MAX));
            if side.lazy_until > now {
                next = next.min(side.lazy_until);
            }
            if is_talking {
                next = next.min(side.acts_at);
            }
        }
        let restart = self.plan.restart.filter(|_| is_talking && !self.restarted);
        if let Some((_, at)) = restart.filter(|(_, at)| *at > now) {
            next = next.min(at);
        }
        next.min(self.wire.next_change().unwrap_or(Timestamp::MAX))
            .max(now)
    }

    /// What is due at one side.
    fn wake(&mut self, side: usize) -> Checked {
        let now = self.wire.now();
        let it = &mut self.sides[side];
        if it.connects_at.take_if(|at| *at <= now).is_some() {
            it.endpoint.connect(now);
        }
        if it.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            it.endpoint.handle_timeout(now);
        }
        if self.phase == Phase::Talk && it.acts_at <= now {
            it.act(now, &mut self.directions[side])?;
        }
        self.settle(side)
    }

    /// Moves the plan on.
    fn advance(&mut self) -> Checked {
        let now = self.wire.now();
        if let Some((side, at)) = self.plan.restart
            && !self.restarted
            && self.phase == Phase::Talk
            && at <= now
            && self.sides.iter().all(|side| side.is_connected)
        {
            self.restart(side)?;
        }
        if self.phase == Phase::Talk && now >= self.plan.talk_until {
            self.phase = Phase::Arrive;
            self.patience_until = now + self.patience();
            for side in &mut self.sides {
                side.lazy_until = now;
            }
            self.settle(0)?;
            self.settle(1)?;
        }
        if self.phase == Phase::Arrive && self.may_end() {
            self.end()?;
        }
        Ok(())
    }

    fn restart(&mut self, side: usize) -> Checked {
        let now = self.wire.now();
        self.wire.note(|| format!("side {side} begins anew"));
        self.restarted = true;
        self.directions[side].restart_sender();
        self.directions[1 - side].replace_receiver();
        self.sides[side].begin_anew(now);
        self.settle(side)
    }

    fn may_end(&self) -> bool {
        let has_settled = self.sides.iter().all(|side| side.is_connected);
        let undelivered: usize = self.directions.iter().map(Direction::undelivered).sum();
        let is_resetting = self.sides.iter().any(Side::is_resetting);
        let has_arrived = match self.plan.ending {
            Ending::Abort { .. } => true,
            // What is left must fit in the time of the shutdown guard.
            Ending::Shutdown {
                is_patient: false, ..
            } => undelivered <= 40,
            Ending::Shutdown { .. } | Ending::BothShutdown => undelivered == 0 && !is_resetting,
        };
        has_settled && has_arrived
    }

    fn end(&mut self) -> Checked {
        let now = self.wire.now();
        self.phase = Phase::End;
        self.patience_until = now + self.patience();
        let ending = self.plan.ending;
        self.wire.note(|| format!("the end: {ending:?}"));
        match ending {
            Ending::Shutdown { side, .. } => self.sides[side].endpoint.shutdown(now),
            Ending::BothShutdown => {
                for side in &mut self.sides {
                    side.endpoint.shutdown(now);
                }
            }
            Ending::Abort { side } => {
                self.directions.iter_mut().for_each(Direction::void);
                self.sides[side].endpoint.abort(now);
            }
        }
        self.settle(0)?;
        self.settle(1)
    }

    /// Drains an end: what it sends, says and got.
    fn settle(&mut self, side: usize) -> Checked {
        let now = self.wire.now();
        loop {
            while let Some(output) = self.sides[side].endpoint.poll_output(now) {
                match output {
                    Output::Datagram(datagram) => self.send(side, &datagram)?,
                    Output::Event(event) => self.hear(side, &event)?,
                }
            }
            if self.sides[side].lazy_until > now {
                break;
            }
            let Some(incoming) = self.sides[side].endpoint.receive(now) else {
                break;
            };
            self.wire
                .note(|| format!("side {side} got {}", describe(&incoming)));
            let part_max = self.part_max(side);
            self.directions[1 - side].got(&incoming, part_max)?;
        }
        self.check_memory(side)
    }

    fn send(&mut self, side: usize, datagram: &[u8]) -> Checked {
        let now = self.wire.now();
        let sniffed = sniffer::read(datagram, self.plan.sides[side].config.packet_size_max)?;
        for number in sniffed.messages {
            self.wire
                .note(|| format!("side {side} sends message {number}"));
            self.directions[side].seen(now, number)?;
        }
        self.wire.send(side, datagram);
        Ok(())
    }

    fn hear(&mut self, side: usize, event: &Event) -> Checked {
        self.wire.note(|| format!("side {side}: {event:?}"));
        let it = &mut self.sides[side];
        ensure!(
            it.closed.is_none(),
            EndsCleanly,
            "{event:?} after {:?}",
            it.closed
        );
        match event {
            Event::Connected => {
                ensure!(!it.is_connected, EndsCleanly, "connected twice");
                it.is_connected = true;
            }
            Event::Restarted => {
                ensure!(self.restarted, EndsCleanly, "restarted, and nobody did");
                it.forget_streams();
                self.directions[side].restart_sender();
                self.directions[1 - side].restart_receiver();
            }
            Event::PeerShutdown => it.is_closing = true,
            Event::Closed(reason) => it.closed = Some(*reason),
            Event::OutgoingStreamsReset(streams) => {
                it.reset_over(streams)?;
                self.directions[side].reset_by_sender(streams);
            }
            Event::ResetRefused(streams) => it.reset_over(streams)?,
            Event::AssociationReset => {
                let streams = it.association_reset_over()?;
                self.directions[side].reset_by_sender(&streams);
                self.directions[1 - side].reset_heard(&streams)?;
            }
            Event::IncomingStreamsReset(streams) => {
                self.directions[1 - side].reset_heard(streams)?;
            }
            _ => self.directions[side].told(event)?,
        }
        Ok(())
    }

    /// Up to which size a message stays whole, where the buffer has room for one of each stream and is
    /// not filled by what waits behind a loss.
    fn part_max(&self, side: usize) -> usize {
        let config = &self.plan.sides[side].config;
        let needed = config.partial_delivery_bytes * usize::from(config.streams_max + 1) * 4;
        let room = config.receive_buffer_bytes as usize;
        let held = self.sides[side].endpoint.memory_bytes().unwrap_or(room);
        if needed <= room && held <= room / 2 {
            config.partial_delivery_bytes
        } else {
            0
        }
    }

    fn check_memory(&self, side: usize) -> Checked {
        let side = &self.sides[side];
        let Some(bytes) = side.endpoint.memory_bytes() else {
            return Ok(());
        };
        let config = &side.plan.config;
        let message = side.plan.len_max as usize * 2;
        let allowed = config.send_buffer_bytes.max(message)
            + config.receive_buffer_bytes as usize
            + MEMORY_SLACK;
        ensure!(
            bytes <= allowed,
            MemoryBounded,
            "{bytes} bytes, {allowed} allowed"
        );
        Ok(())
    }

    fn check_progress(&mut self) -> Checked {
        let now = self.wire.now();
        let has_work = self.directions.iter().any(|it| it.undelivered() > 0);
        let is_lazy = self.sides.iter().any(|side| side.lazy_until >= now);
        if !has_work || is_lazy {
            self.busy_at = now;
        }
        let quiet = now.since(self.wire.last_sent_at.max(self.busy_at));
        ensure!(
            quiet <= SILENCE_MAX,
            NoSilence,
            "nobody said a word for {quiet:?}, with {:?} messages to come",
            self.directions.each_ref().map(Direction::undelivered)
        );
        ensure!(
            now < self.patience_until,
            DoneInTime,
            "{:?} is not over at {now}: {:?} messages are to come, resetting: {:?}",
            self.phase,
            self.directions.each_ref().map(Direction::undelivered),
            self.sides.each_ref().map(Side::is_resetting)
        );
        Ok(())
    }

    /// How long what is left may take.
    fn patience(&self) -> Duration {
        if !self.plan.is_calm {
            return Duration::from_secs(900);
        }
        let round_trip = self.plan.way_max() * 2;
        let configs = self.plan.sides.each_ref().map(|side| &side.config);
        let windows = configs.map(|it| it.send_buffer_bytes.min(it.receive_buffer_bytes as usize));
        let window = windows[0].min(windows[1]) as u64;
        let bytes: u64 = self.directions.iter().map(Direction::bytes).sum();
        let rounds = 40 + 4 * bytes / window;
        Duration::from_secs(3) + round_trip * u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    fn is_over(&self) -> bool {
        self.sides.iter().all(|side| side.closed.is_some())
    }

    fn check_end(&self) -> Checked {
        let reasons = self.sides.each_ref().map(|side| side.closed);
        let is_clean = match self.plan.ending {
            // One that is gone already answers what was overtaken with ABORT (RFC 9260 section 8.4).
            Ending::Shutdown { .. } | Ending::BothShutdown => {
                reasons.contains(&Some(CloseReason::Shutdown))
                    && reasons.iter().all(|it| {
                        use CloseReason::{AbortedByPeer, Shutdown};
                        matches!(it, Some(Shutdown | AbortedByPeer(_)))
                    })
            }
            Ending::Abort { side } => {
                reasons[side] == Some(CloseReason::Aborted)
                    && matches!(reasons[1 - side], Some(CloseReason::AbortedByPeer(_)))
            }
        };
        ensure!(
            is_clean,
            EndsCleanly,
            "{:?} ended with {reasons:?}",
            self.plan.ending
        );
        for side in &self.sides {
            let timeout = side.endpoint.poll_timeout();
            ensure!(
                timeout.is_none(),
                EndsCleanly,
                "closed, and waits for {timeout:?}"
            );
            let bytes = side.endpoint.memory_bytes().unwrap_or(0);
            ensure!(
                bytes <= MEMORY_AT_END,
                MemoryBounded,
                "{bytes} bytes are left at the end"
            );
        }
        if !matches!(self.plan.ending, Ending::Abort { .. }) {
            for direction in &self.directions {
                let is_tracked = self.plan.abilities.tracking;
                direction.check_end(is_tracked, self.plan.is_calm)?;
            }
        }
        Ok(())
    }
}

/// A message or a part of one, to read.
fn describe(incoming: &Incoming) -> String {
    let number = letter::number(&incoming.payload).filter(|_| incoming.is_begin);
    format!(
        "{number:?} on {:?}: {} bytes, begin {}, end {}, unordered {}",
        incoming.stream,
        incoming.payload.len(),
        incoming.is_begin,
        incoming.is_end,
        incoming.is_unordered
    )
}

/// The longest timeout of a plan and a second: by then somebody retransmits, probes or answers.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Steps in one instant; a world of two has no reason for so many.
const AT_ONCE_MAX: u32 = 20_000;

/// Steps in one world: a hundred times what the busiest ones take on average.
const STEPS_MAX: u64 = 1_000_000;

/// What an association may hold beside its buffers.
const MEMORY_SLACK: usize = 64 * 1024;

/// What it may hold when it is over.
const MEMORY_AT_END: usize = 4 * 1024;
