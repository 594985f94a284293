//! Where a fragment belongs, and numbers counted on beyond the wire's bits.

use crate::{StreamId, Tsn};

/// Where a fragment is. With DATA only the last field differs, and is the TSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) is_unordered: bool,
    pub(super) message: u32,
    pub(super) fragment: u64,
}

impl Place {
    pub(super) const FIRST: Self = Self {
        stream: StreamId(0),
        is_unordered: false,
        message: 0,
        fragment: 0,
    };

    pub(super) const LAST: Self = Self {
        stream: StreamId(u16::MAX),
        is_unordered: true,
        message: u32::MAX,
        fragment: u64::MAX,
    };

    /// The first and the last place of a range of messages.
    pub(super) const fn range_of(
        stream: StreamId,
        is_unordered: bool,
        first: u32,
        last: u32,
    ) -> (Self, Self) {
        let from = Self {
            stream,
            is_unordered,
            message: first,
            fragment: 0,
        };
        let to = Self {
            message: last,
            fragment: u64::MAX,
            ..from
        };
        (from, to)
    }

    pub(super) fn is_same_message(self, other: Self) -> bool {
        (self.stream, self.is_unordered, self.message)
            == (other.stream, other.is_unordered, other.message)
    }
}

/// A TSN's number, far enough from zero that earlier TSNs have one too.
pub(super) fn number_of(tsn: Tsn) -> u64 {
    (1 << 32) + u64::from(tsn.0)
}

/// The number nearest to `base` whose low 32 bits are `low`.
pub(super) fn unwrap(base: u64, low: u32) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    let ahead = low.wrapping_sub(base as u32).cast_signed();
    base.saturating_add_signed(ahead.into())
}
