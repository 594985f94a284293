//! Our own services as they look on the wire, since that is where they are compared.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::RelayAddress;

/// Spells each service out: on every relay address where it listens on all, and on both sides of a
/// NAT 1:1 where it stands on one.
pub(crate) fn expand(services: &[SocketAddr], relay_map: &[RelayAddress]) -> Vec<SocketAddr> {
    let mut expanded = Vec::with_capacity(services.len());
    for service in services {
        let listens_on = service.ip().to_canonical();
        push(&mut expanded, listens_on, service.port());
        for relay in relay_map {
            let names = [Some(relay.ip), relay.external];
            let is_here = names
                .into_iter()
                .flatten()
                .any(|name| covers(listens_on, name));
            for name in names.into_iter().flatten().filter(|_| is_here) {
                push(&mut expanded, name, service.port());
            }
        }
    }
    expanded
}

/// Whether a socket bound to the first address receives what is sent to the second.
fn covers(bound: IpAddr, destination: IpAddr) -> bool {
    match bound {
        IpAddr::V4(ip) if ip.is_unspecified() => destination.is_ipv4(),
        IpAddr::V6(ip) if ip.is_unspecified() => true,
        bound => bound == destination,
    }
}

fn push(services: &mut Vec<SocketAddr>, ip: IpAddr, port: u16) {
    let service = SocketAddr::new(ip, port);
    if !services.contains(&service) {
        services.push(service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn relay_map() -> Vec<RelayAddress> {
        let ip = |text: &str| text.parse().unwrap();
        vec![
            RelayAddress {
                ip: ip("10.0.0.5"),
                external: Some(ip("198.51.100.5")),
            },
            RelayAddress {
                ip: ip("2001:db8::5"),
                external: None,
            },
        ]
    }

    #[test]
    fn wildcard_listener_stands_on_every_relay_address_of_its_family() {
        let expanded = expand(&[addr("0.0.0.0:80")], &relay_map());
        assert_eq!(
            expanded,
            [
                addr("0.0.0.0:80"),
                addr("10.0.0.5:80"),
                addr("198.51.100.5:80")
            ]
        );
        let expanded = expand(&[addr("[::]:80")], &relay_map());
        assert!(expanded.contains(&addr("10.0.0.5:80")));
        assert!(expanded.contains(&addr("[2001:db8::5]:80")));
    }

    #[test]
    fn service_on_one_side_of_a_nat_is_found_on_the_other() {
        for side in [
            "10.0.0.5:3478",
            "198.51.100.5:3478",
            "[::ffff:10.0.0.5]:3478",
        ] {
            let expanded = expand(&[addr(side)], &relay_map());
            assert_eq!(expanded.len(), 2, "{side}: {expanded:?}");
            assert!(expanded.contains(&addr("10.0.0.5:3478")));
            assert!(expanded.contains(&addr("198.51.100.5:3478")));
        }
    }

    #[test]
    fn service_elsewhere_stays_as_it_is() {
        assert_eq!(
            expand(&[addr("203.0.113.9:5432")], &relay_map()),
            [addr("203.0.113.9:5432")]
        );
    }
}
