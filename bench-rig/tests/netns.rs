//! The guard of the hosts: made, joined, and gone afterwards whatever happened. Needs root.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use turnpike_bench_rig::netns::{
    CLIENT_V4, CLIENT_V6, Host, Hosts, PEER_V4, PEER_V6, RELAY_PEER_V4, RELAY_PEER_V6, RELAY_V4,
    RELAY_V6,
};

#[test]
fn hosts_reach_their_neighbours_over_both_families() {
    let hosts = hosts();
    for (from, to, address) in [
        (&hosts.client, &hosts.relay, RELAY_V4),
        (&hosts.client, &hosts.relay, RELAY_V6),
        (&hosts.client, &hosts.relay, RELAY_PEER_V4),
        (&hosts.relay, &hosts.client, CLIENT_V4),
        (&hosts.relay, &hosts.client, CLIENT_V6),
        (&hosts.relay, &hosts.peer, PEER_V4),
        (&hosts.relay, &hosts.peer, PEER_V6),
        (&hosts.peer, &hosts.relay, RELAY_PEER_V6),
        (&hosts.peer, &hosts.relay, RELAY_V4),
        (&hosts.peer, &hosts.relay, RELAY_V6),
        (&hosts.client, &hosts.client, IpAddr::from([127, 0, 0, 1])),
    ] {
        assert!(crosses(from, to, address), "{} to {address}", from.name());
    }
}

#[test]
fn the_relay_host_forwards_nothing_by_itself() {
    let hosts = hosts();
    for address in [PEER_V4, PEER_V6] {
        assert!(
            !crosses(&hosts.client, &hosts.peer, address),
            "client reached {address}"
        );
    }
    for address in [CLIENT_V4, CLIENT_V6] {
        assert!(
            !crosses(&hosts.peer, &hosts.client, address),
            "peer reached {address}"
        );
    }
}

#[test]
fn two_sets_of_hosts_use_the_same_addresses_without_meeting() {
    let (one, other) = (hosts(), hosts());
    assert!(!crosses(&one.client, &other.relay, RELAY_V4));
    assert!(crosses(&one.client, &one.relay, RELAY_V4));
    assert!(crosses(&other.client, &other.relay, RELAY_V4));
}

#[test]
fn dropped_hosts_are_gone_with_the_programs_on_them() {
    let hosts = hosts();
    let names = names(&hosts);
    let mut sleeper = hosts.peer.spawn("sleep", ["1000"]).unwrap();
    assert!(names.iter().all(|name| exists(name)));
    drop(hosts);
    assert_gone(&names);
    assert!(!sleeper.wait(Duration::from_secs(2)).unwrap().success());
}

#[test]
fn a_panic_takes_the_hosts_away() {
    let mut made = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let hosts = hosts();
        made = names(&hosts);
        panic!("planted: this test panics on purpose");
    }));
    assert!(result.is_err());
    assert_eq!(made.len(), 3);
    assert_gone(&made);
}

#[test]
fn any_deadly_signal_takes_the_hosts_away() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut maker = Maker::start();
        maker.die_of(signal);
        assert_gone(&maker.names);
    }
}

#[test]
fn the_next_sweep_takes_away_what_a_killed_process_and_its_janitor_left() {
    let mut maker = Maker::start();
    kill(maker.janitor, Signal::KILL);
    maker.die_of(Signal::KILL);
    assert!(
        maker.names.iter().all(|name| exists(name)),
        "nothing was left to sweep"
    );
    drop(hosts());
    assert_gone(&maker.names);
}

#[test]
fn a_sweep_leaves_the_hosts_of_living_processes_alone() {
    let first = hosts();
    drop(hosts());
    assert!(crosses(&first.client, &first.relay, RELAY_V4));
}

#[test]
fn a_program_that_fails_is_reported_with_its_words() {
    let hosts = hosts();
    let error = hosts
        .client
        .run("ls", ["/no-such-folder"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-folder"), "{error}");
}

#[test]
fn printed_lines_are_waited_for_and_kept() {
    let hosts = hosts();
    let script = "echo one; echo two >&2; sleep 1000";
    let process = hosts.client.spawn("sh", ["-c", script]).unwrap();
    let second = Duration::from_secs(5);
    process
        .wait_for_line("one", second, |line| line == "one")
        .unwrap();
    process
        .wait_for_line("two", second, |line| line == "two")
        .unwrap();
    let error = process.wait_for_line("three", Duration::from_millis(50), |line| line == "three");
    assert!(error.unwrap_err().to_string().contains("three"));
}

fn hosts() -> Hosts {
    Hosts::new().unwrap_or_else(|error| panic!("{error}"))
}

fn names(hosts: &Hosts) -> Vec<String> {
    [&hosts.client, &hosts.relay, &hosts.peer]
        .map(|host| host.name().to_owned())
        .to_vec()
}

fn exists(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

/// The janitor works on its own, so it gets a moment.
fn assert_gone(names: &[String]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while names.iter().any(|name| exists(name)) {
        assert!(Instant::now() < deadline, "still there: {names:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a datagram sent on `from` to `address` arrives at a socket on `to`.
fn crosses(from: &Host, to: &Host, address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let bound = move || UdpSocket::bind((any, 0)).unwrap();
    let receiver = to.enter(bound).unwrap();
    let sender = from.enter(bound).unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let target = SocketAddr::new(address, receiver.local_addr().unwrap().port());
    // No way there at all is one of the answers.
    if sender.send_to(b"across", target).is_err() {
        return false;
    }
    let mut buffer = [0; 16];
    receiver
        .recv(&mut buffer)
        .is_ok_and(|read| buffer.get(..read) == Some(b"across"))
}

/// Another process that makes hosts and holds them.
struct Maker {
    child: Child,
    names: Vec<String>,
    janitor: i32,
}

impl Maker {
    fn start() -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_turnpike-hosts"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut maker = Self {
            child,
            names: Vec::new(),
            janitor: 0,
        };
        let stdout = maker.child.stdout.take().unwrap();
        for line in BufReader::new(stdout).lines().map(Result::unwrap) {
            if let Some(rest) = line.strip_prefix("nsenter --net=/run/netns/") {
                maker.names.push(rest.split(' ').next().unwrap().to_owned());
            } else if let Some(rest) = line.strip_prefix("janitor ") {
                maker.janitor = rest.split(';').next().unwrap().parse().unwrap();
                break;
            }
        }
        assert_eq!(maker.names.len(), 3, "the maker made no hosts");
        assert!(maker.names.iter().all(|name| exists(name)));
        maker
    }

    fn die_of(&mut self, signal: Signal) {
        kill(i32::try_from(self.child.id()).unwrap(), signal);
        assert!(!self.child.wait().unwrap().success());
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}
