//! I-FORWARD-TSN (RFC 8260 section 2.3.1): FORWARD TSN where messages have MIDs.
//!
//! ```text
//! +-------------------------------+
//! |      New cumulative TSN       |
//! +---------------+-------------+-+
//! |   Stream id   |  Reserved   |U|   U: unordered
//! +---------------+-------------+-+
//! |              MID              |   the last one given up
//! +-------------------------------+
//! ```

use crate::wire::list::entries;
use crate::wire::{PacketWriter, ParseError, kind};
use crate::{StreamId, Tsn};

const FIXED: usize = 4;
const ENTRY: usize = 8;
const UNORDERED: u16 = 0x0001;

/// A received I-FORWARD-TSN.
#[derive(Clone, Copy, Debug)]
pub struct IForwardTsn<'a> {
    /// Everything up to here counts as arrived.
    pub new_cumulative_tsn: Tsn,
    streams: &'a [[u8; ENTRY]],
}

impl<'a> IForwardTsn<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        let (tsn, streams) = value
            .split_first_chunk::<FIXED>()
            .ok_or(ParseError::ChunkValue)?;
        Ok(Self {
            new_cumulative_tsn: Tsn(u32::from_be_bytes(*tsn)),
            streams: entries(streams).ok_or(ParseError::ChunkValue)?,
        })
    }

    /// Streams, whether their unordered messages are meant, and the last MID given up.
    pub fn streams(
        &self,
    ) -> impl ExactSizeIterator<Item = (StreamId, bool, u32)> + Clone + use<'a> {
        self.streams
            .iter()
            .map(|&[s0, s1, f0, f1, m0, m1, m2, m3]| {
                (
                    StreamId(u16::from_be_bytes([s0, s1])),
                    u16::from_be_bytes([f0, f1]) & UNORDERED != 0,
                    u32::from_be_bytes([m0, m1, m2, m3]),
                )
            })
    }
}

impl PacketWriter<'_> {
    /// Adds an I-FORWARD-TSN with as many streams as fit: each with whether its unordered messages
    /// are meant, and the last MID given up. False, and nothing written, when not even its fixed
    /// part fits.
    pub fn i_forward_tsn(
        &mut self,
        new_cumulative_tsn: Tsn,
        streams: impl Iterator<Item = (StreamId, bool, u32)> + Clone,
    ) -> bool {
        let Some(room) = self.value_room().checked_sub(FIXED) else {
            return false;
        };
        let streams = streams.take(room / ENTRY);
        let len = FIXED + ENTRY * streams.clone().count();
        self.chunk(kind::I_FORWARD_TSN, 0, len, |value| {
            value.put_u32(new_cumulative_tsn.0);
            for (stream, is_unordered, mid) in streams {
                value.put_u16(stream.0);
                value.put_u16(if is_unordered { UNORDERED } else { 0 });
                value.put_u32(mid);
            }
        })
    }
}
