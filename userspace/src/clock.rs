//! The clocks: monotonic time for engines, wall time for credentials that carry a date.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use turnpike_types::Timestamp;

/// `CLOCK_MONOTONIC`, the clock that kernel programs read too.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_nanos(nanos_of(ClockId::CLOCK_MONOTONIC))
}

/// Nanoseconds of a core that the calling thread has used, in user space and in the kernel.
#[must_use]
pub fn thread_nanos() -> u64 {
    nanos_of(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Nanoseconds of all cores that the process has used.
#[must_use]
pub fn process_nanos() -> u64 {
    nanos_of(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Nanoseconds since the host started, those asleep included.
#[must_use]
pub fn boot_nanos() -> u64 {
    nanos_of(ClockId::CLOCK_BOOTTIME)
}

fn nanos_of(clock: ClockId) -> u64 {
    // These clocks exist on every Linux; a zero would only make timers wait.
    let Ok(time) = clock_gettime(clock) else {
        return 0;
    };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
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
