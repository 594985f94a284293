//! The world: hosts send, links carry, NATs translate, and [`World::poll`] says what arrives next.
//!
//! A datagram goes up its host's link, through as many NATs as stand in the way, and down the link
//! of the host that has its destination. Bounded by the event queue (65,536 copies in flight) and
//! [`HOPS_MAX`] NATs on one way.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use turnpike_types::{Entropy, Timestamp};

use crate::event_queue::EventQueue;
use crate::topology::{Owner, Topology};
use crate::{
    DatagramId, DropRule, Happening, HostId, Imbalance, Ledger, Link, LinkConfig, Nat, NatConfig,
    NatId, Observer, Passage, RealmId, SeededEntropy, Trace,
};

/// All there is, moved by one seed.
#[derive(Debug)]
pub struct World {
    now: Timestamp,
    entropy: SeededEntropy,
    topology: Topology,
    events: EventQueue<Event>,
    ledger: Ledger,
    trace: Trace,
    sent: u64,
}

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where.
    pub host: HostId,
    /// Which; a duplicate has the same.
    pub id: DatagramId,
    /// The source as seen here.
    pub source: SocketAddr,
    /// The destination as seen here: an address of the host.
    pub destination: SocketAddr,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl World {
    /// An empty world at time zero.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now: Timestamp::ZERO,
            entropy: SeededEntropy::new(seed),
            topology: Topology::new(),
            events: EventQueue::new(),
            ledger: Ledger::default(),
            trace: Trace::default(),
            sent: 0,
        }
    }

    /// Puts a host into a realm; `up` is its link to the world, `down` the one back.
    pub fn add_host(
        &mut self,
        realm: RealmId,
        addresses: &[IpAddr],
        up: LinkConfig,
        down: LinkConfig,
    ) -> HostId {
        let host = self.topology.add_host(realm, up, down);
        for ip in addresses {
            self.topology.claim(realm, *ip, Owner::Host(host));
        }
        host
    }

    /// Puts a NAT into a realm and opens the realm behind it.
    pub fn add_nat(
        &mut self,
        outside: RealmId,
        addresses: &[IpAddr],
        config: NatConfig,
    ) -> (NatId, RealmId) {
        self.topology.add_nat(outside, Nat::new(config, addresses))
    }

    /// Gives a host one more address; who had it loses it.
    pub fn add_address(&mut self, host: HostId, ip: IpAddr) {
        if let Some(realm) = self.topology.host_mut(host).map(|host| host.realm) {
            self.topology.claim(realm, ip, Owner::Host(host));
        }
    }

    /// Changes a host's links from now on.
    pub fn set_links(&mut self, host: HostId, up: LinkConfig, down: LinkConfig) {
        if let Some(host) = self.topology.host_mut(host) {
            host.up.set_config(up);
            host.down.set_config(down);
        }
    }

    /// Makes a NAT forget its mappings.
    pub fn reset_nat(&mut self, nat: NatId) {
        if let Some(gateway) = self.topology.gateway_mut(nat) {
            gateway.nat.reset();
        }
    }

    /// Sends a datagram; the source may be a lie.
    pub fn send(
        &mut self,
        host: HostId,
        source: SocketAddr,
        destination: SocketAddr,
        payload: &[u8],
    ) -> DatagramId {
        let id = DatagramId(self.sent);
        self.sent += 1;
        self.ledger.enter(id);
        self.record(&Happening::Sent {
            id,
            host,
            source,
            destination,
            payload,
        });
        let datagram = Datagram {
            id,
            source,
            destination,
            payload: payload.to_vec(),
        };
        let realm = self.topology.host_mut(host).map(|host| host.realm);
        match realm {
            Some(realm) => self.pass(host, Direction::Up, Place::Router(realm), datagram),
            None => self.drop_copy(id, DropRule::NoRoute),
        }
        id
    }

    /// Lets time pass until a datagram arrives, or up to `until` when none does.
    pub fn poll(&mut self, until: Timestamp) -> Option<Delivery> {
        while let Some((at, event)) = self.events.pop_until(until) {
            self.now = self.now.max(at);
            match event.place {
                Place::Router(realm) => self.route(realm, event.datagram),
                Place::Host(host) => return Some(self.deliver(host, event.datagram)),
            }
        }
        self.now = self.now.max(until);
        None
    }

    /// When the next copy moves; nothing arrives before.
    #[must_use]
    pub fn next_event_at(&self) -> Option<Timestamp> {
        self.events.next_at()
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// A generator for somebody else's dice.
    pub fn fork_entropy(&mut self) -> SeededEntropy {
        self.entropy.fork()
    }

    /// What became of the copies so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Checks that each copy is delivered, dropped by a rule, or in flight.
    ///
    /// # Errors
    /// The numbers, where they do not add up.
    pub fn check_conservation(&self) -> Result<(), Imbalance> {
        self.ledger.check(self.events.len() as u64)?;
        let is_known = |event: &Event| self.ledger.in_flight_of(event.datagram.id) > 0;
        if self.events.iter().all(is_known) {
            return Ok(());
        }
        // As many as the book says, but others: none of what the book knows is carried.
        self.ledger.check(0)
    }

    /// Adds what the caller did or saw to the trace.
    pub fn note(&mut self, text: &str) {
        self.record(&Happening::Note(text));
    }

    /// Tells `observer` of all that happens from now on.
    pub fn observe(&mut self, observer: Observer) {
        self.trace.observe(observer);
    }

    /// Whether somebody observes.
    #[must_use]
    pub const fn is_observed(&self) -> bool {
        self.trace.is_observed()
    }

    /// All that happened so far, as one number.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Finds the way from a realm to a host's link.
    fn route(&mut self, mut realm: RealmId, mut datagram: Datagram) {
        for _ in 0..HOPS_MAX {
            let step = match self.topology.owner(realm, datagram.destination.ip()) {
                Some(Owner::Host(host)) => {
                    self.pass(host, Direction::Down, Place::Host(host), datagram);
                    return;
                }
                Some(Owner::Nat(nat)) => self.enter_nat(nat, &mut datagram),
                None => self.leave_realm(realm, &mut datagram),
            };
            match step {
                Ok(next) => realm = next,
                Err(rule) => return self.drop_copy(datagram.id, rule),
            }
        }
        self.drop_copy(datagram.id, DropRule::NoRoute);
    }

    fn leave_realm(
        &mut self,
        realm: RealmId,
        datagram: &mut Datagram,
    ) -> Result<RealmId, DropRule> {
        let id = self.topology.gateway_of(realm).ok_or(DropRule::NoRoute)?;
        let gateway = self.topology.gateway_mut(id).ok_or(DropRule::NoRoute)?;
        let nat = &mut gateway.nat;
        let is_hairpin = nat.addresses().contains(&datagram.destination.ip());
        if is_hairpin && !nat.config().hairpinning {
            return Err(DropRule::NatNoHairpin);
        }
        let (from, entropy) = (datagram.source, &mut self.entropy);
        datagram.source = nat.outbound(self.now, from, datagram.destination, entropy)?;
        let outside = gateway.outside;
        self.record(&Happening::Translated {
            id: datagram.id,
            nat: id,
            from,
            to: datagram.source,
        });
        Ok(outside)
    }

    fn enter_nat(&mut self, id: NatId, datagram: &mut Datagram) -> Result<RealmId, DropRule> {
        let gateway = self.topology.gateway_mut(id).ok_or(DropRule::NoRoute)?;
        let from = datagram.destination;
        datagram.destination = gateway.nat.inbound(self.now, datagram.source, from)?;
        let inside = gateway.inside;
        self.record(&Happening::Translated {
            id: datagram.id,
            nat: id,
            from,
            to: datagram.destination,
        });
        Ok(inside)
    }

    /// Offers a copy to a host's link and schedules what comes out at the other end.
    fn pass(&mut self, host: HostId, direction: Direction, place: Place, mut datagram: Datagram) {
        let Some(host) = self.topology.host_mut(host) else {
            return self.drop_copy(datagram.id, DropRule::NoRoute);
        };
        let link: &mut Link = match direction {
            Direction::Up => &mut host.up,
            Direction::Down => &mut host.down,
        };
        match link.offer(self.now, datagram.payload.len(), &mut self.entropy) {
            Passage::Dropped(rule) => self.drop_copy(datagram.id, rule),
            Passage::Arrives {
                at,
                duplicate_at,
                is_corrupted,
            } => {
                if is_corrupted {
                    self.corrupt(&mut datagram);
                }
                if let Some(duplicate_at) = duplicate_at {
                    self.ledger.enter(datagram.id);
                    self.record(&Happening::Duplicated { id: datagram.id });
                    self.schedule(
                        duplicate_at,
                        Event {
                            place,
                            datagram: datagram.clone(),
                        },
                    );
                }
                self.schedule(at, Event { place, datagram });
            }
        }
    }

    /// Turns one bit of the payload.
    fn corrupt(&mut self, datagram: &mut Datagram) {
        let bits = u32::try_from(datagram.payload.len() * 8).unwrap_or(u32::MAX);
        let bit = self.entropy.below(bits);
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        if let Some(byte) = datagram.payload.get_mut(byte) {
            *byte ^= 1 << (bit % 8);
            self.record(&Happening::Corrupted {
                id: datagram.id,
                bit,
            });
        }
    }

    fn schedule(&mut self, at: Timestamp, event: Event) {
        if let Err(event) = self.events.schedule(at, event) {
            self.drop_copy(event.datagram.id, DropRule::WorldFull);
        }
    }

    fn deliver(&mut self, host: HostId, datagram: Datagram) -> Delivery {
        let Datagram {
            id,
            source,
            destination,
            payload,
        } = datagram;
        self.ledger.deliver(id);
        self.record(&Happening::Delivered { id, host });
        Delivery {
            host,
            id,
            source,
            destination,
            payload,
        }
    }

    fn drop_copy(&mut self, id: DatagramId, rule: DropRule) {
        self.ledger.drop_copy(id, rule);
        self.record(&Happening::Dropped { id, rule });
    }

    fn record(&mut self, happening: &Happening<'_>) {
        self.trace.record(self.now, happening);
    }
}

#[derive(Clone, Debug)]
struct Datagram {
    id: DatagramId,
    source: SocketAddr,
    destination: SocketAddr,
    payload: Vec<u8>,
}

#[derive(Debug)]
struct Event {
    place: Place,
    datagram: Datagram,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Where links of a realm meet.
    Router(RealmId),
    Host(HostId),
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Up,
    Down,
}

/// The most NATs and realms on one way.
const HOPS_MAX: usize = 16;

#[cfg(test)]
mod tests;
