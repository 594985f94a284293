//! What the kernel knows of this process, under the names that every exporter gives it.

use std::fmt;
use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use prometheus_client::encoding::DescriptorEncoder;

use super::exposition::Family;
use crate::clock;

/// Clock ticks a second in `/proc`, on every architecture.
const TICKS_PER_SECOND: u64 = 100;

pub(super) fn write(out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    Family::counter("process_cpu", "Time of cores used")
        .in_unit("seconds")
        .write(out, |it| it.add_nanos(&[], clock::process_nanos()))?;
    optional(
        out,
        Family::gauge("process_resident_memory", "Resident memory").in_unit("bytes"),
        resident_bytes(),
    )?;
    optional(
        out,
        Family::gauge("process_open_fds", "Open descriptors"),
        open_descriptors(),
    )?;
    optional(
        out,
        Family::gauge("process_max_fds", "Descriptors that may be open"),
        getrlimit(Resource::RLIMIT_NOFILE)
            .ok()
            .map(|(soft, _)| soft),
    )?;
    optional(
        out,
        Family::gauge("process_start_time", "When the process began").in_unit("seconds"),
        start_time(),
    )
}

/// What the kernel did not say is left out.
fn optional(out: &mut DescriptorEncoder<'_>, family: Family, value: Option<u64>) -> fmt::Result {
    match value {
        Some(value) => family.write(out, |it| it.add(&[], value)),
        None => Ok(()),
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1_024)
}

/// The folder's length is the count since Linux 6.2; counting them takes longer.
fn open_descriptors() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        0 => Some(fs::read_dir(FOLDER).ok()?.count() as u64),
        count => Some(count),
    }
}

/// Seconds since 1970.
fn start_time() -> Option<u64> {
    // The name before may hold anything, but ends with the last bracket.
    const STARTED: usize = 19;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: u64 = after_name.split_whitespace().nth(STARTED)?.parse().ok()?;
    let since_boot = clock::boot_nanos() / 1_000_000_000;
    let age = since_boot.saturating_sub(ticks / TICKS_PER_SECOND);
    Some(clock::unix_seconds().saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_tells_of_this_process() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(open_descriptors().unwrap() >= 3);
        let now = clock::unix_seconds();
        let started = start_time().unwrap();
        assert!(started <= now && started + 3_600 > now, "{started} {now}");
    }
}
