//! Where a packet goes on the wire: device, Ethernet addresses, MTU and VLAN of a destination, as the
//! kernel's own routes and neighbours have it.
//!
//! The programs look nothing up but a number: each [`NextHop`] has an id, destinations behind one
//! gateway share it, and what changes is written under the same id. A [`watch`](watch::Watch) listens
//! to the kernel's events and keeps all of it fresh; a route that moves a destination to another id
//! moves the *epoch* on, and whoever holds ids asks for them again.
//!
//! A neighbour that the kernel has not resolved yet is asked for; until it answers its id stands for
//! nothing, and packets take the slow lane, which waits as the kernel does.
//!
//! Not here: a route lookup a packet; equal-cost paths (the kernel's choice for the addresses is
//! taken); tunnels and devices without Ethernet addresses, which stay in the slow lane.
//!
//! Bounded by [`Limits`]: ids, routes remembered, questions a second.

mod hops;
mod kernel;
mod message;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hops::{Hops, Via};
use kernel::Kernel;
use message::{Change, Link, Neighbour};

pub use watch::Watch;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What the programs need to send a packet on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Index of the device that the frame leaves by.
    pub device: u32,
    /// The device's address.
    pub source: Mac,
    /// The neighbour's address.
    pub destination: Mac,
    /// The tag, where the route leads through a VLAN device on top of `device`.
    pub vlan: Option<u16>,
    /// The longest IP packet, in bytes.
    pub mtu: u32,
}

/// Names a [`NextHop`]; an index of the programs' table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopId(pub u32);

impl HopId {
    /// This host itself: the packet is for another of its relayed addresses.
    pub const HERE: Self = Self(turnpike_abi::NextHop::HERE);
    /// Never resolved: no route, no room, or not a device that the programs may send by. Packets take
    /// the slow lane.
    pub const NONE: Self = Self(1);
    /// The first that stands for a next hop.
    const FIRST: u32 = 2;
}

/// From which of our addresses to which of others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// The address that the packet carries as its source; of this host.
    pub from: IpAddr,
    /// Its destination.
    pub to: IpAddr,
}

/// How many of everything.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Ids in use, those that never stand for a next hop included.
    pub hops: u32,
    /// Routes remembered between two changes of the kernel's routes.
    pub routes: usize,
    /// Neighbours asked for at a time.
    pub questions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hops: turnpike_abi::maps::NEXT_HOPS_MAX,
            routes: 65_536,
            questions: 256,
        }
    }
}

/// Where a hop is written for the programs: `None` while it is unresolved.
pub type Writer = Box<dyn FnMut(HopId, Option<&NextHop>) -> io::Result<()> + Send>;

/// The next hops in use.
pub struct NextHops {
    state: Mutex<State>,
    epoch: AtomicU64,
}

struct State {
    kernel: Kernel,
    /// By index; those of the kernel that hops lead through.
    links: HashMap<u32, Option<Link>>,
    routes: HashMap<Way, Option<Via>>,
    hops: Hops,
    /// Devices that the programs may send by.
    devices: Vec<u32>,
    limits: Limits,
    write: Writer,
}

impl fmt::Debug for NextHops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextHops")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl NextHops {
    /// Next hops of the calling thread's network namespace, through `devices` (their indices) alone.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn new(devices: Vec<u32>, limits: Limits, write: Writer) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::new(State {
                kernel: Kernel::new()?,
                links: HashMap::new(),
                routes: HashMap::new(),
                hops: Hops::new(limits.hops),
                devices,
                limits,
                write,
            }),
            epoch: AtomicU64::new(0),
        })
    }

    /// Moves on when routes change: ids that were given before may not be the right ones any more.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The id for a destination, to be [released](Self::release) once for each call.
    pub fn hold(&self, way: Way) -> HopId {
        let mut state = self.lock();
        let Some(via) = state.via(way) else {
            return HopId::NONE;
        };
        let (id, is_new) = state.hops.hold(via);
        if is_new {
            state.begin(id, via);
        }
        id
    }

    /// Gives an id back.
    pub fn release(&self, id: HopId) {
        let mut state = self.lock();
        if state.hops.release(id) {
            state.tell(id, None);
        }
    }

    /// What an id stands for now; `None` while it is unresolved.
    #[must_use]
    pub fn resolved(&self, id: HopId) -> Option<NextHop> {
        self.lock().hops.resolved(id)
    }

    /// Takes in what the kernel said. Returns whether ids must be asked for again.
    fn take(&self, changes: &[Change]) -> bool {
        let mut state = self.lock();
        let mut moved = false;
        for change in changes {
            match change {
                Change::Neighbour(neighbour) => state.neighbour_changed(neighbour),
                Change::Link(index) => moved |= state.link_changed(*index),
                Change::Routes => moved = true,
            }
        }
        if moved {
            state.routes.clear();
            // Nobody sees the new number before the old routes are forgotten.
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        moved
    }

    /// Forgets all and asks the kernel again: its events were too many to be told.
    fn start_over(&self) {
        let mut state = self.lock();
        state.links.clear();
        state.routes.clear();
        for (id, via) in state.hops.vias() {
            state.begin(id, via);
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Asks for neighbours that are not known, and whether those not heard of lately are still there.
    fn ask(&self) {
        let mut state = self.lock();
        let most = state.limits.questions;
        for via in state.hops.doubtful(most) {
            state.kernel.ask(via.device, via.neighbour);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst an entry that the next event writes anew.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Where the kernel would send it.
    fn via(&mut self, way: Way) -> Option<Via> {
        if let Some(known) = self.routes.get(&way) {
            return *known;
        }
        let via = self.kernel.route(way);
        let via = via.and_then(|route| {
            let link = self.link(route.device)?;
            // A VLAN device sends by the one below it.
            let sends_by = link.below.map_or(route.device, |(below, _)| below);
            self.devices.contains(&sends_by).then_some(Via {
                device: route.device,
                neighbour: route.gateway.unwrap_or(way.to),
                mtu: route.mtu.unwrap_or(link.mtu).min(link.mtu),
            })
        });
        if self.routes.len() >= self.limits.routes {
            self.routes.clear();
        }
        self.routes.insert(way, via);
        via
    }

    fn link(&mut self, index: u32) -> Option<Link> {
        if let Some(known) = self.links.get(&index) {
            return *known;
        }
        let link = self.kernel.link(index);
        self.links.insert(index, link);
        link
    }

    /// Finds out about a hop, and asks for its neighbour where the kernel does not know it.
    fn begin(&mut self, id: HopId, via: Via) {
        let known = self.kernel.neighbour(via.device, via.neighbour);
        let mac = known.and_then(|neighbour| neighbour.mac);
        let is_sure = known.is_some_and(|neighbour| neighbour.is_sure);
        self.hops.set_neighbour(id, mac, is_sure);
        if mac.is_none() {
            self.kernel.ask(via.device, via.neighbour);
        }
        self.update(id, via);
    }

    fn neighbour_changed(&mut self, neighbour: &Neighbour) {
        for (id, via) in self.hops.through(neighbour.device, neighbour.address) {
            self.hops
                .set_neighbour(id, neighbour.mac, neighbour.is_sure);
            self.update(id, via);
        }
    }

    /// Whether it was one that hops lead through, or may lead through.
    fn link_changed(&mut self, index: u32) -> bool {
        let known = self.links.len();
        self.links.retain(|other, link| {
            let is_above = link.is_some_and(|link| link.below.is_some_and(|(it, _)| it == index));
            *other != index && !is_above
        });
        let concerns = self.links.len() < known || self.devices.contains(&index);
        if concerns {
            for (id, via) in self.hops.vias() {
                self.update(id, via);
            }
        }
        concerns
    }

    /// Writes what a hop is now, if that is something new.
    fn update(&mut self, id: HopId, via: Via) {
        let link = self.link(via.device).filter(|link| link.is_up);
        let mac = self.hops.neighbour(id);
        let hop = link.zip(mac).map(|(link, destination)| NextHop {
            device: link.below.map_or(via.device, |(below, _)| below),
            source: link.mac,
            destination,
            vlan: link.below.map(|(_, vlan)| vlan),
            mtu: via.mtu.min(link.mtu),
        });
        if self.hops.set_resolved(id, hop) {
            self.tell(id, hop);
        }
    }

    fn tell(&mut self, id: HopId, hop: Option<NextHop>) {
        if let Err(error) = (self.write)(id, hop.as_ref()) {
            // Its id keeps to what it stood for, and the next change writes it again.
            self.hops.forget_resolved(id);
            tracing::warn!("a next hop could not be written for the XDP programs: {error}");
        }
    }
}
