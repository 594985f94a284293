//! What `turnpike why` and `turnpike doctor` say, as a person at the relay's host would ask them.

use std::io::Write;

use serde_json::Value;
use tempfile::NamedTempFile;
use turnpike_bench_rig::load::live::far_end::FarEnd;
use turnpike_bench_rig::netns::{Hosts, PEER_V4, RELAY_V4};

use super::settle;
use crate::call::Call;
use crate::hosts;
use crate::lane::{Ground, Lane, SECTION};
use crate::relay::{Setup, binary};

/// A configuration of the relay's addresses and these sections.
fn config_file(sections: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    let text = format!(
        "anonymous = true\n[[listen]]\ntransport = \"udp\"\naddress = \"{RELAY_V4}:3478\"\n\
         [relay]\naddresses = [\"{RELAY_V4}\"]\n{sections}"
    );
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// What a command of the relay's prints as JSON on its host, and how it ends.
#[track_caller]
fn ask(hosts: &Hosts, words: &[&str]) -> (Value, Option<i32>) {
    let config = config_file(SECTION);
    let mut command = hosts.relay.command(binary());
    command.args(words).arg("--json");
    let output = command.arg("--config").arg(config.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    (value, output.status.code())
}

/// The lanes of both directions between a client and a peer.
#[track_caller]
fn lanes(ground: &Ground, client: &str, peer: &str) -> [String; 2] {
    let (said, status) = ask(&ground.hosts, &["why", client, peer]);
    assert_eq!(status, Some(0), "{said}");
    ["to_peer", "to_client"].map(|direction| {
        let way = &said["ways"][0][direction];
        assert!(
            way["reason"].as_str().is_some_and(|it| it.len() > 5),
            "{said}"
        );
        way["lane"]
            .as_str()
            .unwrap_or_else(|| panic!("{said}"))
            .to_owned()
    })
}

#[test]
fn why_says_which_lane_each_direction_of_a_pair_takes() {
    let ground = Lane::Kernel.start(Setup {
        // Room for one call's channel.
        sections: format!("{SECTION}channels = 1\n"),
        ..Setup::default()
    });
    let mut first = Call::open(&ground.hosts);
    settle(&ground, &mut first);
    let calls = [first, Call::open(&ground.hosts)];
    let ends = |call: &Call| {
        [&call.client, &call.peer].map(|socket| socket.local_addr().unwrap().to_string())
    };
    let [[client, peer], [other, its_peer]] = [ends(&calls[0]), ends(&calls[1])];
    assert_eq!(lanes(&ground, &client, &peer), ["xdp"; 2]);
    assert_eq!(lanes(&ground, &other, &its_peer), ["socket"; 2]);
    assert_eq!(lanes(&ground, &client, "192.0.2.7:5000"), ["none"; 2]);
    let (said, status) = ask(&ground.hosts, &["why", "192.0.2.8:1", &peer]);
    assert_eq!((&said["running"], status), (&Value::Bool(true), Some(1)));
    assert_eq!(said["ways"], Value::Array(Vec::new()));
}

#[test]
fn why_says_that_a_relay_on_sockets_has_no_fast_path() {
    let ground = Lane::Sockets.start(Setup::default());
    let peer = format!("{PEER_V4}:5000");
    let (said, status) = ask(&ground.hosts, &["why", "192.0.2.8:1", &peer]);
    assert_eq!((&said["running"], status), (&Value::Bool(false), Some(1)));
}

/// The verdict on each subject, with why and how to cure what does not pass.
struct Examined(Value);

impl Examined {
    #[track_caller]
    fn verdict(&self, subject: &str) -> &str {
        self.found(subject)["verdict"].as_str().unwrap()
    }

    #[track_caller]
    fn found(&self, subject: &str) -> &Value {
        let mut findings = self.0["findings"].as_array().unwrap().iter();
        let found = findings.find(|it| it["subject"] == subject);
        found.unwrap_or_else(|| panic!("nothing on {subject}: {}", self.0))
    }
}

#[test]
fn doctor_says_of_each_device_whether_it_would_do() {
    let hosts = hosts();
    let _other = FarEnd::open(&hosts.relay, "peer0").unwrap();
    let (said, status) = ask(&hosts, &["doctor"]);
    assert_eq!(status, Some(1), "a device is taken");
    assert_eq!(said["fast_path"], "fail");
    let examined = Examined(said);
    let passes = [
        "programs",
        "kernel",
        "compiler of BPF (JIT)",
        "self-test",
        "CAP_BPF",
        "client0: device",
        "client0: XDP",
        "client0: MTU",
        "client0: offloads",
    ];
    for subject in passes {
        assert_eq!(examined.verdict(subject), "pass", "{subject}");
    }
    assert_eq!(examined.verdict("peer0: device"), "fail");
    // A veth's far end may leave checksums to be finished.
    assert_eq!(examined.verdict("client0: checksums"), "warn");
}

#[test]
fn doctor_names_the_command_that_cures_a_host_that_would_not_do() {
    let hosts = hosts();
    let set = |words: &[&str]| hosts.relay.run("sysctl", words).unwrap();
    set(&["-qw", "net.ipv4.ip_local_port_range=40000 60000"]);
    set(&["-qw", "net.ipv4.conf.client0.rp_filter=1"]);
    hosts
        .relay
        .run("ip", ["link", "set", "client0", "mtu", "9000"])
        .unwrap();
    let (said, _) = ask(&hosts, &["doctor"]);
    let examined = Examined(said);
    for (subject, verdict, cure) in [
        (
            "ports of this host's own",
            "warn",
            "sysctl -w net.ipv4.ip_local_reserved_ports=49152-60000",
        ),
        (
            "client0: rp_filter",
            "warn",
            "sysctl -w net.ipv4.conf.client0.rp_filter=2",
        ),
        ("client0: MTU", "fail", "ip link set dev client0 mtu 1500"),
    ] {
        let found = examined.found(subject);
        assert_eq!(found["verdict"], verdict, "{found}");
        assert_eq!(found["cure"], cure, "{found}");
        assert!(found["why"].as_str().is_some(), "{found}");
    }
    // What is named, run, is a cure.
    set(&["-qw", "net.ipv4.ip_local_reserved_ports=49152-60000"]);
    set(&["-qw", "net.ipv4.conf.client0.rp_filter=2"]);
    hosts
        .relay
        .run("ip", ["link", "set", "dev", "client0", "mtu", "1500"])
        .unwrap();
    let (said, status) = ask(&hosts, &["doctor"]);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn doctor_knows_the_relay_that_runs() {
    let ground = Lane::Kernel.start(Setup::default());
    settle(&ground, &mut Call::open(&ground.hosts));
    let (said, status) = ask(&ground.hosts, &["doctor"]);
    assert_eq!(status, Some(0), "{said}");
    let examined = Examined(said);
    assert_eq!(examined.verdict("client0: device"), "pass");
    assert_eq!(examined.verdict("headroom"), "pass");
}
