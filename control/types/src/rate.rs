//! Token buckets that any lane can apply: packets and bytes a second.
//!
//! Not a scheduler: a packet either fits now or is dropped and counted. Time is the caller's.

use crate::Timestamp;

/// Packets and bytes a second; `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Packets a second, both directions together.
    pub packets_per_second: Option<u32>,
    /// Payload bytes a second, both directions together.
    pub bytes_per_second: Option<u64>,
}

impl RateLimit {
    /// No limit at all.
    pub const UNLIMITED: Self = Self {
        packets_per_second: None,
        bytes_per_second: None,
    };

    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.packets_per_second.is_none() && self.bytes_per_second.is_none()
    }
}

/// The state of one [`RateLimit`]: two levels, filled by time, each holding at most one second.
///
/// Levels are kept in units of 1/10^9 token, so no rate loses precision to rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBucket {
    packets: u64,
    bytes: u128,
    filled_at: Timestamp,
}

impl TokenBucket {
    const UNIT: u64 = 1_000_000_000;

    /// An empty bucket, which fills up within a second.
    ///
    /// It does not start full, or whoever makes and frees allocations in turn would get a second's
    /// worth each time.
    #[must_use]
    pub const fn empty(now: Timestamp) -> Self {
        Self {
            packets: 0,
            bytes: 0,
            filled_at: now,
        }
    }

    /// Takes one packet of `bytes` if both levels allow it, or takes nothing and answers `false`.
    ///
    /// A packet larger than one second of `bytes_per_second` never fits.
    pub fn take(&mut self, limit: &RateLimit, now: Timestamp, bytes: usize) -> bool {
        if limit.is_unlimited() {
            return true;
        }
        self.refill(limit, now);
        let packet_cost = if limit.packets_per_second.is_some() {
            Self::UNIT
        } else {
            0
        };
        let byte_cost = match limit.bytes_per_second {
            Some(_) => (bytes as u128) * u128::from(Self::UNIT),
            None => 0,
        };
        if self.packets < packet_cost || self.bytes < byte_cost {
            return false;
        }
        self.packets -= packet_cost;
        self.bytes -= byte_cost;
        true
    }

    fn refill(&mut self, limit: &RateLimit, now: Timestamp) {
        // One second fills any bucket, so longer gaps need no wider arithmetic.
        let elapsed_ns = u64::try_from(now.since(self.filled_at).as_nanos())
            .unwrap_or(u64::MAX)
            .min(Self::UNIT);
        self.filled_at = self.filled_at.max(now);
        let packets_rate = u64::from(limit.packets_per_second.unwrap_or(0));
        self.packets = self
            .packets
            .saturating_add(packets_rate * elapsed_ns)
            .min(Self::packets_cap(limit));
        let bytes_rate = u128::from(limit.bytes_per_second.unwrap_or(0));
        self.bytes = self
            .bytes
            .saturating_add(bytes_rate * u128::from(elapsed_ns))
            .min(Self::bytes_cap(limit));
    }

    fn packets_cap(limit: &RateLimit) -> u64 {
        u64::from(limit.packets_per_second.unwrap_or(0)) * Self::UNIT
    }

    fn bytes_cap(limit: &RateLimit) -> u128 {
        u128::from(limit.bytes_per_second.unwrap_or(0)) * u128::from(Self::UNIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_PACKETS: RateLimit = RateLimit {
        packets_per_second: Some(10),
        bytes_per_second: None,
    };

    fn taken(bucket: &mut TokenBucket, limit: &RateLimit, now: Timestamp, bytes: usize) -> usize {
        (0..1_000)
            .take_while(|_| bucket.take(limit, now, bytes))
            .count()
    }

    #[test]
    fn bucket_starts_empty_and_holds_one_second() {
        let mut bucket = TokenBucket::empty(Timestamp::ZERO);
        assert!(!bucket.take(&TEN_PACKETS, Timestamp::ZERO, 1));
        assert_eq!(
            taken(&mut bucket, &TEN_PACKETS, Timestamp::from_secs(9), 9_999),
            10
        );
    }

    #[test]
    fn refills_by_time_and_never_above_one_second() {
        let mut bucket = TokenBucket::empty(Timestamp::ZERO);
        assert_eq!(
            taken(&mut bucket, &TEN_PACKETS, Timestamp::from_millis(99), 1),
            0
        );
        assert_eq!(
            taken(&mut bucket, &TEN_PACKETS, Timestamp::from_millis(100), 1),
            1
        );
        assert_eq!(
            taken(&mut bucket, &TEN_PACKETS, Timestamp::from_secs(3_600), 1),
            10
        );
    }

    #[test]
    fn bytes_and_packets_are_taken_together_or_not_at_all() {
        let limit = RateLimit {
            packets_per_second: Some(10),
            bytes_per_second: Some(1_000),
        };
        let full = Timestamp::from_secs(1);
        let mut bucket = TokenBucket::empty(Timestamp::ZERO);
        assert!(!bucket.take(&limit, full, 1_001));
        assert_eq!(taken(&mut bucket, &limit, full, 100), 10);
    }

    #[test]
    fn earlier_now_gives_nothing() {
        let mut bucket = TokenBucket::empty(Timestamp::from_secs(9));
        taken(&mut bucket, &TEN_PACKETS, Timestamp::from_secs(10), 1);
        assert!(!bucket.take(&TEN_PACKETS, Timestamp::from_secs(1), 1));
        assert!(!bucket.take(&TEN_PACKETS, Timestamp::from_secs(10), 1));
    }
}
