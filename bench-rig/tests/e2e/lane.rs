//! The lane that a test's packets take: the same tests run through the relay's sockets, and in the
//! kernel of the relay's host.
//!
//! In the kernel nearly every data packet must have gone past the sockets, counted from outside: what
//! client and peer sent, and what the relay's host gave to sockets, by the kernels of these hosts.

use std::fmt::Write;
use std::time::Duration;

use turnpike_bench_rig::load::live::far_end::FarEnd;
use turnpike_bench_rig::netns::{Host, Hosts};

use super::certificates::Authority;
use super::hosts;
use super::load::{CHANNELS, Load, Transport};
use super::metrics::{self, Metrics};
use super::relay::{Program, Relay, Setup};
use super::uclient::all_arrive;

/// What relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The process.
    Sockets,
    /// The XDP programs, which the relay is told that it must have.
    Kernel,
}

/// Runs functions as tests in each lane.
macro_rules! in_each_lane {
    ($($name:ident,)+) => {
        mod through_sockets {
            $(#[test] fn $name() { super::$name($crate::lane::Lane::Sockets); })+
        }
        mod in_the_kernel {
            $(#[test] fn $name() { super::$name($crate::lane::Lane::Kernel); })+
        }
    };
}

pub(super) use in_each_lane;

/// What tells a relay that it relays in the kernel.
pub(super) const SECTION: &str =
    "[fast_path]\nmode = \"require\"\ninterfaces = [\"client0\", \"peer0\"]\n";

/// Hosts with a relay that uses a lane.
pub(super) struct Ground {
    pub(super) relay: Relay,
    pub(super) hosts: Hosts,
    /// Of a relay in the kernel: what had been counted when it began to serve.
    before: Option<Count>,
    _far_ends: Vec<FarEnd>,
}

impl Lane {
    /// Hosts with a relay whose packets take this lane.
    pub(super) fn start(self, mut setup: Setup) -> Ground {
        let hosts = hosts();
        if self == Self::Sockets {
            return Ground {
                relay: Relay::start_with(&hosts, &setup),
                hosts,
                before: None,
                _far_ends: Vec::new(),
            };
        }
        if !setup.sections.contains("[fast_path]") {
            write!(setup.sections, "\n{SECTION}").unwrap();
        }
        if !setup.sections.contains("[metrics]") {
            write!(setup.sections, "\n{}", metrics::SECTION).unwrap();
        }
        let far_ends = [&hosts.client, &hosts.peer].map(far_end).into();
        let relay = Relay::run(&hosts, Program::Turnpike, &setup);
        // It relays to itself first, over the loopback.
        let proven = |line: &str| line.starts_with("self-test");
        relay
            .process
            .wait_for_line("the self-test", PROVEN_WITHIN, proven)
            .unwrap_or_else(|error| panic!("{error}"));
        Ground {
            before: Some(Count::read(&hosts)),
            relay,
            hosts,
            _far_ends: far_ends,
        }
    }
}

/// Lets a host take what programs send to it.
fn far_end(host: &Host) -> FarEnd {
    FarEnd::open(host, "eth0").unwrap_or_else(|error| panic!("{error}"))
}

impl Ground {
    /// Of a relay in the kernel, at most one data packet in a thousand may have come to its sockets.
    #[track_caller]
    pub(super) fn took_its_lane(&self) {
        let Some(before) = &self.before else { return };
        let now = Count::read(&self.hosts);
        let [to_sockets, relayed] = now.since(before);
        assert!(
            relayed > 0 && to_sockets * 1_000 <= relayed,
            "{to_sockets} data packets came to sockets, {relayed} did not\n{}",
            now.metrics.text()
        );
    }

    /// Data packets that came to sockets, and those that were relayed in the kernel.
    pub(super) fn data_packets(&self) -> [u64; 2] {
        let before = self.before.as_ref().unwrap();
        Count::read(&self.hosts).since(before)
    }

    /// Packets that the programs saw, by their fate or reason as the metrics name it.
    pub(super) fn xdp(&self, what: &str) -> u64 {
        xdp(&Metrics::scrape(&self.hosts), what)
    }
}

/// What the kernels of the hosts have counted.
struct Count {
    /// Datagrams that client and peer sent.
    sent: u64,
    /// Datagrams that the relay's host gave to sockets.
    to_sockets: u64,
    metrics: Metrics,
}

impl Count {
    fn read(hosts: &Hosts) -> Self {
        Self {
            sent: datagrams(&hosts.client, "OutDatagrams") + datagrams(&hosts.peer, "OutDatagrams"),
            to_sockets: datagrams(&hosts.relay, "InDatagrams"),
            metrics: Metrics::scrape(hosts),
        }
    }

    /// Data packets that came to sockets, and those that were relayed in the kernel.
    fn since(&self, before: &Self) -> [u64; 2] {
        let more = |what: &str| xdp(&self.metrics, what) - xdp(&before.metrics, what);
        let control = more("control");
        let answered = more("binding_answered");
        let data = self.sent - before.sent - control - answered;
        let to_sockets = (self.to_sockets - before.to_sockets).saturating_sub(control);
        [to_sockets, (more("forwarded") - answered).min(data)]
    }
}

fn xdp(metrics: &Metrics, what: &str) -> u64 {
    metrics.sum("turnpike_xdp_packets_total", &[&format!("\"{what}\"")])
}

/// How long the relay may take for its self-test.
const PROVEN_WITHIN: Duration = Duration::from_secs(20);

/// A number of UDP's over both families, since the host was made.
#[track_caller]
fn datagrams(host: &Host, name: &str) -> u64 {
    let text = |file: &str| host.run("cat", [file]).unwrap();
    let v4 = text("/proc/net/snmp");
    let mut rows = v4.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, numbers) = (rows.next().unwrap(), rows.next().unwrap());
    let mut columns = names.split(' ').zip(numbers.split(' '));
    let v4 = columns.find(|(column, _)| *column == name).unwrap().1;
    let v6 = text("/proc/net/snmp6");
    let v6 = v6
        .lines()
        .find_map(|line| line.strip_prefix(&format!("Udp6{name}")))
        .unwrap();
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    number(v4) + number(v6)
}

/// The measure of these counts: clients on TCP have sockets serve them.
#[test]
fn packets_that_sockets_relay_are_counted_as_such() {
    let authority = Authority::new();
    let ground = Lane::Kernel.start(Setup {
        tls: Some(authority.files()),
        ..Setup::default()
    });
    let load = Load {
        transport: Transport::Tcp,
        ..CHANNELS
    };
    all_arrive(&ground.hosts, &ground.relay, &[load]);
    assert_eq!(ground.data_packets(), [load.messages, 0]);
}
