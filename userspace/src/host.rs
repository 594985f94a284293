//! The host's own addresses, and which of them a relay without a configuration uses.
//!
//! It listens on every address that another machine could use, and relays from one a family: the
//! one the default route leaves from. A host with nothing but loopback gets loopback.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use turnpike_types::Transport;

use crate::config::ListenConfig;

/// The addresses of interfaces that are up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Every address, loopback and link-local included, in the kernel's order.
    addresses: Vec<IpAddr>,
    /// Source addresses of the default routes, where there are any.
    preferred: Vec<IpAddr>,
    /// Each address with the name of its network device.
    devices: Vec<(IpAddr, String)>,
}

impl Host {
    /// Looks at the interfaces and the routes. Sends nothing.
    ///
    /// # Errors
    /// When the interfaces cannot be listed.
    pub fn look() -> io::Result<Self> {
        let passing = std::fs::read_to_string("/proc/net/if_inet6")
            .map(|table| passing_addresses(&table))
            .unwrap_or_default();
        let (mut addresses, mut devices) = (Vec::new(), Vec::new());
        for interface in getifaddrs()? {
            let Some(address) = interface.address else {
                continue;
            };
            if !interface.flags.contains(InterfaceFlags::IFF_UP) {
                continue;
            }
            let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
            let v6 = address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip()));
            let Some(ip) = v4.or(v6) else { continue };
            devices.push((ip, interface.interface_name));
            if !passing.contains(&ip) && !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        // Documentation addresses: no route but the default one leads to them.
        let far = [
            Ipv4Addr::new(192, 0, 2, 1).into(),
            Ipv6Addr::from(0x2001_0db8 << 96 | 1).into(),
        ];
        let preferred = far.into_iter().filter_map(source_towards).collect();
        Ok(Self {
            addresses,
            preferred,
            devices,
        })
    }

    /// The network devices that have one of these addresses, in the kernel's order.
    #[must_use]
    pub fn devices_of(&self, addresses: &[IpAddr]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (ip, name) in &self.devices {
            if addresses.contains(ip) && !ip.is_loopback() && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Where to listen: every address that another machine could use.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<IpAddr> {
        let reachable: Vec<IpAddr> = self
            .addresses
            .iter()
            .copied()
            .filter(is_reachable)
            .collect();
        if reachable.is_empty() {
            self.loopback()
        } else {
            reachable
        }
    }

    /// The listeners where none are named: UDP and TCP on `port` of every address that another
    /// machine could use, and TLS on `tls_port` where there is one.
    #[must_use]
    pub fn listeners(&self, port: u16, tls_port: Option<u16>) -> Vec<ListenConfig> {
        let ports = [
            (Transport::Udp, Some(port)),
            (Transport::Tcp, Some(port)),
            (Transport::Tls, tls_port),
        ];
        let on = |transport, port| {
            self.listen_addresses()
                .into_iter()
                .map(move |ip| ListenConfig {
                    transport,
                    address: SocketAddr::new(ip, port),
                })
        };
        ports
            .into_iter()
            .filter_map(|(transport, port)| Some(on(transport, port?)))
            .flatten()
            .collect()
    }

    /// What this host calls itself, where it has a name.
    #[must_use]
    pub fn name() -> Option<String> {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        let name = name.trim();
        (!name.is_empty() && name != "(none)").then(|| name.to_owned())
    }

    /// Where to relay from: one address a family.
    #[must_use]
    pub fn relay_addresses(&self) -> Vec<IpAddr> {
        let usable = self.listen_addresses();
        [false, true]
            .into_iter()
            .filter_map(|is_ipv6| {
                let of_family = |ip: &&IpAddr| ip.is_ipv6() == is_ipv6;
                let mut preferred = self.preferred.iter().filter(|ip| usable.contains(ip));
                preferred
                    .find(of_family)
                    .or_else(|| usable.iter().find(of_family))
                    .copied()
            })
            .collect()
    }

    /// The addresses that a wildcard of their family stands for; link-local ones need a scope and
    /// are left out.
    #[must_use]
    pub fn expand(&self, wildcard: IpAddr) -> Vec<IpAddr> {
        self.addresses
            .iter()
            .copied()
            .filter(|ip| ip.is_ipv6() == wildcard.is_ipv6())
            .filter(|ip| is_reachable(ip) || ip.is_loopback())
            .collect()
    }

    fn loopback(&self) -> Vec<IpAddr> {
        self.addresses
            .iter()
            .copied()
            .filter(IpAddr::is_loopback)
            .collect()
    }
}

/// Whether another machine could send to it without a scope.
fn is_reachable(ip: &IpAddr) -> bool {
    let special = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    !special && !link_local
}

fn source_towards(far: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match far {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    // Connecting a UDP socket asks the routing table and sends nothing.
    socket.connect(SocketAddr::new(far, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// The IPv6 addresses in `/proc/net/if_inet6` that will not stay: temporary (RFC 8981),
/// deprecated, tentative or failed.
fn passing_addresses(table: &str) -> Vec<IpAddr> {
    const TEMPORARY: u8 = 0x01;
    const DAD_FAILED: u8 = 0x08;
    const DEPRECATED: u8 = 0x20;
    const TENTATIVE: u8 = 0x40;
    table
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let ip = u128::from_str_radix(columns.next()?, 16).ok()?;
            let flags = u8::from_str_radix(columns.nth(3)?, 16).ok()?;
            let passes = flags & (TEMPORARY | DAD_FAILED | DEPRECATED | TENTATIVE) != 0;
            passes.then(|| IpAddr::V6(Ipv6Addr::from(ip)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(addresses: &[&str], preferred: &[&str]) -> Host {
        let parse = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        Host {
            devices: Vec::new(),
            addresses: parse(addresses),
            preferred: parse(preferred),
        }
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn listens_everywhere_and_relays_where_the_default_route_leaves() {
        let host = host(
            &[
                "127.0.0.1",
                "::1",
                "172.17.0.1",
                "192.168.1.5",
                "fe80::1",
                "fd00::5",
                "2001:db8::5",
            ],
            &["192.168.1.5", "2001:db8::5"],
        );
        assert_eq!(
            host.listen_addresses(),
            ips(&["172.17.0.1", "192.168.1.5", "fd00::5", "2001:db8::5"])
        );
        assert_eq!(host.relay_addresses(), ips(&["192.168.1.5", "2001:db8::5"]));
    }

    #[test]
    fn every_reachable_address_gets_each_transport() {
        let host = host(&["127.0.0.1", "10.0.0.2", "fd00::5"], &[]);
        let listed = |tls_port| -> Vec<String> {
            let listeners = host.listeners(3_478, tls_port).into_iter();
            listeners
                .map(|it| format!("{} {}", it.transport, it.address))
                .collect()
        };
        let plain = [
            "udp 10.0.0.2:3478",
            "udp [fd00::5]:3478",
            "tcp 10.0.0.2:3478",
            "tcp [fd00::5]:3478",
        ];
        assert_eq!(listed(None), plain);
        let all = listed(Some(5_349));
        assert_eq!(all[..4], plain);
        assert_eq!(all[4..], ["tls 10.0.0.2:5349", "tls [fd00::5]:5349"]);
    }

    #[test]
    fn without_a_default_route_the_first_address_relays() {
        let host = host(&["127.0.0.1", "10.0.0.2", "10.1.0.2", "169.254.3.4"], &[]);
        assert_eq!(host.relay_addresses(), ips(&["10.0.0.2"]));
    }

    #[test]
    fn host_with_loopback_alone_uses_loopback() {
        let host = host(&["127.0.0.1", "::1"], &[]);
        assert_eq!(host.listen_addresses(), ips(&["127.0.0.1", "::1"]));
        assert_eq!(host.relay_addresses(), ips(&["127.0.0.1", "::1"]));
    }

    #[test]
    fn wildcard_stands_for_its_family_with_loopback_and_without_link_local() {
        let host = host(&["127.0.0.1", "::1", "10.0.0.2", "fe80::1", "fd00::5"], &[]);
        assert_eq!(
            host.expand(Ipv4Addr::UNSPECIFIED.into()),
            ips(&["127.0.0.1", "10.0.0.2"])
        );
        assert_eq!(
            host.expand(Ipv6Addr::UNSPECIFIED.into()),
            ips(&["::1", "fd00::5"])
        );
    }

    #[test]
    fn temporary_and_deprecated_addresses_pass() {
        let table = "\
            20010db8000000000000000000000005 02 40 00 80 eth0\n\
            20010db8000000000000000000000006 02 40 00 01 eth0\n\
            20010db8000000000000000000000007 02 40 00 a0 eth0\n\
            bad line\n";
        assert_eq!(
            passing_addresses(table),
            ips(&["2001:db8::6", "2001:db8::7"])
        );
    }

    #[test]
    fn this_host_has_an_address() {
        assert!(!Host::look().unwrap().listen_addresses().is_empty());
    }
}
