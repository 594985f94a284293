//! One network device: its driver, what is on it, its queues and its offloads.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use turnpike_dataplane::loader::{self, LoadError};

use super::{Finding, Verdict, Wanted, read};

/// The longest packet that a program without fragments of its own may meet, in bytes: what a page holds
/// beside the headroom and the kernel's notes.
const MTU_MAX: u32 = 3_498;

pub(super) fn examine(name: &str, wanted: &Wanted) -> Vec<Finding> {
    let folder = Path::new("/sys/class/net").join(name);
    let mut findings = vec![attachable(name, loader::look_at(name, wanted.are_named))];
    // Another namespace's devices are not in the files that are mounted here.
    if !folder.exists() {
        return findings;
    }
    findings.push(driver(name, driver_of(&folder).as_deref(), wanted));
    findings.extend(read(folder.join("mtu")).and_then(|text| mtu(name, &text)));
    let queues = fs::read_dir(folder.join("queues")).map_or(0, |entries| {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.starts_with("rx-")).count()
    });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    findings.push(receive_queues(name, queues, cores));
    findings.push(match Command::new("ethtool").args(["-k", name]).output() {
        Ok(output) if output.status.success() => {
            offloads(name, &String::from_utf8_lossy(&output.stdout))
        }
        _ => Finding::pass(format!("{name}: offloads"), "not looked at")
            .but(Verdict::Warn, "ethtool does not tell them")
            .cured_by("apt-get install ethtool"),
    });
    findings
}

fn attachable(name: &str, looked: Result<(), LoadError>) -> Finding {
    let subject = format!("{name}: device");
    match looked {
        Ok(()) => Finding::pass(subject, "there, without an XDP program"),
        Err(error) => Finding::pass(subject, "not usable").but(Verdict::Fail, error.to_string()),
    }
}

/// What a driver is called; a device without one is the kernel's own.
fn driver_of(folder: &Path) -> Option<String> {
    let link = fs::read_link(folder.join("device/driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// Drivers with XDP of their own since the oldest kernel that is supported.
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
    "virtio_net",
];

fn driver(name: &str, driver: Option<&str>, wanted: &Wanted) -> Finding {
    let subject = format!("{name}: driver");
    let Some(driver) = driver else {
        return Finding::pass(subject, "the kernel's own");
    };
    let finding = Finding::pass(subject, driver);
    match driver {
        "gve" => finding.but(
            Verdict::Warn,
            "it leaves two bytes before a packet: what grows at its head takes the slow lane",
        ),
        known if NATIVE.contains(&known) => finding,
        _ if wanted.generic => finding.but(
            Verdict::Warn,
            "not known to have XDP of its own; fast_path.generic lets the kernel run the programs, \
             slower",
        ),
        _ => finding.but(
            Verdict::Warn,
            "not known to have XDP of its own; a start tells. fast_path.generic = true would let the \
             kernel run the programs for it, slower",
        ),
    }
}

fn mtu(name: &str, text: &str) -> Option<Finding> {
    let bytes: u32 = text.parse().ok()?;
    let finding = Finding::pass(format!("{name}: MTU"), text);
    Some(if bytes <= MTU_MAX {
        finding
    } else {
        finding
            .but(
                Verdict::Fail,
                format!("most drivers take no XDP program above {MTU_MAX}"),
            )
            .cured_by(format!("ip link set dev {name} mtu 1500"))
    })
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

/// From what `ethtool -k` prints.
fn offloads(name: &str, text: &str) -> Finding {
    let is_on = |feature: &str| {
        let mut lines = text.lines().filter_map(|line| line.trim().split_once(": "));
        lines.any(|(key, value)| key == feature && value.starts_with("on"))
    };
    let subject = format!("{name}: offloads");
    if is_on("large-receive-offload") {
        return Finding::pass(subject, "large receive offload is on")
            .but(
                Verdict::Fail,
                "the device puts packets together before a program sees them; drivers take none then",
            )
            .cured_by(format!("ethtool -K {name} lro off"));
    }
    if is_on("rx-gro-hw") {
        return Finding::pass(subject, "receive offload in hardware is on")
            .but(
                Verdict::Warn,
                "the device may put packets together before a program sees them",
            )
            .cured_by(format!("ethtool -K {name} rx-gro-hw off"));
    }
    Finding::pass(
        subject,
        "none that changes packets before a program sees them",
    )
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
    fn large_receive_offload_fails_and_checksums_do_not() {
        let text = "Features for eth0:\nrx-checksumming: on\nlarge-receive-offload: on\n";
        let finding = offloads("eth0", text);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.cure.unwrap(), "ethtool -K eth0 lro off");
        let off = "rx-checksumming: on\nlarge-receive-offload: off [fixed]\nrx-gro-hw: off\n";
        assert_eq!(offloads("eth0", off).verdict, Verdict::Pass);
    }

    #[test]
    fn long_packets_fail() {
        assert_eq!(mtu("eth0", "1500").unwrap().verdict, Verdict::Pass);
        assert_eq!(mtu("eth0", "9001").unwrap().verdict, Verdict::Fail);
    }

    #[test]
    fn fewer_queues_than_cores_are_told() {
        assert_eq!(receive_queues("eth0", 4, 4).verdict, Verdict::Pass);
        let few = receive_queues("eth0", 1, 4);
        assert_eq!(few.verdict, Verdict::Warn);
        assert_eq!(few.cure.unwrap(), "ethtool -L eth0 combined 4");
    }

    #[test]
    fn drivers_are_known_or_said_to_be_unknown() {
        assert_eq!(
            driver("eth0", Some("ice"), &wanted(false)).verdict,
            Verdict::Pass
        );
        for generic in [false, true] {
            let unknown = driver("wlan0", Some("iwlwifi"), &wanted(generic));
            assert_eq!(unknown.verdict, Verdict::Warn);
        }
    }
}
