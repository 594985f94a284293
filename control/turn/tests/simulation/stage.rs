//! What everybody on stage shares: the world, the dice, and what is common knowledge.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnpike_sim::{SeededEntropy, World};
use turnpike_types::{Entropy, Timestamp};

use crate::letter::Letters;
use crate::plan::Plan;

pub(crate) struct Stage {
    pub(crate) plan: Plan,
    pub(crate) world: World,
    pub(crate) dice: SeededEntropy,
    pub(crate) letters: Letters,
    /// Relayed addresses that were allocated of late, as clients know them.
    pub(crate) relayed: Vec<SocketAddr>,
    /// Reservation tokens that were given of late.
    pub(crate) tokens: Vec<[u8; 8]>,
}

impl Stage {
    /// Throws a die with so many sides.
    pub(crate) fn below(&mut self, sides: u32) -> u32 {
        self.dice.below(sides)
    }

    /// One of several.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        self.dice.pick(choices).copied()
    }

    /// When somebody acts next: mostly soon, at times after a long silence.
    pub(crate) fn soon(&mut self) -> Timestamp {
        let millis = match self.below(40) {
            0 => self.dice.within(60_000..400_000),
            1..8 => self.dice.within(1_000..30_000),
            _ => self.dice.within(10..1_000),
        };
        self.world.now() + Duration::from_millis(millis)
    }

    /// A peer to name: mostly a real one, at times another client's relayed address.
    pub(crate) fn any_peer(&mut self) -> SocketAddr {
        let port = self.any_port();
        if self.below(5) == 0 {
            let relayed = std::mem::take(&mut self.relayed);
            let picked = self.one_of(&relayed);
            self.relayed = relayed;
            if let Some(relayed) = picked {
                return relayed;
            }
        }
        let peers = self.plan.peers.clone();
        SocketAddr::new(self.one_of(&peers).unwrap(), port)
    }

    /// A peer that no client should name, now and then.
    pub(crate) fn odd_peer(&mut self) -> SocketAddr {
        let forbidden = crate::plan::forbidden_peers();
        let services = crate::plan::services();
        match self.below(3) {
            0 => self.one_of(&services).unwrap(),
            _ => SocketAddr::new(self.one_of(&forbidden).unwrap(), self.any_port()),
        }
    }

    pub(crate) fn any_port(&mut self) -> u16 {
        self.one_of(&PEER_PORTS).unwrap()
    }

    /// Makes a relayed address known.
    pub(crate) fn announce(&mut self, relayed: SocketAddr) {
        remember(&mut self.relayed, relayed);
    }

    pub(crate) fn announce_token(&mut self, token: [u8; 8]) {
        remember(&mut self.tokens, token);
    }

    /// Adds to the trace to read; says nothing while nobody reads.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if self.world.is_observed() {
            self.world.note(&text());
        }
    }

    pub(crate) fn has_ip_of(&self, ip: IpAddr) -> bool {
        self.plan.peers.contains(&ip)
    }
}

fn remember<T: PartialEq>(list: &mut Vec<T>, item: T) {
    list.retain(|known| *known != item);
    if list.len() >= REMEMBERED_MAX {
        list.remove(0);
    }
    list.push(item);
}

/// Ports that peers send from and listen on; the last one is no client's business.
pub(crate) const PEER_PORTS: [u16; 3] = [40_000, 40_001, 53];

const REMEMBERED_MAX: usize = 8;
