//! Where on the hosts packets were lost, by the kernel's own counters: what a tally's loss came from.

use std::fs;
use std::ops::Sub;

use super::{CLIENT_DEVICE, FAR_DEVICE, Host, Hosts, NetnsError, PEER_DEVICE};

/// Packets that the kernel has dropped since the hosts were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// On the way to the relay: the ring of its device was full, for its core had no time to empty
    /// it. As with a network card, that is the relay's loss.
    pub before_relay: u64,
    /// At the relay's sockets: their receive or send buffers were full. The relay's loss.
    pub at_sockets: u64,
    /// On the way from the relay: the ring of a far end was full. The rig's own loss: a trial that has
    /// it says nothing about a relay.
    pub after_relay: u64,
}

impl Sub for Drops {
    type Output = Self;

    /// What has come since an earlier reading.
    fn sub(self, earlier: Self) -> Self {
        let since = |now: u64, then: u64| now.saturating_sub(then);
        Self {
            before_relay: since(self.before_relay, earlier.before_relay),
            at_sockets: since(self.at_sockets, earlier.at_sockets),
            after_relay: since(self.after_relay, earlier.after_relay),
        }
    }
}

/// Reads the counters. A veth counts a packet that the other end's ring has no room for as one that
/// it failed to send.
pub(super) fn drops(hosts: &Hosts) -> Result<Drops, NetnsError> {
    let mut drops = Drops::default();
    for host in [&hosts.client, &hosts.peer] {
        drops.before_relay += not_sent(&read(host, "dev")?, FAR_DEVICE);
    }
    let relay = read(&hosts.relay, "dev")?;
    for device in [CLIENT_DEVICE, PEER_DEVICE] {
        drops.after_relay += not_sent(&relay, device);
    }
    drops.at_sockets += full_v4(&read(&hosts.relay, "snmp")?);
    drops.at_sockets += full_v6(&read(&hosts.relay, "snmp6")?);
    Ok(drops)
}

/// A file of `/proc/net`, whose namespace goes by the thread that reads it.
fn read(host: &Host, name: &str) -> Result<String, NetnsError> {
    let path = format!("/proc/thread-self/net/{name}");
    host.enter(|| fs::read_to_string(&path))?
        .map_err(NetnsError::system(format!("reading {path}")))
}

/// The twelfth number behind a device's name in `/proc/net/dev`.
fn not_sent(dev: &str, device: &str) -> u64 {
    dev.lines()
        .filter_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'))
        .filter_map(|numbers| numbers.split_whitespace().nth(11)?.parse::<u64>().ok())
        .sum()
}

/// The numbers below the names of full buffers, in the two lines on UDP of `/proc/net/snmp`.
fn full_v4(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else {
        return 0;
    };
    names
        .split_whitespace()
        .zip(numbers.split_whitespace())
        .filter(|(name, _)| FULL.contains(name))
        .filter_map(|(_, number)| number.parse::<u64>().ok())
        .sum()
}

/// The same in `/proc/net/snmp6`, which has a line a counter.
fn full_v6(snmp6: &str) -> u64 {
    snmp6
        .lines()
        .filter_map(|line| line.strip_prefix("Udp6")?.split_once(char::is_whitespace))
        .filter(|(name, _)| FULL.contains(name))
        .filter_map(|(_, number)| number.trim().parse::<u64>().ok())
        .sum()
}

const FULL: [&str; 2] = ["RcvbufErrors", "SndbufErrors"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_kernels_tables() {
        let dev = "Inter-| Receive | Transmit\n face |bytes packets\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n eth01: 0 0 0 0 0 0 0 0 0 0 0 7 0 0 0 0\n";
        assert_eq!(not_sent(dev, "eth0"), 12);
        assert_eq!(not_sent(dev, "peer0"), 0);
        let snmp =
            "Udp: InDatagrams NoPorts RcvbufErrors SndbufErrors\nUdp: 100 3 20 4\nUdpLite: x\n";
        assert_eq!(full_v4(snmp), 24);
        assert_eq!(
            full_v6("Udp6InDatagrams  9\nUdp6RcvbufErrors   \t 5\nUdp6SndbufErrors 1\n"),
            6
        );
    }

    #[test]
    fn a_difference_is_what_came_since() {
        let then = Drops {
            before_relay: 1,
            at_sockets: 2,
            after_relay: 3,
        };
        let now = Drops {
            at_sockets: 10,
            ..then
        };
        let since = now - then;
        assert_eq!(
            (since.before_relay, since.at_sockets, since.after_relay),
            (0, 8, 0)
        );
    }
}
