//! Runs of coturn's load client `turnutils_uclient` on the client host, and what it reports.
//!
//! Without `-c` uclient makes an RTP and RTCP pair of allocations (EVEN-PORT with a reservation, then
//! RESERVATION-TOKEN); with `-c` single ones. It uses channels unless told to send indications.
//!
//! The uclient of coturn before 4.16, Debian 12's too, draws its channel numbers at random from all
//! of RFC 5766's range, 0x4000 to 0x7FFF: a relay that it binds channels at must take old numbers.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use turnpike_bench_rig::netns::{Hosts, PEER_V4, PEER_V6, Process, RELAY_V4, RELAY_V6};

use super::relay::{PASSWORD, USER};

/// How uclient reaches the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
    /// It does not look at the certificate.
    Tls,
}

/// A run of uclient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) transport: Transport,
    pub(super) server: IpAddr,
    pub(super) peer: IpAddr,
    /// Send and Data indications in place of channels.
    pub(super) indications: bool,
    /// RTP and RTCP pairs of allocations.
    pub(super) pairs: bool,
    pub(super) clients: u32,
    /// Messages each client sends on each allocation.
    pub(super) messages: u64,
    /// Bytes of a message.
    pub(super) length: u32,
    /// The clients send to each other's relayed addresses, not to the peer.
    pub(super) between_clients: bool,
}

pub(super) const CHANNELS: Load = Load {
    transport: Transport::Udp,
    server: RELAY_V4,
    peer: PEER_V4,
    indications: false,
    pairs: false,
    clients: 1,
    messages: MESSAGES,
    length: 172,
    between_clients: false,
};

pub(super) const CHANNELS_V6: Load = Load {
    server: RELAY_V6,
    peer: PEER_V6,
    ..CHANNELS
};

pub(super) const INDICATIONS: Load = Load {
    indications: true,
    ..CHANNELS
};

pub(super) const INDICATIONS_V6: Load = Load {
    indications: true,
    ..CHANNELS_V6
};

/// Messages a client sends on each allocation, where nothing else is said.
pub(super) const MESSAGES: u64 = 50;

/// The shortest message that holds what uclient writes into it.
pub(super) const SHORTEST: u32 = 40;

/// What uclient says when it gets no allocation.
pub(super) const REFUSED: &str = "Cannot complete Allocation";

/// Between two messages of a client.
const INTERVAL_MS: &str = "10";

/// How long a run may take; it takes some seconds, mostly asleep.
const WITHIN: Duration = Duration::from_secs(60);

/// What uclient counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) send_dropped: u64,
}

impl Load {
    /// Runs uclient as the relay's configured user, to its end.
    #[track_caller]
    pub(super) fn run(self, hosts: &Hosts) -> Report {
        self.run_as(hosts, USER, PASSWORD)
    }

    /// Starts a call and returns once it is under way.
    #[track_caller]
    pub(super) fn call(self, hosts: &Hosts, user: &str, password: &str) -> Call {
        let uclient = self.start(hosts, user, password);
        let said = |line: &str| line.contains("Total connect time");
        uclient
            .wait_for_line("the allocations", WITHIN, said)
            .unwrap_or_else(|error| panic!("{error}"));
        Call {
            uclient,
            load: self,
        }
    }

    #[track_caller]
    pub(super) fn run_as(self, hosts: &Hosts, user: &str, password: &str) -> Report {
        self.try_as(hosts, user, password)
            .unwrap_or_else(|said| panic!("uclient failed:\n{said}"))
    }

    /// Runs uclient to its end; what it printed when it failed, as it does when it gets no allocation.
    #[track_caller]
    pub(super) fn try_as(
        self,
        hosts: &Hosts,
        user: &str,
        password: &str,
    ) -> Result<Report, String> {
        let mut uclient = self.start(hosts, user, password);
        let status = uclient
            .wait(WITHIN)
            .unwrap_or_else(|error| panic!("uclient: {error}"));
        let output = uclient.output();
        if !status.success() {
            return Err(output);
        }
        Ok(Report::parse(&output).unwrap_or_else(|| panic!("uclient gave no report:\n{output}")))
    }

    fn start(self, hosts: &Hosts, user: &str, password: &str) -> Process {
        let option = |name: &str, value: &dyn ToString| [name.to_owned(), value.to_string()];
        let flag = |name: &str, set: bool| set.then(|| name.to_owned());
        let mut args = [
            option("-u", &user),
            option("-w", &password),
            option("-z", &INTERVAL_MS),
            option("-n", &self.messages),
            option("-m", &self.clients),
            option("-l", &self.length),
            option("-e", &self.peer),
        ]
        .concat();
        args.extend(match self.transport {
            Transport::Udp => vec![],
            Transport::Tcp => vec!["-t".to_owned()],
            Transport::Tls => vec!["-t".to_owned(), "-S".to_owned()],
        });
        args.extend(flag("-s", self.indications));
        args.extend(flag("-c", !self.pairs));
        args.extend(flag("-x", self.peer.is_ipv6()));
        args.extend(flag("-y", self.between_clients));
        args.push(self.server.to_string());
        hosts.client.spawn("turnutils_uclient", args).unwrap()
    }

    /// What uclient reports when not one message is lost.
    pub(super) fn whole(self) -> Report {
        let allocations = u64::from(self.clients) * if self.pairs { 2 } else { 1 };
        let sent = allocations * self.messages;
        Report {
            sent,
            received: sent,
            lost: 0,
            send_dropped: 0,
        }
    }
}

/// A run of uclient that is under way.
pub(super) struct Call {
    uclient: Process,
    load: Load,
}

impl Call {
    pub(super) fn lives(&mut self) -> bool {
        self.uclient.wait(Duration::ZERO).is_err()
    }

    /// Waits for the end of the call, in which no message may be lost.
    #[track_caller]
    pub(super) fn ends_whole(mut self) {
        let status = self
            .uclient
            .wait(WITHIN)
            .unwrap_or_else(|error| panic!("{error}"));
        let output = self.uclient.output();
        assert!(status.success(), "uclient: {status}:\n{output}");
        assert_eq!(Report::parse(&output), Some(self.load.whole()), "{output}");
    }
}

/// Runs loads side by side (uclient spends most of its time asleep); their reports in order.
pub(super) fn run_all(hosts: &Hosts, loads: &[Load]) -> Vec<Report> {
    thread::scope(|scope| {
        let run = |load: &Load| {
            let load = *load;
            scope.spawn(move || load.run(hosts))
        };
        let running: Vec<_> = loads.iter().map(run).collect();
        let report = |thread: thread::ScopedJoinHandle<'_, Report>| match thread.join() {
            Ok(report) => report,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        running.into_iter().map(report).collect()
    })
}

impl Report {
    /// Reads the last sums that uclient printed.
    fn parse(output: &str) -> Option<Self> {
        let last = |label: &str| output.lines().rfind(|line| line.contains(label));
        let sums = last("tot_send_msgs=")?;
        let losses = last("Total lost packets")?;
        Some(Self {
            sent: number_after(sums, "tot_send_msgs=")?,
            received: number_after(sums, "tot_recv_msgs=")?,
            lost: number_after(losses, "Total lost packets ")?,
            send_dropped: number_after(losses, "total send dropped ")?,
        })
    }
}

/// The digits that follow a label.
fn number_after(line: &str, label: &str) -> Option<u64> {
    let (_, rest) = line.split_once(label)?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[test]
fn the_report_is_read() {
    let output = "3: : start_mclient: msz=3, tot_send_msgs=75, tot_recv_msgs=74, tot_send_bytes ~ 5\n\
         3: : start_mclient: tot_send_msgs=150, tot_recv_msgs=147\n\
         3: : Total lost packets 3 (2.000000%), total send dropped 1 (0.000000%)";
    let report = Report {
        sent: 150,
        received: 147,
        lost: 3,
        send_dropped: 1,
    };
    assert_eq!(Report::parse(output), Some(report));
    assert_eq!(Report::parse("0: : Cannot complete Allocation"), None);
}
