//! The kinds of traffic that relays are measured with, by name.

use std::net::SocketAddr;

use turnpike_turn::client::Credential;
use turnpike_types::AddressFamily;

use super::clients::{Crowd, Peers};
use super::{Carrier, Path, Shape};

/// A kind of traffic: its packets, and who is on either side of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// A short name for rows and command lines.
    pub name: &'static str,
    /// The packets.
    pub shape: Shape,
    /// The family over which clients reach the relay.
    pub clients: AddressFamily,
    /// The family of relayed addresses and peers.
    pub relayed: AddressFamily,
}

/// Speech, 20 ms of G.711 in SRTP: 172 bytes, a packet at a time.
pub const VOICE: Profile = Profile {
    name: "voice",
    shape: Shape::channel(172),
    clients: AddressFamily::Ipv4,
    relayed: AddressFamily::Ipv4,
};

/// Speech of flows that send 16 packets at once, as a mixer or a trunk does.
pub const VOICE_BURSTS: Profile = Profile {
    name: "voice-bursts",
    shape: bursts(172, 16),
    ..VOICE
};

/// Video: frames of 8 packets of 1,200 bytes.
pub const VIDEO: Profile = Profile {
    name: "video",
    shape: bursts(1_200, 8),
    ..VOICE
};

/// Small packets: 100 bytes.
pub const SMALL: Profile = Profile {
    name: "small",
    shape: Shape::channel(100),
    ..VOICE
};

/// Speech in Send and Data indications.
pub const INDICATIONS: Profile = Profile {
    name: "indications",
    shape: Shape {
        carrier: Carrier::Indication,
        ..VOICE.shape
    },
    ..VOICE
};

/// Speech between two clients of the same relay.
pub const HAIRPIN: Profile = Profile {
    name: "hairpin",
    shape: Shape {
        path: Path::Hairpin,
        ..VOICE.shape
    },
    ..VOICE
};

/// Speech over IPv6 on both sides.
pub const IPV6: Profile = Profile {
    name: "ipv6",
    clients: AddressFamily::Ipv6,
    relayed: AddressFamily::Ipv6,
    ..VOICE
};

/// Speech of IPv4 clients with IPv6 peers.
pub const CROSS_FAMILY: Profile = Profile {
    name: "cross-family",
    relayed: AddressFamily::Ipv6,
    ..VOICE
};

/// Binding requests, with FINGERPRINT or any attribute that asks for something left out.
pub const BINDING: Profile = Profile {
    name: "binding",
    shape: Shape {
        path: Path::Binding,
        ..Shape::channel(super::stamp::LEN)
    },
    ..VOICE
};

/// All that is relayed. Churn has no packets and is apart: [`super::clients::churn`].
pub const ALL: [Profile; 8] = [
    VOICE,
    VOICE_BURSTS,
    VIDEO,
    SMALL,
    INDICATIONS,
    HAIRPIN,
    IPV6,
    CROSS_FAMILY,
];

impl Profile {
    /// The clients of this traffic. Of `servers` those of the clients' family are used.
    #[must_use]
    pub fn crowd(&self, servers: &[SocketAddr], users: &[Credential], count: u32) -> Crowd {
        let of_family = |server: &&SocketAddr| AddressFamily::of(&server.ip()) == self.clients;
        Crowd {
            servers: servers.iter().filter(of_family).copied().collect(),
            credentials: users.to_vec(),
            count,
            relayed: self.relayed,
            peers: match self.shape.path {
                Path::Hairpin => Peers::Pairs,
                Path::Relayed | Path::Straight | Path::Binding => Peers::Virtual,
            },
            channels: self.shape.carrier == Carrier::Channel,
        }
    }
}

const fn bursts(payload: usize, burst: u32) -> Shape {
    Shape {
        burst,
        ..Shape::channel(payload)
    }
}
