//! The CPU clocks of processes and of the kernel's threads.

use std::fs;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;

use super::AccountError;

/// The clocks of some processes, in nanoseconds. A process's clock has the time of all its threads,
/// also of those that have ended; of one that runs at this moment up to its last tick.
#[derive(Debug)]
pub(super) struct TaskTimes(Vec<(u32, Duration)>);

impl TaskTimes {
    pub(super) fn of(pids: &[u32]) -> Result<Self, AccountError> {
        let times = pids.iter().map(|pid| Ok((*pid, clock(*pid)?)));
        times.collect::<Result<_, _>>().map(Self)
    }

    /// What has been added to them all.
    pub(super) fn since(&self) -> Result<Duration, AccountError> {
        let added = self.0.iter();
        added
            .map(|(pid, before)| Ok(clock(*pid)?.saturating_sub(*before)))
            .sum()
    }
}

/// The kernel's thread of this name: one, or none where the kernel has no such thread.
pub(super) fn kernel_thread(name: &str) -> Result<Vec<u32>, AccountError> {
    let entries = fs::read_dir("/proc").map_err(|error| AccountError::Untold {
        what: "/proc",
        said: error.to_string(),
    })?;
    let named = entries.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        // The kernel's own threads have no command line.
        let kernel = fs::read(format!("/proc/{pid}/cmdline")).ok()?.is_empty();
        (kernel && comm.trim_end() == name).then_some(pid)
    });
    Ok(named.take(1).collect())
}

fn clock(pid: u32) -> Result<Duration, AccountError> {
    let gone = AccountError::Gone { pid };
    let Ok(raw) = i32::try_from(pid) else {
        return Err(gone);
    };
    ClockId::pid_cpu_clock_id(Pid::from_raw(raw))
        .and_then(ClockId::now)
        .map(Duration::from)
        .map_err(|_| gone)
}
