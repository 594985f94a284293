//! A relay running on the relay host, with one user and leave to relay to the rig's own networks.

use std::env;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use cargo_metadata::MetadataCommand;
use tempfile::TempDir;
use turnpike_bench_rig::netns::{Hosts, NETWORK_V4, NETWORK_V6, Process, RELAY_V4, RELAY_V6};

use super::certificates::TlsFiles;
use super::root;

pub(super) const USER: &str = "alice";
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const PORT: u16 = 3478;
pub(super) const TLS_PORT: u16 = 5349;

/// The program in the relay's place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The relay under test.
    Turnpike,
    /// coturn's server: the rig's own measure.
    Coturn,
}

impl Program {
    /// The relay under test; where `TURNPIKE_E2E_RELAY` says `coturn`, that, to tell faults of the
    /// rig from faults of the relay.
    pub(super) fn chosen() -> Self {
        match env::var("TURNPIKE_E2E_RELAY").as_deref() {
            Ok("coturn") => Self::Coturn,
            Ok(other) => panic!("TURNPIKE_E2E_RELAY is {other}; it may be coturn, or not be set"),
            Err(_) => Self::Turnpike,
        }
    }
}

/// What a relay has beside its UDP listeners.
#[derive(Clone, Default)]
pub(super) struct Setup {
    /// TCP listeners too, and TLS listeners with this certificate.
    pub(super) tls: Option<TlsFiles>,
    /// More of Turnpike's configuration, as TOML: whole sections.
    pub(super) sections: String,
    /// A SQLite database of users.
    pub(super) database: Option<PathBuf>,
    /// A shell command to run in the relay's place, which ends in `exec "$@"` to start it.
    pub(super) shell: Option<String>,
}

/// A running relay; it dies with its guard.
pub(super) struct Relay {
    pub(super) process: Process,
    _folder: TempDir,
}

impl Relay {
    /// Starts `turnpike run` with a config file and waits until it answers on both families.
    pub(super) fn start(hosts: &Hosts) -> Self {
        Self::run(hosts, Program::Turnpike, &Setup::default())
    }

    /// Starts coturn's server in the same place with the same settings: the rig's own measure.
    pub(super) fn start_coturn(hosts: &Hosts) -> Self {
        Self::run(hosts, Program::Coturn, &Setup::default())
    }

    /// Starts the chosen program with this set-up.
    pub(super) fn start_with(hosts: &Hosts, setup: &Setup) -> Self {
        Self::run(hosts, Program::chosen(), setup)
    }

    /// Starts Turnpike, which does not run but ends; returns how, and what it printed.
    pub(super) fn refuses(hosts: &Hosts, setup: &Setup) -> (ExitStatus, String) {
        let folder = tempfile::tempdir().unwrap();
        let mut process = started(hosts, setup, turnpike_command(folder.path(), setup));
        let status = process
            .wait(READY_WITHIN)
            .unwrap_or_else(|error| panic!("{error}"));
        (status, process.output())
    }

    pub(super) fn run(hosts: &Hosts, program: Program, setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = match program {
            Program::Turnpike => turnpike_command(folder.path(), setup),
            Program::Coturn => coturn_command(folder.path(), setup),
        };
        let process = started(hosts, setup, command);
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

fn started(hosts: &Hosts, setup: &Setup, command: Vec<String>) -> Process {
    let shell = setup.shell.as_deref().unwrap_or(r#"exec "$@""#);
    let args = ["-euc", shell, "sh"].map(str::to_owned);
    let all = args.into_iter().chain(command);
    hosts.relay.spawn("sh", all).unwrap()
}

fn turnpike_command(folder: &Path, setup: &Setup) -> Vec<String> {
    let config = folder.join("turnpike.toml");
    fs::write(&config, config_text(setup)).unwrap();
    let binary = binary().display().to_string();
    vec![
        binary,
        "run".to_owned(),
        "--config".to_owned(),
        config.display().to_string(),
    ]
}

fn coturn_command(folder: &Path, setup: &Setup) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut command: Vec<String> = [
        "turnserver",
        "-n",
        "--no-cli",
        "--no-dtls",
        "--log-file=stdout",
        "--lt-cred-mech",
        "--realm=turnpike.test",
    ]
    .map(str::to_owned)
    .into();
    command.extend([
        format!("--user={USER}:{PASSWORD}"),
        format!("--pidfile={}", file("pid")),
        format!(
            "--userdb={}",
            setup
                .database
                .as_ref()
                .map_or_else(|| file("db"), |path| path.display().to_string())
        ),
    ]);
    for ip in [RELAY_V4, RELAY_V6] {
        command.extend([format!("--listening-ip={ip}"), format!("--relay-ip={ip}")]);
    }
    match &setup.tls {
        Some(TlsFiles { certificate, key }) => command.extend([
            format!("--cert={}", certificate.display()),
            format!("--pkey={}", key.display()),
        ]),
        None => command.push("--no-tls".to_owned()),
    }
    command
}

fn config_text(setup: &Setup) -> String {
    let mut listeners = vec![("udp", PORT)];
    let mut tls = String::new();
    if let Some(TlsFiles { certificate, key }) = &setup.tls {
        listeners.extend([("tcp", PORT), ("tls", TLS_PORT)]);
        tls = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
    }
    let listen: String = listeners
        .into_iter()
        .flat_map(|(transport, port)| [RELAY_V4, RELAY_V6].map(|ip| (transport, ip, port)))
        .map(|(transport, ip, port)| {
            let address = SocketAddr::new(ip, port);
            format!("[[listen]]\ntransport = \"{transport}\"\naddress = \"{address}\"\n\n")
        })
        .collect();
    let database = setup
        .database
        .as_ref()
        .map(|path| format!("database = {path:?}\n"))
        .unwrap_or_default();
    let limits = if setup.sections.contains("[limits]") {
        ""
    } else {
        "[limits]\nallocations_per_user = 2000\n"
    };
    let more = &setup.sections;
    format!(
        r#"
realm = "turnpike.test"

{listen}
{tls}
[relay]
addresses = ["{RELAY_V4}", "{RELAY_V6}"]
ports = "49152-65535"
# turnutils_uclient draws such numbers.
legacy_channels = true

[auth]
users = {{ {USER} = "{PASSWORD}" }}
{database}
[peers]
allow = ["{NETWORK_V4}", "{NETWORK_V6}"]

{limits}
{more}
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
