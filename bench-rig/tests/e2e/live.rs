//! What happens to the relay while calls live: it is asked for its numbers, given another
//! certificate, told to stop.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::certificates::{base64, served_certificate};
use super::load::{Call, INDICATIONS, INDICATIONS_V6, Load, Transport};
use super::metrics::{self, Metrics};
use super::relay::{PASSWORD, Program, Setup, USER};
use super::scene::{Scene, says};
use super::uclient::echo;

#[test]
fn numbers_are_served_while_calls_live() {
    let sections = metrics::SECTION.to_owned();
    let scene = Scene::new(|setup| Setup { sections, ..setup });
    let _peer = echo(&scene.hosts);
    let calls = CALLS.map(|load| load.call(&scene.hosts, USER, PASSWORD));
    let each = CALLS.map(|load| load.messages).iter().sum::<u64>();
    Metrics::when(
        &scene.hosts,
        "live calls and their packets counted",
        |metrics| {
            let both = metrics::DIRECTIONS.map(|to| metrics.sum(metrics::RELAYED_PACKETS, &[to]));
            let live = metrics.sum("turnpike_allocations", &[]);
            live >= CALLS.len() as u64 && both.iter().all(|packets| (1..each).contains(packets))
        },
    );
    calls.into_iter().for_each(|call| call.ends_whole());
    Metrics::when(
        &scene.hosts,
        "every message counted, once each way",
        |metrics| {
            metrics::DIRECTIONS.iter().all(|to| {
                let [packets, bytes] = [metrics::RELAYED_PACKETS, metrics::RELAYED_BYTES]
                    .map(|name| metrics.sum(name, &[to]));
                let length = u64::from(INDICATIONS.length);
                (each..each + PROOF_MAX).contains(&packets)
                    && (each * length..(each + PROOF_MAX) * length).contains(&bytes)
            })
        },
    );
}

#[test]
fn a_new_certificate_serves_new_connections_and_calls_go_on() {
    let scene = Scene::new(|setup| setup);
    let _peer = echo(&scene.hosts);
    let first = fs::read_to_string(scene.authority.files().certificate).unwrap();
    assert_eq!(served_certificate(&scene.hosts), base64(&first));
    let mut call = over(Transport::Tls, 1_000).call(&scene.hosts, USER, PASSWORD);
    let second = scene.authority.replace();
    assert_ne!(first, second);
    if Program::chosen() == Program::Coturn {
        // Turnpike looks by itself.
        scene.relay.process.signal(Signal::USR2);
    }
    let deadline = Instant::now() + Duration::from_secs(8);
    while served_certificate(&scene.hosts) != base64(&second) {
        let printed = scene.relay.process.output();
        assert!(Instant::now() < deadline, "the old certificate:\n{printed}");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(call.lives(), "the call was too short to mean something");
    call.ends_whole();
}

#[test]
fn a_hang_up_is_answered_and_ends_no_call() {
    let scene = Scene::new(|setup| setup);
    let _peer = echo(&scene.hosts);
    let mut call = over(Transport::Tls, 400).call(&scene.hosts, USER, PASSWORD);
    scene.relay.process.signal(Signal::HUP);
    says(&scene, "SIGHUP: the TLS certificate has not changed");
    assert!(call.lives(), "the call was too short to mean something");
    call.ends_whole();
}

#[test]
fn a_broken_certificate_is_told_and_the_old_one_stays() {
    let scene = Scene::new(|setup| setup);
    let files = scene.authority.files();
    let first = fs::read_to_string(&files.certificate).unwrap();
    fs::write(&files.certificate, "no certificate").unwrap();
    says(&scene, "the TLS certificate stays the old one");
    scene.relay.process.signal(Signal::HUP);
    says(&scene, "SIGHUP: the TLS certificate stays the old one");
    assert_eq!(served_certificate(&scene.hosts), base64(&first));
}

/// Told to stop, the relay waits for the calls it has, which lose nothing, and takes no others.
#[test]
fn calls_outlive_a_request_to_stop() {
    let mut scene = draining("20s");
    let _peer = echo(&scene.hosts);
    let mut calls = CALLS.map(|load| load.call(&scene.hosts, USER, PASSWORD));
    scene.relay.process.signal(Signal::TERM);
    says(&scene, "draining ");
    for load in CALLS {
        let said = load.try_as(&scene.hosts, USER, PASSWORD);
        let is_refused = said.as_ref().is_err_and(|said| said.contains("error 508"));
        assert!(is_refused, "{load:?}: {said:?}");
    }
    let live = calls.iter_mut().all(Call::lives);
    assert!(live, "the calls were too short to mean something");
    calls.into_iter().for_each(|call| call.ends_whole());
    stopped(&mut scene, Duration::from_secs(40));
}

#[test]
fn the_time_to_drain_ends_calls_that_stay() {
    let mut scene = draining("2s");
    let _peer = echo(&scene.hosts);
    let mut call = over(Transport::Tls, 3_000).call(&scene.hosts, USER, PASSWORD);
    let asked = Instant::now();
    scene.relay.process.signal(Signal::TERM);
    stopped(&mut scene, Duration::from_secs(10));
    assert!(asked.elapsed() >= Duration::from_secs(2), "it did not wait");
    assert!(call.lives(), "the call was too short to mean something");
}

#[test]
fn a_relay_without_calls_stops_at_once() {
    let mut scene = draining("60s");
    scene.relay.process.signal(Signal::TERM);
    stopped(&mut scene, Duration::from_secs(5));
}

fn draining(time: &str) -> Scene {
    let sections = format!("[runtime]\ndrain = \"{time}\"\n");
    Scene::new(|setup| Setup { sections, ..setup })
}

/// A clean end with a summary.
#[track_caller]
fn stopped(scene: &mut Scene, within: Duration) {
    let status = scene
        .relay
        .process
        .wait(within)
        .unwrap_or_else(|error| panic!("{error}"));
    let printed = scene.relay.process.output();
    assert!(status.success(), "{status}:\n{printed}");
    for part in ["stopped", "served", "relayed"] {
        let begins = |line: &str| line.starts_with(part);
        assert!(printed.lines().any(begins), "no {part}:\n{printed}");
    }
}

/// More packets than the relay's proof of itself takes, which are counted too.
const PROOF_MAX: u64 = 100;

/// About four seconds each.
const CALLS: [Load; 3] = [
    over(Transport::Udp, 400),
    over(Transport::Tcp, 400),
    Load {
        transport: Transport::Tls,
        messages: 400,
        ..INDICATIONS_V6
    },
];

const fn over(transport: Transport, messages: u64) -> Load {
    Load {
        transport,
        messages,
        ..INDICATIONS
    }
}
