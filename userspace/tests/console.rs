//! `turnpike run` as others start it: nobody reads its banner, it has few descriptors, or a state
//! folder with a broken database.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use support::{ONE_FAMILY, run};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn banner_that_nobody_reads_ends_nothing_and_fails_nothing() {
    let (_folder, file) = configured(ONE_FAMILY);
    let (reader, stdout) = std::io::pipe().unwrap();
    let mut child = run(&["--config", file.to_str().unwrap()])
        .stdout(stdout)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(reader);
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("turnpike "), "{line}");
    drop(reader);
    end_when_serving(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn quiet_relay_prints_nothing_but_its_log() {
    let (_folder, file) = configured(ONE_FAMILY);
    let mut child = run(&["--quiet", "--config", file.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    end_when_serving(&mut child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("draining"), "{log}");
}

#[test]
fn too_few_descriptors_for_the_allocations_are_said_at_the_start() {
    let config = format!("{ONE_FAMILY}[limits]\nallocations = 5_000\n");
    let (_folder, file) = configured(&config);
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 200; exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_turnpike"))
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    end_when_serving(&mut child);
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("limits.allocations is 5000"), "{log}");
    assert!(log.contains("ulimit -n"), "{log}");
}

#[test]
fn broken_database_in_the_state_folder_costs_its_users_and_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("turnpike.db");
    fs::write(&database, "not a database\n".repeat(100)).unwrap();
    let [port, tls_port] = free_ports().map(|port| port.to_string());
    let state = folder.path().to_str().unwrap();
    let arguments = ["--state", state, "--port", &port, "--tls-port", &tls_port];
    let mut child = run(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    end_when_serving(&mut child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("starting without the user database"), "{log}");
    let banner = String::from_utf8(output.stdout).unwrap();
    assert!(banner.contains("  user       turnpike"), "{banner}");
}

/// A configuration file in a folder of its own, which goes with the test.
fn configured(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("turnpike.toml");
    fs::write(&file, text).unwrap();
    (folder, file)
}

/// Two ports that nobody has on this host at the moment.
fn free_ports() -> [u16; 2] {
    let sockets = [(); 2].map(|()| UdpSocket::bind("[::]:0").unwrap());
    sockets.map(|it| it.local_addr().unwrap().port())
}

/// Ends a relay by SIGTERM, once it serves and heeds signals.
fn end_when_serving(child: &mut Child) {
    let threads = PathBuf::from(format!("/proc/{}/task", child.id()));
    let until = Instant::now() + PATIENCE;
    while !has_shard(&threads) {
        assert!(Instant::now() < until, "it does not serve");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
}

fn has_shard(threads: &Path) -> bool {
    let tasks = fs::read_dir(threads).unwrap().flatten();
    let names = tasks.filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
    names.into_iter().any(|name| name.starts_with("shard-"))
}
