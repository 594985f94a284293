//! What a relay is asked to carry: how many flows, of which shape, over which families.

use crate::load::{Carrier, Direction, Path, Shape};

/// Flows and their packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scene {
    /// Allocations, each with one permission, one channel and one peer.
    pub(super) flows: u32,
    /// Their packets.
    pub(super) shape: Shape,
    /// Clients reach the relay over IPv6.
    pub(super) clients_v6: bool,
    /// Peers are IPv6 hosts.
    pub(super) peers_v6: bool,
}

impl Scene {
    /// A call of 172 bytes a packet (G.711 at 20 ms, or Opus with room), both directions, IPv4.
    pub(super) const fn voice(flows: u32) -> Self {
        Self {
            flows,
            shape: Shape::channel(VOICE),
            clients_v6: false,
            peers_v6: false,
        }
    }

    /// The same with another payload.
    pub(super) const fn payload(mut self, bytes: usize) -> Self {
        self.shape.payload = bytes;
        self
    }

    /// The same with several packets of a flow back to back.
    pub(super) const fn bursts(mut self, of: u32) -> Self {
        self.shape.burst = of;
        self
    }

    /// The same in Send and Data indications.
    pub(super) const fn indications(mut self) -> Self {
        self.shape.carrier = Carrier::Indication;
        self
    }

    /// From one allocation to another.
    pub(super) const fn hairpin(mut self) -> Self {
        self.shape.path = Path::Hairpin;
        self.shape.direction = Direction::ToPeer;
        self
    }

    /// Without a relay.
    pub(super) const fn straight(mut self) -> Self {
        self.shape.path = Path::Straight;
        self
    }

    /// Over these families.
    pub(super) const fn families(mut self, clients_v6: bool, peers_v6: bool) -> Self {
        self.clients_v6 = clients_v6;
        self.peers_v6 = peers_v6;
        self
    }
}

/// Bytes of a voice packet.
const VOICE: usize = 172;

/// Bytes of a packet of a narrow codec.
pub(super) const SMALL: usize = 100;

/// Bytes of a video packet.
pub(super) const VIDEO: usize = 1_200;

/// Packets of a video frame that leave back to back.
pub(super) const FRAME: u32 = 8;
