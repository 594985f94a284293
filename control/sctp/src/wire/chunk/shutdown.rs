//! SHUTDOWN, SHUTDOWN ACK and SHUTDOWN COMPLETE (RFC 9260 sections 3.3.8, 3.3.9 and 3.3.13).

use super::tag_flags;
use crate::Tsn;
use crate::wire::{PacketWriter, ParseError, kind};

/// The cumulative TSN ack of a SHUTDOWN.
pub(super) fn parse(value: &[u8]) -> Result<Tsn, ParseError> {
    let tsn = <[u8; 4]>::try_from(value).map_err(|_| ParseError::ChunkValue)?;
    Ok(Tsn(u32::from_be_bytes(tsn)))
}

impl PacketWriter<'_> {
    /// Adds a SHUTDOWN. False, and nothing written, when it does not fit.
    pub fn shutdown(&mut self, cumulative_tsn_ack: Tsn) -> bool {
        self.chunk(kind::SHUTDOWN, 0, 4, |value| {
            value.put_u32(cumulative_tsn_ack.0);
        })
    }

    /// Adds a SHUTDOWN ACK. False, and nothing written, when it does not fit.
    pub fn shutdown_ack(&mut self) -> bool {
        self.bare_chunk(kind::SHUTDOWN_ACK, 0)
    }

    /// Adds a SHUTDOWN COMPLETE; `is_tag_reflected` sets the T bit. False, and nothing written,
    /// when it does not fit.
    pub fn shutdown_complete(&mut self, is_tag_reflected: bool) -> bool {
        self.bare_chunk(kind::SHUTDOWN_COMPLETE, tag_flags(is_tag_reflected))
    }
}
