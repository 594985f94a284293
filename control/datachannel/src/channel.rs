//! What a data channel is: its name, its reliability, its order, its weight.

use alloc::string::String;
use core::time::Duration;

/// Names a channel: the stream identifier it has in both directions. May be used again once the
/// channel is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u16);

/// What both ends know of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name: at most 65,535 bytes, may be empty, need not be unique.
    pub label: String,
    /// The subprotocol spoken on it: at most 65,535 bytes, may be empty.
    pub protocol: String,
    /// Whether messages may overtake each other.
    pub is_unordered: bool,
    /// When a message that has not arrived is given up.
    pub reliability: Reliability,
    /// Its share of the association beside others, as a weight; see [`priority`].
    pub priority: u16,
}

impl Channel {
    /// A reliable, ordered channel of normal priority, without a subprotocol.
    #[must_use]
    pub fn named(label: &str) -> Self {
        Self {
            label: label.into(),
            protocol: String::new(),
            is_unordered: false,
            reliability: Reliability::Reliable,
            priority: priority::NORMAL,
        }
    }

    /// Bytes that its names take.
    pub(crate) const fn names_bytes(&self) -> usize {
        self.label.len() + self.protocol.len()
    }
}

/// When a message that has not arrived is given up, in the units of the wire (RFC 8832 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// Never.
    #[default]
    Reliable,
    /// When it would have to be sent again more often than this. Above 65,535 counts as 65,535.
    Retransmissions(u32),
    /// When so many milliseconds have passed since it was handed over.
    LifetimeMs(u32),
}

impl From<Reliability> for turnpike_sctp::Reliability {
    fn from(reliability: Reliability) -> Self {
        match reliability {
            Reliability::Reliable => Self::Reliable,
            Reliability::Retransmissions(most) => {
                Self::Retransmissions(u16::try_from(most).unwrap_or(u16::MAX))
            }
            Reliability::LifetimeMs(most) => Self::Lifetime(Duration::from_millis(most.into())),
        }
    }
}

/// Which end of the DTLS association this is: it decides whose channel ids are even, so that both
/// ends may open channels at once (RFC 8832 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// Opens channels with even ids.
    Client,
    /// Opens channels with odd ids.
    Server,
}

impl DtlsRole {
    /// The lowest id that this end opens.
    pub(crate) const fn first_id(self) -> u16 {
        match self {
            Self::Client => 0,
            Self::Server => 1,
        }
    }

    /// Whether a channel of this id is this end's to open by DCEP.
    pub(crate) const fn opens(self, id: ChannelId) -> bool {
        id.0 % 2 == self.first_id()
    }
}

/// Priorities that browsers know (RFC 8831 section 6.4); any other number is a weight as well.
pub mod priority {
    /// Half of normal.
    pub const BELOW_NORMAL: u16 = 128;
    /// What a channel has unless somebody cares.
    pub const NORMAL: u16 = 256;
    /// Twice normal.
    pub const HIGH: u16 = 512;
    /// Four times normal.
    pub const EXTRA_HIGH: u16 = 1_024;
}
