//! The way between the two ends: a link each way, what is sniffed on it, and somebody who sends
//! again what was sent long ago.

use std::net::SocketAddr;

use turnpike_sim::{Chance, HostId, LinkConfig, RealmId, SeededEntropy, World};
use turnpike_types::{Entropy, Timestamp};

use super::plan::Plan;

pub(crate) struct Wire {
    pub(crate) world: World,
    hosts: [HostId; 2],
    links: [LinkConfig; 2],
    outage: Option<(Timestamp, Timestamp)>,
    replays: Chance,
    garbage: Chance,
    dice: SeededEntropy,
    history: Vec<(usize, Vec<u8>)>,
    pub(crate) last_sent_at: Timestamp,
}

impl Wire {
    /// A way with these links and nobody on it.
    pub(crate) fn new(mut world: World, links: [LinkConfig; 2]) -> Self {
        let hosts = [0, 1].map(|side| {
            let ip = address(side).ip();
            world.add_host(RealmId::PUBLIC, &[ip], links[side], LinkConfig::PERFECT)
        });
        Self {
            dice: world.fork_entropy(),
            world,
            hosts,
            links,
            outage: None,
            replays: Chance::NEVER,
            garbage: Chance::NEVER,
            history: Vec::new(),
            last_sent_at: Timestamp::ZERO,
        }
    }

    /// A way as a seed wants it.
    pub(crate) fn planned(world: World, plan: &Plan) -> Self {
        Self {
            outage: plan.outage,
            replays: plan.replays,
            garbage: plan.garbage,
            ..Self::new(world, plan.links)
        }
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// One end sends.
    pub(crate) fn send(&mut self, from: usize, datagram: &[u8]) {
        self.last_sent_at = self.now();
        self.carry(from, datagram);
        if self.replays > Chance::NEVER {
            self.remember(from, datagram);
        }
        if self.replays.happens(&mut self.dice)
            && let Some((from, old)) = self.dice.pick(&self.history).cloned()
        {
            self.note(|| format!("replayed from side {from}"));
            self.carry(from, &old);
        }
        if self.garbage.happens(&mut self.dice) {
            let mut bytes = vec![0; usize::try_from(self.dice.within(0..200)).unwrap()];
            self.dice.fill(&mut bytes);
            self.carry(from, &bytes);
        }
    }

    /// Lets time pass until something arrives, or up to `until`.
    pub(crate) fn poll(&mut self, until: Timestamp) -> Option<(usize, Vec<u8>)> {
        let delivery = self.world.poll(until)?;
        let to = usize::from(delivery.host == self.hosts[1]);
        Some((to, delivery.payload))
    }

    /// When the way opens or closes next.
    pub(crate) fn next_change(&self) -> Option<Timestamp> {
        let (from, until) = self.outage?;
        [from, until].into_iter().find(|at| *at > self.now())
    }

    /// Opens or closes the way, as planned for this time.
    pub(crate) fn change(&mut self) {
        let now = self.now();
        let Some((from, until)) = self.outage else {
            return;
        };
        for side in [0, 1] {
            let mut link = self.links[side];
            if (from..until).contains(&now) {
                link.loss = Chance::ALWAYS;
            }
            self.world
                .set_links(self.hosts[side], link, LinkConfig::PERFECT);
        }
    }

    /// Adds to the trace to read; says nothing while nobody reads.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if self.world.is_observed() {
            self.world.note(&text());
        }
    }

    fn carry(&mut self, from: usize, datagram: &[u8]) {
        let (host, source, destination) = (self.hosts[from], address(from), address(1 - from));
        self.world.send(host, source, destination, datagram);
    }

    /// Keeps the first ones, which set the association up, and some of the others.
    fn remember(&mut self, from: usize, datagram: &[u8]) {
        if self.history.len() < HISTORY_MAX {
            self.history.push((from, datagram.to_vec()));
        } else if self.dice.below(8) == 0 {
            let at = usize::try_from(self.dice.within(8..HISTORY_MAX as u64)).unwrap();
            self.history[at] = (from, datagram.to_vec());
        }
    }
}

fn address(side: usize) -> SocketAddr {
    let last = u8::try_from(side + 1).unwrap();
    ([192, 0, 2, last], 9_899).into()
}

const HISTORY_MAX: usize = 64;
