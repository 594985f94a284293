//! What the data channels of one association may use.

use crate::DtlsRole;

/// Behaviour and limits of the data channels of one association.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which end of the DTLS association this is; the two ends must differ.
    pub role: DtlsRole,
    /// The association below. Its `message_size_max` is the largest message that `send` takes,
    /// whatever the peer says.
    pub association: turnpike_sctp::Config,
    /// The largest user message that we take, in bytes, as we tell the peer (`a=max-message-size`,
    /// RFC 8841 section 6). A larger one closes its channel.
    pub message_size_max: u64,
    /// The largest user message that the peer takes, in bytes, as it told us; 65,536 where it did
    /// not, and none where it said zero.
    pub peer_message_size_max: u64,
    /// How many channels, and how much of a name.
    pub limits: Limits,
}

impl Config {
    /// The defaults for one end.
    #[must_use]
    pub fn new(role: DtlsRole) -> Self {
        Self {
            role,
            association: turnpike_sctp::Config::default(),
            message_size_max: 256 * 1_024,
            peer_message_size_max: 64 * 1_024,
            limits: Limits::default(),
        }
    }
}

/// Bounds on what channels may cost, whoever opens them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Channels open at once.
    pub channels_max: usize,
    /// Bytes of all labels and protocols together.
    pub names_bytes_max: usize,
}

impl Default for Limits {
    /// Every id there is, with 16 bytes of name each.
    fn default() -> Self {
        Self {
            channels_max: 65_535,
            names_bytes_max: 1_024 * 1_024,
        }
    }
}
