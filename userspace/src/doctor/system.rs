//! The kernel and this binary.

use std::path::Path;

use turnpike_dataplane::inspect::Running;
use turnpike_dataplane::loader::{self, LoadError};

use super::{Finding, Verdict, read};

/// The oldest kernel that every program is loaded on.
const FLOOR: (u32, u32) = (6, 1);

pub(super) fn examine() -> Vec<Finding> {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let jit = read("/proc/sys/net/core/bpf_jit_enable");
    vec![
        programs(loader::built()),
        kernel(&release),
        types(Path::new("/sys/kernel/btf/vmlinux").exists()),
        compiler(jit.as_deref()),
    ]
}

fn programs(built: Result<(), &str>) -> Finding {
    let subject = "programs";
    match built {
        Ok(()) => Finding::pass(subject, "part of this binary"),
        Err(missing) => Finding::pass(subject, "not part of this binary")
            .but(Verdict::Fail, format!("when it was built, {missing}"))
            .cured_by("make setup && cargo build --release -p turnpike"),
    }
}

fn kernel(release: &str) -> Finding {
    let finding = Finding::pass("kernel", release);
    let mut parts = release.split(['.', '-']);
    let mut number = || parts.next()?.parse::<u32>().ok();
    match (number(), number()) {
        (Some(major), Some(minor)) if (major, minor) >= FLOOR => finding,
        _ => finding.but(
            Verdict::Fail,
            format!("Linux {}.{} or later is needed", FLOOR.0, FLOOR.1),
        ),
    }
}

fn types(has_btf: bool) -> Finding {
    let subject = "kernel types (BTF)";
    if has_btf {
        Finding::pass(subject, "/sys/kernel/btf/vmlinux")
    } else {
        Finding::pass(subject, "none").but(
            Verdict::Warn,
            "the kernel was built without CONFIG_DEBUG_INFO_BTF; the programs need none of its \
             types, but tools that look at them do",
        )
    }
}

fn compiler(setting: Option<&str>) -> Finding {
    let subject = "compiler of BPF (JIT)";
    match setting {
        Some("1" | "2") => Finding::pass(subject, "on"),
        Some(_) => Finding::pass(subject, "off")
            .but(
                Verdict::Warn,
                "programs are interpreted, several times slower",
            )
            .cured_by("sysctl -w net.core.bpf_jit_enable=1"),
        // Only the first namespace shows it; a kernel without the file has it always on.
        None => Finding::pass(subject, "not shown here"),
    }
}

/// Whether this kernel runs the programs.
pub(super) fn trial(proven: Result<(), LoadError>) -> Finding {
    let subject = "self-test";
    match proven {
        Ok(()) => Finding::pass(subject, "the programs relay a packet, on no device"),
        Err(error) => Finding::pass(subject, "not relayed").but(Verdict::Fail, error.to_string()),
    }
}

/// Whether drivers leave room for headers: only packets that came can tell, of a relay that runs here.
pub(super) fn room(running: Result<Option<Running>, LoadError>) -> Option<Finding> {
    Some(headroom(running.ok()??.short_of_room()))
}

fn headroom(short: u64) -> Finding {
    let found = format!("{short} packets of the running relay had too little");
    let finding = Finding::pass("headroom", found);
    if short == 0 {
        return finding;
    }
    finding.but(
        Verdict::Warn,
        "a driver leaves no room before or behind packets, so that headers do not fit: they take the \
         slow lane, or are dropped; turnpike_xdp_packets_total counts both as no_headroom and \
         no_tailroom",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_before_the_floor_fails() {
        assert_eq!(kernel("6.1.0-18-amd64").verdict, Verdict::Pass);
        assert_eq!(kernel("6.18.5").verdict, Verdict::Pass);
        assert_eq!(kernel("10.0").verdict, Verdict::Pass);
        for old in ["6.0.19", "5.15.0-91-generic", "nonsense", ""] {
            assert_eq!(kernel(old).verdict, Verdict::Fail, "{old}");
        }
    }

    #[test]
    fn compiler_that_is_off_is_told_with_the_command_that_switches_it_on() {
        assert_eq!(compiler(Some("1")).verdict, Verdict::Pass);
        let off = compiler(Some("0"));
        assert_eq!(off.verdict, Verdict::Warn);
        assert!(off.cure.unwrap().contains("bpf_jit_enable=1"));
    }

    #[test]
    fn packets_without_room_are_told() {
        assert_eq!(headroom(0).verdict, Verdict::Pass);
        let short = headroom(7);
        assert_eq!(short.verdict, Verdict::Warn);
        assert!(short.found.starts_with("7 packets"));
    }

    #[test]
    fn binary_without_programs_fails_with_the_reason() {
        let finding = programs(Err("bpf-linker is not installed"));
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.why.unwrap().contains("bpf-linker"));
    }
}
