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
    /// The client was gone already, or TLS has no certificate to show.
    Broken,
    /// No descriptor or memory: accepting failed, and goes on a little later.
    Resources,
}

impl ConnectionRefusal {
    /// Every refusal, in order.
    pub const ALL: [Self; 4] = [
        Self::Limit,
        Self::AddressLimit,
        Self::Broken,
        Self::Resources,
    ];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::AddressLimit => "address_limit",
            Self::Broken => "broken",
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
    /// What came was neither STUN nor ChannelData, or too long.
    Malformed,
    /// It had no allocation for too long.
    Idle,
    /// What came was not TLS, or broke its rules.
    HandshakeFailed,
    /// TLS was not agreed on in time.
    HandshakeTimeout,
    /// The client left unread what it was sent.
    SlowReader,
    /// The relay stopped.
    Server,
    /// More waited for its turn in a crowd of handshakes than may.
    Crowd,
}

impl ConnectionEnd {
    /// Every end, in order.
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::Malformed,
        Self::Idle,
        Self::HandshakeFailed,
        Self::HandshakeTimeout,
        Self::SlowReader,
        Self::Server,
        Self::Crowd,
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
            Self::SlowReader => "slow_reader",
            Self::Server => "server",
            Self::Crowd => "crowd",
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
    /// Handed to another shard after they were served here.
    pub(super) moved: u64,
    /// Relayed packets that found the write queue full; also among the drops.
    pub(super) write_queue_dropped: u64,
}

impl ConnectionCounters {
    pub(super) fn accept(&mut self, transport: Transport) {
        increment(&mut self.accepted, transport as usize);
    }

    pub(super) fn admit(&mut self, transport: Transport) {
        increment(&mut self.live, transport as usize);
    }

    pub(super) fn refuse(&mut self, refusal: ConnectionRefusal) {
        increment(&mut self.refused, refusal as usize);
    }

    pub(super) fn close(&mut self, transport: Transport, end: ConnectionEnd) {
        increment(&mut self.closed, end as usize);
        self.leave(transport);
    }

    pub(super) fn hand_over(&mut self, transport: Transport) {
        self.moved += 1;
        self.leave(transport);
    }

    fn leave(&mut self, transport: Transport) {
        if let Some(live) = self.live.get_mut(transport as usize) {
            *live = live.saturating_sub(1);
        }
    }
}

fn increment(counts: &mut [u64], index: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count += 1;
    }
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
