//! Hosts to measure on: threads pinned, addresses routed, nothing done for free.

use std::net::{IpAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};
use turnpike_bench_rig::netns::{Host, NetnsError, RELAY_V4};

use super::hosts;

#[test]
fn every_end_receives_on_its_own_core() {
    let hosts = hosts(Wires::Two);
    hosts.check().unwrap();
    assert_eq!(hosts.relay_threads().unwrap().len(), 2);
}

#[test]
fn a_thread_that_a_link_change_let_loose_is_noticed_and_pinned_again() {
    let hosts = hosts(Wires::Two);
    for state in ["down", "up"] {
        let args = ["link", "set", "client0", state];
        hosts.hosts.relay.run("ip", args).unwrap();
    }
    let error = hosts.check().unwrap_err();
    assert!(
        matches!(&error, NetnsError::Broken { what } if what.contains("core 1")),
        "{error}"
    );
    hosts.pin().unwrap();
    hosts.check().unwrap();
}

#[test]
fn a_receiving_thread_that_waits_for_others_is_noticed_and_goes_first_again() {
    let hosts = hosts(Wires::Two);
    let thread = hosts.relay_threads().unwrap()[0].to_string();
    let args = ["--other", "--pid", "0", &thread];
    hosts.hosts.relay.run("chrt", args).unwrap();
    let error = hosts.check().unwrap_err();
    assert!(error.to_string().contains("waits for others"), "{error}");
    hosts.pin().unwrap();
    hosts.check().unwrap();
}

#[test]
fn far_ends_poll_and_the_relays_devices_do_not() {
    let hosts = hosts(Wires::Two);
    let settings = |host: &Host, device: &str| {
        let script = format!(
            "mount -t sysfs none /sys && cd /sys/class/net/{device} && \
             cat gro_flush_timeout napi_defer_hard_irqs"
        );
        let said = host.run("unshare", ["--mount", "sh", "-c", &script]);
        said.unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for far in [hosts.clients(), hosts.peers()] {
        assert_eq!(settings(far, "eth0"), ["50000", "200"]);
    }
    for device in ["client0", "peer0"] {
        assert_eq!(settings(&hosts.hosts.relay, device), ["0", "0"]);
    }
}

#[test]
fn a_device_that_starts_to_do_the_senders_work_is_noticed() {
    let hosts = hosts(Wires::Two);
    let args = ["-K", "peer0", "tx", "on"];
    hosts.hosts.relay.run("ethtool", args).unwrap();
    let error = hosts.check().unwrap_err();
    assert!(
        error.to_string().contains("tx-checksumming of peer0"),
        "{error}"
    );
}

#[test]
fn virtual_clients_and_peers_are_behind_their_wires() {
    for (wires, peers_behind) in [(Wires::Two, "peer0"), (Wires::One, "client0")] {
        let hosts = hosts(wires);
        for (address, device) in [
            ("10.80.255.7", "client0"),
            ("fd00:80::9:1", "client0"),
            ("10.90.4.1", peers_behind),
            ("fd00:90::7", peers_behind),
        ] {
            let route = relay_runs(&hosts, &["route", "get", address]);
            assert!(route.contains(&format!("dev {device}")), "{route}");
        }
        assert_eq!(hosts.relay_peer_device(), peers_behind);
    }
}

#[test]
fn neighbours_are_known_for_good_with_the_promised_addresses() {
    let hosts = hosts(Wires::Two);
    let known = relay_runs(&hosts, &["neigh", "show", "nud", "permanent"]);
    for (device, mac) in [("client0", hosts.client_mac()), ("peer0", hosts.peer_mac())] {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let lines = known.lines();
        let found = lines.filter(|line| line.contains(device) && line.contains(&mac));
        assert_eq!(found.count(), 2, "{device} {mac} in\n{known}");
    }
}

#[test]
fn relayed_addresses_can_be_bound() {
    let hosts = hosts(Wires::Two);
    let addresses = hosts.relayed();
    assert_eq!(
        addresses.iter().filter(|address| address.is_ipv4()).count(),
        8
    );
    assert_eq!(
        addresses.iter().filter(|address| address.is_ipv6()).count(),
        8
    );
    let bind = |address: &IpAddr| UdpSocket::bind((*address, 49_152)).map(drop);
    let bound: Result<(), _> = hosts
        .hosts
        .relay
        .enter(|| addresses.iter().try_for_each(bind))
        .unwrap();
    bound.unwrap();
}

#[test]
fn packets_that_the_relays_sockets_have_no_room_for_are_counted() {
    let hosts = hosts(Wires::Two);
    let before = hosts.drops().unwrap();
    // Nobody reads it: some hundred packets fill its buffer.
    let bind = || UdpSocket::bind((RELAY_V4, 4000)).unwrap();
    let _full = hosts.hosts.relay.enter(bind).unwrap();
    let flood = || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..2_000 {
            socket.send_to(&[0; 1_000], (RELAY_V4, 4000)).unwrap();
        }
    };
    hosts.clients().enter(flood).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut drops = hosts.drops().unwrap() - before;
    while drops.at_sockets + drops.before_relay < 500 {
        assert!(Instant::now() < deadline, "{drops:?}");
        thread::sleep(Duration::from_millis(10));
        drops = hosts.drops().unwrap() - before;
    }
    assert!(drops.at_sockets > 0, "{drops:?}");
    assert_eq!(drops.after_relay, 0);
}

fn relay_runs(hosts: &BenchHosts, args: &[&str]) -> String {
    let families = ["-4", "-6"].map(|family| {
        // One of the families has no such address.
        let args = [family].into_iter().chain(args.iter().copied());
        hosts.hosts.relay.run("ip", args).unwrap_or_default()
    });
    families.concat()
}
