//! What a relay is asked to carry: how many flows, which traffic, and by whom.

use crate::load::Path;
use crate::load::profile::{self, Profile};

/// Flows and their packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scene {
    /// Allocations, each with one permission, one channel and one peer.
    pub(super) flows: u32,
    /// What they carry.
    pub(super) profile: Profile,
    /// Who makes the packets.
    pub(super) generator: Generator,
}

/// What packets are sent and counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generator {
    /// Packet sockets: what is due within 50 µs leaves together, through the queue before each wire.
    Sockets,
    /// Live frames: up to a million a second, straight into the wires' rings.
    LiveFrames,
    /// The same, with five requests of strangers for each packet of a call; `spoofed`: each from
    /// another address, at random.
    Flood { spoofed: bool },
}

/// Many calls, a packet of each at a time: 172 bytes, both directions.
pub(super) const CALLS: Scene = Scene::of(profile::VOICE);

/// The same, at rates that packet sockets do not reach.
pub(super) const MANY_CALLS: Scene = CALLS.live();

/// Who asks for nothing but an answer to a Binding request.
pub(super) const ASKERS: Scene = Scene::of(profile::BINDING).live();

/// Few calls that send several packets at once.
pub(super) const BURSTY: Scene = Scene {
    flows: 20,
    profile: bursts_of_8(profile::VOICE),
    generator: Generator::Sockets,
};

/// Few calls that send a video frame at once.
pub(super) const FRAMES: Scene = Scene {
    flows: 20,
    profile: profile::VIDEO,
    generator: Generator::Sockets,
};

/// A relay without flows.
pub(super) const IDLE: Scene = CALLS.with_flows(0);

impl Scene {
    /// 1,000 flows of a kind of traffic.
    pub(super) const fn of(profile: Profile) -> Self {
        Self {
            flows: 1_000,
            profile,
            generator: Generator::Sockets,
        }
    }

    /// The same of live frames.
    pub(super) const fn live(self) -> Self {
        Self {
            generator: Generator::LiveFrames,
            ..self
        }
    }

    /// The same traffic of so many flows.
    pub(super) const fn with_flows(self, flows: u32) -> Self {
        Self { flows, ..self }
    }

    /// The same while strangers ask, too.
    pub(super) const fn flooded(self, spoofed: bool) -> Self {
        Self {
            generator: Generator::Flood { spoofed },
            ..self
        }
    }

    /// The same traffic without a relay.
    pub(super) const fn straight(mut self) -> Self {
        self.profile.shape.path = Path::Straight;
        self
    }
}

const fn bursts_of_8(mut profile: Profile) -> Profile {
    profile.shape.burst = 8;
    profile
}
