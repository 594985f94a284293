//! Metrics over real HTTP, of a relay that carries a call.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use turnpike::metrics::{self, CONTENT_TYPE, Health, MetricsServer, Readings};
use turnpike::probe::Caller;
use turnpike::relay::Relay;
use turnpike::shard::Snapshot;
use turnpike_types::{AddressFamily, PeerAddr, ServerAddr};

use support::{ONE_FAMILY, USER, options, plan};

const PATIENCE: Duration = Duration::from_secs(10);
const PAYLOAD: usize = 200;

#[test]
fn numbers_move_while_a_call_lives_and_are_those_of_what_was_sent() {
    const EACH_WAY: usize = 25;
    let (relay, server) = served_relay();
    let mut caller = allocate(relay.listeners()[0]);
    let peer = peer();
    let peer_at = PeerAddr(peer.local_addr().unwrap());
    caller.bind_channel(peer_at).unwrap();
    let relayed = caller.relayed(AddressFamily::Ipv4).unwrap().0;
    for _ in 0..EACH_WAY {
        caller.send(peer_at, &[7; PAYLOAD]).unwrap();
        peer.recv(&mut [0; PAYLOAD]).unwrap();
        peer.send_to(&[8; PAYLOAD], relayed).unwrap();
        caller.receive().unwrap();
    }
    // A stranger's packet is dropped, with its reason.
    peer_elsewhere()
        .send_to(b"garbage", relay.listeners()[0].0)
        .unwrap();
    let dropped = ("turnpike_dropped_packets_total", r#"reason="malformed""#);
    let page = scrape_until(server.address(), |page| page.over_shards(dropped) == 1.0);
    let direction = |name: &str, direction: &str| {
        let labels = format!(r#"direction="{direction}",lane="socket""#);
        page.over_shards((name, &labels))
    };
    for way in ["to_peer", "to_client"] {
        assert_eq!(
            direction("turnpike_relayed_packets_total", way),
            EACH_WAY as f64
        );
        let bytes = (EACH_WAY * PAYLOAD) as f64;
        assert_eq!(direction("turnpike_relayed_bytes_total", way), bytes);
    }
    for (sample, expected) in [
        (("turnpike_allocations", r#"transport="udp""#), 1.0),
        (("turnpike_users", ""), 1.0),
        (("turnpike_allocations_created_total", ""), 1.0),
        (
            ("turnpike_requests_granted_total", r#"procedure="allocate""#),
            1.0,
        ),
        (
            (
                "turnpike_requests_granted_total",
                r#"procedure="channel_bind""#,
            ),
            1.0,
        ),
        (
            (
                "turnpike_requests_refused_total",
                r#"procedure="allocate",code="401""#,
            ),
            1.0,
        ),
        (("turnpike_replies_lost_total", ""), 0.0),
    ] {
        assert_eq!(page.over_shards(sample), expected, "{sample:?}");
    }
    for sample in [
        r#"turnpike_shard_busy_seconds_total{shard="0"}"#,
        r#"turnpike_shard_turns_total{shard="0"}"#,
        r#"turnpike_relay_ports_free{shard="0"}"#,
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(page.value(sample) > 0.0, "{sample}");
    }
    let all = [
        ("turnpike_relayed_packets_total", 50.0),
        (
            "turnpike_control_packets_total",
            page.sum("turnpike_control_packets_total"),
        ),
        ("turnpike_dropped_packets_total", 1.0),
    ];
    let parts: f64 = all.iter().map(|(name, _)| page.sum(name)).sum();
    assert_eq!(
        page.sum("turnpike_received_packets_total"),
        parts,
        "{all:?}"
    );
    caller.close().unwrap();
    scrape_until(server.address(), |page| {
        page.sum("turnpike_allocations") == 0.0
    });
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_exposed() {
    let (_relay, server) = served_relay();
    let page = Page::parse(&get(server.address(), "/metrics").body);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let document = std::fs::read_to_string(path).unwrap();
    let documented: BTreeSet<String> = document.lines().filter_map(documented).collect();
    assert_eq!(page.described(), documented);
    assert!(documented.len() > 25);
}

#[test]
fn labels_do_not_depend_on_what_the_network_sends() {
    let (relay, server) = served_relay();
    let before = Page::parse(&get(server.address(), "/metrics").body);
    let hostile = "x\"} 1\nforged 2\n# EOF";
    for name in [hostile, "bob", "alice"] {
        let at = relay.listeners()[0];
        let refused = Caller::allocate(at, Some((name, "wrong")), AddressFamily::Ipv4, PATIENCE);
        assert!(refused.is_err());
    }
    let _caller = allocate(relay.listeners()[0]);
    let path = "/metrics?user=forged&x=%22%7D";
    let after = scrape_until(server.address(), |page| {
        page.sum("turnpike_allocations") == 1.0
    });
    assert_eq!(before.series(), after.series());
    let queried = get(server.address(), path);
    assert_eq!(Page::parse(&queried.body).series(), before.series());
    assert!(!queried.body.contains("forged") && !queried.body.contains("alice"));
}

#[test]
fn pages_are_the_three_and_anything_else_is_not_found() {
    let (_relay, server) = served_relay();
    let at = server.address();
    let metrics = get(at, "/metrics");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .head
            .contains(&format!("content-type: {CONTENT_TYPE}\r\n")),
        "{}",
        metrics.head
    );
    assert!(
        metrics.head.contains("connection: close"),
        "{}",
        metrics.head
    );
    let healthz = get(at, "/healthz");
    assert_eq!((healthz.status, healthz.body.as_str()), (200, "ok\n"));
    assert_eq!(get(at, "/readyz").status, 200);
    let index = get(at, "/");
    assert!(index.status == 200 && index.body.contains("href=\"/metrics\""));
    for path in ["/metrics/", "/debug", "/../etc/passwd", "/healthz/x"] {
        assert_eq!(get(at, path).status, 404, "{path}");
    }
    assert_eq!(
        talk(at, b"DELETE /metrics HTTP/1.1\r\nhost: x\r\n\r\n").status,
        405
    );
}

#[test]
fn shard_that_stands_still_is_unhealthy() {
    let source = || vec![Snapshot::default()];
    let server = serve(source);
    let answer = get(server.address(), "/healthz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "shard 0 stands still\n");
}

#[test]
fn draining_relay_is_healthy_and_not_ready() {
    let (relay, _) = served_relay();
    let (health, numbers) = (health(), relay.numbers());
    let address = "127.0.0.1:0".parse().unwrap();
    let source = move || numbers.per_shard();
    let server = metrics::serve(address, Arc::clone(&health), source).unwrap();
    let at = server.address();
    assert!(get(at, "/metrics").body.contains("turnpike_draining 0\n"));
    health.set_draining();
    let answer = get(at, "/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (503, "draining\n"));
    assert_eq!(get(at, "/healthz").status, 200);
    assert!(get(at, "/metrics").body.contains("turnpike_draining 1\n"));
}

#[test]
fn garbage_endless_headers_and_silent_clients_cost_no_scrape() {
    const SILENT: usize = 40;
    let (_relay, server) = served_relay();
    let at = server.address();
    // More than may be connected: those that wait are served when the first have had their time.
    let silent: Vec<TcpStream> = (0..SILENT)
        .map(|_| {
            let mut stream = TcpStream::connect(at).unwrap();
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nx-slow: ")
                .unwrap();
            stream
        })
        .collect();
    assert_eq!(get(at, "/metrics").status, 200);
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = stream.read(&mut [0; 64]);
        assert!(
            ended.as_ref().is_ok_and(|len| *len == 0) || is_reset(&ended),
            "{ended:?}"
        );
    }
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        &[0xFF; 3_000],
        b"\r\n\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(noise).unwrap();
    }
    let mut endless = TcpStream::connect(at).unwrap();
    endless.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let mut sent: usize = 0;
    while endless.write_all(&[b'a'; 4_096]).is_ok() {
        sent += 4_096;
        assert!(sent < 64 << 20, "it reads without end");
    }
    assert_eq!(get(at, "/metrics").status, 200);
}

#[test]
fn port_in_use_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let refused = metrics::serve(address, health(), Vec::<Snapshot>::new).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("ss -ltnp"),
        "{text}"
    );
    let elsewhere = "192.0.2.1:9641".parse().unwrap();
    let text = metrics::serve(elsewhere, health(), Vec::<Snapshot>::new)
        .unwrap_err()
        .to_string();
    assert!(text.contains("ip address"), "{text}");
}

#[test]
fn port_is_free_again_when_it_has_stopped() {
    let server = serve(Vec::<Snapshot>::new);
    let address = server.address();
    let _open = TcpStream::connect(address).unwrap();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    assert!(TcpListener::bind(address).is_ok());
}

fn is_reset(ended: &std::io::Result<usize>) -> bool {
    ended
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

fn health() -> Arc<Health> {
    let health = Health::new(Arc::default());
    health.set_database_up(true);
    health.set_certificate_expiry(1_800_000_000);
    Arc::new(health)
}

fn serve<R: Into<Readings>>(source: impl Fn() -> R + Send + Sync + 'static) -> MetricsServer {
    metrics::serve("127.0.0.1:0".parse().unwrap(), health(), source).unwrap()
}

fn served_relay() -> (Relay, MetricsServer) {
    let text = format!("{ONE_FAMILY}[peers]\nallow = [\"127.0.0.0/8\"]\n");
    let relay = Relay::start(&plan(&text), &options()).unwrap();
    // Its first numbers.
    let _snapshot = relay.fresh_snapshot();
    let numbers = relay.numbers();
    let server = serve(move || Readings {
        shards: numbers.per_shard(),
        // As if there were a fast path, so that its metrics are seen.
        kernel: Some(numbers.kernel().unwrap_or_default()),
    });
    (relay, server)
}

fn allocate(server: ServerAddr) -> Caller {
    Caller::allocate(server, Some(USER), AddressFamily::Ipv4, PATIENCE).unwrap()
}

/// On one of the ports that may be reached on the relay's own address.
fn peer() -> UdpSocket {
    let socket = (61_000..=65_535)
        .find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok())
        .unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn peer_elsewhere() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// Scrapes until it is so: published numbers are a moment old.
fn scrape_until(at: SocketAddr, mut is_so: impl FnMut(&Page) -> bool) -> Page {
    let until = Instant::now() + PATIENCE;
    loop {
        let page = Page::parse(&get(at, "/metrics").body);
        if is_so(&page) {
            return page;
        }
        assert!(Instant::now() < until, "not in time: {page:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn get(at: SocketAddr, path: &str) -> Answer {
    talk(
        at,
        format!("GET {path} HTTP/1.1\r\nhost: {at}\r\n\r\n").as_bytes(),
    )
}

fn talk(at: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: format!("{head}\r\n"),
        body: body.to_owned(),
    }
}

/// `name type labels` of a row of the document's tables of metrics.
fn documented(line: &str) -> Option<String> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, name, kind, labels, meaning, _] = cells[..] else {
        return None;
    };
    let name = name.strip_prefix('`')?.strip_suffix('`')?;
    assert!(!meaning.is_empty(), "{name} has no meaning");
    Some(format!("{name} {kind} {labels}"))
}

/// An OpenMetrics text, read by the letter: a family is described once and its samples stand
/// together, each sample is there once, and the text ends with its mark.
#[derive(Debug, Default)]
struct Page {
    samples: BTreeMap<String, f64>,
    /// Name and labels of samples to their type.
    families: BTreeMap<String, (String, String)>,
}

impl Page {
    fn parse(text: &str) -> Self {
        let text = text.strip_suffix("# EOF\n").unwrap();
        let mut page = Self::default();
        let mut seen = BTreeSet::new();
        let (mut family, mut kind) = (String::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(seen.insert(name.to_owned()), "{name} is described twice");
                assert!(words.len() > 5 && !words.ends_with('.'), "{line}");
                (family, kind) = (name.to_owned(), String::new());
            } else if let Some(kind_of) = line.strip_prefix("# TYPE ") {
                let (name, kind_is) = kind_of.split_once(' ').unwrap();
                assert!(name == family && kind.is_empty(), "{line}");
                assert!(["counter", "gauge", "info"].contains(&kind_is), "{line}");
                kind = kind_is.to_owned();
            } else if let Some(unit_of) = line.strip_prefix("# UNIT ") {
                let (name, unit) = unit_of.split_once(' ').unwrap();
                assert!(
                    name == family && name.ends_with(&format!("_{unit}")),
                    "{line}"
                );
            } else {
                page.take(line, &family, &kind);
            }
        }
        page
    }

    fn take(&mut self, line: &str, family: &str, kind: &str) {
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(name, format!("{family}{suffix}"), "{line}");
        assert!(
            name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_'),
            "{line}"
        );
        let labels = labels.strip_suffix('}').unwrap();
        assert!(!sample.ends_with("{}"), "{line}");
        let keys: Vec<&str> = labels
            .split(',')
            .filter(|it| !it.is_empty())
            .map(label)
            .collect();
        let described = (kind.to_owned(), keys.join(", "));
        let known = self
            .families
            .entry(name.to_owned())
            .or_insert_with(|| described.clone());
        assert_eq!(*known, described, "{line}");
        assert!(
            self.samples.insert(sample.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }

    fn value(&self, sample: &str) -> f64 {
        let value = self.samples.get(sample);
        assert!(value.is_some(), "no {sample}");
        *value.unwrap()
    }

    /// What all shards together have of a name with such labels behind the shard's.
    fn over_shards(&self, (name, labels): (&str, &str)) -> f64 {
        let of_shard = |shard: usize| {
            let comma = if labels.is_empty() { "" } else { "," };
            let sample = format!(r#"{name}{{shard="{shard}"{comma}{labels}}}"#);
            self.samples.get(&sample)
        };
        let values: Vec<f64> = (0..).map_while(of_shard).copied().collect();
        assert!(!values.is_empty(), "no {name} {labels}");
        values.iter().sum()
    }

    /// All samples of a name together.
    fn sum(&self, name: &str) -> f64 {
        let is_of = |sample: &str| sample.split('{').next() == Some(name);
        assert!(self.families.contains_key(name), "no {name}");
        self.samples
            .iter()
            .filter(|(it, _)| is_of(it))
            .map(|(_, value)| value)
            .sum()
    }

    fn series(&self) -> BTreeSet<&str> {
        self.samples.keys().map(String::as_str).collect()
    }

    fn described(&self) -> BTreeSet<String> {
        let describe = |(name, (kind, labels)): (&String, &(String, String))| {
            format!("{name} {kind} {labels}")
        };
        self.families.iter().map(describe).collect()
    }
}

/// The name of `name="value"`, whose value is a plain word.
fn label(pair: &str) -> &str {
    let (name, value) = pair.split_once('=').unwrap();
    let value = value
        .strip_prefix('"')
        .and_then(|it| it.strip_suffix('"'))
        .unwrap();
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
    assert!(value.chars().all(is_plain) && !value.is_empty(), "{pair}");
    name
}
