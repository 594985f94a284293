//! Reads the relay's numbers as Prometheus would: over HTTP on the relay host, as text.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use turnpike_bench_rig::netns::Hosts;

const PORT: u16 = 9641;

/// The section that makes the relay serve them.
pub(super) const SECTION: &str = "[metrics]\naddress = \"127.0.0.1:9641\"\n";

/// Packets that were relayed, by direction and lane.
pub(super) const RELAYED_PACKETS: &str = "turnpike_relayed_packets_total";
/// Bytes of data in them.
pub(super) const RELAYED_BYTES: &str = "turnpike_relayed_bytes_total";
/// The labels of the two directions.
pub(super) const DIRECTIONS: [&str; 2] = [TO_PEER, TO_CLIENT];
pub(super) const TO_PEER: &str = r#"direction="to_peer""#;
pub(super) const TO_CLIENT: &str = r#"direction="to_client""#;

/// What `/metrics` said at one time.
#[derive(Debug)]
pub(super) struct Metrics(String);

impl Metrics {
    #[track_caller]
    pub(super) fn scrape(hosts: &Hosts) -> Self {
        let said = hosts.relay.enter(get).unwrap().unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or((&said, ""));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Self(body.to_owned())
    }

    /// Scrapes until `wanted` holds, which it soon must.
    #[track_caller]
    pub(super) fn when(hosts: &Hosts, what: &str, wanted: impl Fn(&Self) -> bool) -> Self {
        let deadline = Instant::now() + WITHIN;
        loop {
            let metrics = Self::scrape(hosts);
            if wanted(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < deadline, "not {what}:\n{}", metrics.0);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The sum of all samples of a metric whose labels contain each of these texts.
    pub(super) fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let samples = self.0.lines().filter_map(|line| line.strip_prefix(name));
        samples
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter(|rest| labels.iter().all(|label| rest.contains(label)))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

fn get() -> std::io::Result<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
    connection.set_read_timeout(Some(WITHIN))?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")?;
    let mut said = String::new();
    connection.read_to_string(&mut said)?;
    Ok(said)
}

/// How long the relay may take to publish what it did.
const WITHIN: Duration = Duration::from_secs(5);

#[test]
fn samples_are_summed_by_name_and_labels() {
    let metrics = Metrics(
        "# TYPE a counter\na_total{to=\"peer\",lane=\"socket\"} 3\na_total{to=\"client\"} 4\n\
         a_total_more 9\nb 5\n"
            .to_owned(),
    );
    assert_eq!(metrics.sum("a_total", &[]), 7);
    assert_eq!(metrics.sum("a_total", &["to=\"peer\""]), 3);
    assert_eq!(metrics.sum("b", &[]), 5);
    assert_eq!(metrics.sum("c", &[]), 0);
}
