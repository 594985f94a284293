//! How much clients on streams may have.

use std::time::Duration;

/// What bounds each connection; how many there may be, [`Places`](super::Places) knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
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
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            write_queue_bytes: 256 << 10,
        }
    }
}
