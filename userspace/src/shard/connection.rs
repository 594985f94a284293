//! What a shard counts of stream connections: why one was not taken in, and why one ended.
//!
//! Words and numbers only; connections themselves are elsewhere.

use turnpike_types::Transport;

/// Why a connection was closed as soon as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectionRefusal {
    /// There are as many as there may be.
    Limit,
    /// The address has as many as it may have.
    AddressLimit,
    /// No descriptor or memory.
    Resources,
}

impl ConnectionRefusal {
    /// Every refusal, in order.
    pub const ALL: [Self; 3] = [Self::Limit, Self::AddressLimit, Self::Resources];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::AddressLimit => "address_limit",
            Self::Resources => "resources",
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectionEnd {
    /// The client closed it, or the network did.
    Client,
    /// What came was neither STUN nor ChannelData.
    Malformed,
    /// It had no allocation for too long.
    Idle,
    /// TLS was not agreed on.
    HandshakeFailed,
    /// TLS was not agreed on in time.
    HandshakeTimeout,
    /// We closed it: its allocation ended or the relay stops.
    Server,
}

impl ConnectionEnd {
    /// Every end, in order.
    pub const ALL: [Self; 6] = [
        Self::Client,
        Self::Malformed,
        Self::Idle,
        Self::HandshakeFailed,
        Self::HandshakeTimeout,
        Self::Server,
    ];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Malformed => "malformed",
            Self::Idle => "idle",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Server => "server",
        }
    }
}

/// A shard's connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionCounters {
    pub(super) live: [u64; Transport::ALL.len()],
    pub(super) accepted: [u64; Transport::ALL.len()],
    pub(super) refused: [u64; ConnectionRefusal::ALL.len()],
    pub(super) closed: [u64; ConnectionEnd::ALL.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_reason_at_its_own_index() {
        for (index, refusal) in ConnectionRefusal::ALL.iter().enumerate() {
            assert_eq!(*refusal as usize, index);
        }
        for (index, end) in ConnectionEnd::ALL.iter().enumerate() {
            assert_eq!(*end as usize, index);
        }
    }
}
