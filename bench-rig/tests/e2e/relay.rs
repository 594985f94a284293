//! A relay running on the relay host, with one user and leave to relay to the rig's own networks.

use std::env;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cargo_metadata::MetadataCommand;
use tempfile::TempDir;
use turnpike_bench_rig::netns::{Hosts, NETWORK_V4, NETWORK_V6, Process, RELAY_V4, RELAY_V6};

use super::root;

pub(super) const USER: &str = "alice";
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const PORT: u16 = 3478;

/// A running relay; it dies with its guard.
pub(super) struct Relay {
    pub(super) process: Process,
    _folder: TempDir,
}

impl Relay {
    /// Starts `turnpike run` with a config file and waits until it answers on both families.
    pub(super) fn start(hosts: &Hosts) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("turnpike.toml");
        fs::write(&config, config_text()).unwrap();
        let process = hosts
            .relay
            .spawn(binary(), [Path::new("run"), Path::new("--config"), &config])
            .unwrap();
        Self::answering(hosts, process, folder)
    }

    /// Starts coturn's server in the same place with the same settings: the rig's own measure.
    pub(super) fn start_coturn(hosts: &Hosts) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let [v4, v6] = [RELAY_V4, RELAY_V6].map(|ip| ip.to_string());
        let process = hosts
            .relay
            .spawn(
                "turnserver",
                [
                    "-n",
                    "--no-cli",
                    "--no-tls",
                    "--no-dtls",
                    "--log-file=stdout",
                    "--lt-cred-mech",
                    "--realm=turnpike.test",
                    &format!("--user={USER}:{PASSWORD}"),
                    &format!("--pidfile={}", file("pid")),
                    &format!("--userdb={}", file("db")),
                    &format!("--listening-ip={v4}"),
                    &format!("--listening-ip={v6}"),
                    &format!("--relay-ip={v4}"),
                    &format!("--relay-ip={v6}"),
                ],
            )
            .unwrap();
        Self::answering(hosts, process, folder)
    }

    fn answering(hosts: &Hosts, process: Process, folder: TempDir) -> Self {
        for ip in [RELAY_V4, RELAY_V6] {
            if let Err(why) = wait_for_binding_response(hosts, ip) {
                panic!(
                    "no relay on {ip} ({why}); it printed:\n{}",
                    process.output()
                );
            }
        }
        Self {
            process,
            _folder: folder,
        }
    }
}

fn config_text() -> String {
    format!(
        r#"
realm = "turnpike.test"

[[listen]]
transport = "udp"
address = "{RELAY_V4}:{PORT}"

[[listen]]
transport = "udp"
address = "[{RELAY_V6}]:{PORT}"

[relay]
addresses = ["{RELAY_V4}", "{RELAY_V6}"]
ports = "49152-65535"

[auth]
users = {{ {USER} = "{PASSWORD}" }}

[peers]
allow = ["{NETWORK_V4}", "{NETWORK_V6}"]

[limits]
allocations_per_user = 2000
"#
    )
}

/// The relay's binary: the one named, or one built in release now.
pub(super) fn binary() -> PathBuf {
    if let Some(named) = env::var_os("TURNPIKE_BIN") {
        let named = PathBuf::from(named);
        assert!(
            named.is_file(),
            "TURNPIKE_BIN names {}, which is not there",
            named.display()
        );
        return named;
    }
    let manifest = root().join("Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--package",
            "turnpike",
            "--bin",
            "turnpike",
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap();
    metadata.target_directory.join("release/turnpike").into()
}

/// Asks with STUN Binding requests until one is answered.
fn wait_for_binding_response(hosts: &Hosts, ip: IpAddr) -> Result<(), String> {
    let request: [u8; 20] = [
        0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, b't', b'u', b'r', b'n', b'p', b'i', b'k',
        b'e', b'-', b'r', b'i', b'g',
    ];
    let unspecified: IpAddr = if ip.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let socket = hosts
        .client
        .enter(|| UdpSocket::bind((unspecified, 0)).unwrap())
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let deadline = Instant::now() + READY_WITHIN;
    let mut response = [0; 1500];
    loop {
        let said = socket
            .send_to(&request, SocketAddr::new(ip, PORT))
            .and_then(|_| socket.recv(&mut response));
        match said {
            Ok(_) if response.get(8..20) == request.get(8..20) => return Ok(()),
            Ok(_) => return Err("an answer to another transaction".to_owned()),
            Err(error) if Instant::now() > deadline => return Err(error.to_string()),
            // Nothing listens yet: that error comes at once.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// How long a relay may take from its start to its first answer.
const READY_WITHIN: Duration = Duration::from_secs(10);
