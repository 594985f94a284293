//! What happens to the relay while calls live: it is asked for its numbers, given another
//! certificate, told to stop.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use turnpike_bench_rig::netns::RELAY_V4;

use super::load::{INDICATIONS, INDICATIONS_V6, Load, Transport};
use super::metrics::{self, Metrics};
use super::python;
use super::relay::{PASSWORD, Program, Setup, TLS_PORT, USER};
use super::scene::Scene;
use super::uclient::echo;

#[test]
fn numbers_are_served_while_calls_live() {
    let sections = metrics::SECTION.to_owned();
    let scene = Scene::new(|setup| Setup { sections, ..setup });
    let _peer = echo(&scene.hosts);
    let calls = CALLS.map(|load| load.call(&scene.hosts, USER, PASSWORD));
    let each = CALLS.map(|load| load.messages).iter().sum::<u64>();
    let metrics = Metrics::when(&scene.hosts, "packets counted in a live call", |metrics| {
        let both = metrics::DIRECTIONS.map(|to| metrics.sum(metrics::RELAYED_PACKETS, &[to]));
        both.iter().all(|packets| (1..each).contains(packets))
    });
    let allocations = metrics.sum("turnpike_allocations", &[]);
    assert_eq!(allocations, CALLS.len() as u64, "{}", metrics.text());
    calls.into_iter().for_each(|call| call.ends_whole());
    Metrics::when(
        &scene.hosts,
        "every message counted, once each way",
        |metrics| {
            metrics::DIRECTIONS.iter().all(|to| {
                let [packets, bytes] = [metrics::RELAYED_PACKETS, metrics::RELAYED_BYTES]
                    .map(|name| metrics.sum(name, &[to]));
                packets == each && bytes == each * u64::from(INDICATIONS.length)
            })
        },
    );
}

#[test]
fn a_new_certificate_serves_new_connections_and_calls_go_on() {
    let scene = Scene::new(|setup| setup);
    let _peer = echo(&scene.hosts);
    let first = fs::read_to_string(scene.authority.files().certificate).unwrap();
    assert_eq!(served(&scene), base64(&first));
    let mut call = over(Transport::Tls, 1_000).call(&scene.hosts, USER, PASSWORD);
    let second = scene.authority.replace();
    assert_ne!(first, second);
    if Program::chosen() == Program::Coturn {
        // Turnpike looks by itself.
        scene.relay.process.signal(Signal::USR2);
    }
    let deadline = Instant::now() + Duration::from_secs(8);
    while served(&scene) != base64(&second) {
        let printed = scene.relay.process.output();
        assert!(Instant::now() < deadline, "the old certificate:\n{printed}");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(call.lives(), "the call was too short to mean something");
    call.ends_whole();
}

#[test]
fn a_broken_certificate_is_told_and_the_old_one_stays() {
    let scene = Scene::new(|setup| setup);
    let files = scene.authority.files();
    let first = fs::read_to_string(&files.certificate).unwrap();
    fs::write(&files.certificate, "no certificate").unwrap();
    let relay = &scene.relay.process;
    relay
        .wait_for_line(
            "a word on the certificate",
            Duration::from_secs(10),
            |line| line.contains("certificate stays the old one"),
        )
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(served(&scene), base64(&first));
}

/// Told to stop, the relay waits for the calls it has, which lose nothing.
#[test]
fn calls_outlive_a_request_to_stop() {
    let mut scene = draining("30s");
    let _peer = echo(&scene.hosts);
    let calls = CALLS.map(|load| load.call(&scene.hosts, USER, PASSWORD));
    scene.relay.process.signal(Signal::TERM);
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

/// The certificate that a new connection is shown.
#[track_caller]
fn served(scene: &Scene) -> String {
    let code = format!("import ssl; print(ssl.get_server_certificate(('{RELAY_V4}', {TLS_PORT})))");
    let python = python().display().to_string();
    base64(&scene.hosts.client.run(&python, ["-c", &code]).unwrap())
}

/// The first block of a PEM text without its line breaks, which programs put elsewhere.
fn base64(pem: &str) -> String {
    let begun = pem.split_once("-----BEGIN CERTIFICATE-----");
    let body = begun.and_then(|(_, rest)| rest.split_once("-----END"));
    body.map_or("", |(body, _)| body)
        .split_whitespace()
        .collect()
}

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
