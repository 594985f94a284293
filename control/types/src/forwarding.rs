//! Forwarding intent as data: what an engine wants the lanes to relay.
//!
//! A lane (XDP tables, the socket lane, the simulator's executor) carries [`Command`]s out in
//! order. An entry holds all that a lane needs to relay one packet after one lookup:
//!
//! | direction | key | entry |
//! |---|---|---|
//! | ChannelData, client to peer | five-tuple, channel number | [`ChannelEntry`] |
//! | Send indication, client to peer | five-tuple, peer IP | [`PermissionEntry`] |
//! | datagram, peer to client | relayed address, peer IP and port | [`ChannelEntry`], else |
//! | | relayed address, peer IP | [`PermissionEntry`] as a Data indication |
//!
//! `expires_at` of a channel or permission entry is the *effective* end, the earliest of its own,
//! its permission's and its allocation's, so that a lane checks one number and a dead control
//! plane cannot keep anything alive.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crate::{FiveTuple, PeerAddr, RateLimit, RelayedAddr, Timestamp};

/// Names an allocation while it lives; the generation tells reuses of a slot apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllocationId {
    /// Index of the slot; dense, so lanes may use it to index their own slabs.
    pub slot: u32,
    /// Grows each time the slot is used again.
    pub generation: u32,
}

/// Names a user while it holds allocations; lanes use it to find the user's token bucket.
///
/// Engines that count users together name them alike, so that their lanes may share the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u32);

/// A channel number: 0x4000 to 0x4FFF (RFC 8656 section 12), or up to 0x7FFF as before it (RFC 5766).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The lowest channel number.
    pub const MIN: u16 = 0x4000;
    /// The highest channel number of RFC 8656.
    pub const MAX: u16 = 0x4FFF;
    /// The highest channel number of RFC 5766.
    pub const LEGACY_MAX: u16 = 0x7FFF;

    /// Accepts a number that either RFC knows.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number >= Self::MIN && number <= Self::LEGACY_MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Whether RFC 8656 has taken the number back, so that only a server that is told to binds it.
    #[must_use]
    pub const fn is_legacy(self) -> bool {
        self.0 > Self::MAX
    }

    /// The number as on the wire.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for ChannelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelNumber(0x{:04x})", self.0)
    }
}

/// One change to the lanes' tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Names the command in `handle_command_failed`.
    pub id: CommandId,
    /// What to do.
    pub action: Action,
}

/// Names one [`Command`] of one engine; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put the entry in; replaces one with the same key.
    Install(Entry),
    /// Move the end of an entry that is in.
    Refresh {
        /// Which entry.
        key: EntryKey,
        /// Its new effective end; may be earlier than the old one.
        expires_at: Timestamp,
    },
    /// Take the entry out. Cannot fail: an absent entry is already out.
    Revoke(EntryKey),
}

/// Something a lane can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Open one relayed transport address of an allocation.
    Allocation(AllocationEntry),
    /// Let one peer IP through.
    Permission(PermissionEntry),
    /// Bind a channel number to a peer.
    Channel(ChannelEntry),
}

impl Entry {
    /// What the entry is held under.
    #[must_use]
    pub const fn key(&self) -> EntryKey {
        match self {
            Self::Allocation(entry) => EntryKey::Allocation {
                allocation: entry.allocation,
                relayed: entry.relayed,
            },
            Self::Permission(entry) => EntryKey::Permission {
                allocation: entry.allocation,
                wire_ip: entry.wire_ip,
            },
            Self::Channel(entry) => EntryKey::Channel {
                allocation: entry.allocation,
                number: entry.number,
            },
        }
    }
}

/// Names an [`Entry`] within a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKey {
    /// One relayed address of an allocation.
    Allocation {
        /// Which allocation.
        allocation: AllocationId,
        /// Which of its relayed addresses.
        relayed: RelayedAddr,
    },
    /// A permission of an allocation.
    Permission {
        /// Which allocation.
        allocation: AllocationId,
        /// The peer's IP address as on the wire.
        wire_ip: IpAddr,
    },
    /// A channel binding of an allocation.
    Channel {
        /// Which allocation.
        allocation: AllocationId,
        /// Which channel.
        number: ChannelNumber,
    },
}

/// One relayed transport address. A dual allocation (RFC 8656 section 7) has two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationEntry {
    /// Which allocation.
    pub allocation: AllocationId,
    /// Where its client is.
    pub five_tuple: FiveTuple,
    /// The address to open, as bound on this host.
    pub relayed: RelayedAddr,
    /// Whose allocation it is.
    pub user: UserId,
    /// What the allocation may relay a second.
    pub allocation_limit: RateLimit,
    /// What all allocations of the user together may relay a second.
    pub user_limit: RateLimit,
    /// When the allocation ends.
    pub expires_at: Timestamp,
}

/// A permission (RFC 8656 section 9): by IP address, any port that the rule lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionEntry {
    /// Which allocation.
    pub allocation: AllocationId,
    /// The relayed address of the peer's family.
    pub relayed: RelayedAddr,
    /// The peer's IP address as on the wire: an own external address is replaced by the address
    /// behind it, so that calls between two clients of this relay never leave the host.
    pub wire_ip: IpAddr,
    /// The peer's IP address as the client knows it.
    pub peer_ip: IpAddr,
    /// Which ports of the peer are reachable.
    pub ports: PortRule,
    /// The effective end.
    pub expires_at: Timestamp,
}

/// A channel binding (RFC 8656 section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelEntry {
    /// Which allocation.
    pub allocation: AllocationId,
    /// Where its client is.
    pub five_tuple: FiveTuple,
    /// The relayed address of the peer's family.
    pub relayed: RelayedAddr,
    /// The channel number.
    pub number: ChannelNumber,
    /// The peer as on the wire (see [`PermissionEntry::wire_ip`]).
    pub wire_peer: PeerAddr,
    /// The effective end: channel, permission and allocation all live until then.
    pub expires_at: Timestamp,
}

/// Which ports of a peer a Send indication may name and a datagram may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRule {
    /// The lowest port let through.
    pub min: u16,
    /// The highest port let through.
    pub max: u16,
    /// Whether the lane must also ask its list of our own services (listeners, metrics, databases).
    pub guarded: bool,
}

impl PortRule {
    /// Whether the port is in range. The caller still asks the services' list where
    /// [`guarded`](Self::guarded) is set.
    #[must_use]
    pub const fn admits(&self, port: u16) -> bool {
        port >= self.min && port <= self.max
    }

    /// The services' own check: `services` holds the transport addresses that no client may reach.
    #[must_use]
    pub fn admits_service(&self, peer: &SocketAddr, services: &[SocketAddr]) -> bool {
        self.admits(peer.port()) && !(self.guarded && services.contains(peer))
    }
}

/// Why a lane could not carry out a [`Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommandError {
    /// The table holds no more entries.
    TableFull,
    /// The relayed port is taken by another program on this host; another port may do.
    PortInUse,
    /// Out of descriptors, sockets or memory.
    OutOfResources,
    /// The process lacks the right.
    NotPermitted,
    /// A refresh named an entry that is not there.
    Absent,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TableFull => "the forwarding table is full",
            Self::PortInUse => "the relayed port is in use by another program",
            Self::OutOfResources => "out of descriptors or memory",
            Self::NotPermitted => "not permitted",
            Self::Absent => "the entry is not there",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_numbers_end_at_the_rfc_8656_range() {
        assert!(ChannelNumber::new(0x3FFF).is_none());
        assert!(ChannelNumber::new(0x4000).is_some());
        assert!(ChannelNumber::new(0x4FFF).is_some());
        assert!(!ChannelNumber::new(0x4FFF).unwrap().is_legacy());
        assert!(ChannelNumber::new(0x5000).unwrap().is_legacy());
        assert!(ChannelNumber::new(0x7FFF).is_some());
        assert!(ChannelNumber::new(0x8000).is_none());
    }

    #[test]
    fn guarded_rule_refuses_our_services_only() {
        let service: SocketAddr = ([192, 0, 2, 1], 3478).into();
        let other: SocketAddr = ([192, 0, 2, 1], 3479).into();
        let rule = PortRule {
            min: 1_024,
            max: u16::MAX,
            guarded: true,
        };
        assert!(!rule.admits_service(&service, &[service]));
        assert!(rule.admits_service(&other, &[service]));
        assert!(!rule.admits_service(&([192, 0, 2, 1], 80).into(), &[service]));
    }
}
