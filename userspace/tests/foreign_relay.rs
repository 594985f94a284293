//! The proof of ourselves, run against a relay that others wrote: coturn's `turnserver` on loopback.
//! What passes there proves that the proof's client speaks as others expect, over UDP, TCP and TLS.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use turnpike::config::ListenConfig;
use turnpike::probe::{self, CallError};
use turnpike::state::StateFolder;
use turnpike::tls::{Certificates, in_memory, self_signed, trust_only};
use turnpike_turn::RelayAddress;
use turnpike_types::Transport;

const PATIENCE: Duration = Duration::from_secs(10);
const USER: (&str, &str) = ("alice", "password");
const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

#[test]
fn proof_passes_on_a_stranger_over_udp_tcp_and_tls() {
    let relay = Coturn::start();
    let trust = trust_only(relay.certificates.certificate()).unwrap();
    let results = probe::run(&relay.listeners, &relay.relay, Some(USER), Some(&trust));
    let proved: Vec<Transport> = results
        .into_iter()
        .map(|result| result.unwrap().listener.transport)
        .collect();
    assert_eq!(proved, TRANSPORTS);
}

#[test]
fn proof_fails_on_a_certificate_that_is_not_ours() {
    let relay = Coturn::start();
    let another = in_memory(&["127.0.0.1".to_owned()]).unwrap();
    let trust = trust_only(another.certificate()).unwrap();
    let results = probe::run(&relay.listeners, &relay.relay, Some(USER), Some(&trust));
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].listener.transport, Transport::Tls);
    assert!(
        matches!(&failed[0].cause, CallError::Socket(error) if error.kind() == io::ErrorKind::InvalidData),
        "{failed:?}"
    );
}

#[test]
fn proof_fails_on_a_wrong_password_over_each_transport() {
    let relay = Coturn::start();
    let trust = trust_only(relay.certificates.certificate()).unwrap();
    let wrong = Some(("alice", "wrong"));
    let results = probe::run(&relay.listeners, &relay.relay, wrong, Some(&trust));
    assert_eq!(results.len(), TRANSPORTS.len());
    for result in results {
        let failed = result.unwrap_err();
        assert_eq!(failed.step, "the first allocation", "{failed}");
    }
}

/// A `turnserver` that keeps nothing and ends with the test.
struct Coturn {
    child: Child,
    certificates: Certificates,
    listeners: [ListenConfig; 3],
    relay: [RelayAddress; 1],
    _folder: tempfile::TempDir,
}

impl Coturn {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(Some(folder.path())).unwrap();
        let certificates = self_signed(&state, &["127.0.0.1".to_owned()]).unwrap();
        let (plain, tls) = (free_port(), free_port());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let child = Command::new("turnserver")
            .args(["-n", "--no-cli", "--no-dtls", "--lt-cred-mech"])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
            .args(["--allow-loopback-peers", "--realm=example.org"])
            .args(["--user=alice:password", "--no-stdout-log"])
            .arg(format!("--listening-port={plain}"))
            .arg(format!("--tls-listening-port={tls}"))
            .arg(format!("--cert={}", state.certificate().display()))
            .arg(format!("--pkey={}", state.key().display()))
            .arg(format!("--userdb={}", path("turndb")))
            .arg(format!("--pidfile={}", path("pid")))
            .arg(format!("--log-file={}", path("log")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listener = |transport, port| ListenConfig {
            transport,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        let listeners = [
            listener(Transport::Udp, plain),
            listener(Transport::Tcp, plain),
            listener(Transport::Tls, tls),
        ];
        let relay = Self {
            child,
            certificates,
            listeners,
            relay: [RelayAddress {
                ip: [127, 0, 0, 1].into(),
                external: None,
            }],
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        for address in [listeners[1].address, listeners[2].address] {
            while TcpStream::connect(address).is_err() {
                assert!(Instant::now() < until, "turnserver does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        relay
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // It has ended already where the test went wrong.
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A port that was free over UDP and TCP a moment ago.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
