//! aioice, an independent ICE implementation in Python, through the relay.

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use turnpike_bench_rig::netns::{RELAY_V4, RELAY_V6};

use super::relay::{PASSWORD, PORT, Relay, USER};
use super::{hosts, root};

#[test]
fn aioice_talks_through_relayed_candidates() {
    aioice_talks_through(RELAY_V4);
}

/// Its client asks for IPv4 relayed addresses only, also where it reaches the server over IPv6.
#[test]
fn aioice_talks_through_relayed_candidates_of_an_ipv6_server() {
    aioice_talks_through(RELAY_V6);
}

#[track_caller]
fn aioice_talks_through(server: IpAddr) {
    let hosts = hosts();
    let relay = Relay::start(&hosts);
    let script = root()
        .join("bench-rig/tests/e2e/aioice_relay.py")
        .display()
        .to_string();
    let [server, relayed, port] = [server.to_string(), RELAY_V4.to_string(), PORT.to_string()];
    let args = ["--server", &server, "--port", &port, "--relay", &relayed];
    let credential = ["--user", USER, "--password", PASSWORD];
    let mut agents = hosts
        .client
        .spawn(
            python(),
            ["-u", &script].iter().chain(&args).chain(&credential),
        )
        .unwrap();
    let status = agents.wait(WITHIN).unwrap();
    let relay_output = relay.process.output();
    let output = agents.output();
    assert!(
        status.success(),
        "aioice: {status}:\n{output}\nthe relay printed:\n{relay_output}"
    );
    assert!(output.contains("received them all"), "{output}");
    assert_eq!(output.matches("gathered relay").count(), 2, "{output}");
}

fn python() -> PathBuf {
    let python = env::var_os("TURNPIKE_PYTHON")
        .map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    assert!(
        python.is_file(),
        "{} is not there: run `make setup`",
        python.display()
    );
    python
}

/// How long the agents may take for everything.
const WITHIN: Duration = Duration::from_secs(60);
