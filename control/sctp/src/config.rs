//! What an association may use and how it behaves.

use core::time::Duration;

use thiserror::Error;

/// Limits and behaviour of one association.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our SCTP port; not zero.
    pub local_port: u16,
    /// The peer's SCTP port; not zero.
    pub remote_port: u16,
    /// The largest SCTP packet sent, in bytes, from 512 on. 1,191 leaves room for DTLS, UDP and
    /// IPv6 within 1,280.
    pub packet_size_max: usize,
    /// How many streams to ask for in each direction.
    pub streams_max: u16,
    /// The largest message that `send` takes, in bytes. A larger one is refused by
    /// [`SendError::MessageTooLarge`](crate::SendError::MessageTooLarge). SCTP does not announce what a
    /// receiver takes; here any size is received, in parts.
    pub message_size_max: usize,
    /// Memory for what is queued and in flight, bookkeeping included. One message always fits.
    pub send_buffer_bytes: usize,
    /// Memory for what has arrived and was not received yet, bookkeeping included.
    pub receive_buffer_bytes: u32,
    /// A message that holds more than this is handed on in parts.
    pub partial_delivery_bytes: usize,
    /// Retransmission timeouts.
    pub rto: RtoConfig,
    /// How long an acknowledgement may wait for company; at most 500 ms (RFC 9260 section 6.2).
    pub sack_delay: Duration,
    /// How long a path may be idle before it is probed; zero for never.
    pub heartbeat_interval: Duration,
    /// How often in a row the peer may stay silent (Association.Max.Retrans).
    pub association_retransmissions_max: u32,
    /// How often in a row a path may stay silent before it counts as failed (Path.Max.Retrans).
    pub path_retransmissions_max: u32,
    /// How often INIT and COOKIE ECHO are sent again (Max.Init.Retransmits).
    pub init_retransmissions_max: u32,
    /// How long a state cookie is good for (Valid.Cookie.Life).
    pub cookie_lifetime: Duration,
    /// The first congestion window, in packets.
    pub initial_cwnd_packets: u32,
    /// Whose turn it is to send.
    pub scheduling: Scheduling,
    /// Whether to offer partial reliability (RFC 3758).
    pub has_partial_reliability: bool,
    /// Whether to offer I-DATA (RFC 8260).
    pub has_interleaving: bool,
    /// Whether to offer stream reset (RFC 6525).
    pub has_stream_reset: bool,
    /// Whether the datagrams travel in DTLS, whose integrity stands in for CRC32c on both sides
    /// (RFC 9653 section 5).
    pub has_zero_checksum: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            local_port: 5000,
            remote_port: 5000,
            packet_size_max: 1191,
            streams_max: u16::MAX,
            message_size_max: 256 * 1024,
            send_buffer_bytes: 2 * 1024 * 1024,
            receive_buffer_bytes: 4 * 1024 * 1024,
            partial_delivery_bytes: 1024 * 1024,
            rto: RtoConfig::default(),
            sack_delay: Duration::from_millis(20),
            heartbeat_interval: Duration::from_secs(30),
            association_retransmissions_max: 10,
            path_retransmissions_max: 5,
            init_retransmissions_max: 8,
            cookie_lifetime: Duration::from_secs(60),
            initial_cwnd_packets: 10,
            scheduling: Scheduling::WeightedFair,
            has_partial_reliability: true,
            has_interleaving: true,
            has_stream_reset: true,
            has_zero_checksum: false,
        }
    }
}

impl Config {
    /// Says whether an association can work with this.
    ///
    /// # Errors
    ///
    /// Names the first field that is out of range.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.local_port == 0 || self.remote_port == 0 {
            return Err(ConfigError::Port);
        }
        if self.packet_size_max < PACKET_SIZE_MIN || self.packet_size_max > PACKET_SIZE_LIMIT {
            return Err(ConfigError::PacketSize);
        }
        if self.streams_max == 0 {
            return Err(ConfigError::Streams);
        }
        if self.receive_buffer_bytes < RECEIVE_BUFFER_MIN {
            return Err(ConfigError::ReceiveBuffer);
        }
        if self.sack_delay.as_millis() > 500 {
            return Err(ConfigError::SackDelay);
        }
        if self.rto.min.as_nanos() > self.rto.max.as_nanos() {
            return Err(ConfigError::Rto);
        }
        Ok(())
    }
}

/// Retransmission timeouts (RFC 9260 section 6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtoConfig {
    /// Before there is a measurement.
    pub initial: Duration,
    /// Never below this. RFC 9260 recommends 1 s; the tail-loss probe makes timeouts rare, and
    /// what remains should not wait so long.
    pub min: Duration,
    /// Never above this.
    pub max: Duration,
}

impl Default for RtoConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            min: Duration::from_millis(400),
            max: Duration::from_secs(60),
        }
    }
}

/// Whose turn it is to send (RFC 8260 section 3). A message that has begun is finished first,
/// unless both sides interleave (I-DATA); then the turn is taken fragment by fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// In the order of `send`.
    FirstCome,
    /// Streams take turns.
    RoundRobin,
    /// The stream with the highest weight first.
    Priority,
    /// Streams share by weight.
    WeightedFair,
}

/// Why a [`Config`] cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A port is zero.
    #[error("ports must not be zero")]
    Port,
    /// `packet_size_max` is out of range.
    #[error("packet_size_max must be from {PACKET_SIZE_MIN} to {PACKET_SIZE_LIMIT} bytes")]
    PacketSize,
    /// `streams_max` is zero.
    #[error("streams_max must not be zero")]
    Streams,
    /// `receive_buffer_bytes` is too small.
    #[error("receive_buffer_bytes must be at least {RECEIVE_BUFFER_MIN}")]
    ReceiveBuffer,
    /// `sack_delay` is above what the RFC allows.
    #[error("sack_delay must be at most 500 ms")]
    SackDelay,
    /// `rto.min` is above `rto.max`.
    #[error("rto.min must not be above rto.max")]
    Rto,
}

/// RFC 9260 section 6.1 wants at least this much of every path.
const PACKET_SIZE_MIN: usize = 512;
/// What a UDP datagram can carry.
const PACKET_SIZE_LIMIT: usize = 65_507;
/// RFC 9260 section 3.3.2: an INIT with less is answered by ABORT.
const RECEIVE_BUFFER_MIN: u32 = 1500;
