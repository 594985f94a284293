//! One network device: its driver, what is on it, its queues and its offloads.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use turnpike_dataplane::driver::Features;
use turnpike_dataplane::inspect::Running;
use turnpike_dataplane::loader::{self, LoadError};

use super::{Finding, Verdict, Wanted};

/// The longest packet that a program without fragments of its own may meet, in bytes: what a page holds
/// beside the headroom and the kernel's notes.
const MTU_MAX: u32 = 3_498;

pub(super) fn examine(name: &str, wanted: &Wanted) -> Vec<Finding> {
    let running = Running::on(&[name.to_owned()]);
    let mut findings = vec![if matches!(running, Ok(Some(_))) {
        Finding::pass(
            format!("{name}: device"),
            "the relay that runs here is on it",
        )
    } else {
        attachable(name, loader::look_at(name, wanted.are_named))
    }];
    let Some((longest, is_veth)) = loader::shape(name) else {
        return findings;
    };
    let told = |what: &str| tell(what, name);
    let driver = told("-i").and_then(|text| value_of(&text, "driver").map(str::to_owned));
    findings.push(xdp(name, driver.as_deref(), Features::of(name), wanted));
    findings.push(mtu(name, longest));
    // Another namespace's devices are not in the files that are mounted here.
    if let Ok(entries) = fs::read_dir(Path::new("/sys/class/net").join(name).join("queues")) {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let queues = names.filter(|name| name.starts_with("rx-")).count();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        findings.push(receive_queues(name, queues, cores));
    }
    findings.push(told("-k").map_or_else(
        || {
            Finding::pass(format!("{name}: offloads"), "not looked at")
                .but(Verdict::Warn, "ethtool does not tell them")
                .cured_by("apt-get install ethtool")
        },
        |text| offloads(name, &text, wanted.generic),
    ));
    if is_veth {
        findings.push(half_made_checksums(name));
    }
    findings
}

/// What `ethtool` prints of a device.
fn tell(what: &str, name: &str) -> Option<String> {
    let output = Command::new("ethtool").args([what, name]).output().ok()?;
    let is_told = output.status.success();
    is_told.then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What stands behind `key: `.
fn value_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(": "));
    lines.find_map(|(it, value)| (it == key).then_some(value))
}

fn attachable(name: &str, looked: Result<(), LoadError>) -> Finding {
    let subject = format!("{name}: device");
    match looked {
        Ok(()) => Finding::pass(subject, "there, without an XDP program"),
        Err(error) => Finding::pass(subject, "not usable").but(Verdict::Fail, error.to_string()),
    }
}

/// Drivers with XDP of their own since the oldest kernel that is supported, for kernels that do not say.
const NATIVE: &[&str] = &[
    "bnxt_en",
    "ena",
    "fsl_dpaa2_eth",
    "gve",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "mana",
    "mlx4_core",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "nfp",
    "qede",
    "sfc",
    "stmmac",
    "tsnep",
    "veth",
    "virtio_net",
];

/// Whether the programs run in the driver: by its own word, which kernels from 6.3 pass on, or because
/// it is known to have XDP.
fn xdp(name: &str, driver: Option<&str>, features: Option<Features>, wanted: &Wanted) -> Finding {
    let driver = driver.unwrap_or("unknown driver");
    let is_able = features.map_or_else(|| NATIVE.contains(&driver), Features::runs_programs);
    let found = match features {
        Some(features) => format!("{driver}: {}", in_words(features)),
        None => format!("{driver}; this kernel does not tell what its XDP can do"),
    };
    let finding = Finding::pass(format!("{name}: XDP"), found);
    if driver == "gve" {
        return finding.but(
            Verdict::Warn,
            "it leaves two bytes before a packet: what grows at its head takes the slow lane",
        );
    }
    if !is_able && wanted.generic {
        return finding.but(
            Verdict::Warn,
            "the driver does not run programs; fast_path.generic lets the kernel do it, slower",
        );
    }
    if !is_able {
        let (verdict, why) = match features {
            Some(_) => (
                Verdict::Fail,
                "the driver does not run programs; the kernel could, slower",
            ),
            None => (
                Verdict::Warn,
                "not known to run programs: a start tells; the kernel could, slower",
            ),
        };
        return finding
            .but(verdict, why)
            .cured_by("set fast_path.generic = true");
    }
    if features.is_some_and(|it| !it.redirects()) && wanted.devices.len() > 1 {
        return finding.but(
            Verdict::Warn,
            "packets that come by it cannot leave by another device: they take the slow lane",
        );
    }
    finding
}

/// What a driver's XDP can do.
fn in_words(features: Features) -> String {
    let words = [
        (features.runs_programs(), "runs programs"),
        (features.redirects(), "sends to other devices"),
        (features.takes_redirected(), "takes what others send"),
    ];
    let able: Vec<&str> = words
        .into_iter()
        .filter_map(|(is_able, word)| is_able.then_some(word))
        .collect();
    if able.is_empty() {
        "no XDP of its own".to_owned()
    } else {
        able.join(", ")
    }
}

fn mtu(name: &str, bytes: u32) -> Finding {
    let finding = Finding::pass(format!("{name}: MTU"), bytes.to_string());
    if bytes <= MTU_MAX {
        return finding;
    }
    finding
        .but(
            Verdict::Fail,
            format!("most drivers take no XDP program above {MTU_MAX}"),
        )
        .cured_by(format!("ip link set dev {name} mtu 1500"))
}

fn receive_queues(name: &str, queues: usize, cores: usize) -> Finding {
    let finding = Finding::pass(
        format!("{name}: queues"),
        format!("{queues} to receive, {cores} cores"),
    );
    if queues >= cores {
        return finding;
    }
    finding
        .but(
            Verdict::Warn,
            "a core relays what its queue brings: cores without a queue do not help",
        )
        .cured_by(format!("ethtool -L {name} combined {cores}"))
}

/// From what `ethtool -k` prints. Those of the kernel run behind a driver's programs, but before
/// programs that the kernel runs.
fn offloads(name: &str, text: &str, generic: bool) -> Finding {
    let subject = format!("{name}: offloads");
    let is_on = |feature: &&str| value_of(text, feature).is_some_and(|it| it.starts_with("on"));
    if is_on(&"large-receive-offload") {
        return Finding::pass(subject, "large receive offload is on")
            .but(
                Verdict::Fail,
                "the device puts packets together before a program sees them; drivers take none then",
            )
            .cured_by(format!("ethtool -K {name} lro off"));
    }
    let joins = ["rx-gro-hw", "rx-gro-list", "rx-udp-gro-forwarding"];
    let of_device = joins.get(..1).unwrap_or(&joins);
    let joins = if generic { &joins } else { of_device };
    if let Some(feature) = joins.iter().find(|it| is_on(it)) {
        return Finding::pass(subject, format!("{feature} is on"))
            .but(
                Verdict::Warn,
                "packets may be put together before a program sees them",
            )
            .cured_by(format!("ethtool -K {name} {feature} off"));
    }
    Finding::pass(
        subject,
        "none that changes packets before a program sees them",
    )
}

/// A veth carries packets as their sender's kernel made them: checksums half made, for a device to
/// finish. The programs correct what they find, and such a packet arrives broken.
fn half_made_checksums(name: &str) -> Finding {
    Finding::pass(format!("{name}: checksums"), "a veth")
        .but(
            Verdict::Warn,
            "packets that its far end's host makes itself have half-made checksums, and are thrown away \
             by their receivers, unless that host is told to finish them",
        )
        .cured_by("ethtool -K DEVICE tx off, on the host of the far end and with its device")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(generic: bool) -> Wanted {
        Wanted {
            devices: vec!["eth0".to_owned()],
            are_named: true,
            generic,
            relay_ports: 49_152..=65_535,
        }
    }

    #[test]
    fn offloads_that_join_packets_are_told_and_checksums_are_not() {
        let text = "Features for eth0:\nrx-checksumming: on\nlarge-receive-offload: on\n";
        let finding = offloads("eth0", text, false);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.cure.unwrap(), "ethtool -K eth0 lro off");
        let joined = "rx-gro-list: on\nlarge-receive-offload: off\n";
        assert_eq!(offloads("eth0", joined, false).verdict, Verdict::Pass);
        let finding = offloads("eth0", joined, true);
        assert_eq!(finding.verdict, Verdict::Warn);
        assert_eq!(finding.cure.unwrap(), "ethtool -K eth0 rx-gro-list off");
        let off = "rx-checksumming: on\nlarge-receive-offload: off [fixed]\nrx-gro-hw: off\n";
        assert_eq!(offloads("eth0", off, true).verdict, Verdict::Pass);
    }

    #[test]
    fn long_packets_fail() {
        assert_eq!(mtu("eth0", 1_500).verdict, Verdict::Pass);
        assert_eq!(mtu("eth0", 9_001).verdict, Verdict::Fail);
    }

    #[test]
    fn fewer_queues_than_cores_are_told() {
        assert_eq!(receive_queues("eth0", 4, 4).verdict, Verdict::Pass);
        let few = receive_queues("eth0", 1, 4);
        assert_eq!(few.verdict, Verdict::Warn);
        assert_eq!(few.cure.unwrap(), "ethtool -L eth0 combined 4");
    }

    #[test]
    fn driver_that_is_not_known_to_have_xdp_is_told() {
        let verdict = |driver, generic| xdp("eth0", Some(driver), None, &wanted(generic)).verdict;
        assert_eq!(verdict("ice", false), Verdict::Pass);
        assert_eq!(verdict("gve", false), Verdict::Warn, "little room");
        assert_eq!(verdict("iwlwifi", false), Verdict::Warn, "a start tells");
        assert_eq!(verdict("iwlwifi", true), Verdict::Warn);
    }
}
