//! HEARTBEAT and HEARTBEAT ACK (RFC 9260 sections 3.3.5 and 3.3.6): one parameter, which comes back
//! as it went.

use crate::wire::tlv::Tlvs;
use crate::wire::{CHUNK_HEADER_LEN, PacketWriter, ParseError, kind, parameter};

/// The value of the Heartbeat Info parameter, which must be the first.
pub(super) fn parse(value: &[u8]) -> Result<&[u8], ParseError> {
    match Tlvs::new(value).next() {
        Some(Ok(info)) if info.kind == parameter::HEARTBEAT_INFO => Ok(info.value),
        Some(Err(error)) => Err(error),
        _ => Err(ParseError::ChunkValue),
    }
}

impl PacketWriter<'_> {
    /// Adds a HEARTBEAT. False, and nothing written, when it does not fit.
    pub fn heartbeat(&mut self, info: &[u8]) -> bool {
        self.with_info(kind::HEARTBEAT, info)
    }

    /// Adds a HEARTBEAT ACK with the information of the HEARTBEAT. False, and nothing written,
    /// when it does not fit.
    pub fn heartbeat_ack(&mut self, info: &[u8]) -> bool {
        self.with_info(kind::HEARTBEAT_ACK, info)
    }

    fn with_info(&mut self, kind: u8, info: &[u8]) -> bool {
        self.chunk(kind, 0, CHUNK_HEADER_LEN + info.len(), |value| {
            value.put_tlv(parameter::HEARTBEAT_INFO, info.len(), |value| {
                value.put(info);
            });
        })
    }
}
