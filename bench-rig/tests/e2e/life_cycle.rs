//! How the relay starts on its embedded defaults, proves itself, and stops.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use turnpike_bench_rig::netns::{Hosts, Process, RELAY_PEER_V4, RELAY_PEER_V6, RELAY_V4, RELAY_V6};

use super::hosts;
use super::load::{CHANNELS, INDICATIONS, INDICATIONS_V6, Load, MESSAGES};
use super::relay::{PORT, Relay, binary};
use super::uclient::echo;

#[test]
fn embedded_defaults_prove_themselves_and_serve_the_printed_credential() {
    let hosts = hosts();
    let mut relay = run_on_defaults(&hosts);
    let printed = relay.output();
    for ip in [RELAY_V4, RELAY_PEER_V4] {
        assert!(printed.contains(&format!("turn:{ip}:{PORT}")), "{printed}");
    }
    for ip in [RELAY_V6, RELAY_PEER_V6] {
        assert!(
            printed.contains(&format!("turn:[{ip}]:{PORT}")),
            "{printed}"
        );
    }
    assert!(!printed.contains("self-test FAIL"), "{printed}");
    for server in [format!("{RELAY_V4}:{PORT}"), format!("[{RELAY_V6}]:{PORT}")] {
        let proof = |line: &str| line.contains("self-test PASS") && line.contains(&server);
        assert!(
            printed.lines().any(proof),
            "no proof on {server}:\n{printed}"
        );
    }

    // Private peers are refused by default, so the clients talk to each other's relayed addresses.
    let (user, password) = (value(&printed, "user "), value(&printed, "password "));
    for load in [INDICATIONS, INDICATIONS_V6] {
        let load = Load {
            between_clients: true,
            clients: 2,
            ..load
        };
        let report = load.run_as(&hosts, user, password);
        assert_eq!(report, load.whole(), "{}", relay.output());
    }
    stops_cleanly(&mut relay, Signal::TERM);
}

#[test]
fn embedded_defaults_stop_cleanly_on_an_interrupt() {
    let hosts = hosts();
    let mut relay = run_on_defaults(&hosts);
    stops_cleanly(&mut relay, Signal::INT);
}

#[test]
fn the_summary_counts_what_was_relayed() {
    let hosts = hosts();
    let mut relay = Relay::start(&hosts);
    let _peer = echo(&hosts);
    // The relay counts what it serves from a second after its self-test.
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(INDICATIONS.run(&hosts), INDICATIONS.whole());
    stops_cleanly(&mut relay.process, Signal::TERM);
    let printed = relay.process.output();
    for direction in [" to peers", " to clients"] {
        let before = printed.split(direction).next().unwrap_or_default();
        let relayed = before
            .rsplit(' ')
            .next()
            .and_then(|it| it.parse::<u64>().ok());
        assert!(relayed >= Some(MESSAGES), "{direction}:\n{printed}");
    }
}

#[test]
fn a_killed_relay_can_be_started_again() {
    let hosts = hosts();
    drop(Relay::start(&hosts));
    // The kernel takes a ring apart, and closes its sockets, after the process is gone.
    let bind = || UdpSocket::bind((RELAY_V4, PORT)).is_ok();
    let deadline = Instant::now() + Duration::from_secs(1);
    while !hosts.relay.enter(bind).unwrap() {
        assert!(Instant::now() < deadline, "the port is still taken");
        thread::sleep(Duration::from_millis(10));
    }
    let _peer = echo(&hosts);
    let relay = Relay::start(&hosts);
    let report = CHANNELS.run(&hosts);
    assert_eq!(report, CHANNELS.whole(), "{}", relay.process.output());
}

/// `turnpike run` and nothing else, until its self-test has ended on every listener.
fn run_on_defaults(hosts: &Hosts) -> Process {
    let relay = hosts.relay.spawn(binary(), ["run"]).unwrap();
    relay
        .wait_for_line("a self-test", Duration::from_secs(20), |line| {
            line.starts_with("self-test")
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // The other listeners' lines are printed together with the first.
    thread::sleep(Duration::from_millis(200));
    relay
}

#[track_caller]
fn stops_cleanly(relay: &mut Process, signal: Signal) {
    relay.signal(signal);
    let status = relay.wait(Duration::from_secs(10)).unwrap();
    let printed = relay.output();
    assert!(status.success(), "{status}:\n{printed}");
    for part in ["stopped", "served", "relayed", "dropped"] {
        let begins = |line: &str| line.starts_with(part);
        assert!(printed.lines().any(begins), "no {part}:\n{printed}");
    }
}

/// What the relay printed behind a label.
#[track_caller]
fn value<'a>(printed: &'a str, label: &str) -> &'a str {
    let mut words = printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix(label));
    let value = words.next().and_then(|rest| rest.split_whitespace().next());
    value.unwrap_or_else(|| panic!("no {label}in:\n{printed}"))
}
