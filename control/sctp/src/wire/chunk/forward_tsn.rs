//! FORWARD TSN (RFC 3758 section 3.2): the receiver need not wait for what the sender gave up.
//!
//! ```text
//! +-------------------------------+
//! |      New cumulative TSN       |
//! +---------------+---------------+
//! |   Stream id   |      SSN      |   the last one given up of each ordered stream
//! +---------------+---------------+
//! ```

use crate::wire::list::entries;
use crate::wire::{PacketWriter, ParseError, kind};
use crate::{StreamId, Tsn};

const FIXED: usize = 4;
const ENTRY: usize = 4;

/// A received FORWARD TSN.
#[derive(Clone, Copy, Debug)]
pub struct ForwardTsn<'a> {
    /// Everything up to here counts as arrived.
    pub new_cumulative_tsn: Tsn,
    streams: &'a [[u8; ENTRY]],
}

impl<'a> ForwardTsn<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        let (tsn, streams) = value
            .split_first_chunk::<FIXED>()
            .ok_or(ParseError::ChunkValue)?;
        Ok(Self {
            new_cumulative_tsn: Tsn(u32::from_be_bytes(*tsn)),
            streams: entries(streams).ok_or(ParseError::ChunkValue)?,
        })
    }

    /// Ordered streams, and the last SSN given up of each. Nothing says that a stream comes once.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = (StreamId, u16)> + Clone + use<'a> {
        self.streams.iter().map(|&[s0, s1, n0, n1]| {
            (
                StreamId(u16::from_be_bytes([s0, s1])),
                u16::from_be_bytes([n0, n1]),
            )
        })
    }
}

impl PacketWriter<'_> {
    /// Adds a FORWARD TSN with as many streams as fit. False, and nothing written, when not even
    /// its fixed part fits.
    pub fn forward_tsn(
        &mut self,
        new_cumulative_tsn: Tsn,
        streams: impl Iterator<Item = (StreamId, u16)> + Clone,
    ) -> bool {
        let Some(room) = self.value_room().checked_sub(FIXED) else {
            return false;
        };
        let streams = streams.take(room / ENTRY);
        let len = FIXED + ENTRY * streams.clone().count();
        self.chunk(kind::FORWARD_TSN, 0, len, |value| {
            value.put_u32(new_cumulative_tsn.0);
            for (stream, ssn) in streams {
                value.put_u16(stream.0);
                value.put_u16(ssn);
            }
        })
    }
}
