//! Two Chromium pages, on the client host and on the peer host, call each other through the relay:
//! bytes on a data channel and video, with relayed candidates only.
//!
//! The first test is what the relay is for: a start with nothing but the program, and two browsers
//! that are given the line it prints.

use std::time::Duration;

use serde_json::{Value, json};
use turnpike_bench_rig::netns::{Host, Hosts, Process, RELAY_V4};

use super::certificates::{Authority, RELAY_NAME};
use super::lane::{Ground, Lane, in_each_lane};
use super::metrics::{self, Metrics};
use super::relay::{PASSWORD, PORT, Program, Setup, TLS_PORT, USER};
use super::{defaults, hosts, python, script};

#[test]
fn browsers_given_the_printed_line_call_each_other() {
    let hosts = hosts();
    let state = tempfile::tempdir().unwrap();
    let relay = defaults::start(&hosts, state.path());
    let line = defaults::browser_line(&relay.output());
    let ends = call(&hosts, &relay, &line, &[], AMOUNT);
    for end in &ends {
        everything_came(end);
        let url = text(end, "/local/url");
        assert!(
            line.contains(&format!("\"{url}\"")),
            "{url} is not in {line}"
        );
    }
}

in_each_lane! {
    browsers_call_each_other_over_udp,
}

fn browsers_call_each_other_over_udp(lane: Lane) {
    browsers_call_each_other(
        lane,
        &format!("turn:{RELAY_V4}:{PORT}?transport=udp"),
        "udp",
    );
}

#[test]
fn browsers_call_each_other_over_tcp() {
    browsers_call_each_other(
        Lane::Sockets,
        &format!("turn:{RELAY_V4}:{PORT}?transport=tcp"),
        "tcp",
    );
}

#[test]
fn browsers_call_each_other_over_tls() {
    browsers_call_each_other(
        Lane::Sockets,
        &format!("turns:{RELAY_NAME}:{TLS_PORT}?transport=tcp"),
        "tls",
    );
}

/// The relay's certificate is for its addresses too.
#[test]
fn a_browser_trusts_the_address_in_the_certificate() {
    let authority = Authority::new();
    let ground = start(Lane::Sockets, &authority);
    let url = format!("turns:{RELAY_V4}:{TLS_PORT}?transport=tcp");
    let short = Amount {
        bytes: 1_000,
        frames: 10,
    };
    let ends = configured_call(&ground, &authority, &url, short);
    for end in ends {
        assert_eq!(text(&end, "/local/relayProtocol"), "tls", "{end}");
    }
}

#[track_caller]
fn browsers_call_each_other(lane: Lane, url: &str, protocol: &str) {
    let authority = Authority::new();
    let ground = start(lane, &authority);
    let ends = configured_call(&ground, &authority, url, AMOUNT);
    for end in &ends {
        everything_came(end);
        assert_eq!(text(end, "/local/relayProtocol"), protocol, "{end}");
        assert_eq!(text(end, "/local/url"), url, "{end}");
    }
    if Program::chosen() == Program::Turnpike {
        counters_agree(&ground.hosts, &ends);
    }
    ground.took_its_lane();
}

/// Through relayed addresses on both sides.
#[track_caller]
fn everything_came(end: &Value) {
    let Amount { bytes, frames } = AMOUNT;
    assert_eq!(text(end, "/local/candidateType"), "relay", "{end}");
    assert_eq!(text(end, "/remote/candidateType"), "relay", "{end}");
    assert_eq!(text(end, "/state"), "connected", "{end}");
    assert!(number(end, "/framesDecoded") >= frames, "{end}");
    assert!(number(end, "/bytesReceived") > 10 * frames, "{end}");
    assert_eq!(number(end, "/dataReceived"), bytes, "{end}");
    assert_eq!(number(end, "/dataWrong"), 0, "{end}");
}

/// Each packet of one browser goes to a peer once, which is the other's relayed address, and from
/// there to a client once. Browsers count what they send but for checks of the path, which come on
/// top: some each second.
#[track_caller]
fn counters_agree(hosts: &Hosts, ends: &[Value]) {
    let total = |name: &str| ends.iter().map(|end| number(end, name)).sum::<u64>();
    let [packets, bytes] = [total("/packetsSent"), total("/bytesSent")];
    assert!(
        packets > AMOUNT.frames && bytes > 2 * AMOUNT.bytes,
        "{ends:?}"
    );
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

fn start(lane: Lane, authority: &Authority) -> Ground {
    lane.start(Setup {
        tls: Some(authority.files()),
        sections: metrics::SECTION.to_owned(),
        ..Setup::default()
    })
}

/// A call of the configured user through one URI, by browsers that trust the authority.
#[track_caller]
fn configured_call(
    ground: &Ground,
    authority: &Authority,
    url: &str,
    amount: Amount,
) -> Vec<Value> {
    let server = json!({ "urls": url, "username": USER, "credential": PASSWORD });
    let configuration = json!({ "iceServers": [server] }).to_string();
    let [ca, address] = [authority.ca().display().to_string(), RELAY_V4.to_string()];
    let options = ["--ca", &ca, "--name", RELAY_NAME, "--address", &address];
    call(
        &ground.hosts,
        &ground.relay.process,
        &configuration,
        &options,
        amount,
    )
}

/// Runs the two browsers, given this configuration, to the end of their call and returns what each
/// reported.
#[track_caller]
fn call(
    hosts: &Hosts,
    relay: &Process,
    configuration: &str,
    options: &[&str],
    amount: Amount,
) -> Vec<Value> {
    let script = script("browser/call.py");
    let [bytes, frames] = [amount.bytes, amount.frames].map(|it| it.to_string());
    let [alice, bob] = [&hosts.client, &hosts.peer].map(Host::name);
    let run = ["-u", &script, "--configuration", configuration];
    let on = ["--namespace", alice, "--namespace", bob];
    let amount = ["--bytes", &bytes, "--frames", &frames];
    let args = [run.as_slice(), &on, &amount, options];
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
            relay.output()
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

/// What each end must get of the other.
#[derive(Clone, Copy)]
struct Amount {
    /// Bytes on the data channel.
    bytes: u64,
    /// Decoded frames of video.
    frames: u64,
}

/// Ten seconds of video.
const AMOUNT: Amount = Amount {
    bytes: 1_000_000,
    frames: 300,
};

/// More connectivity checks than two browsers make in such a call.
const CHECKS: u64 = 400;

/// The longest check, with its header.
const CHECK_BYTES: u64 = 200;

/// How long a call may take with all that belongs to it; it takes about 12 s.
const WITHIN: Duration = Duration::from_secs(120);
