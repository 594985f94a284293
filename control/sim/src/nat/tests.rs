use alloc::string::ToString;

use super::*;
use crate::SeededEntropy;

const INSIDE: &str = "10.0.0.2:4000";
const A1: &str = "198.51.100.1:1000";
const A2: &str = "198.51.100.1:2000";
const B1: &str = "198.51.100.2:1000";
const OUTSIDE_IP: &str = "203.0.113.9";

use Behaviour::{AddressAndPortDependent as PortDependent, AddressDependent, EndpointIndependent};

#[test]
fn every_kind_of_mapping_and_filtering() {
    // Whether A2 and B1 share the mapping made towards A1, and whether each may answer by it.
    let table = [
        (
            EndpointIndependent,
            EndpointIndependent,
            [true, true],
            [true, true],
        ),
        (
            EndpointIndependent,
            AddressDependent,
            [true, true],
            [true, false],
        ),
        (
            EndpointIndependent,
            PortDependent,
            [true, true],
            [false, false],
        ),
        (
            AddressDependent,
            EndpointIndependent,
            [true, false],
            [true, true],
        ),
        (
            AddressDependent,
            AddressDependent,
            [true, false],
            [true, false],
        ),
        (
            AddressDependent,
            PortDependent,
            [true, false],
            [false, false],
        ),
        (
            PortDependent,
            EndpointIndependent,
            [false, false],
            [true, true],
        ),
        (
            PortDependent,
            AddressDependent,
            [false, false],
            [true, false],
        ),
        (PortDependent, PortDependent, [false, false], [false, false]),
    ];
    for (mapping, filtering, shares, answers) in table {
        let config = NatConfig {
            mapping,
            filtering,
            ..NatConfig::default()
        };
        let mut fixture = Fixture::new(config);
        let first = fixture.out(0, INSIDE, A1);
        let kind = (mapping, filtering);
        assert_eq!(fixture.back(0, A1, first), Ok(addr(INSIDE)), "{kind:?}");
        for (other, answer) in [A2, B1].into_iter().zip(answers) {
            assert_eq!(
                fixture.back(0, other, first).is_ok(),
                answer,
                "{kind:?} from {other}"
            );
        }
        for (other, share) in [A2, B1].into_iter().zip(shares) {
            assert_eq!(
                fixture.out(0, INSIDE, other) == first,
                share,
                "{kind:?} to {other}"
            );
        }
    }
}

#[test]
fn port_is_preserved_until_somebody_else_has_it() {
    let mut fixture = Fixture::new(NatConfig {
        preserves_port: true,
        ..NatConfig::default()
    });
    assert_eq!(fixture.out(0, INSIDE, A1).port(), 4_000);
    assert_ne!(fixture.out(0, "10.0.0.3:4000", A1).port(), 4_000);
}

#[test]
fn parity_is_preserved() {
    let mut fixture = Fixture::new(NatConfig {
        preserves_parity: true,
        ..NatConfig::default()
    });
    for port in 5_000..5_100 {
        let inside = SocketAddr::new(addr(INSIDE).ip(), port);
        assert_eq!(fixture.out(0, &inside.to_string(), A1).port() % 2, port % 2);
    }
}

#[test]
fn mapping_lives_by_what_leaves_and_not_by_what_comes_in() {
    let mut fixture = Fixture::new(NatConfig::default());
    let outside = fixture.out(0, INSIDE, A1);
    assert_eq!(fixture.out(119, INSIDE, A1), outside);
    assert!(fixture.back(238, A1, outside).is_ok());
    assert_eq!(fixture.back(239, A1, outside), Err(DropRule::NatNoMapping));
}

#[test]
fn silent_destination_may_no_longer_answer() {
    let mut fixture = Fixture::new(NatConfig::default());
    let outside = fixture.out(0, INSIDE, A1);
    fixture.out(100, INSIDE, A2);
    assert_eq!(fixture.back(120, A1, outside), Err(DropRule::NatFiltered));
    assert!(fixture.back(120, A2, outside).is_ok());
}

#[test]
fn full_table_refuses_until_a_mapping_expires() {
    let mut fixture = Fixture::new(NatConfig {
        mappings_max: 1,
        ..NatConfig::default()
    });
    fixture.out(0, INSIDE, A1);
    assert_eq!(
        fixture.try_out(1, "10.0.0.3:1", A1),
        Err(DropRule::NatTableFull)
    );
    assert!(fixture.try_out(120, "10.0.0.3:1", A1).is_ok());
    assert_eq!(fixture.nat.mappings(), 1);
}

#[test]
fn last_free_port_is_found_and_then_none() {
    let mut fixture = Fixture::new(NatConfig {
        ports: 7_000..=7_002,
        ..NatConfig::default()
    });
    for host in ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"] {
        assert!(fixture.try_out(0, host, A1).is_ok());
    }
    assert_eq!(
        fixture.try_out(0, "10.0.0.4:1", A1),
        Err(DropRule::NatTableFull)
    );
}

#[test]
fn family_without_an_outside_address_is_dropped() {
    let mut fixture = Fixture::new(NatConfig::default());
    let v6 = fixture.try_out(0, "[fd00::1]:1", "[2001:db8::1]:1");
    assert_eq!(v6, Err(DropRule::NatNoAddress));
}

#[test]
fn reset_forgets_all() {
    let mut fixture = Fixture::new(NatConfig::default());
    let outside = fixture.out(0, INSIDE, A1);
    fixture.nat.reset();
    assert_eq!(fixture.back(0, A1, outside), Err(DropRule::NatNoMapping));
}

struct Fixture {
    nat: Nat,
    entropy: SeededEntropy,
}

impl Fixture {
    fn new(config: NatConfig) -> Self {
        let outside_ip = OUTSIDE_IP.parse().unwrap();
        Self {
            nat: Nat::new(config, &[outside_ip]),
            entropy: SeededEntropy::new(1),
        }
    }

    fn try_out(&mut self, at: u64, inside: &str, to: &str) -> Result<SocketAddr, DropRule> {
        self.nat.outbound(
            Timestamp::from_secs(at),
            addr(inside),
            addr(to),
            &mut self.entropy,
        )
    }

    fn out(&mut self, at: u64, inside: &str, to: &str) -> SocketAddr {
        let outside = self.try_out(at, inside, to).unwrap();
        assert_eq!(outside.ip(), OUTSIDE_IP.parse::<IpAddr>().unwrap());
        outside
    }

    fn back(&self, at: u64, from: &str, outside: SocketAddr) -> Result<SocketAddr, DropRule> {
        self.nat
            .inbound(Timestamp::from_secs(at), addr(from), outside)
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
