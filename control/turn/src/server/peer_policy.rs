//! Which peers a client may reach (RFC 8656 sections 9 and 21.1.6): judged by IP address, answered
//! with the ports.
//!
//! Our own relay addresses first, then the operator's allow list, then the operator's deny list and
//! [`DENIED_V4`] and [`DENIED_V6`]. An IPv4 address inside an IPv6 one is judged as well, whatever
//! the form. Single ports of our own services are refused by the lane (see [`PortRule::guarded`]).
//!
//! Bounded by the lists, which are configuration.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;

use ipnet::IpNet;
use turnpike_types::PortRule;

use crate::RelayAddress;

/// What the operator says of peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPolicy {
    /// Admitted on every port from 1, and stronger than any denial.
    pub allow: Vec<IpNet>,
    /// Refused, beside what is refused everywhere.
    pub deny: Vec<IpNet>,
    /// The lowest port of a peer that neither list names.
    pub min_port: u16,
}

impl Default for PeerPolicy {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            min_port: 1_024,
        }
    }
}

/// What is ours and must not be reached through the relay, but for the relay ports.
#[derive(Clone, Debug)]
pub struct OwnAddresses<'a> {
    /// The addresses that relayed transport addresses are taken from.
    pub relay: &'a [RelayAddress],
    /// The ports that relayed transport addresses are taken from, of all shards.
    pub ports: RangeInclusive<u16>,
    /// Listeners, metrics, databases: reachable for nobody. An unspecified address (`0.0.0.0`,
    /// `::`) stands for all of `relay`.
    pub services: &'a [SocketAddr],
}

impl PeerPolicy {
    /// The ports of a peer that may be reached; `None` where it is forbidden altogether (403).
    #[must_use]
    pub fn judge(&self, own: &OwnAddresses<'_>, peer_ip: IpAddr) -> Option<PortRule> {
        // Two spellings of one IPv4 address would be two permissions for one peer.
        if is_ipv4_in_disguise(peer_ip) || peer_ip.is_unspecified() {
            return None;
        }
        if own.is_relay(peer_ip) {
            let (min, max) = ((*own.ports.start()).max(1), *own.ports.end());
            return Some(PortRule {
                min,
                max,
                guarded: true,
            });
        }
        let min = self.min_port_of(peer_ip)?;
        let inside_admitted = embedded_ipv4(peer_ip)
            .into_iter()
            .flatten()
            .all(|inside| self.admits_embedded(own, inside.into()));
        let rule = PortRule {
            min,
            max: u16::MAX,
            guarded: own.serves_on(peer_ip),
        };
        inside_admitted.then_some(rule)
    }

    /// The verdict of the lists on one address as it stands.
    fn min_port_of(&self, ip: IpAddr) -> Option<u16> {
        let listed = |list: &[IpNet]| list.iter().any(|net| net.contains(&ip));
        if listed(&self.allow) {
            return Some(1);
        }
        (!listed(&self.deny) && !is_denied_everywhere(ip)).then_some(self.min_port.max(1))
    }

    /// The lane compares services with what is on the wire, so that an address of ours is not
    /// admitted by another name.
    fn admits_embedded(&self, own: &OwnAddresses<'_>, ip: IpAddr) -> bool {
        !ip.is_unspecified()
            && !own.is_relay(ip)
            && !own.serves_on(ip)
            && self.min_port_of(ip).is_some()
    }
}

impl OwnAddresses<'_> {
    fn is_relay(&self, ip: IpAddr) -> bool {
        self.relay
            .iter()
            .any(|relay| relay.ip == ip || relay.external == Some(ip))
    }

    fn serves_on(&self, ip: IpAddr) -> bool {
        self.services
            .iter()
            .any(|service| service.ip().to_canonical() == ip)
    }
}

/// IPv4 ranges that are no business of a relay (IANA special-purpose registry, multicast), as
/// network and prefix length.
pub const DENIED_V4: [(Ipv4Addr, u8); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::new(255, 255, 255, 255), 32),
    // A cloud's host agent, on a public address; the other metadata addresses lie in ranges above.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// IPv6 ranges likewise. The NAT64 well-known prefix 64:ff9b::/96 is missing: it is judged by the
/// IPv4 address inside.
pub const DENIED_V6: [(Ipv6Addr, u8); 14] = [
    (Ipv6Addr::UNSPECIFIED, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 63),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

fn is_denied_everywhere(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => DENIED_V4.iter().any(|(net, prefix)| {
            (ip.to_bits() ^ net.to_bits()).leading_zeros() >= u32::from(*prefix)
        }),
        IpAddr::V6(ip) => DENIED_V6.iter().any(|(net, prefix)| {
            (ip.to_bits() ^ net.to_bits()).leading_zeros() >= u32::from(*prefix)
        }),
    }
}

/// IPv4-mapped (`::ffff:a.b.c.d`), IPv4-translated (`::ffff:0:a.b.c.d`) and IPv4-compatible
/// (`::a.b.c.d`) addresses, the last without `::` and `::1`.
fn is_ipv4_in_disguise(ip: IpAddr) -> bool {
    let IpAddr::V6(ip) = ip else { return false };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => false,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => true,
        _ => false,
    }
}

/// The IPv4 addresses that a packet to this address may end up at: one by the prefix (NAT64, 6to4,
/// Teredo: server and client), one by the interface identifier (ISATAP).
fn embedded_ipv4(ip: IpAddr) -> [Option<Ipv4Addr>; 3] {
    let IpAddr::V6(ip) = ip else { return [None; 3] };
    let join =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    let [.., high, low] = ip.segments();
    let suffix = join(high, low);
    let by_prefix = match ip.segments() {
        // A local NAT64 prefix may be a /96 or the /48 itself (RFC 6052 section 2.2).
        [0x64, 0xff9b, 1, high, middle, low, ..] if (high, middle, low) != (0, 0, 0) => [
            join(high, middle << 8 | low >> 8),
            suffix.filter(|ip| !ip.is_unspecified()),
        ],
        [0x64, 0xff9b, 0 | 1, ..] => [suffix, None],
        [0x2002, high, low, ..] => [join(high, low), None],
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            [join(server_high, server_low), join(!high, !low)]
        }
        _ => [None, None],
    };
    let by_interface = match ip.segments() {
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => suffix,
        _ => None,
    };
    let [first, second] = by_prefix;
    [first, second, by_interface]
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const RELAY: [RelayAddress; 2] = [
        RelayAddress {
            ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5)),
            external: Some(IpAddr::V4(Ipv4Addr::new(93, 184, 216, 5))),
        },
        RelayAddress {
            ip: IpAddr::V6(Ipv6Addr::new(0x2a00, 1, 0, 0, 0, 0, 0, 5)),
            external: None,
        },
    ];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn judged_among(policy: &PeerPolicy, services: &[SocketAddr], peer: &str) -> Option<PortRule> {
        let own = OwnAddresses {
            relay: &RELAY,
            ports: 49_152..=65_535,
            services,
        };
        policy.judge(&own, ip(peer))
    }

    fn judged(peer: &str) -> Option<PortRule> {
        judged_among(&PeerPolicy::default(), &[], peer)
    }

    fn allowing(nets: &[&str]) -> PeerPolicy {
        let allow = nets.iter().map(|net| net.parse().unwrap()).collect();
        PeerPolicy {
            allow,
            ..PeerPolicy::default()
        }
    }

    const ANY_FROM_1024: PortRule = PortRule {
        min: 1_024,
        max: u16::MAX,
        guarded: false,
    };

    #[test]
    fn ordinary_peers_of_both_families_are_admitted_from_port_1024() {
        for peer in [
            "93.184.216.34",
            "1.1.1.1",
            "2a00:1450::1",
            "2001:200::1",
            "2606:4700::1",
        ] {
            assert_eq!(judged(peer), Some(ANY_FROM_1024), "{peer}");
        }
    }

    #[test]
    fn bad_addresses_are_forbidden() {
        let bad = "0.0.0.0 0.1.2.3 :: 127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::127.0.0.1 \
            ::ffff:0:127.0.0.1 ::ffff:93.184.216.34 ::93.184.216.34 ::ffff:0:93.184.216.34 \
            64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe 64:ff9b::e000:1 64:ff9b::0.0.0.0 \
            64:ff9b:1::7f00:1 64:ff9b:1::5db8:d822 64:ff9b:1:ffff:ffff:ffff:5db8:d822 \
            2002:7f00:1:: 2002:a00:1::1 2002:5db8:d822::1 \
            2001:0:5db8:d822::80ff:fffe 2001:0:7f00:1::a247:27dd 2001:0:5db8:d822::a247:27dd \
            2a00:2::5efe:7f00:1 2a00:2::200:5efe:a00:1 2a00:2::5efe:a9fe:a9fe \
            ::ffff:169.254.169.254 169.254.169.254 fd00:ec2::254 fd20:ce::254 169.254.170.2 \
            100.100.100.200 192.0.0.192 168.63.129.16 64:ff9b::a83f:8110 \
            10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 \
            100.127.255.255 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 \
            198.51.100.1 203.0.113.1 \
            fc00::1 fdff:ffff::1 fe80::1 febf::1 fec0::1 feff::1 100::1 100:0:0:1::1 2001:db8::1 \
            2001:1ff::1 2001:2::1 3fff::1 5f00::1 ::2 \
            224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255 ff02::1 ff0e::1";
        for peer in bad.split_whitespace() {
            assert_eq!(judged(peer), None, "{peer}");
        }
    }

    #[test]
    fn addresses_just_outside_a_denied_range_are_admitted() {
        let good = "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 \
            128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 \
            192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 \
            198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 \
            223.255.255.255 168.63.129.15 168.63.129.17 \
            2001:200:: 2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:db7:ffff::1 2001:db9:: \
            2001:ffff::1 2003:: 3ffe:ffff::1";
        for peer in good.split_whitespace() {
            assert_eq!(judged(peer), Some(ANY_FROM_1024), "{peer}");
        }
    }

    #[test]
    fn nat64_of_an_admitted_ipv4_is_admitted() {
        assert_eq!(judged("64:ff9b::5db8:d822"), Some(ANY_FROM_1024));
        assert_eq!(judged("2a00:2::5efe:5db8:d822"), Some(ANY_FROM_1024));
    }

    #[test]
    fn allow_wins_over_deny_and_opens_every_port_but_zero() {
        let mut policy = allowing(&["10.1.0.0/16", "fd00:1::/32", "::1/128"]);
        policy.deny = vec![
            "10.1.2.0/24".parse().unwrap(),
            "2a00:9::/32".parse().unwrap(),
        ];
        let open = Some(PortRule {
            min: 1,
            max: u16::MAX,
            guarded: false,
        });
        for peer in ["10.1.2.3", "10.1.255.255", "fd00:1::7", "::1"] {
            assert_eq!(judged_among(&policy, &[], peer), open, "{peer}");
        }
        for peer in ["10.2.0.1", "fd00:2::1", "2a00:9::1"] {
            assert_eq!(judged_among(&policy, &[], peer), None, "{peer}");
        }
    }

    #[test]
    fn allowing_everything_still_refuses_disguises_and_the_unspecified_address() {
        let policy = allowing(&["0.0.0.0/0", "::/0"]);
        for peer in [
            "0.0.0.0",
            "::",
            "::ffff:1.1.1.1",
            "::1.1.1.1",
            "::ffff:10.0.0.5",
        ] {
            assert_eq!(judged_among(&policy, &[], peer), None, "{peer}");
        }
        assert!(judged_among(&policy, &[], "127.0.0.1").is_some());
        assert!(judged_among(&policy, &[], "2002:7f00:1::").is_some());
    }

    #[test]
    fn allowing_an_ipv6_range_does_not_allow_the_ipv4_inside() {
        let policy = allowing(&["2002::/16", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32"]);
        for peer in [
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2001:0:5db8:d822::80ff:fffe",
        ] {
            assert_eq!(judged_among(&policy, &[], peer), None, "{peer}");
        }
        for peer in ["64:ff9b:1:7f00:0:100::", "64:ff9b:1:7f00:0:100:5db8:d822"] {
            assert_eq!(judged_among(&policy, &[], peer), None, "{peer}");
        }
        for peer in [
            "2002:5db8:d822::1",
            "64:ff9b:1::5db8:d822",
            "64:ff9b:1:5db8:d8:2200::",
        ] {
            assert!(judged_among(&policy, &[], peer).is_some(), "{peer}");
        }
    }

    #[test]
    fn operators_deny_list_covers_the_ipv4_inside_nat64() {
        let deny = vec!["93.184.216.0/24".parse().unwrap()];
        let policy = PeerPolicy {
            deny,
            ..PeerPolicy::default()
        };
        assert_eq!(judged_among(&policy, &[], "64:ff9b::5db8:d822"), None);
    }

    #[test]
    fn ranges_with_host_bits_or_off_a_group_edge_mean_their_network() {
        let deny = vec![
            "2a00:ff8:1234::9/29".parse().unwrap(),
            "9.9.9.9/23".parse().unwrap(),
        ];
        let policy = PeerPolicy {
            deny,
            ..PeerPolicy::default()
        };
        for peer in [
            "2a00:ff8::",
            "2a00:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "9.9.8.0",
            "9.9.9.255",
        ] {
            assert_eq!(judged_among(&policy, &[], peer), None, "{peer}");
        }
        for peer in ["2a00:ff7:ffff::1", "2a00:1000::", "9.9.7.255", "9.9.10.0"] {
            assert!(judged_among(&policy, &[], peer).is_some(), "{peer}");
        }
    }

    #[test]
    fn own_relay_addresses_are_admitted_on_relay_ports_only() {
        let relay_ports = Some(PortRule {
            min: 49_152,
            max: 65_535,
            guarded: true,
        });
        let allow_all = allowing(&["0.0.0.0/0", "::/0"]);
        for peer in ["10.0.0.5", "93.184.216.5", "2a00:1::5"] {
            assert_eq!(judged(peer), relay_ports, "{peer}");
            assert_eq!(judged_among(&allow_all, &[], peer), relay_ports, "{peer}");
        }
    }

    #[test]
    fn own_addresses_by_another_name_are_forbidden() {
        let policy = allowing(&["::/0", "0.0.0.0/0"]);
        for peer in ["64:ff9b::5db8:d805", "2002:a00:5::1", "::ffff:93.184.216.5"] {
            assert_eq!(judged_among(&policy, &[], peer), None, "{peer}");
        }
    }

    #[test]
    fn peers_where_a_service_lives_are_guarded() {
        let services: Vec<SocketAddr> = vec![
            "93.184.216.80:3478".parse().unwrap(),
            "[::ffff:9.9.9.9]:80".parse().unwrap(),
        ];
        let policy = allowing(&["93.184.216.80/32"]);
        let rule = judged_among(&policy, &services, "93.184.216.80").unwrap();
        assert!(rule.guarded && rule.min == 1);
        assert!(judged_among(&policy, &services, "9.9.9.9").unwrap().guarded);
        assert!(
            !judged_among(&policy, &services, "93.184.216.81")
                .unwrap()
                .guarded
        );
        assert_eq!(judged_among(&policy, &services, "64:ff9b::5db8:d850"), None);
    }

    #[test]
    fn port_zero_is_never_admitted() {
        let policy = PeerPolicy {
            min_port: 0,
            ..PeerPolicy::default()
        };
        assert!(!judged_among(&policy, &[], "1.1.1.1").unwrap().admits(0));
        let own = OwnAddresses {
            relay: &RELAY,
            ports: 0..=65_535,
            services: &[],
        };
        assert!(!policy.judge(&own, ip("10.0.0.5")).unwrap().admits(0));
    }

    fn slow_contains(bits: u128, net: u128, prefix: u32, width: u32) -> bool {
        (0..prefix).all(|i| (bits >> (width - 1 - i)) & 1 == (net >> (width - 1 - i)) & 1)
    }

    proptest! {
        #[test]
        fn denied_ipv4_agrees_with_a_bit_by_bit_model(bits: u32, pick in 0..17_usize, near: bool) {
            // Half of the cases lie in or near a range.
            let (net, prefix) = DENIED_V4[pick];
            let bits = if near { net.to_bits().wrapping_add(bits >> prefix.min(31)) } else { bits };
            let model = DENIED_V4.iter().any(|(net, prefix)| {
                slow_contains(bits.into(), net.to_bits().into(), u32::from(*prefix), 32)
            });
            prop_assert_eq!(is_denied_everywhere(Ipv4Addr::from_bits(bits).into()), model);
        }

        #[test]
        fn an_embedded_ipv4_never_widens_the_verdict(bits: u32, host: u32, form in 0..4_u8) {
            let inside = Ipv4Addr::from_bits(bits);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            let [c, d] = [(host >> 16) as u16, host as u16];
            let outside = match form {
                0 => Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                1 => Ipv6Addr::new(0x2002, a, b, c, d, 0, 0, 1),
                2 => Ipv6Addr::new(0x2001, 0, 0x0808, 0x0808, c, d, !a, !b),
                _ => Ipv6Addr::new(0x2a00, c, d, 0, 0, 0x5efe, a, b),
            };
            let own = OwnAddresses { relay: &[], ports: 1..=9, services: &[] };
            let policy = allowing(&["2002::/16", "2001::/32"]);
            let judge = |ip: IpAddr| policy.judge(&own, ip).is_some();
            prop_assert_eq!(judge(outside.into()), judge(inside.into()));
        }
    }
}
