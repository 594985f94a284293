//! Buckets of a log-linear histogram of nanoseconds: 64 to each doubling, so a bucket is at most
//! 1.6 % wide. Bounded: from one minute on everything is in the last bucket.

/// Number of buckets.
pub const BUCKETS: u32 = bucket(LAST) + 1;

/// The bucket of a latency in nanoseconds; always below [`BUCKETS`].
#[inline(always)]
#[must_use]
pub const fn bucket(nanoseconds: u64) -> u32 {
    let value = if nanoseconds > LAST {
        LAST
    } else {
        nanoseconds
    };
    if value < 2 * PER_DOUBLING {
        return value as u32;
    }
    let shift = 63 - value.leading_zeros() - PER_DOUBLING.ilog2();
    shift * PER_DOUBLING as u32 + (value >> shift) as u32
}

/// The middle of a bucket, in nanoseconds.
#[must_use]
pub const fn middle(bucket: u32) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * PER_DOUBLING {
        return bucket;
    }
    let shift = bucket / PER_DOUBLING - 1;
    let low = (bucket - shift * PER_DOUBLING) << shift;
    low + (1 << shift) / 2
}

const PER_DOUBLING: u64 = 64;

/// The end of the scale: 2^36 ns, more than a minute.
const LAST: u64 = (1 << 36) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_the_bucket_whose_middle_is_within_one_percent() {
        let mut nanoseconds = 0;
        while nanoseconds < LAST {
            let middle = middle(bucket(nanoseconds));
            assert!(
                middle.abs_diff(nanoseconds) * 100 <= nanoseconds,
                "{nanoseconds} is put to {middle}"
            );
            nanoseconds += 1 + nanoseconds / 1000;
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for number in 0..BUCKETS {
            assert_eq!(bucket(middle(number)), number);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
