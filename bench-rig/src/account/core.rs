//! The times of one core: how long it was idle, and how long it was kept from running.

use std::fs;
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::AccountError;
use crate::netns::bench::pin_this_thread;

/// What a core's clocks show.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreTimes {
    /// When they were looked at, on the monotonic clock.
    pub(super) at: Duration,
    /// Time without anything to run since boot, waiting for disks included.
    pub(super) idle: Duration,
    /// Time stolen since boot.
    pub(super) stolen: Duration,
}

impl CoreTimes {
    /// Looks at them, from the core itself: the idle time that the kernel shows ends with the last
    /// time the core woke, and a core that looks is awake. The look costs it some 100 microseconds.
    pub(super) fn now(core: usize) -> Result<Self, AccountError> {
        let look = move || {
            pin_this_thread(core)?;
            let stat = read("/proc/stat")?;
            let stat = Stat::parse(&stat, core).ok_or_else(|| untold(&stat))?;
            // Nanoseconds, but only for root and not in every container.
            let timers = fs::read_to_string("/proc/timer_list").unwrap_or_default();
            if let Some((at, idle)) = precise(&timers, core) {
                let stolen = stat.stolen;
                return Ok(Self { at, idle, stolen });
            }
            Ok(Self {
                at: monotonic()?,
                idle: stat.idle,
                stolen: stat.stolen,
            })
        };
        thread::scope(|scope| match scope.spawn(look).join() {
            Ok(times) => times,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

/// Time stolen from a core since boot, to 10 ms.
pub(super) fn stolen(core: usize) -> Result<Duration, AccountError> {
    let text = read("/proc/stat")?;
    let stat = Stat::parse(&text, core).ok_or_else(|| untold(&text))?;
    Ok(stat.stolen)
}

/// A core's line in `/proc/stat`.
struct Stat {
    idle: Duration,
    stolen: Duration,
}

impl Stat {
    fn parse(text: &str, core: usize) -> Option<Self> {
        let name = format!("cpu{core} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .map_while(|n| n.parse().ok())
            .collect();
        let time = |field: usize| Some(Duration::from_millis(ticks.get(field)? * TICK_MS));
        Some(Self {
            idle: time(3)? + time(4)?,
            stolen: time(7)?,
        })
    }
}

/// When `/proc/timer_list` was written and how long the core had been idle; none where the kernel
/// keeps no such time.
fn precise(timers: &str, core: usize) -> Option<(Duration, Duration)> {
    let now = timers
        .lines()
        .find_map(|line| line.strip_prefix("now at "))?;
    let head = format!("cpu: {core}");
    let mut lines = timers.lines().skip_while(|line| *line != head);
    let mut field = |name: &str| {
        lines
            .by_ref()
            .find_map(|line| line.trim_start().strip_prefix(name))
            .and_then(|rest| rest.split_once(':'))
            .and_then(|(_, value)| nanoseconds(value))
    };
    field(".nohz ").filter(|nohz| !nohz.is_zero())?;
    let idle = field(".idle_sleeptime")? + field(".iowait_sleeptime")?;
    Some((nanoseconds(now)?, idle))
}

fn nanoseconds(text: &str) -> Option<Duration> {
    let number = text.split_whitespace().next()?;
    Some(Duration::from_nanos(number.parse().ok()?))
}

fn monotonic() -> Result<Duration, AccountError> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
    now.map(Duration::from)
        .map_err(|errno| AccountError::Untold {
            what: "the time",
            said: errno.to_string(),
        })
}

fn read(path: &'static str) -> Result<String, AccountError> {
    fs::read_to_string(path).map_err(|error| AccountError::Untold {
        what: path,
        said: error.to_string(),
    })
}

fn untold(stat: &str) -> AccountError {
    AccountError::Untold {
        what: "the core's times in /proc/stat",
        said: stat.chars().take(200).collect(),
    }
}

/// The unit of `/proc/stat` (`USER_HZ`, the same on every machine).
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: &str = "Timer List Version: v0.10\nnow at 12742280515945 nsecs\n\n\
        cpu: 0\n  .nohz           : 1\n  .idle_sleeptime : 5 nsecs\n  .iowait_sleeptime: 6 nsecs\n\
        cpu: 1\n  .nohz           : 1\n  .idle_sleeptime : 70 nsecs\n  .iowait_sleeptime: 8 nsecs\n";

    #[test]
    fn idle_and_waiting_are_read_for_the_core_that_was_asked_for() {
        let at = Duration::from_nanos(12_742_280_515_945);
        assert_eq!(precise(TIMERS, 1), Some((at, Duration::from_nanos(78))));
        assert_eq!(precise(TIMERS, 0), Some((at, Duration::from_nanos(11))));
        assert_eq!(precise(TIMERS, 2), None);
    }

    #[test]
    fn a_kernel_that_keeps_no_idle_time_is_not_believed() {
        assert_eq!(
            precise(
                &TIMERS.replace(".nohz           : 1", ".nohz           : 0"),
                1
            ),
            None
        );
        assert_eq!(precise("", 1), None);
    }

    #[test]
    fn ticks_are_read_for_the_core_that_was_asked_for() {
        let text =
            "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 3 40 2 6 7 8 0 0\n";
        let stat = Stat::parse(text, 1).unwrap();
        assert_eq!(stat.idle, Duration::from_millis(420));
        assert_eq!(stat.stolen, Duration::from_millis(80));
        assert!(Stat::parse(text, 2).is_none());
    }
}
