//! Which messages were sent unordered, read off the wire: strangers do not tell.

use std::collections::BTreeMap;

use turnpike_sctp::StreamId;
use turnpike_sctp::wire::{ChecksumRule, Chunk, Packet};

/// By stream and first bytes of the message.
#[derive(Default)]
pub(crate) struct Orders {
    unordered: BTreeMap<(StreamId, Vec<u8>), bool>,
}

impl Orders {
    pub(crate) fn note(&mut self, datagram: &[u8]) {
        let Ok(packet) = Packet::parse(datagram, ChecksumRule::MayBeZero) else {
            return;
        };
        for raw in packet.chunks().map_while(Result::ok) {
            if let Ok(Chunk::Data(data)) = Chunk::parse(raw)
                && data.is_begin
            {
                let key = (data.stream, first_bytes(data.payload));
                self.unordered.insert(key, data.is_unordered);
            }
        }
    }

    pub(crate) fn is_unordered(&self, stream: StreamId, payload: &[u8]) -> bool {
        let key = (stream, first_bytes(payload));
        self.unordered.get(&key).copied().unwrap_or(false)
    }
}

fn first_bytes(payload: &[u8]) -> Vec<u8> {
    payload[..payload.len().min(8)].to_vec()
}
