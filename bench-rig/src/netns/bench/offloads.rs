//! What the devices at the ends of a wire do for a sender, and what they leave to it.
//!
//! A veth may hand on packets with half-made checksums and super-packets that were never cut up:
//! work that some machine has to do, and here nobody would. All subjects have the same:
//!
//! | feature | is | because |
//! |---|---|---|
//! | `tx` (checksums) | off | the sender makes whole sums, as it must for a wire; a raw receiver checks them |
//! | `tso` | off | goes with `tx`; and only a veth without it sends through the far end's NAPI |
//! | `tx-udp-segmentation` | off | a super-packet of `UDP_SEGMENT` is cut up by the kernel on the relay's core |
//! | `gso` | on | that cutting up happens late, once through the stack: what every kernel does |
//! | `gro` | on | makes the NAPI that can have a thread; sockets may ask for `UDP_GRO` |
//! | `rx-gro-list`, `rx-udp-gro-forwarding` | off | merge what nobody asked to have merged |

use super::{Host, NetnsError};

/// Names for setting, as listed, and the state of each.
const FEATURES: [(&str, &str, bool); 7] = [
    ("tx", "tx-checksumming", false),
    ("tso", "tcp-segmentation-offload", false),
    ("tx-udp-segmentation", "tx-udp-segmentation", false),
    ("gso", "generic-segmentation-offload", true),
    ("gro", "generic-receive-offload", true),
    ("rx-gro-list", "rx-gro-list", false),
    ("rx-udp-gro-forwarding", "rx-udp-gro-forwarding", false),
];

/// Sets them on a device.
pub(super) fn set(host: &Host, device: &str) -> Result<(), NetnsError> {
    let mut args = vec!["-K", device];
    for (name, _, on) in FEATURES {
        args.extend([name, state(on)]);
    }
    host.run("ethtool", args).map(drop)
}

/// Asks the device whether they are so.
pub(super) fn check(host: &Host, device: &str) -> Result<(), NetnsError> {
    let listed = host.run("ethtool", ["-k", device])?;
    for (_, name, on) in FEATURES {
        if !has(&listed, name, on) {
            return Err(NetnsError::broken(format!(
                "{name} of {device} on {} is not {}",
                host.name(),
                state(on)
            )));
        }
    }
    Ok(())
}

/// A feature that the device does not know at all counts as off.
fn has(listed: &str, name: &str, on: bool) -> bool {
    let value = listed.lines().find_map(|line| {
        let (key, value) = line.trim().split_once(':')?;
        (key == name).then(|| value.trim())
    });
    value.is_some_and(|value| value.starts_with("on")) == on
}

fn state(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str =
        "Features for eth0:\ntx-checksumming: off\n\ttx-udp-segmentation: on [fixed]\n";

    #[test]
    fn states_are_read_from_what_ethtool_lists() {
        assert!(has(LISTED, "tx-checksumming", false));
        assert!(!has(LISTED, "tx-checksumming", true));
        assert!(has(LISTED, "tx-udp-segmentation", true));
        assert!(has(LISTED, "unheard-of", false));
    }
}
