//! What a seed makes of the world, drawn before anything moves.
//!
//! One seed in four is calm: perfect links, no NATs, no faults. There the clients must be served;
//! everywhere else only the rules must hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use turnpike_sim::{Behaviour, Chance, FaultPlan, LinkConfig, NatConfig, SeededEntropy};
use turnpike_turn::RelayAddress;
use turnpike_turn::server::{Config, Lifetimes, Limits, PeerPolicy};
use turnpike_types::{Entropy, RateLimit, Transport};

use crate::account::{self, Account, REALM};

pub(crate) const UDP_PORT: u16 = 3_478;
pub(crate) const TCP_PORT: u16 = 3_479;

/// All that is settled by the seed before the start.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) is_calm: bool,
    pub(crate) relay: Vec<RelayAddress>,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) limits: Limits,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) accounts: Vec<Account>,
    pub(crate) callers: Vec<CallerPlan>,
    pub(crate) peers: Vec<IpAddr>,
    pub(crate) faults: FaultPlan,
    /// How long everybody is busy.
    pub(crate) busy: Duration,
}

/// One client's host.
#[derive(Clone, Debug)]
pub(crate) struct CallerPlan {
    pub(crate) account: usize,
    pub(crate) ip: IpAddr,
    pub(crate) nat: Option<(IpAddr, NatConfig)>,
    pub(crate) transport: Transport,
    pub(crate) up: LinkConfig,
    pub(crate) down: LinkConfig,
}

impl Plan {
    pub(crate) fn draw(dice: &mut SeededEntropy) -> Self {
        let is_calm = Chance::percent(25).happens(dice);
        let callers = 2 + dice.below(6);
        let accounts = accounts();
        let relay = draw_relay(dice);
        let first_port = 50_000 + u16::try_from(dice.below(2)).unwrap();
        let ports = first_port..=first_port + 7 + u16::try_from(dice.below(40)).unwrap();
        Self {
            callers: (0..callers)
                .map(|nth| draw_caller(dice, nth, is_calm))
                .collect(),
            peers: (1..=2 + dice.below(3)).flat_map(peer_ips).collect(),
            limits: if is_calm {
                Limits::default()
            } else {
                draw_limits(dice)
            },
            lifetimes: if is_calm {
                Lifetimes::default()
            } else {
                draw_lifetimes(dice)
            },
            faults: if is_calm {
                FaultPlan::FAULTLESS
            } else {
                draw_faults(dice)
            },
            busy: Duration::from_secs(dice.within(300..3_600)),
            is_calm,
            relay,
            ports,
            accounts,
        }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            realm: REALM.to_owned(),
            relay_addresses: self.relay.clone(),
            ports: self.ports.clone(),
            credentials: account::credentials(&self.accounts),
            lifetimes: self.lifetimes,
            limits: self.limits,
            peers: PeerPolicy::default(),
            services: services(),
            ..Config::default()
        }
    }
}

/// Where the server listens.
pub(crate) fn listener(family_of: IpAddr, transport: Transport) -> SocketAddr {
    let port = if transport.is_stream() {
        TCP_PORT
    } else {
        UDP_PORT
    };
    match family_of {
        IpAddr::V4(_) => (Ipv4Addr::new(93, 184, 216, 10), port).into(),
        IpAddr::V6(_) => (Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0, 0, 0x10), port).into(),
    }
}

pub(crate) fn services() -> Vec<SocketAddr> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let transports = [Transport::Udp, Transport::Tcp];
    any.into_iter()
        .flat_map(|ip| transports.map(|transport| listener(ip, transport)))
        .collect()
}

/// Addresses that no policy admits.
pub(crate) fn forbidden_peers() -> [IpAddr; 7] {
    [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::new(10, 0, 0, 5).into(),
        Ipv4Addr::new(169, 254, 169, 254).into(),
        Ipv4Addr::new(224, 0, 0, 1).into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
        Ipv4Addr::new(151, 101, 1, 1).to_ipv6_mapped().into(),
    ]
}

fn accounts() -> Vec<Account> {
    vec![
        Account::named("alice"),
        Account::named("bob"),
        Account::ephemeral("carol", 1_000_000),
        Account::ephemeral("dave", 600),
    ]
}

/// IPv4, IPv6 or both; on the listener's address, on one of its own, or behind a NAT 1:1.
fn draw_relay(dice: &mut SeededEntropy) -> Vec<RelayAddress> {
    let on_listener = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 10));
    let apart = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 11));
    let inside = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 11));
    let ipv4 = match dice.below(3) {
        0 => RelayAddress {
            ip: on_listener,
            external: None,
        },
        1 => RelayAddress {
            ip: apart,
            external: None,
        },
        _ => RelayAddress {
            ip: inside,
            external: Some(apart),
        },
    };
    let ip = IpAddr::V6(Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0, 0, 0x11));
    let ipv6 = RelayAddress { ip, external: None };
    match dice.below(8) {
        0 => vec![ipv4],
        1 => vec![ipv6],
        _ => vec![ipv4, ipv6],
    }
}

fn draw_limits(dice: &mut SeededEntropy) -> Limits {
    let limited = RateLimit {
        packets_per_second: Some(1 + dice.below(10)),
        bytes_per_second: Some(dice.within(500..20_000)),
    };
    let mut rate = |percent| {
        if Chance::percent(percent).happens(dice) {
            limited
        } else {
            RateLimit::UNLIMITED
        }
    };
    let (allocation_rate, user_rate) = (rate(15), rate(15));
    Limits {
        allocations: 2 + dice.below(10) as usize,
        allocations_per_user: 1 + dice.below(4),
        permissions_per_allocation: 1 + dice.below(6) as usize,
        channels_per_allocation: 1 + dice.below(6) as usize,
        allocation_rate,
        user_rate,
    }
}

fn draw_lifetimes(dice: &mut SeededEntropy) -> Lifetimes {
    if dice.below(2) == 0 {
        return Lifetimes::default();
    }
    let allocation = Duration::from_secs(dice.within(30..700));
    Lifetimes {
        allocation,
        allocation_max: allocation + Duration::from_secs(dice.within(0..3_000)),
        permission: Duration::from_secs(dice.within(20..400)),
        channel: Duration::from_secs(dice.within(20..700)),
        reservation: Duration::from_secs(dice.within(30..60)),
    }
}

fn draw_faults(dice: &mut SeededEntropy) -> FaultPlan {
    if dice.below(3) == 0 {
        return FaultPlan::FAULTLESS;
    }
    let mut chance = |most| match dice.below(2) {
        0 => Chance::NEVER,
        _ => Chance::percent(1 + dice.below(most)),
    };
    let [table_full, port_in_use, out_of_resources] = [chance(10), chance(60), chance(10)];
    let stall = chance(5);
    FaultPlan {
        table_full,
        port_in_use,
        out_of_resources,
        stall,
        entries_max: if dice.below(2) == 0 {
            usize::MAX
        } else {
            4 + dice.below(12) as usize
        },
        stall_for: Duration::from_millis(dice.within(1..3_000)),
    }
}

fn draw_caller(dice: &mut SeededEntropy, nth: u32, is_calm: bool) -> CallerPlan {
    let last = u8::try_from(nth + 1).unwrap();
    let public: IpAddr = match dice.below(3) {
        0 => Ipv6Addr::new(0x2606, 0x50c0, 0, 0, 0, 0, 0, nth as u16 + 1).into(),
        _ => Ipv4Addr::new(185, 199, 108, last).into(),
    };
    let delay = Duration::from_millis(dice.within(1..80));
    let calm = LinkConfig {
        delay,
        ..LinkConfig::PERFECT
    };
    let account = dice.below(4) as usize;
    // A stream loses nothing and keeps its order; the world has datagrams only.
    if is_calm || dice.below(5) == 0 {
        let transport = if dice.below(3) == 0 {
            Transport::Tcp
        } else {
            Transport::Udp
        };
        // In calm weather no credential ends.
        let account = if is_calm { account.min(2) } else { account };
        return CallerPlan {
            account,
            ip: public,
            nat: None,
            transport,
            up: calm,
            down: calm,
        };
    }
    let inside: IpAddr = match public {
        IpAddr::V4(_) => Ipv4Addr::new(10, 1, last, 2).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, nth as u16 + 2).into(),
    };
    let nat = (dice.below(3) > 0).then(|| (public, draw_nat(dice)));
    let ip = if nat.is_some() { inside } else { public };
    let [up, down] = [draw_link(dice), draw_link(dice)];
    CallerPlan {
        account,
        ip,
        nat,
        transport: Transport::Udp,
        up,
        down,
    }
}

fn draw_nat(dice: &mut SeededEntropy) -> NatConfig {
    let mut kind = || *dice.pick(&Behaviour::ALL).unwrap();
    let (mapping, filtering) = (kind(), kind());
    NatConfig {
        mapping,
        filtering,
        preserves_port: dice.below(2) == 0,
        preserves_parity: dice.below(2) == 0,
        mapping_timeout: Duration::from_secs(dice.within(30..600)),
        ..NatConfig::default()
    }
}

pub(crate) fn draw_link(dice: &mut SeededEntropy) -> LinkConfig {
    let mut percent = |most: u32| Chance::percent(dice.below(most + 1));
    let (loss, duplication, reordering) = (percent(15), percent(10), percent(10));
    let rate = dice.within(100_000..10_000_000);
    LinkConfig {
        bits_per_second: (dice.below(2) == 0).then_some(rate),
        queue_bytes: dice.within(2_000..50_000),
        delay: Duration::from_millis(dice.within(1..200)),
        jitter: Duration::from_millis(dice.within(0..50)),
        loss,
        duplication,
        reordering,
        reordering_delay: Duration::from_millis(dice.within(1..300)),
        mtu: usize::try_from(dice.within(1_000..1_500)).unwrap(),
        ..LinkConfig::PERFECT
    }
}

fn peer_ips(nth: u32) -> [IpAddr; 2] {
    let last = u8::try_from(nth).unwrap();
    [
        Ipv4Addr::new(151, 101, 1, last).into(),
        Ipv6Addr::new(0x2a04, 0x4e42, 0, 0, 0, 0, 0, u16::from(last)).into(),
    ]
}
