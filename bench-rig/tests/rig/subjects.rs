//! Every subject that is on this machine answers, relays, stays on its core, and goes.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::sched_getaffinity;
use turnpike_bench_rig::account::{descriptors, resident_bytes};
use turnpike_bench_rig::ceiling::KernelRoutes;
use turnpike_bench_rig::netns::bench::{BenchHosts, RELAY_CORE, Wires};
use turnpike_bench_rig::netns::{PEER_V4, PEER_V6};
use turnpike_bench_rig::subject::{
    Coturn, Running, Settings, Subject, SubjectError, Turnpike, Variant, all,
};

use super::client::relay_words;
use super::hosts;

#[test]
fn turnpike_relays_and_goes() {
    relays_and_goes(&Turnpike::find().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn debians_coturn_relays_and_goes() {
    relays_and_goes(&Coturn::of_debian().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn the_coturn_of_debian_unstable_relays_and_goes() {
    for variant in [Variant::Defaults, Variant::Multiplexed] {
        match Coturn::of_unstable(variant) {
            Ok(coturn) => relays_and_goes(&coturn),
            Err(error) => eprintln!("{error}"),
        }
    }
}

#[test]
fn two_relays_on_the_same_hosts_do_not_meet() {
    let hosts = hosts(Wires::One);
    let second = Settings {
        port: 4478,
        relayed_ports: (60_000, 65_535),
        ..Settings::default()
    };
    let first = Settings {
        relayed_ports: (49_152, 59_999),
        ..Settings::default()
    };
    let one = start(&Turnpike::find().unwrap(), &hosts, &first);
    let other = start(&Coturn::of_debian().unwrap(), &hosts, &second);
    for (running, settings) in [(&one, first), (&other, second)] {
        let relayed = relay_words(&hosts, running, b"which one?");
        let (least, most) = settings.relayed_ports;
        assert!(
            (least..=most).contains(&relayed.address.port()),
            "{}",
            relayed.address
        );
    }
}

#[test]
fn a_relay_that_dies_is_noticed() {
    let hosts = hosts(Wires::Two);
    let running = start(&Turnpike::find().unwrap(), &hosts, &Settings::default());
    for pid in running.pids() {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
    within(Duration::from_secs(2), "its death", || !running.is_alive());
}

#[test]
fn a_program_that_does_not_answer_is_reported_with_its_words() {
    let hosts = hosts(Wires::Two);
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("fake");
    std::fs::write(&fake, "#!/bin/sh\necho fake 1.0\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&fake, mode).unwrap();
    let fake = Turnpike::at("fake", &fake).unwrap();
    let error = fake.start(&hosts, &Settings::default()).unwrap_err();
    let SubjectError::Silent { why, output, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        why.contains("it has ended") && output.contains("fake 1.0"),
        "{error}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let error = Turnpike::at("older", Path::new("/nonexistent")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("older is left out: /nonexistent"),
        "{error}"
    );
    assert!(all().len() >= 4);
}

#[test]
fn the_kernel_routes_only_while_it_is_told_to() {
    let hosts = hosts(Wires::Two);
    for peer in [(PEER_V4, "0.0.0.0:0"), (PEER_V6, "[::]:0")] {
        assert!(!crosses(&hosts, peer));
        let routes = KernelRoutes::start(&hosts).unwrap();
        assert!(crosses(&hosts, peer));
        drop(routes);
        assert!(!crosses(&hosts, peer));
    }
}

fn relays_and_goes(subject: &dyn Subject) {
    let hosts = hosts(Wires::Two);
    let running = start(subject, &hosts, &Settings::default());
    let relayed = relay_words(&hosts, &running, b"there and back");
    assert_eq!(relayed.answer, b"there and back");
    assert!(
        hosts.relayed().contains(&relayed.address.ip()),
        "{}",
        relayed.address
    );
    assert!(!subject.version().is_empty());
    let pids = running.pids();
    for pid in &pids {
        assert!(resident_bytes(*pid).unwrap() > 1 << 20);
        assert!(descriptors(*pid).unwrap() > 4);
        assert_on_its_core_and_first(*pid);
    }
    hosts.check().unwrap();
    running.stop();
    let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
    assert!(pids.iter().all(gone), "{} is still there", subject.name());
    assert!(!Path::new("/mnt/settings").exists());
}

/// Each thread of a process.
fn assert_on_its_core_and_first(pid: u32) {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    for thread in threads {
        let thread = thread.unwrap().file_name().into_string().unwrap();
        let class = Command::new("chrt")
            .args(["--pid", &thread])
            .output()
            .unwrap();
        let class = String::from_utf8(class.stdout).unwrap();
        assert!(class.contains("SCHED_FIFO"), "{class}");
        let thread = Pid::from_raw(thread.parse().unwrap());
        let cores = sched_getaffinity(thread).unwrap();
        assert!(cores.count() == 1 && cores.is_set(RELAY_CORE), "{thread:?}");
    }
}

fn start(subject: &dyn Subject, hosts: &BenchHosts, settings: &Settings) -> Running {
    subject
        .start(hosts, settings)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Whether a datagram of the client host arrives on the peer host.
fn crosses(hosts: &BenchHosts, (peer, any): (std::net::IpAddr, &str)) -> bool {
    let bind = || UdpSocket::bind(any).unwrap();
    let receiver = hosts.hosts.peer.enter(bind).unwrap();
    let sender = hosts.hosts.client.enter(bind).unwrap();
    let port = receiver.local_addr().unwrap().port();
    receiver
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    sender.send_to(b"across", (peer, port)).is_ok() && receiver.recv(&mut [0; 16]).is_ok()
}

fn within(time: Duration, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + time;
    while !done() {
        assert!(Instant::now() < deadline, "{what} took too long");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_rig_that_is_killed_leaves_no_relay_and_no_host() {
    for relay in ["turnpike", "coturn"] {
        let mut rig = Rig::start(relay);
        assert_eq!(rig.made.len(), 4, "{:?}", rig.made);
        assert!(rig.made.iter().all(|path| path.exists()), "{:?}", rig.made);
        rig.child.kill().unwrap();
        rig.child.wait().unwrap();
        within(Duration::from_secs(5), "taking all away", || {
            !rig.made.iter().any(|path| path.exists())
        });
    }
}

/// Another process that has a relay under test, and what it has made.
struct Rig {
    child: Child,
    made: Vec<PathBuf>,
}

impl Rig {
    fn start(relay: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_turnpike-hosts"))
            .arg(relay)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut rig = Self {
            child,
            made: Vec::new(),
        };
        let stdout = rig.child.stdout.take().unwrap();
        let lines = BufReader::new(stdout).lines().map(Result::unwrap);
        for line in lines.take_while(|line| !line.starts_with("janitor")) {
            if let Some(rest) = line.strip_prefix("nsenter --net=") {
                rig.made.push(rest.split(' ').next().unwrap().into());
            } else if let Some(pid) = line.strip_prefix("process ") {
                rig.made.push(Path::new("/proc").join(pid));
            }
        }
        rig
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
