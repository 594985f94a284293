//! How much clients on streams may have, and what became of them.

use std::time::Duration;

/// What bounds the connections of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one client address (an IPv6 /64).
    pub connections_per_address: u32,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may live without an allocation. After an allocation ended it may be
    /// up to twice as long.
    pub idle_timeout: Duration,
    /// How long a client may leave what it is sent unread; noticed up to half as long again later.
    pub stall_timeout: Duration,
    /// Bytes that may wait behind the write in flight; relayed packets beyond are dropped.
    pub write_queue_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 1_024,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            write_queue_bytes: 256 << 10,
        }
    }
}

/// What became of connections and of what was to be written to them. Every connection that was
/// accepted is live, refused, or closed for one of the reasons here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Connections that live now.
    pub live: u64,
    /// Connections that came in.
    pub accepted: u64,
    /// Refused: [`StreamLimits::connections`] are there.
    pub refused_full: u64,
    /// Refused: [`StreamLimits::connections_per_address`] are there.
    pub refused_per_address: u64,
    /// Refused: gone before it was looked at, or TLS without a certificate to offer.
    pub refused_broken: u64,
    /// Accepts that failed: out of descriptors or memory.
    pub accepts_failed: u64,
    /// Closed: what came was not TLS, or broke its rules.
    pub handshakes_failed: u64,
    /// Closed: the handshake took too long.
    pub timed_out_handshake: u64,
    /// Closed: no allocation for too long.
    pub timed_out_idle: u64,
    /// Closed: the client did not read what it was sent.
    pub slow_reader: u64,
    /// Closed: neither STUN nor ChannelData, or a frame that is too long.
    pub bad_framing: u64,
    /// Closed by the client, or lost.
    pub closed_by_client: u64,
    /// Relayed packets that found the connection's write queue full; also among the drops.
    pub write_queue_dropped: u64,
}

impl StreamCounters {
    /// How many numbers there are beside [`live`](Self::live).
    pub const TOTALS: usize = 12;

    /// All numbers that only grow, in the order of the fields.
    #[must_use]
    pub const fn totals(&self) -> [u64; Self::TOTALS] {
        [
            self.accepted,
            self.refused_full,
            self.refused_per_address,
            self.refused_broken,
            self.accepts_failed,
            self.handshakes_failed,
            self.timed_out_handshake,
            self.timed_out_idle,
            self.slow_reader,
            self.bad_framing,
            self.closed_by_client,
            self.write_queue_dropped,
        ]
    }

    /// The same, to be written.
    pub const fn totals_mut(&mut self) -> [&mut u64; Self::TOTALS] {
        [
            &mut self.accepted,
            &mut self.refused_full,
            &mut self.refused_per_address,
            &mut self.refused_broken,
            &mut self.accepts_failed,
            &mut self.handshakes_failed,
            &mut self.timed_out_handshake,
            &mut self.timed_out_idle,
            &mut self.slow_reader,
            &mut self.bad_framing,
            &mut self.closed_by_client,
            &mut self.write_queue_dropped,
        ]
    }
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Reason {
    HandshakeFailed,
    HandshakeTimeout,
    Idle,
    SlowReader,
    BadFraming,
    ByClient,
}

impl StreamCounters {
    pub(super) const fn count(&mut self, reason: Reason) {
        *match reason {
            Reason::HandshakeFailed => &mut self.handshakes_failed,
            Reason::HandshakeTimeout => &mut self.timed_out_handshake,
            Reason::Idle => &mut self.timed_out_idle,
            Reason::SlowReader => &mut self.slow_reader,
            Reason::BadFraming => &mut self.bad_framing,
            Reason::ByClient => &mut self.closed_by_client,
        } += 1;
    }
}
