//! What was counted: a packet once in [`ForwardCounters`], and once more in the [`Traffic`] of its
//! allocation if it was relayed.

use turnpike_types::DropReason;

/// What one allocation relayed; bytes are payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets from the client to a peer.
    pub to_peer_packets: u64,
    /// Bytes from the client to a peer.
    pub to_peer_bytes: u64,
    /// Packets from a peer to the client.
    pub to_client_packets: u64,
    /// Bytes from a peer to the client.
    pub to_client_bytes: u64,
}

/// What a forwarder did with every packet it was shown:
/// [`received`](Self::received) = [`forwarded`](Self::forwarded) + [`passed`](Self::passed) +
/// [`dropped_total`](Self::dropped_total).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardCounters {
    /// Packets that came from clients.
    pub from_client: u64,
    /// Packets that came from peers.
    pub from_peer: u64,
    /// Packets for peers.
    pub to_peer: u64,
    /// Packets for clients.
    pub to_client: u64,
    /// Packets left to the server.
    pub passed: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl ForwardCounters {
    /// Packets that came in, from both sides.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.from_client + self.from_peer
    }

    /// Packets relayed, both ways.
    #[must_use]
    pub const fn forwarded(&self) -> u64 {
        self.to_peer + self.to_client
    }

    /// Packets dropped for one reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Packets dropped for any reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    pub(super) fn count_drop(&mut self, reason: DropReason) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count += 1;
        }
    }
}
