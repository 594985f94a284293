//! One seed from beginning to end: everybody is busy for a while, then all fall silent, and when
//! the last lifetime has passed nothing may be left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use turnpike_sim::{Delivery, HostId, LinkConfig, NatId, RealmId, World};
use turnpike_turn::server::Procedure;
use turnpike_types::{Timestamp, Transport};

use crate::caller::Caller;
use crate::letter::Letters;
use crate::mischief::{MISCHIEF_IP, Mischief};
use crate::peer::Peer;
use crate::plan::{self, Plan};
use crate::relay::Relay;
use crate::stage::Stage;
use crate::vigil::Vigil;
use crate::violation::{Checked, ensure, violated};

/// Everybody and everything.
pub(crate) struct Scenario {
    stage: Stage,
    relay: Relay,
    callers: Vec<Caller>,
    peers: Vec<Peer>,
    mischief: Mischief,
    vigil: Vigil,
    nats: Vec<NatId>,
    who: BTreeMap<HostId, Who>,
    fate_at: Timestamp,
    steps: u64,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Relay,
    Caller(usize),
    Peer(usize),
    Mischief,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) trace_hash: u64,
    pub(crate) steps: u64,
    pub(crate) datagrams: u64,
    pub(crate) allocations: u64,
    pub(crate) permissions: u64,
    pub(crate) channels: u64,
    pub(crate) faults: u64,
    pub(crate) forwarded: u64,
}

impl Scenario {
    pub(crate) fn new(seed: u64, observe: bool) -> Self {
        let mut world = World::new(seed);
        if observe {
            world.observe(Box::new(|at, happening| println!("{at} {happening}")));
        }
        let mut dice = world.fork_entropy();
        let plan = Plan::draw(&mut dice);
        if observe {
            println!("{plan:#?}");
        }
        let mut who = BTreeMap::new();
        let near = LinkConfig {
            delay: Duration::from_millis(1),
            ..LinkConfig::PERFECT
        };
        let relay_host = world.add_host(RealmId::PUBLIC, &relay_ips(&plan), near, near);
        who.insert(relay_host, Who::Relay);
        let relay = Relay::new(&plan, relay_host, &mut dice);
        let mut stage = Stage {
            plan,
            world,
            dice,
            letters: Letters::default(),
            relayed: Vec::new(),
            tokens: Vec::new(),
        };
        let (callers, nats) = add_callers(&mut stage, &mut who);
        let peers = add_peers(&mut stage, &mut who);
        let mischief = stage
            .world
            .add_host(RealmId::PUBLIC, &[MISCHIEF_IP], near, near);
        who.insert(mischief, Who::Mischief);
        let mischief = Mischief::new(mischief, &mut stage);
        let fate_at = stage.soon();
        Self {
            stage,
            relay,
            callers,
            peers,
            mischief,
            vigil: Vigil::new(),
            nats,
            who,
            fate_at,
            steps: 0,
        }
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) -> Checked<Summary> {
        let busy_until = Timestamp::ZERO + self.stage.plan.busy;
        while self.stage.world.now() < busy_until {
            let until = self.next_at().min(busy_until);
            self.step(until, true)?;
        }
        self.stage.note(|| "all fall silent".to_owned());
        for caller in &mut self.callers {
            caller.vanish();
        }
        let lifetimes = self.stage.plan.lifetimes;
        let silent = lifetimes.allocation_max + lifetimes.reservation + Duration::from_secs(600);
        let end = self.stage.world.now() + silent;
        while self.stage.world.now() < end {
            let arrival = self.stage.world.next_event_at();
            let next = [arrival, self.relay.next_at(), Some(end)]
                .into_iter()
                .flatten()
                .min();
            self.step(next.unwrap_or(end), false)?;
        }
        let now = self.relay.now(&self.stage.world);
        self.relay.check_end(now)?;
        let in_flight = self.stage.world.ledger().in_flight();
        ensure!(
            in_flight == 0,
            EmptyAtTheEnd,
            "{in_flight} copies still in flight"
        );
        Ok(self.summary())
    }

    fn summary(&self) -> Summary {
        let counters = self.relay.server.counters();
        Summary {
            trace_hash: self.stage.world.trace_hash(),
            steps: self.steps,
            datagrams: self.stage.world.ledger().copies(),
            allocations: counters.allocations_created,
            permissions: counters.granted(Procedure::CreatePermission),
            channels: counters.granted(Procedure::ChannelBind),
            faults: counters.commands_failed,
            forwarded: self.relay.forwarded(),
        }
    }

    /// The next instant at which anything happens.
    fn next_at(&self) -> Timestamp {
        let callers = self.callers.iter();
        let timeouts = callers.clone().filter_map(Caller::timeout_at);
        let acts = callers.map(|caller| caller.next_at);
        let peers = self.peers.iter().map(|peer| peer.next_at);
        let others = [self.mischief.next_at, self.fate_at, self.vigil.at];
        let due = [self.stage.world.next_event_at(), self.relay.next_at()];
        let first = timeouts
            .chain(acts)
            .chain(peers)
            .chain(others)
            .chain(due.into_iter().flatten());
        first.min().unwrap_or(Timestamp::MAX)
    }

    fn step(&mut self, until: Timestamp, is_busy: bool) -> Checked {
        self.steps += 1;
        ensure!(
            self.steps < STEPS_MAX,
            MemoryBounded,
            "the scenario does not end"
        );
        match self.stage.world.poll(until) {
            Some(delivery) => self.deliver(&delivery)?,
            None if is_busy => self.act()?,
            None => {}
        }
        self.relay.settle(&mut self.stage.world)?;
        if let Err(imbalance) = self.stage.world.check_conservation() {
            violated!(Conservation, "{imbalance}");
        }
        Ok(())
    }

    fn deliver(&mut self, delivery: &Delivery) -> Checked {
        let stage = &mut self.stage;
        match self.who.get(&delivery.host) {
            Some(Who::Relay) => {
                self.mischief.overhear(delivery);
                let lost = self.relay.receive(&mut stage.world, delivery)?;
                let letter = lost.and_then(|payload| stage.letters.read(&payload));
                let is_copied = delivery.source.ip() == MISCHIEF_IP;
                let is_served = is_copied || !letter.is_some_and(|letter| letter.is_permitted);
                ensure!(
                    is_served || !stage.plan.is_calm,
                    ClientIsServed,
                    "lost: {letter:?}"
                );
            }
            Some(Who::Caller(at)) => {
                self.callers[*at].receive(stage, delivery)?;
                self.check_heard(*at)?;
            }
            Some(Who::Peer(at)) => {
                if self.peers[*at].receive(stage, delivery)? {
                    let Delivery {
                        source,
                        destination,
                        ..
                    } = delivery;
                    self.relay.icmp(&mut stage.world, *source, *destination)?;
                }
            }
            Some(Who::Mischief) | None => {}
        }
        Ok(())
    }

    /// Whoever is due acts.
    fn act(&mut self) -> Checked {
        let now = self.stage.world.now();
        for at in 0..self.callers.len() {
            if self.callers[at].timeout_at().is_some_and(|due| due <= now) {
                self.callers[at].handle_timeout(&mut self.stage)?;
            }
            if self.callers[at].next_at <= now {
                self.callers[at].act(&mut self.stage)?;
            }
            self.check_heard(at)?;
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.next_at <= now) {
            peer.act(&mut self.stage);
        }
        if self.mischief.next_at <= now {
            self.mischief.act(&mut self.stage);
        }
        if self.vigil.at <= now {
            let next = self.relay.next_ending(now);
            self.vigil.keep(&mut self.stage, self.mischief.host, next);
        }
        if self.fate_at <= now {
            self.fate_at = self.stage.soon();
            // An operator waits for a stalled command as requests do.
            if !self.stage.plan.is_calm && !self.relay.is_stalled() {
                self.fate()?;
            }
        }
        Ok(())
    }

    /// What the world and the operator do of their own accord.
    fn fate(&mut self) -> Checked {
        let stage = &mut self.stage;
        match stage.below(10) {
            0 | 1 => {
                let peers = stage.plan.peers.clone();
                let count = stage.below(3);
                let denied: BTreeSet<IpAddr> =
                    (0..count).filter_map(|_| stage.one_of(&peers)).collect();
                stage.note(|| format!("the policy denies {denied:?}"));
                self.relay.set_policy(&mut stage.world, denied)?;
            }
            2 => {
                let by = stage.dice.within(1..2_000_000);
                stage.note(|| format!("the relay's clock jumps by {by} ms"));
                self.relay.step_clock(Duration::from_millis(by));
            }
            3 => {
                let redirecting = stage.below(3) == 0;
                self.relay.set_redirect(redirecting);
            }
            4 => {
                let five_tuples = self.relay.model.five_tuples();
                if let Some(five_tuple) = stage.one_of(&five_tuples) {
                    stage.note(|| format!("{five_tuple} is ended by order"));
                    self.relay.end(&mut stage.world, five_tuple)?;
                }
            }
            5 => {
                if let Some(nat) = stage.one_of(&self.nats) {
                    stage.world.reset_nat(nat);
                }
            }
            6 => {
                let at = stage.below(self.callers.len() as u32) as usize;
                if stage.plan.callers[at].transport == Transport::Udp {
                    let [up, down] = [(); 2].map(|()| plan::draw_link(&mut stage.dice));
                    stage.world.set_links(self.callers[at].host, up, down);
                }
            }
            7 => self.relay.look_back(&mut stage.world)?,
            _ => {}
        }
        Ok(())
    }

    /// What a client holds or gets is its own: the server gave that relayed address to its host.
    fn check_heard(&mut self, at: usize) -> Checked {
        let ip = self.callers[at].public_ip();
        for relayed in std::mem::take(&mut self.callers[at].heard) {
            let given = self.relay.model.relayed_ever.get(&relayed);
            let is_own = given.is_some_and(|to| to.iter().any(|it| it.client.ip() == ip));
            ensure!(
                is_own,
                PayloadIntact,
                "caller {at} hears of {relayed}, which is not its own"
            );
        }
        Ok(())
    }
}

fn relay_ips(plan: &Plan) -> Vec<IpAddr> {
    let mut ips: Vec<_> = plan::services()
        .iter()
        .map(std::net::SocketAddr::ip)
        .collect();
    ips.extend(
        plan.relay
            .iter()
            .map(turnpike_turn::RelayAddress::advertised),
    );
    ips
}

fn add_callers(stage: &mut Stage, who: &mut BTreeMap<HostId, Who>) -> (Vec<Caller>, Vec<NatId>) {
    let (mut callers, mut nats) = (Vec::new(), Vec::new());
    for (number, caller) in stage.plan.callers.clone().into_iter().enumerate() {
        let realm = match caller.nat {
            None => RealmId::PUBLIC,
            Some((outside, config)) => {
                let (nat, inside) = stage.world.add_nat(RealmId::PUBLIC, &[outside], config);
                nats.push(nat);
                inside
            }
        };
        let host = stage
            .world
            .add_host(realm, &[caller.ip], caller.up, caller.down);
        who.insert(host, Who::Caller(number));
        callers.push(Caller::new(number, host, stage));
    }
    (callers, nats)
}

fn add_peers(stage: &mut Stage, who: &mut BTreeMap<HostId, Who>) -> Vec<Peer> {
    let mut peers = Vec::new();
    for (number, ips) in stage.plan.peers.clone().chunks_exact(2).enumerate() {
        let ips = [ips[0], ips[1]];
        let link = if stage.plan.is_calm {
            LinkConfig {
                delay: Duration::from_millis(10),
                ..LinkConfig::PERFECT
            }
        } else {
            plan::draw_link(&mut stage.dice)
        };
        let host = stage.world.add_host(RealmId::PUBLIC, &ips, link, link);
        who.insert(host, Who::Peer(number));
        peers.push(Peer::new(host, ips, stage));
    }
    peers
}

/// Whoever needs more is caught in a loop.
const STEPS_MAX: u64 = 2_000_000;
