//! A token bucket that several lanes draw on at once, each on its own thread: no lock, and no two of
//! them take the same token.
//!
//! Not fairness: lanes that want the last token race for it. Kept as the generic cell rate algorithm
//! does (ITU-T I.371): for packets and for bytes, the time at which the bucket will be full.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{RateLimit, Timestamp};

/// The state of one [`RateLimit`] that is shared; holds at most one second of it.
///
/// Costs are rounded up to the nanosecond, where [`TokenBucket`](crate::TokenBucket) is exact.
#[derive(Debug, Default)]
pub struct SharedBucket {
    packets_full_at: AtomicU64,
    bytes_full_at: AtomicU64,
}

impl SharedBucket {
    /// Takes out all that is there; a second later it is full.
    pub fn empty(&self, limit: &RateLimit, now: Timestamp) {
        let packets = Level::of_packets(limit).map_or(0, |level| level.full);
        let full_at = |after: u64| now.as_nanos().saturating_add(after);
        self.packets_full_at
            .store(full_at(packets), Ordering::Relaxed);
        self.bytes_full_at.store(full_at(SECOND), Ordering::Relaxed);
    }

    /// Takes one packet of `bytes` if both levels allow it, or takes nothing and answers `false`.
    ///
    /// A packet larger than one second of `bytes_per_second` never fits.
    pub fn take(&self, limit: &RateLimit, now: Timestamp, bytes: usize) -> bool {
        let packet = Level::of_packets(limit);
        if packet.is_some_and(|level| !level.take(&self.packets_full_at, now)) {
            return false;
        }
        if Level::of_bytes(limit, bytes).is_none_or(|level| level.take(&self.bytes_full_at, now)) {
            return true;
        }
        if let Some(level) = packet {
            self.packets_full_at
                .fetch_sub(level.cost, Ordering::Relaxed);
        }
        false
    }
}

/// What a packet costs and what the bucket holds, both as the nanoseconds that fill them.
#[derive(Clone, Copy)]
struct Level {
    cost: u64,
    full: u64,
}

impl Level {
    fn of_packets(limit: &RateLimit) -> Option<Self> {
        let rate = u64::from(limit.packets_per_second?);
        let cost = fill_time(1, rate);
        // So many whole packets, though each was rounded up.
        let full = cost.saturating_mul(rate);
        Some(Self { cost, full })
    }

    fn of_bytes(limit: &RateLimit, bytes: usize) -> Option<Self> {
        let cost = fill_time(bytes as u64, limit.bytes_per_second?);
        Some(Self { cost, full: SECOND })
    }

    /// A try fails only when another lane's succeeded, so somebody always gets on.
    fn take(self, full_at: &AtomicU64, now: Timestamp) -> bool {
        let now = now.as_nanos();
        let latest = now.saturating_add(self.full);
        let take = |before: u64| {
            let after = before.max(now).checked_add(self.cost)?;
            (after <= latest).then_some(after)
        };
        self.cost == 0
            || full_at
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
    }
}

/// How long it takes until there are so many, rounded up to the nanosecond; for ever at rate 0.
fn fill_time(count: u64, rate: u64) -> u64 {
    match (count, rate) {
        (0, _) => 0,
        (_, 0) => u64::MAX,
        _ => count.saturating_mul(SECOND).div_ceil(rate),
    }
}

/// Nanoseconds; what a bucket holds at most.
const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: RateLimit = RateLimit {
        packets_per_second: Some(10),
        bytes_per_second: Some(1_000),
    };

    const fn packets(count: u32) -> RateLimit {
        RateLimit {
            packets_per_second: Some(count),
            bytes_per_second: None,
        }
    }

    fn emptied(limit: &RateLimit) -> SharedBucket {
        let bucket = SharedBucket::default();
        bucket.empty(limit, Timestamp::ZERO);
        bucket
    }

    fn taken(bucket: &SharedBucket, limit: &RateLimit, now: Timestamp, bytes: usize) -> usize {
        (0..1_000)
            .take_while(|_| bucket.take(limit, now, bytes))
            .count()
    }

    #[test]
    fn emptied_bucket_fills_up_within_a_second_and_holds_no_more() {
        for rate in [1, 3, 7, 10, 999] {
            let bucket = emptied(&packets(rate));
            assert!(!bucket.take(&packets(rate), Timestamp::ZERO, 1));
            let full = Timestamp::from_nanos(SECOND + u64::from(rate));
            assert_eq!(taken(&bucket, &packets(rate), full, 1), rate as usize);
            let later = Timestamp::from_secs(3_600);
            assert_eq!(taken(&bucket, &packets(rate), later, 1), rate as usize);
        }
    }

    #[test]
    fn refills_by_time() {
        let bucket = emptied(&packets(10));
        let at = Timestamp::from_millis;
        assert_eq!(taken(&bucket, &packets(10), at(99), 1), 0);
        assert_eq!(taken(&bucket, &packets(10), at(100), 1), 1);
        assert_eq!(taken(&bucket, &packets(10), at(350), 1), 2);
    }

    #[test]
    fn bytes_and_packets_are_taken_together_or_not_at_all() {
        let bucket = emptied(&BOTH);
        let full = Timestamp::from_secs(1);
        for _ in 0..100 {
            assert!(!bucket.take(&BOTH, full, 1_001));
        }
        assert_eq!(taken(&bucket, &BOTH, full, 100), 10);
        assert!(!bucket.take(&BOTH, full, 0));
    }

    #[test]
    fn rate_of_zero_lets_nothing_through_but_what_costs_nothing() {
        let late = Timestamp::from_secs(3_600);
        let bytes = RateLimit {
            packets_per_second: None,
            bytes_per_second: Some(0),
        };
        assert!(!emptied(&packets(0)).take(&packets(0), late, 1));
        assert!(!emptied(&bytes).take(&bytes, late, 1));
        assert!(emptied(&bytes).take(&bytes, late, 0));
    }

    #[test]
    fn earlier_now_gives_nothing() {
        let bucket = emptied(&packets(10));
        taken(&bucket, &packets(10), Timestamp::from_secs(10), 1);
        assert!(!bucket.take(&packets(10), Timestamp::from_secs(1), 1));
        assert!(!bucket.take(&packets(10), Timestamp::from_secs(10), 1));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let most = RateLimit {
            packets_per_second: Some(u32::MAX),
            bytes_per_second: Some(u64::MAX),
        };
        let bucket = emptied(&most);
        let end = Timestamp::from_nanos(u64::MAX);
        assert!(bucket.take(&most, Timestamp::from_secs(9), usize::MAX));
        assert!(!bucket.take(&BOTH, end, usize::MAX));
        bucket.empty(&most, end);
    }
}
