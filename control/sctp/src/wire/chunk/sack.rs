//! SACK (RFC 9260 section 3.3.4): what has arrived, and how much more may come.
//!
//! ```text
//! +-------------------------------+
//! |      Cumulative TSN ack       |
//! +-------------------------------+
//! |            a_rwnd             |
//! +---------------+---------------+
//! |  Gap blocks   |  Duplicates   |   how many of each
//! +---------------+---------------+
//! |  Gap start    |  Gap end      |   offsets from the cumulative TSN ack
//! +---------------+---------------+
//! |        Duplicate TSN          |
//! +-------------------------------+
//! ```

use crate::Tsn;
use crate::wire::list::entries;
use crate::wire::{PacketWriter, ParseError, kind};

const FIXED: usize = 12;
const ENTRY: usize = 4;

/// A received SACK.
#[derive(Clone, Copy, Debug)]
pub struct Sack<'a> {
    /// Everything up to here has arrived.
    pub cumulative_tsn_ack: Tsn,
    /// Bytes that the receiver can still buffer.
    pub a_rwnd: u32,
    gap_blocks: &'a [[u8; ENTRY]],
    duplicates: &'a [[u8; ENTRY]],
}

impl<'a> Sack<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, lists) = value
            .split_first_chunk::<FIXED>()
            .ok_or(ParseError::ChunkValue)?;
        let [t0, t1, t2, t3, a0, a1, a2, a3, g0, g1, d0, d1] = *fixed;
        let lists = entries::<ENTRY>(lists).ok_or(ParseError::ChunkValue)?;
        let gap_count = usize::from(u16::from_be_bytes([g0, g1]));
        let (gap_blocks, duplicates) = lists
            .split_at_checked(gap_count)
            .ok_or(ParseError::ChunkValue)?;
        if duplicates.len() != usize::from(u16::from_be_bytes([d0, d1])) {
            return Err(ParseError::ChunkValue);
        }
        Ok(Self {
            cumulative_tsn_ack: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
            a_rwnd: u32::from_be_bytes([a0, a1, a2, a3]),
            gap_blocks,
            duplicates,
        })
    }

    /// The gap ack blocks: first and last TSN that arrived, as offsets from the cumulative TSN ack.
    /// Nothing says that they are in order, or that the first is not after the last.
    #[inline]
    pub fn gap_blocks(&self) -> impl ExactSizeIterator<Item = (u16, u16)> + Clone + use<'a> {
        self.gap_blocks
            .iter()
            .map(|&[s0, s1, e0, e1]| (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([e0, e1])))
    }

    /// TSNs that arrived again.
    #[inline]
    pub fn duplicates(&self) -> impl ExactSizeIterator<Item = Tsn> + Clone + use<'a> {
        self.duplicates
            .iter()
            .map(|tsn| Tsn(u32::from_be_bytes(*tsn)))
    }
}

impl PacketWriter<'_> {
    /// Adds a SACK with as many gap ack blocks as fit, then as many duplicates. False, and nothing
    /// written, when not even its fixed part fits.
    pub fn sack(
        &mut self,
        cumulative_tsn_ack: Tsn,
        a_rwnd: u32,
        gap_blocks: impl Iterator<Item = (u16, u16)> + Clone,
        duplicates: &[Tsn],
    ) -> bool {
        let Some(entry_room) = self.value_room().checked_sub(FIXED) else {
            return false;
        };
        let entries_max = (entry_room / ENTRY).min(ENTRIES_MAX);
        let gap_blocks = gap_blocks.take(entries_max);
        let gap_count = gap_blocks.clone().count();
        let duplicate_count = duplicates.len().min(entries_max - gap_count);
        let len = FIXED + ENTRY * (gap_count + duplicate_count);
        self.chunk(kind::SACK, 0, len, |value| {
            value.put_u32(cumulative_tsn_ack.0);
            value.put_u32(a_rwnd);
            value.put_u16(u16::try_from(gap_count).unwrap_or(u16::MAX));
            value.put_u16(u16::try_from(duplicate_count).unwrap_or(u16::MAX));
            for (start, end) in gap_blocks {
                value.put_u16(start);
                value.put_u16(end);
            }
            for tsn in duplicates.iter().take(duplicate_count) {
                value.put_u32(tsn.0);
            }
        })
    }
}

/// As many as the longest chunk could hold; below what their 16-bit counts can say.
const ENTRIES_MAX: usize = (u16::MAX as usize - FIXED) / ENTRY;
