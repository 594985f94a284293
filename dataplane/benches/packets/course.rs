//! The paths that packets are sent along, and where in a frame a session's own numbers are.

use turnpike_abi::Reason;

use crate::frame::{Frame, PAYLOAD_V4, PAYLOAD_V6, UDP_V4, UDP_V6};
use crate::world::{CLIENT, Kind, PEER, RELAYED, RELAYED_V6};

/// One path.
#[derive(Clone, Copy)]
pub(crate) struct Course {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What every packet must be counted as.
    pub(crate) reason: Reason,
    pub(crate) frame: fn() -> Frame,
    pub(crate) numbers: &'static [Number],
}

/// A number of a session, and where it goes (`ebpf/generator/src/visit.rs`).
#[derive(Clone, Copy)]
pub(crate) struct Number {
    pub(crate) place: u64,
    pub(crate) made: Made,
    pub(crate) is_covered: bool,
    pub(crate) first: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum Made {
    Differs = 1,
    SharesAddress = 2,
    Port = 3,
}

impl Number {
    pub(crate) const fn word(self) -> u64 {
        let covered = if self.is_covered { 1 << 16 } else { 0 };
        self.place | (self.made as u64) << 12 | covered | (self.first as u64) << 32
    }
}

pub(crate) const COURSES: [Course; 8] = [
    Course {
        name: "ChannelData to peer",
        kind: Kind::Ipv4,
        reason: Reason::ChannelToPeer,
        frame: || Frame::v4(40_000, 3_478).channel_data(0x4000),
        numbers: &[differs(26, CLIENT)],
    },
    Course {
        name: "datagram to ChannelData",
        kind: Kind::Ipv4,
        reason: Reason::PeerToChannel,
        frame: || Frame::v4(5_000, 0).datagram(),
        numbers: &[differs(26, PEER), shared(30, RELAYED), port(UDP_V4 + 2)],
    },
    Course {
        name: "Send indication to peer",
        kind: Kind::Ipv4,
        reason: Reason::SendToPeer,
        frame: || Frame::v4(40_000, 3_478).send(),
        numbers: &[differs(26, CLIENT), covered(PAYLOAD_V4 + 28, PEER)],
    },
    Course {
        name: "datagram to Data indication",
        kind: Kind::Ipv4,
        reason: Reason::PeerToData,
        frame: || Frame::v4(5_001, 0).datagram(),
        numbers: &[differs(26, PEER), shared(30, RELAYED), port(UDP_V4 + 2)],
    },
    Course {
        name: "allocation to allocation",
        kind: Kind::Pairs,
        reason: Reason::AllocationToAllocation,
        frame: || Frame::v4(40_000, 3_478).channel_data(0x4000),
        numbers: &[differs(26, CLIENT)],
    },
    Course {
        name: "ChannelData to peer, IPv6",
        kind: Kind::Ipv6,
        reason: Reason::ChannelToPeer,
        frame: || Frame::v6(40_000, 3_478).channel_data(0x4000),
        numbers: &[differs(34, CLIENT)],
    },
    Course {
        name: "datagram to ChannelData, IPv6",
        kind: Kind::Ipv6,
        reason: Reason::PeerToChannel,
        frame: || Frame::v6(5_000, 0).of_a_peer().datagram(),
        numbers: &[differs(34, PEER), shared(50, RELAYED_V6), port(UDP_V6 + 2)],
    },
    Course {
        name: "Send indication to peer, IPv6",
        kind: Kind::Ipv6,
        reason: Reason::SendToPeer,
        frame: || Frame::v6(40_000, 3_478).send(),
        numbers: &[differs(34, CLIENT), differs(PAYLOAD_V6 + 40, PEER)],
    },
];

const fn differs(place: u64, first: u32) -> Number {
    Number {
        place,
        made: Made::Differs,
        is_covered: false,
        first,
    }
}

const fn covered(place: u64, first: u32) -> Number {
    Number {
        is_covered: true,
        ..differs(place, first)
    }
}

const fn shared(place: u64, first: u32) -> Number {
    Number {
        made: Made::SharesAddress,
        ..differs(place, first)
    }
}

const fn port(place: u64) -> Number {
    Number {
        made: Made::Port,
        ..differs(place, 49_152)
    }
}
