//! What the run ran on. Figures of two machines are not to be compared, and this says which it was.

use std::fs;

use serde::{Deserialize, Serialize};

/// A machine as far as figures depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many cores the system has.
    pub cores: usize,
    /// Memory, bytes.
    pub memory: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Whether this is a guest of another machine, as far as the processor says.
    pub guest: bool,
    /// What the kernel does about faults of the processor, as `fault: what is done`; only those that
    /// it has.
    pub mitigations: Vec<String>,
}

impl Machine {
    /// This machine. What cannot be read is named "unknown" or left empty.
    #[must_use]
    pub fn of_this() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        Self {
            cpu: field(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            memory: memory(&read("/proc/meminfo")).unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            guest: field(&cpuinfo, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            mitigations: mitigations(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first `name : value` of a text of /proc.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

fn memory(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal")?
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    kib.checked_mul(1024)
}

fn mitigations() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return Vec::new();
    };
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let says = fs::read_to_string(entry.path()).ok()?;
            let says = says.trim();
            (says != "Not affected").then(|| format!("{}: {says}", entry.file_name().display()))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_processor_and_the_memory() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some Processor @ 2 GHz\nflags\t\t: fpu hypervisor\n";
        assert_eq!(
            field(cpuinfo, "model name").as_deref(),
            Some("Some Processor @ 2 GHz")
        );
        assert_eq!(
            memory("MemTotal:       16 kB\nMemFree: 1 kB\n"),
            Some(16_384)
        );
    }

    #[test]
    fn this_machine_has_a_kernel_and_cores() {
        let machine = Machine::of_this();
        assert!(machine.cores > 0 && machine.memory > 0 && !machine.kernel.is_empty());
    }
}
