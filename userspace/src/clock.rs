//! The clocks: monotonic time for engines, wall time for credentials that carry a date.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use turnpike_types::Timestamp;

/// `CLOCK_MONOTONIC`, the clock that kernel programs read too.
#[must_use]
pub fn now() -> Timestamp {
    // The clock exists on every Linux; a zero would only make timers wait.
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
        return Timestamp::ZERO;
    };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Seconds since 1970; zero before.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_does_not_go_back() {
        let before = now();
        assert!(before > Timestamp::ZERO);
        assert!(now() >= before);
    }
}
