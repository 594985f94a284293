//! What both sides can do (RFC 9260 section 5.1, RFC 5061 section 4.2.7 and the extensions' own words).

use crate::Config;
use crate::wire::{Parameter, kind};

/// What the handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Streams that we may send on.
    pub outgoing_streams: u16,
    /// Streams that the peer may send on.
    pub incoming_streams: u16,
    /// Whether messages can be given up (RFC 3758).
    pub has_partial_reliability: bool,
    /// Whether messages travel in I-DATA (RFC 8260).
    pub has_interleaving: bool,
    /// Whether streams can be reset and added (RFC 6525).
    pub has_stream_reset: bool,
    /// Whether packets go without a checksum (RFC 9653).
    pub has_zero_checksum: bool,
}

/// Extensions as bits, for the state cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features(pub(super) u8);

impl Features {
    const PARTIAL_RELIABILITY: Self = Self(1);
    const INTERLEAVING: Self = Self(2);
    const STREAM_RESET: Self = Self(4);
    const ZERO_CHECKSUM: Self = Self(8);

    /// What we are willing to do.
    pub(super) const fn of_config(config: &Config) -> Self {
        let mut bits = 0;
        if config.has_partial_reliability {
            bits |= Self::PARTIAL_RELIABILITY.0;
        }
        if config.has_interleaving {
            bits |= Self::INTERLEAVING.0;
        }
        if config.has_stream_reset {
            bits |= Self::STREAM_RESET.0;
        }
        if config.has_zero_checksum {
            bits |= Self::ZERO_CHECKSUM.0;
        }
        Self(bits)
    }

    /// Adds what a parameter of the peer's says.
    pub(super) fn note(&mut self, parameter: &Parameter<'_>) {
        match parameter {
            Parameter::ForwardTsnSupported => self.0 |= Self::PARTIAL_RELIABILITY.0,
            Parameter::ZeroChecksumAcceptable(Parameter::DETECTED_BY_DTLS) => {
                self.0 |= Self::ZERO_CHECKSUM.0
            }
            Parameter::SupportedExtensions(kinds) => {
                if kinds.contains(&kind::FORWARD_TSN) {
                    self.0 |= Self::PARTIAL_RELIABILITY.0;
                }
                if kinds.contains(&kind::I_DATA) {
                    self.0 |= Self::INTERLEAVING.0;
                }
                if kinds.contains(&kind::RE_CONFIG) {
                    self.0 |= Self::STREAM_RESET.0;
                }
            }
            _ => {}
        }
    }

    /// What both can do.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn has_partial_reliability(self) -> bool {
        self.0 & Self::PARTIAL_RELIABILITY.0 != 0
    }

    pub(super) const fn has_interleaving(self) -> bool {
        self.0 & Self::INTERLEAVING.0 != 0
    }

    pub(super) const fn has_stream_reset(self) -> bool {
        self.0 & Self::STREAM_RESET.0 != 0
    }

    pub(super) const fn has_zero_checksum(self) -> bool {
        self.0 & Self::ZERO_CHECKSUM.0 != 0
    }

    /// The chunk types of what we are willing to do, to be announced.
    pub(super) fn chunk_kinds(self) -> alloc::vec::Vec<u8> {
        let mut kinds = alloc::vec::Vec::with_capacity(4);
        if self.has_stream_reset() {
            kinds.push(kind::RE_CONFIG);
        }
        if self.has_partial_reliability() {
            kinds.push(kind::FORWARD_TSN);
        }
        if self.has_interleaving() {
            kinds.push(kind::I_DATA);
            if self.has_partial_reliability() {
                kinds.push(kind::I_FORWARD_TSN);
            }
        }
        kinds
    }
}
