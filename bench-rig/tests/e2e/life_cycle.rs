//! How the relay starts on its embedded defaults, proves itself, and stops.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use turnpike_bench_rig::netns::{Process, RELAY_PEER_V4, RELAY_PEER_V6, RELAY_V4, RELAY_V6};

use super::certificates::served_certificate;
use super::load::{CHANNELS, INDICATIONS, INDICATIONS_V6, Load, MESSAGES, REFUSED};
use super::relay::{PORT, Relay, TLS_PORT, binary};
use super::uclient::echo;
use super::{defaults, hosts};

#[test]
fn embedded_defaults_prove_themselves_and_serve_the_printed_credential() {
    let hosts = hosts();
    let state = tempfile::tempdir().unwrap();
    let mut relay = defaults::start(&hosts, state.path());
    let printed = relay.output();
    for ip in [RELAY_V4, RELAY_V6, RELAY_PEER_V4, RELAY_PEER_V6] {
        let [plain, tls] = [PORT, TLS_PORT].map(|port| SocketAddr::new(ip, port));
        for uri in [
            format!("turn:{plain}?transport=udp"),
            format!("turn:{plain}?transport=tcp"),
            format!("turns:{tls}?transport=tcp"),
        ] {
            assert!(printed.contains(&uri), "no {uri}:\n{printed}");
        }
    }
    for ip in [RELAY_V4, RELAY_V6] {
        for (transport, port) in [("udp", PORT), ("tcp", PORT), ("tls", TLS_PORT)] {
            let server = SocketAddr::new(ip, port);
            let proof = format!("self-test PASS  {transport} {server}:");
            assert!(printed.contains(&proof), "no {proof}\n{printed}");
        }
    }
    assert!(!printed.contains("self-test FAIL"), "{printed}");
    let guest = printed_guest(&printed);
    for load in [INDICATIONS, INDICATIONS_V6].map(between) {
        let report = load.run_as(&hosts, &guest.0, &guest.1);
        assert_eq!(report, load.whole(), "{}", relay.output());
    }
    stops_cleanly(&mut relay, Signal::TERM);
}

#[test]
fn embedded_defaults_stop_cleanly_on_an_interrupt() {
    let hosts = hosts();
    let state = tempfile::tempdir().unwrap();
    let mut relay = defaults::start(&hosts, state.path());
    stops_cleanly(&mut relay, Signal::INT);
}

/// What was pasted yesterday works today.
#[test]
fn user_and_certificate_are_the_same_after_a_restart() {
    let hosts = hosts();
    let state = tempfile::tempdir().unwrap();
    let [first, second] = [(); 2].map(|()| {
        let mut relay = defaults::start(&hosts, state.path());
        let printed = relay.output();
        let said = (
            defaults::browser_line(&printed),
            served_certificate(&hosts),
            printed_guest(&printed),
        );
        assert!(!said.1.is_empty(), "{printed}");
        stops_cleanly(&mut relay, Signal::TERM);
        said
    });
    assert_eq!(first, second);
}

#[test]
fn users_come_and_go_while_the_relay_runs() {
    let hosts = hosts();
    let state = tempfile::tempdir().unwrap();
    let relay = defaults::start(&hosts, state.path());
    let call = between(INDICATIONS);
    let verb = |args: &[&str]| {
        let state = state.path().display().to_string();
        let all = [args, &["--state", &state]].concat();
        let binary = binary().display().to_string();
        let said = hosts.relay.run(&binary, ["user"].iter().chain(&all));
        said.unwrap_or_else(|error| panic!("{error}"))
    };
    let said = verb(&["add", "bob", "--generate"]);
    // Behind it stands what was done.
    let password = said.lines().next().unwrap();
    becomes(&relay, "bob to be let in", || {
        call.try_as(&hosts, "bob", password) == Ok(call.whole())
    });
    let live = Load {
        messages: 500,
        ..call
    };
    let live = live.call(&hosts, "bob", password);
    assert_eq!(verb(&["del", "bob"]), "");
    becomes(&relay, "bob to be refused", || {
        let said = call.try_as(&hosts, "bob", password);
        said.is_err_and(|said| said.contains(REFUSED))
    });
    // What has begun may end.
    live.ends_whole();
    let guest = printed_guest(&relay.output());
    assert_eq!(call.run_as(&hosts, &guest.0, &guest.1), call.whole());
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

#[track_caller]
fn stops_cleanly(relay: &mut Process, signal: Signal) {
    relay.signal(signal);
    let heeds = |line: &str| {
        ["draining", "stopped"]
            .iter()
            .any(|it| line.starts_with(it))
    };
    let said = relay
        .wait_for_line("the signal to be heeded", Duration::from_secs(5), heeds)
        .unwrap_or_else(|error| panic!("{error}"));
    if said.starts_with("draining") {
        // Calls have left allocations behind, which nobody waits for after a second signal.
        relay.signal(signal);
    }
    let status = relay.wait(Duration::from_secs(10)).unwrap();
    let printed = relay.output();
    assert!(status.success(), "{status}:\n{printed}");
    for part in ["stopped", "served", "relayed", "dropped"] {
        let begins = |line: &str| line.starts_with(part);
        assert!(printed.lines().any(begins), "no {part}:\n{printed}");
    }
}

/// Name and password of the generated user.
#[track_caller]
fn printed_guest(printed: &str) -> (String, String) {
    let [name, password] = ["user ", "password "].map(|label| defaults::value(printed, label));
    (name, password)
}

/// Private peers are refused by default, so the clients talk to each other's relayed addresses.
fn between(load: Load) -> Load {
    Load {
        between_clients: true,
        clients: 2,
        ..load
    }
}

#[track_caller]
fn becomes(relay: &Process, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + FOLLOWED_WITHIN;
    while !is_so() {
        let printed = relay.output();
        assert!(Instant::now() < deadline, "waited for {what}:\n{printed}");
    }
}

/// How long a running relay may take to follow its database.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
