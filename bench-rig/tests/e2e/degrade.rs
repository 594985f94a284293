//! The disk is full, or another process holds the user database: calls go on, and a line says so.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use turnpike_bench_rig::netns::{Host, Process};

use super::load::{INDICATIONS, Load, Transport};
use super::relay::{PASSWORD, PORT, Program, Setup, USER, binary};
use super::scene::{Scene, says};
use super::uclient::echo;
use super::{hosts, python};

/// A user of the database.
const BOB: (&str, &str) = ("bob", "staple battery");

#[test]
fn a_locked_database_costs_calls_nothing_and_is_told_once() {
    let folder = database_with_bob();
    let path = folder.path().join("turnpike.db");
    let database = Some(path.clone());
    let scene = Scene::new(|setup| Setup { database, ..setup });
    let _peer = echo(&scene.hosts);
    let held = hold(&scene.hosts.relay, &path);
    let calls = [(USER, PASSWORD), BOB].map(|(user, password)| {
        let load = Load {
            transport: Transport::Tcp,
            messages: 1_000,
            ..INDICATIONS
        };
        load.call(&scene.hosts, user, password)
    });
    let is_turnpike = Program::chosen() == Program::Turnpike;
    if is_turnpike {
        says(&scene, DOWN);
    }
    // The calls take ten seconds, in which the database stays locked.
    calls.into_iter().for_each(|call| call.ends_whole());
    drop(held);
    if is_turnpike {
        says(&scene, "the user database is back");
        let printed = scene.relay.process.output();
        assert_eq!(printed.matches(DOWN).count(), 1, "{printed}");
    }
}

/// What the relay says, and that the users it knows stay.
const DOWN: &str = "the user database is down; the 1 user and 0 secrets known from it stay";

#[test]
fn a_full_disk_under_the_log_costs_calls_nothing() {
    calls_go_on(r#"exec "$@" >>"$full/log" 2>&1"#, None);
}

/// SQLite needs room beside a database even to look at some.
#[test]
fn a_full_disk_under_the_database_costs_calls_nothing() {
    let folder = database_with_bob();
    calls_go_on(r#"exec "$@""#, Some(folder.path()));
}

/// User and certificate then live in memory, and a line says where they could not be kept.
#[test]
fn a_relay_on_defaults_starts_with_a_full_disk_under_its_state() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().display().to_string();
    let shell = with_full_disk(
        folder.path(),
        r#"export TURNPIKE_STATE="$full/state"; exec "$@""#,
    );
    let binary = binary().display().to_string();
    let command = ["-euc", &shell, "sh", &binary, "run"];
    let relay = hosts.relay.spawn("sh", command).unwrap();
    relay
        .wait_for_line("a self-test that passes", Duration::from_secs(20), |line| {
            line.starts_with("self-test PASS")
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let printed = relay.output();
    let is_reason = |line: &str| line.contains("not kept") && line.contains(&state);
    assert!(printed.lines().any(is_reason), "{printed}");
    assert!(printed.contains(&format!(":{PORT}")), "{printed}");
}

#[track_caller]
fn calls_go_on(start: &str, database: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let shell = Some(match database {
        None => with_full_disk(folder.path(), start),
        Some(from) => {
            let copy = format!(
                "cp {}/turnpike.db {}",
                from.display(),
                folder.path().display()
            );
            with_disk(folder.path(), &format!("{copy}\n{FILL}{start}"))
        }
    });
    let database = database.map(|_| folder.path().join("turnpike.db"));
    let scene = Scene::new(|setup| Setup {
        shell,
        database,
        ..setup
    });
    let _peer = echo(&scene.hosts);
    let calls = [Transport::Udp, Transport::Tcp, Transport::Tls].map(|transport| {
        let load = Load {
            transport,
            ..INDICATIONS
        };
        load.call(&scene.hosts, USER, PASSWORD)
    });
    calls.into_iter().for_each(|call| call.ends_whole());
}

/// Runs a script in a mount namespace, gone with it, where `folder` (`$full`) is a full disk.
fn with_full_disk(folder: &Path, script: &str) -> String {
    with_disk(folder, &format!("{FILL}{script}"))
}

fn with_disk(folder: &Path, script: &str) -> String {
    let full = folder.display();
    let script = format!("full={full}\nmount -t tmpfs -o size=64k none \"$full\"\n{script}");
    let quoted = script.replace('\'', r"'\''");
    format!("exec unshare --mount sh -euc '{quoted}' sh \"$@\"")
}

/// Ends, as it must, with "no space left".
const FILL: &str = "dd if=/dev/zero of=\"$full/fill\" bs=1k 2>/dev/null || true\n";

/// A folder with a database in coturn's shape, in which Bob is.
fn database_with_bob() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turnpike.db").display().to_string();
    let (user, password) = BOB;
    let made = std::process::Command::new(python())
        .args(["-c", MAKE, &path, user, password])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    folder
}

/// Locks the database, as a careless program may, until the returned guard is dropped.
fn hold(host: &Host, path: &Path) -> Process {
    let holder = host
        .spawn(python(), ["-c", HOLD, &path.display().to_string()])
        .unwrap();
    holder
        .wait_for_line("the lock", Duration::from_secs(10), |line| line == "held")
        .unwrap_or_else(|error| panic!("{error}"));
    holder
}

const MAKE: &str = r#"
import hashlib, sqlite3, sys
_, path, user, password = sys.argv
key = hashlib.md5(f"{user}:turnpike.test:{password}".encode()).hexdigest()
with sqlite3.connect(path) as database:
    database.execute("CREATE TABLE turnusers_lt (realm varchar(127) default '', name varchar(512),"
                     " hmackey char(128), PRIMARY KEY (realm, name))")
    database.execute("CREATE TABLE turn_secret (realm varchar(127) default '', value varchar(256),"
                     " PRIMARY KEY (realm, value))")
    database.execute("INSERT INTO turnusers_lt VALUES ('turnpike.test', ?, ?)", (user, key))
"#;

const HOLD: &str = r#"
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(60)
"#;
