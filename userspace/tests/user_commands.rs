//! `turnpike user` and `turnpike secret` as processes.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::pty::openpty;
use rusqlite::Connection;
use turnpike::config::Secret;
use turnpike::database::{Database, Fixed};
use turnpike_turn::server::UserKeys;

const REALM: &str = "turnpike";

#[test]
fn user_is_added_with_the_password_from_stdin_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let add = ["user", "add", "alice", "--password-stdin"];
    let added = run(folder.path(), &add, "hunter2hunter2\n");
    assert!(added.status.success(), "{added:?}");
    assert!(!format!("{added:?}").contains("hunter2"));
    let database = Database::open(&folder.path().join("turnpike.db")).unwrap();
    let keys = UserKeys::of_password("alice", REALM, "hunter2hunter2").unwrap();
    let users = || {
        let reading = database.credentials(REALM, &Fixed::default()).unwrap();
        reading.credentials.users
    };
    assert_eq!(users().get("alice"), Some(&keys));
    assert_eq!(
        stdout(&run(folder.path(), &["user", "list"], "")),
        "alice\n"
    );
    let json = stdout(&run(folder.path(), &["user", "list", "--json"], ""));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected = serde_json::json!({
        "realm": REALM, "users": [{"name": "alice", "sha256": true}],
    });
    assert_eq!(json, expected);
    let del = ["user", "del", "alice"];
    assert!(run(folder.path(), &del, "").status.success());
    assert!(users().is_empty());
    let again = run(folder.path(), &del, "");
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("has no user `alice`"));
}

#[test]
fn generated_password_is_all_that_is_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let add = ["user", "add", "alice", "--generate", "--realm", "elsewhere"];
    let added = run(folder.path(), &add, "");
    let password = stdout(&added);
    assert_eq!(password.trim_end().len(), 20, "{added:?}");
    let database = Database::open(&folder.path().join("turnpike.db")).unwrap();
    let reading = database.credentials("elsewhere", &Fixed::default());
    let keys = UserKeys::of_password("alice", "elsewhere", password.trim_end()).unwrap();
    let users = reading.unwrap().credentials.users;
    assert_eq!(users.get("alice"), Some(&keys));
}

#[test]
fn looking_and_removing_make_no_file() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["user", "list"][..],
        &["user", "del", "alice"],
        &["secret", "list"],
        &["secret", "del", "0123abcd"],
    ] {
        let refused = run(folder.path(), arguments, "");
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        let said = stderr(&refused);
        assert!(said.contains("there is no such file"), "{said}");
        assert!(!folder.path().join("turnpike.db").exists(), "{arguments:?}");
    }
}

#[test]
fn user_that_the_configuration_has_is_not_added_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let [config, database] = ["a.toml", "a.db"].map(|it| folder.path().join(it));
    let text = format!("[auth]\nusers = {{ alice = \"a\" }}\ndatabase = {database:?}\n");
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let add = |name| {
        let arguments = ["user", "add", name, "--generate", "--config", config];
        run(Path::new(""), &arguments, "")
    };
    let refused = add("alice");
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains("`alice` stands in [auth] users of") && said.contains("which wins"),
        "{said}"
    );
    assert!(!database.exists());
    assert!(add("bob").status.success());
}

#[test]
fn password_is_no_argument_and_help_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(folder.path(), &["user", "add", "alice", "password"], "");
    assert_eq!(refused.status.code(), Some(2));
    for help in [["user", "add", "--help"], ["secret", "add", "--help"]] {
        let help = stdout(&run(folder.path(), &help, ""));
        assert!(help.contains("never an argument"), "{help}");
    }
    let silent = run(folder.path(), &["user", "add", "alice"], "");
    assert_eq!(silent.status.code(), Some(1));
    assert!(stderr(&silent).contains("--password-stdin"));
}

#[test]
fn password_typed_on_a_terminal_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (typed, status) in [
        ("hunter2\nhunter2\n", 0),
        ("hunter2\nhunter3\n", 1),
        ("hunt\x03", 1),
    ] {
        let (shown, code) = on_terminal(folder.path(), &["user", "add", "alice"], typed);
        assert_eq!(code, Some(status), "{shown}");
        assert!(shown.contains("password (not shown)"), "{shown}");
        assert!(!shown.contains("hunt"), "{shown}");
    }
    let database = Database::open(&folder.path().join("turnpike.db")).unwrap();
    let reading = database.credentials(REALM, &Fixed::default()).unwrap();
    let keys = UserKeys::of_password("alice", REALM, "hunter2").unwrap();
    assert_eq!(reading.credentials.users.get("alice"), Some(&keys));
}

#[test]
fn secret_is_listed_by_fingerprint_and_shown_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let north = stdout(&run(
        folder,
        &["secret", "add", "--stdin"],
        "north-secret\n",
    ));
    let generated = stdout(&run(folder, &["secret", "add", "--generate"], ""));
    assert_eq!(
        (north.trim_end().len(), generated.trim_end().len()),
        (8, 20)
    );
    let listed = stdout(&run(folder, &["secret", "list"], ""));
    assert!(listed.contains(&north) && listed.lines().count() == 2);
    let json = stdout(&run(folder, &["secret", "list", "--json"], ""));
    assert!(json.contains(north.trim_end()));
    for text in [&listed, &json] {
        assert!(!text.contains("north-secret") && !text.contains(generated.trim_end()));
    }
    for show in [
        &["secret", "list", "--show"][..],
        &["secret", "list", "--show", "--json"],
    ] {
        let shown = stdout(&run(folder, show, ""));
        assert!(shown.contains("north-secret") && shown.contains(generated.trim_end()));
    }
    let del = ["secret", "del", north.trim_end()];
    assert!(run(folder, &del, "").status.success());
    assert_eq!(run(folder, &del, "").status.code(), Some(1));
    assert!(
        run(folder, &["secret", "del", "--stdin"], &generated)
            .status
            .success()
    );
    assert_eq!(stdout(&run(folder, &["secret", "list"], "")), "");
}

#[test]
fn locked_database_is_an_error_that_says_who_may_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turnpike.db");
    let mut database = Database::open(&path).unwrap();
    database
        .put_user(REALM, "alice", &Secret::new("p"))
        .unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = run(folder.path(), &["user", "del", "alice"], "");
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains("fuser -v") && said.contains("try again"),
        "{said}"
    );
}

#[test]
fn default_database_is_in_the_state_folder_which_is_made() {
    let home = tempfile::tempdir().unwrap();
    for (variable, folder, file) in [
        ("TURNPIKE_STATE", "one", "one/turnpike.db"),
        ("STATE_DIRECTORY", "two", "two/turnpike.db"),
        ("XDG_STATE_HOME", "three", "three/turnpike/turnpike.db"),
        ("HOME", "four", "four/.local/state/turnpike/turnpike.db"),
    ] {
        let added = Command::new(env!("CARGO_BIN_EXE_turnpike"))
            .args(["user", "add", "alice", "--generate"])
            .env_clear()
            .env(variable, home.path().join(folder))
            .output()
            .unwrap();
        assert!(added.status.success(), "{added:?}");
        assert!(home.path().join(file).exists(), "{file}");
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.args(arguments).env("TURNPIKE_STATE", folder);
    command
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments reads nothing.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs it on a terminal, types, and returns what was to be seen there.
fn on_terminal(folder: &Path, arguments: &[&str], typed: &str) -> (String, Option<i32>) {
    let terminal = openpty(None, None).unwrap();
    let mut keyboard = File::from(terminal.master);
    let mut child = command(folder, arguments)
        .stdin(terminal.slave.try_clone().unwrap())
        .stdout(terminal.slave.try_clone().unwrap())
        .stderr(terminal.slave)
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    let mut byte = [0];
    // Typed before the echo is off, it would be shown.
    while !shown.ends_with(b": ") && keyboard.read_exact(&mut byte).is_ok() {
        shown.extend(byte);
    }
    keyboard.write_all(typed.as_bytes()).unwrap();
    // The terminal ends with an error when the last program on it has gone.
    while keyboard.read_exact(&mut byte).is_ok() {
        shown.extend(byte);
    }
    let status = child.wait().unwrap();
    (String::from_utf8(shown).unwrap(), status.code())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
