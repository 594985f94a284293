//! Time as a plain number that comes in from outside.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// Nanoseconds of a monotonic clock whose zero is the caller's affair.
///
/// With `CLOCK_MONOTONIC` it compares directly with what a BPF program reads, and fits in a map
/// value. It is not wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);

    /// The last instant that can be named; used for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// Wraps a count of nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Wraps a count of milliseconds, saturating.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Wraps a count of seconds, saturating.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the clock's zero.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the clock's zero.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09}s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}

/// When an engine wants `handle_timeout` called, and on whose behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The instant; calling earlier does no harm, calling later makes timers late.
    pub at: Timestamp,
    /// What is waiting, so that "why did it wake?" has an answer.
    pub reason: DeadlineReason,
}

/// What a [`Deadline`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadlineReason {
    /// An allocation, permission, channel binding or reservation comes to its end, or a message's
    /// lifetime.
    Expiry,
    /// The nonce keys change.
    NonceKey,
    /// A request is sent again or given up (RFC 8489 section 6.2.1).
    Retransmission,
    /// A client refreshes what it holds before it lapses.
    Refresh,
    /// Work that was cut short by its bound goes on.
    Continuation,
    /// A delayed acknowledgement is due (RFC 9260 section 6.2).
    Acknowledgement,
    /// The pace allows the next packet.
    Pacing,
    /// An idle path is probed (RFC 9260 section 8.3).
    Heartbeat,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_saturates_at_never() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO + Duration::MAX, Timestamp::MAX);
    }

    #[test]
    fn since_a_later_instant_is_zero() {
        assert_eq!(
            Timestamp::from_secs(1).since(Timestamp::from_secs(2)),
            Duration::ZERO
        );
    }
}
