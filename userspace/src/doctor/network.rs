//! Settings of the network that hold for the whole host.

use std::ops::RangeInclusive;

use super::{Finding, Verdict, Wanted, read};

pub(super) fn examine(wanted: &Wanted) -> Vec<Finding> {
    let range = read("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let reserved = read("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    let mut findings = vec![local_ports(&range, &reserved, &wanted.relay_ports)];
    let everywhere = read("/proc/sys/net/ipv4/conf/all/rp_filter");
    for name in &wanted.devices {
        let here = read(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"));
        findings.extend(return_path(name, everywhere.as_deref(), here.as_deref()));
    }
    findings
}

/// Answers to this host's own requests come to such ports, and would be taken for relayed packets.
fn local_ports(range: &str, reserved: &str, relay: &RangeInclusive<u16>) -> Finding {
    let found = range.split_whitespace().collect::<Vec<_>>().join("-");
    let finding = Finding::pass("ports of this host's own", found.clone());
    let Some((low, high)) = ports(&found) else {
        return finding;
    };
    let overlap = low.max(*relay.start())..=high.min(*relay.end());
    if overlap.is_empty() || reserved.split(',').any(|part| holds(part, &overlap)) {
        return finding;
    }
    let (first, last) = (overlap.start(), overlap.end());
    finding
        .but(
            Verdict::Warn,
            format!(
                "ports {first}-{last} are the relay's too: the kernel may give one to another program \
                 of this host, which then hears nothing: all that comes there is the relay's"
            ),
        )
        .cured_by(format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}"
        ))
}

fn holds(part: &str, range: &RangeInclusive<u16>) -> bool {
    ports(part.trim()).is_some_and(|(low, high)| low <= *range.start() && high >= *range.end())
}

/// `low-high`, or one port.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

/// The kernel takes the greater of the two settings.
fn return_path(name: &str, everywhere: Option<&str>, here: Option<&str>) -> Option<Finding> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u8>().ok());
    let setting = number(everywhere)?.max(number(here)?);
    let finding = Finding::pass(format!("{name}: rp_filter"), setting.to_string());
    Some(match setting {
        1 => finding
            .but(
                Verdict::Warn,
                "packets that would be answered by another device are dropped in the slow lane; the \
                 fast path forwards them. With several devices that is another treatment for one call",
            )
            .cured_by(format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2")),
        _ => finding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: RangeInclusive<u16> = 49_152..=65_535;

    #[test]
    fn ports_that_are_shared_are_told_unless_they_are_kept_for_the_relay() {
        let shared = local_ports("32768\t60999", "", &RELAY);
        assert_eq!(shared.verdict, Verdict::Warn);
        let cure = shared.cure.unwrap();
        assert!(cure.ends_with("=49152-60999"), "{cure}");
        for (range, reserved) in [
            ("32768\t49151", ""),
            ("32768\t60999", "49152-60999"),
            ("32768\t60999", "80,49152-65535"),
        ] {
            let finding = local_ports(range, reserved, &RELAY);
            assert_eq!(finding.verdict, Verdict::Pass, "{range} {reserved}");
        }
    }

    #[test]
    fn strict_return_path_is_told_with_the_device() {
        let strict = return_path("eth0", Some("0"), Some("1")).unwrap();
        assert_eq!(strict.verdict, Verdict::Warn);
        assert!(strict.cure.unwrap().contains("eth0"));
        let loose = return_path("eth0", Some("2"), Some("1")).unwrap();
        assert_eq!(loose.verdict, Verdict::Pass);
        assert_eq!(return_path("eth0", Some("1"), None), None, "no IPv4");
    }
}
