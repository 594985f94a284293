//! `turnpike run` without a configuration, on the relay host, and what it prints.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use turnpike_bench_rig::netns::{Hosts, Process, RELAY_V6};

use super::relay::{TLS_PORT, binary};

/// Starts it with this state folder and waits until it has proved itself over every transport, or
/// said why not.
#[track_caller]
pub(super) fn start(hosts: &Hosts, state: &Path) -> Process {
    let state = format!("TURNPIKE_STATE={}", state.display());
    let binary = binary().display().to_string();
    let relay = hosts.relay.spawn("env", [&state, &binary, "run"]).unwrap();
    let last = format!("tls {}:", SocketAddr::new(RELAY_V6, TLS_PORT));
    let is_proof = |line: &str| line.starts_with("self-test") && line.contains(&last);
    relay
        .wait_for_line("the last self-test", PROVED_WITHIN, is_proof)
        .unwrap_or_else(|error| panic!("{error}"));
    relay
}

/// The line for a browser: the configuration of an `RTCPeerConnection`.
#[track_caller]
pub(super) fn browser_line(printed: &str) -> String {
    let is_line = |line: &&str| line.starts_with("{\"iceServers\":");
    let line = printed.lines().find(is_line);
    line.unwrap_or_else(|| panic!("no line for a browser:\n{printed}"))
        .to_owned()
}

/// What it printed behind a label.
#[track_caller]
pub(super) fn value(printed: &str, label: &str) -> String {
    let mut rests = printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix(label));
    let value = rests.next().and_then(|rest| rest.split_whitespace().next());
    value
        .unwrap_or_else(|| panic!("no {label} in:\n{printed}"))
        .to_owned()
}

/// From the start to the last proof.
const PROVED_WITHIN: Duration = Duration::from_secs(20);
