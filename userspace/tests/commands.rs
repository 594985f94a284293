//! The commands of the `turnpike` binary that start nothing: what they print, and their status.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = "\
[[listen]]
transport = \"tls\"
address = \"127.0.0.1\"
[tls]
certificate = \"cert.pem\"
key = \"key.pem\"
[relay]
addresses = [\"127.0.0.1\"]
[auth]
database = \"turnpike.db\"
[metrics]
address = \"127.0.0.1:9641\"
";

#[test]
fn check_says_what_a_configuration_means() {
    let folder = with_certificate();
    let (status, text, _) = turnpike(&folder, &["check", "t.toml"]);
    assert_eq!(status, Some(0), "{text}");
    for words in [
        "t.toml: good",
        "listens on  tls 127.0.0.1:5349",
        "certificate",
        "turnpike.db, not there yet",
        "metrics on  http://127.0.0.1:9641/metrics",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let (status, text, _) = turnpike(&folder, &["check", "--json", "t.toml"]);
    assert_eq!(status, Some(0));
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["valid"], true);
    assert_eq!(answer["listen"][0]["transport"], "tls");
    assert_eq!(answer["listen"][0]["address"], "127.0.0.1:5349");
    assert_eq!(answer["metrics"]["address"], "127.0.0.1:9641");
    assert!(answer["warnings"].is_array());
    let lifetimes = "[limits]\nlifetime = \"2h\"\nlifetime_max = \"1h\"\n";
    fs::write(folder.path().join("t.toml"), format!("{CONFIG}{lifetimes}")).unwrap();
    let (status, text, _) = turnpike(&folder, &["check", "t.toml"]);
    assert_eq!(status, Some(0));
    assert!(
        text.contains("  warning     limits.lifetime is longer"),
        "{text}"
    );
}

#[test]
fn check_refuses_a_certificate_that_cannot_be_read() {
    let folder = with_certificate();
    fs::remove_file(folder.path().join("key.pem")).unwrap();
    let (status, _, stderr) = turnpike(&folder, &["check", "t.toml"]);
    assert_eq!(status, Some(1));
    assert!(
        stderr.contains("key.pem: there is no such file"),
        "{stderr}"
    );
    let (status, text, stderr) = turnpike(&folder, &["check", "--json", "t.toml"]);
    assert_eq!((status, stderr.as_str()), (Some(1), ""));
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["valid"], false);
    assert_eq!(answer["error"]["line"], 6);
}

#[test]
fn check_says_where_what_this_host_refuses_stands() {
    let folder = with_certificate();
    for (one, other, place) in [
        (
            "addresses = [\"127.0.0.1\"]",
            "addresses = [\"127.0.0.1\", \"192.0.2.99\"]",
            "8:27",
        ),
        (
            "address = \"127.0.0.1:9641\"",
            "address = \"192.0.2.99:9641\"",
            "12:11",
        ),
        (
            "tls\"\naddress = \"127.0.0.1",
            "udp\"\naddress = \"192.0.2.99:1",
            "3:11",
        ),
        (
            "tls\"\naddress = \"127.0.0.1",
            "udp\"\naddress = \"2001:db8::2:3478",
            "3:11",
        ),
        ("turnpike.db", "nowhere/turnpike.db", "10:12"),
    ] {
        let text = CONFIG.replace(one, other);
        assert_ne!(text, CONFIG, "{one}");
        fs::write(folder.path().join("t.toml"), text).unwrap();
        let (status, _, stderr) = turnpike(&folder, &["check", "t.toml"]);
        assert_eq!(status, Some(1), "{other}");
        assert!(
            stderr.contains(&format!("t.toml:{place}: ")),
            "{other}\n{stderr}"
        );
    }
}

#[test]
fn check_refuses_a_database_that_run_could_not_use() {
    let folder = with_certificate();
    let file = |name: &str| folder.path().join(name);
    fs::write(file("turnpike.db"), "alice:hunter2\n".repeat(100)).unwrap();
    let (status, _, stderr) = turnpike(&folder, &["check", "t.toml"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("not a SQLite database"), "{stderr}");
    let elsewhere = CONFIG.replace("turnpike.db", "nowhere/turnpike.db");
    fs::write(file("t.toml"), elsewhere).unwrap();
    let (status, _, stderr) = turnpike(&folder, &["check", "t.toml"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("there is no folder nowhere"), "{stderr}");
    fs::write(file("t.toml"), CONFIG).unwrap();
    fs::write(file("turnpike.db"), "").unwrap();
    let (status, text, _) = turnpike(&folder, &["check", "t.toml"]);
    assert_eq!(status, Some(0));
    assert!(text.contains("turnpike.db, empty"), "{text}");
}

#[test]
fn check_answers_a_program_with_line_and_column() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("t.toml"),
        "realm = \"x\"\nanonymos = true\n",
    )
    .unwrap();
    let (status, text, stderr) = turnpike(&folder, &["check", "--json", "t.toml"]);
    assert_eq!((status, stderr.as_str()), (Some(1), ""));
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["valid"], false);
    assert_eq!(answer["error"]["file"], "t.toml");
    assert_eq!(answer["error"]["line"], 2);
    assert_eq!(answer["error"]["column"], 1);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("did you mean `anonymous`?"), "{message}");
}

#[test]
fn printed_example_passes_check_and_printed_schema_is_json() {
    let folder = TempDir::new().unwrap();
    let (status, example, _) = turnpike(&folder, &["config", "example"]);
    assert_eq!(status, Some(0));
    fs::write(folder.path().join("t.toml"), example).unwrap();
    let (status, text, stderr) = turnpike(&folder, &["check", "t.toml"]);
    assert_eq!(status, Some(0), "{text}{stderr}");
    let (status, schema, _) = turnpike(&folder, &["config", "schema"]);
    assert_eq!(status, Some(0));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["title"], "Turnpike");
}

/// A folder with `t.toml` and a self-signed certificate with its key.
fn with_certificate() -> TempDir {
    let folder = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("t.toml", CONFIG);
    write("cert.pem", &made.cert.pem());
    write("key.pem", &made.signing_key.serialize_pem());
    folder
}

/// Status, stdout and stderr.
fn turnpike(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .current_dir(folder.path())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}
