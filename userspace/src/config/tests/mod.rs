mod arbitrary;
mod listen;
mod shape;
mod words;

use std::net::IpAddr;

use super::*;

const FULL: &str = r#"
realm = "example.org"

[[listen]]
transport = "udp"
address   = "192.0.2.1:3478"

[[listen]]
transport = "udp"
address   = "2001:db8::1"

[[listen]]
transport = "tcp"
address   = "192.0.2.1:3478"

[[listen]]
transport = "tls"
address   = "192.0.2.1"

[tls]
certificate = "cert.pem"
key         = "/etc/turnpike/key.pem"

[relay]
addresses = ["192.0.2.1", "2001:db8::1"]
external  = { "192.0.2.1" = "198.51.100.7" }
ports     = "50000-50999"

[auth]
users    = { alice = "password" }
secrets  = ["shared-secret"]
database = "var/turnpike.db"
nonce_lifetime = "30m"

[peers]
allow = ["10.0.0.0/8", "192.0.2.9"]
deny  = ["203.0.113.0/24"]

[limits]
allocations_per_user = 10
allocation_packets_per_second = 5000
user_bytes_per_second = "10 MB"
connections = 100
connections_per_address = 10
handshake_timeout = "5s"
idle_timeout = "2m"
write_queue = "1 MiB"

[metrics]
address = "127.0.0.1:9641"

[runtime]
shards = 3
drain = "0s"

[log]
format = "json"
clients = true
"#;

#[test]
fn whole_shape_is_read() {
    let config = Config::parse(FULL).unwrap();
    assert_eq!(config.realm, "example.org");
    assert_eq!(
        config
            .listen
            .iter()
            .map(|it| format!("{} {}", it.transport, it.address))
            .collect::<Vec<_>>(),
        [
            "udp 192.0.2.1:3478",
            "udp [2001:db8::1]:3478",
            "tcp 192.0.2.1:3478",
            "tls 192.0.2.1:5349",
        ]
    );
    assert_eq!(config.relay.ports, 50_000..=50_999);
    assert_eq!(
        config
            .relay
            .addresses
            .iter()
            .map(RelayAddress::advertised)
            .collect::<Vec<_>>(),
        [
            "198.51.100.7".parse::<IpAddr>().unwrap(),
            "2001:db8::1".parse().unwrap()
        ]
    );
    assert_eq!(
        config.auth.users,
        [("alice".to_owned(), Secret::new("password"))]
    );
    assert_eq!(config.auth.nonce_lifetime, Some(Duration::from_secs(1_800)));
    assert_eq!(config.peers.allow.len(), 2);
    assert_eq!(config.limits.allocations_per_user, Some(10));
    assert_eq!(
        config.limits.allocation_rate.packets_per_second,
        Some(5_000)
    );
    assert_eq!(config.limits.user_rate.bytes_per_second, Some(10_000_000));
    assert!(!config.anonymous);
    assert_eq!(
        config.auth.database.as_deref(),
        Some(Path::new("var/turnpike.db"))
    );
    assert_eq!(config.metrics.unwrap().address.port(), 9_641);
}

#[test]
fn keys_of_streams_threads_and_logs_are_read() {
    let config = Config::parse(FULL).unwrap();
    let limits = config.limits;
    assert_eq!(
        (limits.connections, limits.connections_per_address),
        (Some(100), Some(10))
    );
    assert_eq!(limits.handshake_timeout, Some(Duration::from_secs(5)));
    assert_eq!(limits.idle_timeout, Some(Duration::from_secs(120)));
    assert_eq!(limits.write_queue, Some(1 << 20));
    assert_eq!(config.runtime.shards, Some(3));
    assert_eq!(config.runtime.drain, Some(Duration::ZERO));
    let log = LogConfig {
        format: LogFormat::Json,
        clients: true,
    };
    assert_eq!(config.log, log);
}

#[test]
fn paths_begin_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("turnpike.toml");
    std::fs::write(&file, FULL).unwrap();
    let config = Config::read(&file).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, folder.path().join("cert.pem"));
    assert_eq!(tls.key, Path::new("/etc/turnpike/key.pem"));
    let database = folder.path().join("var/turnpike.db");
    assert_eq!(config.auth.database, Some(database));
}

#[test]
fn credentials_are_not_in_debug_output() {
    let config = Config::parse(FULL).unwrap();
    let printed = format!("{config:?}");
    assert!(!printed.contains("password\""), "{printed}");
    assert!(!printed.contains("shared-secret"), "{printed}");
}

#[test]
fn unknown_key_names_line_column_and_the_nearest_key() {
    let error = Config::parse("realm = \"x\"\nanonymus = true\n").unwrap_err();
    assert_eq!(error.line_column(), Some((2, 1)));
    assert_eq!(
        error.message(),
        "unknown key `anonymus`; did you mean `anonymous`?"
    );
    let error = Config::parse("[limits]\nallocation_per_user = 1\n").unwrap_err();
    assert_eq!(error.line_column(), Some((2, 1)));
    assert!(
        error
            .message()
            .ends_with("did you mean `allocations_per_user`?"),
        "{error}"
    );
    let error = Config::parse("[peers]\nblocked_countries = []\n").unwrap_err();
    assert!(
        error
            .message()
            .contains("known here: allow, deny, min_port"),
        "{error}"
    );
}

#[test]
fn wrong_values_are_refused_where_they_stand() {
    for (text, line, column, words) in [
        (
            "anonymous = true\n[[listen]]\ntransport = \"udp\"\naddress = \"host:1\"",
            4,
            11,
            "not an address",
        ),
        (
            "anonymous = true\n[relay]\nports = \"60000-50000\"",
            3,
            9,
            "50000-60000",
        ),
        ("anonymous = true\n[relay]\nports = \"80-90\"", 3, 9, "1024"),
        (
            "anonymous = true\n[relay]\naddresses = [\"0.0.0.0\"]",
            3,
            14,
            "no address",
        ),
        (
            "anonymous = true\n[relay]\naddresses = [\"::1\", \"::1\"]",
            3,
            21,
            "twice",
        ),
        (
            "anonymous = true\n[relay]\nexternal = { \"192.0.2.1\" = \"192.0.2.2\" }",
            3,
            14,
            "not among",
        ),
        (
            "anonymous = true\n[limits]\nallocations = 0",
            3,
            15,
            "refuse everything",
        ),
        (
            "anonymous = true\n[limits]\nuser_bytes_per_second = \"10\"",
            3,
            25,
            "not a size",
        ),
        (
            "[auth]\nusers = { a = \"b\" }\nnonce_lifetime = \"1s\"",
            3,
            18,
            "between",
        ),
        ("[auth]\nusers = { a = \"\" }", 2, 15, "empty"),
        ("realm = \"\"\nanonymous = true", 1, 9, "empty"),
        ("realm = 5\nanonymous = true", 1, 9, "string"),
        (
            "anonymous = true\n[limits]\nchannels_per_allocation = 4097",
            3,
            27,
            "4096",
        ),
        (
            "anonymous = true\n[limits]\nhandshake_timeout = \"0s\"",
            3,
            21,
            "between 1s and 5m",
        ),
        (
            "anonymous = true\n[limits]\nidle_timeout = \"25h\"",
            3,
            16,
            "between 1s and 24h",
        ),
        (
            "anonymous = true\n[limits]\nwrite_queue = \"1 KiB\"",
            3,
            15,
            "between 66 KiB and 64 MiB",
        ),
        (
            "anonymous = true\n[limits]\nconnections = 0",
            3,
            15,
            "refuse everything",
        ),
        (
            "anonymous = true\n[runtime]\nshards = 0",
            3,
            10,
            "between 1 and 1024",
        ),
        (
            "anonymous = true\n[runtime]\nshards = 70000",
            3,
            10,
            "from 0 to 65535",
        ),
        (
            "anonymous = true\n[runtime]\ndrain = \"2h\"",
            3,
            9,
            "at most 1h",
        ),
        (
            "anonymous = true\n[metrics]\naddress = \"127.0.0.1\"",
            3,
            11,
            "lacks a port",
        ),
        (
            "anonymous = true\n[log]\nformat = \"jsno\"",
            3,
            10,
            "did you mean \"json\"?",
        ),
        (
            "anonymous = true\n[metrics]\n",
            2,
            1,
            "`address` is missing",
        ),
    ] {
        let error = Config::parse(text).unwrap_err();
        assert_eq!(error.line_column(), Some((line, column)), "{text}\n{error}");
        assert!(error.message().contains(words), "{text}\n{error}");
    }
}

#[test]
fn relay_without_credentials_is_refused_unless_anonymous() {
    let error = Config::parse("realm = \"x\"").unwrap_err();
    assert!(error.message().contains("anonymous = true"), "{error}");
    assert!(Config::parse("anonymous = true").unwrap().anonymous);
    // Its users may come later.
    Config::parse("[auth]\ndatabase = \"d.db\"").unwrap();
    Config::parse("anonymous = true\n[auth]\ndatabase = \"d.db\"").unwrap_err();
    let both = "anonymous = true\n[auth]\nsecrets = [\"s\"]";
    assert_eq!(
        Config::parse(both).unwrap_err().line_column(),
        Some((1, 13))
    );
}

#[test]
fn listener_inside_the_relayed_ports_is_refused() {
    let text = "anonymous = true\n[[listen]]\ntransport = \"udp\"\naddress = \"192.0.2.1:50000\"";
    assert!(Config::parse(text).unwrap_err().message().contains("50000"));
}

#[test]
fn relayed_ports_are_enough_for_the_shards() {
    let with = |ports: &str, runtime: &str| {
        Config::parse(&format!(
            "anonymous = true\n[relay]\nports = \"{ports}\"\n{runtime}"
        ))
    };
    for (ports, runtime) in [
        ("50000-50000", ""),
        ("50000-50002", "[runtime]\nshards = 2"),
        ("50000-50099", "[runtime]\nshards = 51"),
    ] {
        let error = with(ports, runtime).unwrap_err();
        assert_eq!(error.line_column(), Some((3, 9)), "{ports} {runtime}");
        assert!(error.message().contains("too few"), "{error}");
    }
    with("50000-50001", "").unwrap();
    with("50000-50003", "[runtime]\nshards = 2").unwrap();
}

#[test]
fn missing_file_is_named() {
    let error = Config::read(Path::new("/nonexistent/t.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/t.toml: there is no such file"
    );
}

#[test]
fn embedded_defaults_need_one_user() {
    let config = Config::embedded("u", "p");
    assert_eq!(config.auth.users.len(), 1);
    assert_eq!(config.relay.ports, 49_152..=65_535);
    assert!(!config.anonymous);
}
