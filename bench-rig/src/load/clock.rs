//! The clocks of stamps and of received frames.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`, the stamps' clock.
#[must_use]
pub fn monotonic() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// By how much `CLOCK_REALTIME`, with which the kernel marks received frames, is ahead of
/// `CLOCK_MONOTONIC`, in nanoseconds. Time servers move it: ask again now and then.
pub(super) fn realtime_lead() -> u64 {
    let before = monotonic();
    let real = read(ClockId::CLOCK_REALTIME);
    let after = monotonic();
    real.saturating_sub(before + (after - before) / 2)
}

fn read(clock: ClockId) -> u64 {
    // Neither clock can fail to be read on Linux.
    clock_gettime(clock).map_or(0, |time| nanoseconds(time.tv_sec(), time.tv_nsec()))
}

fn nanoseconds(seconds: i64, rest: i64) -> u64 {
    seconds.unsigned_abs() * 1_000_000_000 + rest.unsigned_abs()
}
