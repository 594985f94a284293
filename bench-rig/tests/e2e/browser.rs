//! Two Chromium pages, on the client host and on the peer host, call each other through the relay:
//! bytes on a data channel and video, with relayed candidates only.

use std::time::Duration;

use serde_json::Value;
use turnpike_bench_rig::netns::{Hosts, RELAY_V4};

use super::certificates::{Authority, RELAY_NAME};
use super::metrics::{self, Metrics};
use super::relay::{PASSWORD, PORT, Program, Relay, Setup, TLS_PORT, USER};
use super::{hosts, python, script};

#[test]
fn browsers_call_each_other_over_udp() {
    browsers_call_each_other(&format!("turn:{RELAY_V4}:{PORT}?transport=udp"), "udp");
}

#[test]
fn browsers_call_each_other_over_tcp() {
    browsers_call_each_other(&format!("turn:{RELAY_V4}:{PORT}?transport=tcp"), "tcp");
}

#[test]
fn browsers_call_each_other_over_tls() {
    browsers_call_each_other(
        &format!("turns:{RELAY_NAME}:{TLS_PORT}?transport=tcp"),
        "tls",
    );
}

/// The relay's certificate is for its addresses too.
#[test]
fn a_browser_trusts_the_address_in_the_certificate() {
    let hosts = hosts();
    let authority = Authority::new();
    let relay = start(&hosts, &authority);
    let url = format!("turns:{RELAY_V4}:{TLS_PORT}?transport=tcp");
    let short = ["--frames", "10", "--bytes", "1000"];
    let ends = call(&hosts, &relay, &authority, &url, &short);
    for end in ends {
        assert_eq!(text(&end, "/local/relayProtocol"), "tls", "{end}");
    }
}

#[track_caller]
fn browsers_call_each_other(url: &str, protocol: &str) {
    let hosts = hosts();
    let authority = Authority::new();
    let relay = start(&hosts, &authority);
    let ends = call(&hosts, &relay, &authority, url, &[]);
    for end in &ends {
        assert_eq!(text(end, "/local/candidateType"), "relay", "{end}");
        assert_eq!(text(end, "/local/relayProtocol"), protocol, "{end}");
        assert_eq!(text(end, "/local/url"), url, "{end}");
        assert_eq!(text(end, "/remote/candidateType"), "relay", "{end}");
        assert_eq!(text(end, "/state"), "connected", "{end}");
        assert!(number(end, "/framesDecoded") >= FRAMES, "{end}");
        assert!(number(end, "/bytesReceived") > 10 * FRAMES, "{end}");
        assert_eq!(number(end, "/dataReceived"), BYTES, "{end}");
        assert_eq!(number(end, "/dataWrong"), 0, "{end}");
    }
    if Program::chosen() == Program::Turnpike {
        counters_agree(&hosts, &ends);
    }
}

/// Each packet of one browser goes to a peer once, which is the other's relayed address, and from
/// there to a client once. Browsers count what they send but for checks of the path, which come on
/// top: some each second.
#[track_caller]
fn counters_agree(hosts: &Hosts, ends: &[Value]) {
    let total = |name: &str| ends.iter().map(|end| number(end, name)).sum::<u64>();
    let [packets, bytes] = [total("/packetsSent"), total("/bytesSent")];
    assert!(packets > FRAMES && bytes > 2 * BYTES, "{ends:?}");
    for direction in metrics::DIRECTIONS {
        let relayed = |metrics: &Metrics| metrics.sum(metrics::RELAYED_PACKETS, &[direction]);
        let metrics = Metrics::when(hosts, "all packets counted", |it| relayed(it) >= packets);
        let counted = relayed(&metrics);
        let most = packets + packets / 10 + CHECKS;
        assert!(
            counted <= most,
            "{counted} {direction}, {packets} sent: {}",
            metrics.text()
        );
        let counted = metrics.sum(metrics::RELAYED_BYTES, &[direction]);
        let most = bytes + bytes / 5 + CHECKS * CHECK_BYTES;
        assert!(
            (bytes..=most).contains(&counted),
            "{counted} bytes {direction}, {bytes} sent: {}",
            metrics.text()
        );
    }
}

fn start(hosts: &Hosts, authority: &Authority) -> Relay {
    let setup = Setup {
        tls: Some(authority.files()),
        sections: metrics::SECTION.to_owned(),
        ..Setup::default()
    };
    Relay::start_with(hosts, &setup)
}

/// Runs the two browsers to the end of their call and returns what each reported.
#[track_caller]
fn call(
    hosts: &Hosts,
    relay: &Relay,
    authority: &Authority,
    url: &str,
    options: &[&str],
) -> Vec<Value> {
    let [bytes, frames] = [BYTES, FRAMES].map(|it| it.to_string());
    let [script, ca] = [
        script("browser/call.py"),
        authority.ca().display().to_string(),
    ];
    let address = RELAY_V4.to_string();
    let on = [
        "--namespace",
        hosts.client.name(),
        "--namespace",
        hosts.peer.name(),
    ];
    let through = [
        "--url",
        url,
        "--ca",
        &ca,
        "--name",
        RELAY_NAME,
        "--address",
        &address,
    ];
    let credential = ["--user", USER, "--password", PASSWORD];
    let amount = ["--bytes", &bytes, "--frames", &frames];
    let run = ["-u", &script];
    let args = [run.as_slice(), &on, &through, &credential, &amount, options];
    let mut browsers = hosts.client.spawn(python(), args.concat()).unwrap();
    let status = browsers
        .wait(WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
    let output = browsers.output();
    let reports = output
        .lines()
        .find_map(|line| match serde_json::from_str(line) {
            Ok(Value::Array(ends)) => Some(ends),
            _ => None,
        });
    match reports {
        Some(ends) if status.success() && ends.len() == 2 => ends,
        _ => panic!(
            "the browsers: {status}:\n{output}\nthe relay printed:\n{}",
            relay.process.output()
        ),
    }
}

#[track_caller]
fn text<'a>(end: &'a Value, pointer: &str) -> &'a str {
    let value = end.pointer(pointer).and_then(Value::as_str);
    value.unwrap_or_else(|| panic!("no {pointer} in {end}"))
}

#[track_caller]
fn number(end: &Value, pointer: &str) -> u64 {
    let value = end.pointer(pointer).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("no {pointer} in {end}"))
}

/// Video frames that each end decodes: ten seconds of them.
const FRAMES: u64 = 300;

/// Bytes that each end sends on the data channel.
const BYTES: u64 = 1_000_000;

/// More connectivity checks than two browsers make in such a call.
const CHECKS: u64 = 400;

/// The longest check, with its header.
const CHECK_BYTES: u64 = 200;

/// How long a call may take with all that belongs to it; it takes about 12 s.
const WITHIN: Duration = Duration::from_secs(120);
