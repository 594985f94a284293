//! Listeners and what goes with them.

use super::*;

fn listen(transport: &str, address: &str) -> String {
    format!("[[listen]]\ntransport = \"{transport}\"\naddress = \"{address}\"\n")
}

/// Two listeners, with a certificate for those that need one.
fn two(one: (&str, &str), other: (&str, &str)) -> Result<Config, ConfigError> {
    let (one, other) = (listen(one.0, one.1), listen(other.0, other.1));
    let tls = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
    Config::parse(&format!("anonymous = true\n{one}{other}{tls}"))
}

#[test]
fn udp_and_tcp_share_an_address_but_tcp_and_tls_do_not() {
    let place = "192.0.2.1:3478";
    for (one, other) in [("udp", "tcp"), ("tls", "udp")] {
        assert_eq!(two((one, place), (other, place)).unwrap().listen.len(), 2);
    }
    for (one, other) in [
        (("tcp", place), ("tls", place)),
        (("tls", "0.0.0.0:3478"), ("tcp", place)),
        (("tls", "[::1]:443"), ("tcp", "[::]:443")),
    ] {
        let error = two(one, other).unwrap_err();
        assert_eq!(error.line_column(), Some((7, 11)), "{error}");
        assert!(error.message().contains("ports of their own"), "{error}");
    }
    for (one, other) in [
        (("tcp", "0.0.0.0:3478"), ("tls", "0.0.0.0:5349")),
        (("tcp", "0.0.0.0:443"), ("tls", "[::]:443")),
        (("tcp", "127.0.0.1:0"), ("tls", "127.0.0.1:0")),
        (("tcp", "192.0.2.1"), ("tls", "192.0.2.1")),
    ] {
        two(one, other).unwrap();
    }
    let twice = two(("tcp", place), ("tcp", place)).unwrap_err();
    assert!(twice.message().contains("twice"), "{twice}");
}

#[test]
fn tls_listener_without_a_certificate_is_refused_where_it_stands() {
    let text = format!("anonymous = true\n{}", listen("tls", "192.0.2.1"));
    let error = Config::parse(&text).unwrap_err();
    assert_eq!(error.line_column(), Some((3, 13)));
    assert!(error.message().contains("add [tls]"), "{error}");
    let half = format!("{text}[tls]\ncertificate = \"c.pem\"\n");
    let error = Config::parse(&half).unwrap_err();
    assert_eq!(error.line_column(), Some((5, 1)));
    assert_eq!(error.message(), "the key `key` is missing");
}

#[test]
fn certificate_without_a_tls_listener_is_kept() {
    let config = two(("udp", "192.0.2.1"), ("tcp", "192.0.2.1")).unwrap();
    assert_eq!(config.tls.unwrap().key, Path::new("k.pem"));
}

#[test]
fn slip_in_a_transport_gets_the_nearest_one() {
    for (written, words) in [
        ("upd", "did you mean \"udp\"?"),
        ("TLS", "did you mean \"tls\"?"),
        ("quic", "known: udp, tcp, tls"),
        ("dtls", "not in this version"),
    ] {
        let text = format!("anonymous = true\n{}", listen(written, "192.0.2.1"));
        let error = Config::parse(&text).unwrap_err();
        assert_eq!(error.line_column(), Some((3, 13)), "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn metrics_on_the_port_of_a_stream_listener_are_refused() {
    let with = |transport: &str| {
        let listen = listen(transport, "0.0.0.0:9641");
        Config::parse(&format!(
            "anonymous = true\n{listen}[metrics]\naddress = \"127.0.0.1:9641\""
        ))
    };
    assert!(with("udp").is_ok());
    assert_eq!(with("tcp").unwrap_err().line_column(), Some((6, 11)));
}

#[test]
fn address_that_lacks_its_brackets_is_written_with_them() {
    let tcp = |address| Config::parse(&format!("anonymous = true\n{}", listen("tcp", address)));
    let metrics = "anonymous = true\n[metrics]\naddress = \"fd00::2:9641\"";
    for (error, meant) in [
        (tcp("fd00::2:53478").unwrap_err(), "\"[fd00::2]:53478\""),
        (Config::parse(metrics).unwrap_err(), "\"[fd00::2]:9641\""),
    ] {
        assert!(error.message().ends_with(meant), "{error}");
    }
    // Whether the end is a port, only the host can say.
    assert_eq!(tcp("fd00::2:3478").unwrap().listen[0].address.port(), 3_478);
}
