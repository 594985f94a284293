//! Relaying in the kernel: coturn's load client over native XDP, and nearly every data packet past the
//! relay's sockets, counted by the kernel of the relay's host.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;
use turnpike_bench_rig::load::live::far_end::FarEnd;
use turnpike_bench_rig::netns::{Host, Hosts, PEER_V4, PEER_V6, RELAY_V4};

use super::hosts;
use super::load::{CHANNELS, CHANNELS_V6, INDICATIONS, INDICATIONS_V6, Load, Report, run_all};
use super::metrics::{self, Metrics, RELAYED_PACKETS};
use super::relay::{PASSWORD, Relay, Setup, USER, binary};
use super::uclient::{all_arrive, echo};

const SECTION: &str = "[fast_path]\nmode = \"require\"\ninterfaces = [\"client0\", \"peer0\"]\n";

/// Each client's messages: enough that a thousandth of all is several packets.
const MESSAGES: u64 = 400;

/// Hosts whose wires take what programs send, and a relay that is told to use its own.
struct Bench {
    hosts: Hosts,
    relay: Relay,
    /// What commands are told that look at it.
    config: NamedTempFile,
    _far_ends: [FarEnd; 2],
}

impl Bench {
    fn new() -> Self {
        Self::with_shell(None)
    }

    /// `shell` starts the relay's command, as [`Setup`] has it.
    fn with_shell(shell: Option<String>) -> Self {
        let hosts = hosts();
        let far_ends = [&hosts.client, &hosts.peer]
            .map(|host| FarEnd::open(host, "eth0").unwrap_or_else(|error| panic!("{error}")));
        let setup = Setup {
            sections: format!("{SECTION}\n{}", metrics::SECTION),
            shell,
            ..Setup::default()
        };
        let relay = Relay::start_with(&hosts, &setup);
        Self {
            hosts,
            relay,
            config: config_file(SECTION),
            _far_ends: far_ends,
        }
    }

    /// Runs loads of which nothing may be lost; at most one data packet in a thousand, either way,
    /// may have come to a socket of the relay's.
    #[track_caller]
    fn relays_in_the_kernel(&self, loads: &[Load]) {
        let _peer = echo(&self.hosts);
        let before = Numbers::read(&self.hosts);
        let loads: Vec<Load> = loads
            .iter()
            .map(|load| Load {
                messages: MESSAGES,
                ..*load
            })
            .collect();
        let whole: Vec<Report> = loads.iter().map(|load| load.whole()).collect();
        let reports = run_all(&self.hosts, &loads);
        let after = Numbers::read(&self.hosts);
        let said = self.relay.process.output();
        assert_eq!(reports, whole, "{before:?} {after:?}\n{said}");
        let messages: u64 = whole.iter().map(|report| report.sent).sum();
        // Each goes to a peer and comes back, or from one allocation to another, which both count it.
        let packets = 2 * messages;
        let control = after.control - before.control;
        let to_sockets = after.to_sockets - before.to_sockets;
        let data = to_sockets.saturating_sub(control);
        assert!(
            data * 1_000 <= messages,
            "{data} of {messages} data packets came to sockets\n{}",
            after.metrics.text()
        );
        let relayed = after.relayed - before.relayed;
        assert!(
            relayed >= packets - data,
            "{relayed} of {packets} counted as relayed\n{}",
            after.metrics.text()
        );
    }
}

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

/// What the relay's host and the relay have counted.
#[derive(Debug)]
struct Numbers {
    /// Datagrams that the host's kernel gave to sockets.
    to_sockets: u64,
    /// Of these, what the server took: requests.
    control: u64,
    /// Packets that the relay says it relayed.
    relayed: u64,
    metrics: Metrics,
}

impl Numbers {
    #[track_caller]
    fn read(hosts: &Hosts) -> Self {
        // The shards publish within a second.
        std::thread::sleep(Duration::from_millis(1_200));
        let metrics = Metrics::scrape(hosts);
        Self {
            to_sockets: received_by_sockets(&hosts.relay),
            control: metrics.sum("turnpike_control_packets_total", &[]),
            relayed: metrics.sum(RELAYED_PACKETS, &[]),
            metrics,
        }
    }
}

/// `InDatagrams` of UDP over both families.
#[track_caller]
fn received_by_sockets(host: &Host) -> u64 {
    let text = |file: &str| host.run("cat", [file]).unwrap();
    let v4 = text("/proc/net/snmp");
    let mut rows = v4.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, numbers) = (rows.next().unwrap(), rows.next().unwrap());
    let mut columns = names.split(' ').zip(numbers.split(' '));
    let v4 = columns.find(|(name, _)| *name == "InDatagrams").unwrap().1;
    let v6 = text("/proc/net/snmp6");
    let v6 = v6
        .lines()
        .find_map(|line| line.strip_prefix("Udp6InDatagrams"))
        .unwrap();
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    number(v4) + number(v6)
}

#[test]
fn channels_of_every_family_pair_are_relayed_in_the_kernel() {
    let bench = Bench::new();
    let crossed =
        [(CHANNELS, PEER_V6), (CHANNELS_V6, PEER_V4)].map(|(load, peer)| Load { peer, ..load });
    let loads = [CHANNELS, CHANNELS_V6, crossed[0], crossed[1]];
    bench.relays_in_the_kernel(&loads.map(|load| Load { clients: 5, ..load }));
}

#[test]
fn indications_of_every_family_pair_are_relayed_in_the_kernel() {
    let bench = Bench::new();
    let crossed = [(INDICATIONS, PEER_V6), (INDICATIONS_V6, PEER_V4)]
        .map(|(load, peer)| Load { peer, ..load });
    let loads = [INDICATIONS, INDICATIONS_V6, crossed[0], crossed[1]];
    bench.relays_in_the_kernel(&loads.map(|load| Load { clients: 5, ..load }));
}

#[test]
fn clients_that_meet_at_the_relay_are_relayed_in_the_kernel() {
    let bench = Bench::new();
    let between = [CHANNELS, CHANNELS_V6, INDICATIONS].map(|load| Load {
        between_clients: true,
        clients: 4,
        ..load
    });
    bench.relays_in_the_kernel(&between);
}

#[test]
fn short_long_and_odd_messages_are_relayed_in_the_kernel() {
    let bench = Bench::new();
    let loads = [40, 101, 1_200].map(|length| Load {
        length,
        clients: 3,
        ..CHANNELS
    });
    bench.relays_in_the_kernel(&loads);
}

/// All that the fast path needs of a user who may otherwise nothing.
const RIGHTS: &str = "-all,+bpf,+net_admin,+net_raw,+perfmon";

#[test]
fn user_with_exactly_the_rights_that_are_told_has_the_fast_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let place = folder.path().display();
    // The command is the binary, `run`, `--config` and a file that only its owner may read.
    let shell = format!(
        "cp \"$1\" {place}/turnpike; cp \"$4\" {place}/turnpike.toml; chmod a+r {place}/*\n\
         exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps={RIGHTS} \
         --ambient-caps={RIGHTS} --bounding-set={RIGHTS} {place}/turnpike run --config \
         {place}/turnpike.toml"
    );
    let bench = Bench::with_shell(Some(shell));
    bench.relays_in_the_kernel(&[CHANNELS]);
}

#[test]
fn without_rights_packets_go_through_sockets_and_a_line_says_what_is_missing() {
    let hosts = hosts();
    let setup = Setup {
        sections: SECTION.replace("require", "auto"),
        shell: Some("exec setpriv --inh-caps=-all --bounding-set=-all \"$@\"".to_owned()),
        ..Setup::default()
    };
    let relay = Relay::start_with(&hosts, &setup);
    let said = |line: &str| line.contains("fast path") && line.contains("CAP_BPF");
    relay
        .process
        .wait_for_line("what is missing", SAID_WITHIN, said)
        .unwrap_or_else(|error| panic!("{error}"));
    all_arrive(&hosts, &relay, &[CHANNELS, INDICATIONS_V6]);
}

#[test]
fn normal_stop_leaves_no_program_on_a_device() {
    let mut bench = Bench::new();
    let shown = |hosts: &Hosts| hosts.relay.run("ip", ["-d", "link", "show"]).unwrap();
    assert!(shown(&bench.hosts).contains("xdp"), "none while it runs");
    bench.relay.process.terminate(SAID_WITHIN).unwrap();
    let after = shown(&bench.hosts);
    assert!(!after.contains("xdp"), "{after}");
}

#[test]
fn program_of_somebody_else_is_named_and_left_alone() {
    let hosts = hosts();
    let _other = FarEnd::open(&hosts.relay, "peer0").unwrap();
    let setup = Setup {
        sections: SECTION.replace("require", "auto"),
        ..Setup::default()
    };
    let relay = Relay::start_with(&hosts, &setup);
    let said = |line: &str| line.contains("peer0 has another XDP program already (`receiver`");
    relay
        .process
        .wait_for_line("whose program it is", SAID_WITHIN, said)
        .unwrap_or_else(|error| panic!("{error}"));
    let shown = hosts.relay.run("ip", ["-d", "link", "show"]).unwrap();
    assert_eq!(shown.matches("prog/xdp").count(), 1, "{shown}");
}

#[test]
fn why_says_which_lane_each_direction_of_a_pair_takes() {
    let bench = Bench::new();
    let _peer = echo(&bench.hosts);
    let load = Load {
        messages: 1_000,
        ..CHANNELS
    };
    let mut call = load.call(&bench.hosts, USER, PASSWORD);
    let client = client_of(&bench.hosts);
    // uclient's peer listens on this port.
    let peer = format!("{PEER_V4}:3480");
    let way = |client: &str, peer: &str| {
        let (binary, config) = (binary().display().to_string(), bench.config.path());
        let config = config.display().to_string();
        let arguments = ["why", client, peer, "--config", &config, "--json"];
        let mut command = bench.hosts.relay.command(&binary);
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str::<Value>(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let found = way(&client, &peer);
    for direction in ["to_peer", "to_client"] {
        assert_eq!(found["ways"][0][direction]["lane"], "xdp", "{found}");
    }
    let refused = way(&client, "192.0.2.7:5000");
    assert_eq!(refused["ways"][0]["to_peer"]["lane"], "none", "{refused}");
    let stranger = way("192.0.2.8:1", &peer);
    assert_eq!(stranger["running"], true, "{stranger}");
    assert_eq!(stranger["ways"], Value::Array(Vec::new()));
    assert!(call.lives(), "it was over before it was asked about");
}

/// The one UDP socket of the client host.
#[track_caller]
fn client_of(hosts: &Hosts) -> String {
    let sockets = hosts.client.run("ss", ["-Hun"]).unwrap();
    let mut columns = sockets.split_whitespace();
    let client = columns.find(|column| column.starts_with("10.77.1.2:"));
    client
        .unwrap_or_else(|| panic!("no socket: {sockets}"))
        .to_owned()
}

#[test]
fn doctor_says_of_each_device_whether_it_would_do() {
    let hosts = hosts();
    let _other = FarEnd::open(&hosts.relay, "peer0").unwrap();
    let config = config_file(SECTION);
    let path = config.path().display().to_string();
    let mut command = hosts.relay.command(binary());
    let output = command
        .args(["doctor", "--json", "--config", &path])
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "a device is taken");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = |subject: &str| {
        let findings = said["findings"].as_array().unwrap();
        let found = findings.iter().find(|it| it["subject"] == subject);
        found.unwrap_or_else(|| panic!("nothing on {subject}: {said}"))["verdict"].clone()
    };
    assert_eq!(said["fast_path"], "fail");
    assert_eq!(verdict("client0: device"), "pass");
    assert_eq!(verdict("peer0: device"), "fail");
    for subject in ["programs", "kernel", "CAP_BPF"] {
        assert_eq!(verdict(subject), "pass", "{subject}");
    }
}

/// How long the relay may take to say something.
const SAID_WITHIN: Duration = Duration::from_secs(20);
