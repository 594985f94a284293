//! Programs that talk over UDP on loopback (RFC 6951), one stream, one way: ours (the example
//! `udp_encapsulation`), usrsctp's `tsctp` and pion. The sender has one core, the receiver another.
//!
//! Ours uses the peer's largest packet. A rate is the receiver's, from its first message to its last.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::process::Process;
use crate::report::{Figure, Mark, Report, Row};

/// A program that sends and receives.
struct Program {
    name: String,
    /// With its environment.
    command: Vec<String>,
    /// Arguments to receive and to send: on a port, messages so long, so many.
    receive: fn(u16, usize, usize) -> Vec<String>,
    send: fn(u16, usize, usize) -> Vec<String>,
    /// Bits a second, from a line of the receiver's.
    rate: fn(&str) -> Option<f64>,
    /// How much is sent, for a pass of about a second.
    bytes: usize,
}

pub(crate) fn loopback(options: &Options, report: &mut Report) {
    let Some(ours) = options.get("udp") else {
        eprintln!("  left out: no udp=PROGRAM, the example udp_encapsulation");
        return;
    };
    for len in [1024, 65_536] {
        for (rival, packet, times) in [
            (tsctp(options, true), 1472, 2.0),
            (tsctp(options, false), 1472, 2.0),
            (pion(options), 1228, 3.0),
        ] {
            let own = own(ours, packet);
            report.add(compare(options, &own, rival, packet, len, times));
        }
    }
}

fn compare(
    options: &Options,
    own: &Program,
    rival: Result<Program, (String, String)>,
    packet: usize,
    len: usize,
    times: f64,
) -> Row {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds() {
        ours.push(own.pass(len));
        if let Ok(rival) = &rival {
            theirs.push(rival.pass(len));
        }
    }
    let peer = match rival {
        Ok(rival) => (rival.name, Ok(Figure::of(&theirs))),
        Err((name, why)) => (name, Err(why)),
    };
    Row {
        what: format!("over UDP on loopback, messages of {len} bytes, packets of {packet}"),
        unit: "Mbit/s",
        own: Figure::of(&ours),
        peers: vec![peer],
        mark: Mark::AtLeastTimes(times),
    }
}

fn own(path: &str, packet: usize) -> Program {
    Program {
        name: "turnpike".to_owned(),
        command: words(&[path, "--packet", &packet.to_string()]),
        receive: |port, _, _| words(&["receive", &port.to_string()]),
        send: |port, len, count| [words(&["send"]), numbers(port, len, count)].concat(),
        rate: said_bytes_and_seconds,
        bytes: 600_000_000,
    }
}

/// As Debian has it, it writes lines for debugging about each packet; `is_quiet` turns them off.
fn tsctp(options: &Options, is_quiet: bool) -> Result<Program, (String, String)> {
    let version = options.get("tsctp-version").unwrap_or("usrsctp's tsctp");
    let name = if is_quiet {
        format!("{version} without its debug lines")
    } else {
        format!("{version} as packaged")
    };
    let (Some(path), Some(library)) = (options.get("tsctp"), options.get("quiet")) else {
        let why = options.get("tsctp-missing").unwrap_or("not named");
        return Err((name, why.to_owned()));
    };
    let command = if is_quiet {
        words(&["env", &format!("LD_PRELOAD={library}"), path])
    } else {
        words(&[path])
    };
    Ok(Program {
        name,
        command,
        receive: |port, _, _| words(&["-L", "127.0.0.1", "-E", &port.to_string()]),
        send: |port, len, count| {
            let (own, port) = (free_port().to_string(), port.to_string());
            let (len, count) = (len.to_string(), count.to_string());
            let from = ["-L", "127.0.0.1", "-E", &own, "-U", &port, "-D"];
            words(&[&from[..], &["-l", &len, "-n", &count, "127.0.0.1"]].concat())
        },
        rate: tsctp_rate,
        bytes: if is_quiet { 100_000_000 } else { 40_000_000 },
    })
}

/// One scheduler thread: it has one core.
fn pion(options: &Options) -> Result<Program, (String, String)> {
    let name = options.get("pion-version").unwrap_or("pion").to_owned();
    let Some(path) = options.get("pion") else {
        let why = options.get("pion-missing").unwrap_or("not named");
        return Err((name, why.to_owned()));
    };
    Ok(Program {
        name,
        command: words(&["env", "GOMAXPROCS=1", path]),
        receive: |port, len, count| [words(&["receive"]), numbers(port, len, count)].concat(),
        send: |port, len, count| [words(&["send"]), numbers(port, len, count)].concat(),
        rate: said_bytes_and_seconds,
        bytes: 40_000_000,
    })
}

impl Program {
    /// One transfer; megabits a second.
    fn pass(&self, len: usize) -> f64 {
        let (port, count) = (free_port(), self.bytes / len);
        let mut receiver = self.start("1", &(self.receive)(port, len, count));
        await_port(port);
        let _sender = self.start("0", &(self.send)(port, len, count));
        let said = receiver.wait_until(PATIENCE, |line| (self.rate)(line).is_some());
        (self.rate)(&said).unwrap() * 1e-6
    }

    /// On a core of its own.
    fn start(&self, core: &str, arguments: &[String]) -> Process {
        let command = self.command.iter().chain(arguments).map(String::as_str);
        let command: Vec<&str> = ["-c", core].into_iter().chain(command).collect();
        Process::start(Path::new("taskset"), &command)
    }
}

fn numbers(port: u16, len: usize, count: usize) -> Vec<String> {
    vec![port.to_string(), len.to_string(), count.to_string()]
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Until somebody has the port.
fn await_port(port: u16) {
    let until = Instant::now() + Duration::from_secs(10);
    let entry = format!(":{port:04X} ");
    while !std::fs::read_to_string("/proc/net/udp")
        .unwrap()
        .contains(&entry)
    {
        assert!(Instant::now() < until, "nobody listens on UDP port {port}");
        std::thread::yield_now();
    }
}

/// `... N bytes, S s ...`
fn said_bytes_and_seconds(line: &str) -> Option<f64> {
    let (before, after) = line.split_once(" bytes, ")?;
    let bytes: f64 = before.rsplit(' ').next()?.parse().ok()?;
    let seconds: f64 = after.split(' ').next()?.parse().ok()?;
    Some(bytes * 8.0 / seconds)
}

/// First length, messages, calls, bytes, seconds, bytes a second, and more.
fn tsctp_rate(line: &str) -> Option<f64> {
    let words: Vec<f64> = line.split(", ").map_while(|it| it.parse().ok()).collect();
    let [_, _, _, bytes, seconds, _, ..] = words[..] else {
        return None;
    };
    Some(bytes * 8.0 / seconds)
}

/// Much longer than any pass takes.
const PATIENCE: Duration = Duration::from_secs(60);
