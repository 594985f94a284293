//! aioice, an independent ICE implementation in Python, through the relay.

use std::net::IpAddr;
use std::time::Duration;

use turnpike_bench_rig::netns::{RELAY_V4, RELAY_V6};

use super::certificates::Authority;
use super::lane::{Lane, in_each_lane};
use super::relay::{PASSWORD, PORT, Setup, TLS_PORT, USER};
use super::{python, script};

in_each_lane! {
    aioice_talks_through_relayed_candidates,
    aioice_talks_through_relayed_candidates_of_an_ipv6_server,
    aioice_on_udp_talks_to_aioice_on_tcp,
}

fn aioice_talks_through_relayed_candidates(lane: Lane) {
    aioice_talks_through(lane, RELAY_V4, &[]);
}

/// Its client asks for IPv4 relayed addresses only, also where it reaches the server over IPv6.
fn aioice_talks_through_relayed_candidates_of_an_ipv6_server(lane: Lane) {
    aioice_talks_through(lane, RELAY_V6, &[]);
}

/// What one sends has to change lanes on its way to the other, in the relay's own host.
fn aioice_on_udp_talks_to_aioice_on_tcp(lane: Lane) {
    aioice_talks_through(lane, RELAY_V4, &["--bobs-transport", "tcp"]);
}

#[test]
fn aioice_talks_through_a_tcp_server() {
    aioice_talks_through(Lane::Sockets, RELAY_V4, &["--transport", "tcp"]);
}

#[test]
fn aioice_talks_through_an_ipv6_tcp_server() {
    aioice_talks_through(Lane::Sockets, RELAY_V6, &["--transport", "tcp"]);
}

/// It verifies the certificate against the test's authority.
#[test]
fn aioice_talks_through_a_tls_server() {
    aioice_talks_through(Lane::Sockets, RELAY_V4, &["--transport", "tls"]);
}

/// Every byte in a segment of its own: no frame may be taken for whole, or lost, before it is.
#[test]
fn aioice_talks_over_tcp_in_single_bytes() {
    aioice_talks_through(
        Lane::Sockets,
        RELAY_V4,
        &["--transport", "tcp", "--single-bytes"],
    );
}

/// Every byte in a TLS record of its own.
#[test]
fn aioice_talks_over_tls_in_single_bytes() {
    aioice_talks_through(
        Lane::Sockets,
        RELAY_V4,
        &["--transport", "tls", "--single-bytes"],
    );
}

#[track_caller]
fn aioice_talks_through(lane: Lane, server: IpAddr, options: &[&str]) {
    let authority = Authority::new();
    let setup = Setup {
        tls: (!options.is_empty()).then(|| authority.files()),
        ..Setup::default()
    };
    let ground = lane.start(setup);
    let port = if options.contains(&"tls") {
        TLS_PORT
    } else {
        PORT
    };
    let [server, relayed, port] = [server.to_string(), RELAY_V4.to_string(), port.to_string()];
    let [script, ca] = [
        script("aioice_relay.py"),
        authority.ca().display().to_string(),
    ];
    let args = [
        "--server", &server, "--port", &port, "--relay", &relayed, "--ca", &ca,
    ];
    let credential = ["--user", USER, "--password", PASSWORD];
    let mut agents = ground
        .hosts
        .client
        .spawn(
            python(),
            ["-u", &script]
                .iter()
                .chain(&args)
                .chain(&credential)
                .chain(options),
        )
        .unwrap();
    let status = agents.wait(WITHIN).unwrap();
    let relay_output = ground.relay.process.output();
    let output = agents.output();
    assert!(
        status.success(),
        "aioice: {status}:\n{output}\nthe relay printed:\n{relay_output}"
    );
    assert!(output.contains("received them all"), "{output}");
    assert_eq!(output.matches("gathered relay").count(), 2, "{output}");
    if options.is_empty() {
        ground.took_its_lane();
    }
}

/// How long the agents may take for everything.
const WITHIN: Duration = Duration::from_secs(60);
