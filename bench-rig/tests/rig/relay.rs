//! A Turnpike relay on the relay's core, as the rig measures it: one shard, one user, no limits.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use turnpike_bench_rig::netns::bench::{
    BenchHosts, CLIENTS_V4, CLIENTS_V6, PEERS_V4, PEERS_V6, RELAY_CORE,
};
use turnpike_bench_rig::netns::{NETWORK_V4, NETWORK_V6, Process, RELAY_V4, RELAY_V6};
use turnpike_turn::client::Credential;

pub(super) const USER: &str = "alice";
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const PORT: u16 = 3478;

/// A running relay; it dies with its guard.
pub(super) struct Relay {
    pub(super) process: Process,
    _folder: TempDir,
}

impl Relay {
    /// Starts it and waits until it answers. It gives so many allocations and no more.
    pub(super) fn start(hosts: &BenchHosts, allocations: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("turnpike.toml");
        fs::write(&config, config_text(hosts, allocations)).unwrap();
        let binary = binary();
        let args = [
            "--cpu-list".as_ref(),
            RELAY_CORE.to_string().as_ref(),
            binary.as_os_str(),
            "run".as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
        ]
        .map(std::ffi::OsStr::to_owned);
        let process = hosts.hosts.relay.spawn("taskset", args).unwrap();
        let relay = Self {
            process,
            _folder: folder,
        };
        for ip in [RELAY_V4, RELAY_V6] {
            relay.await_answer(hosts, ip);
        }
        relay
    }

    /// Asks with STUN Binding requests until one is answered.
    fn await_answer(&self, hosts: &BenchHosts, ip: IpAddr) {
        let mut request = *b"\x00\x01\x00\x00\x21\x12\xa4\x42turnpike-rig";
        let unspecified: IpAddr = match ip {
            IpAddr::V4(_) => [0; 4].into(),
            IpAddr::V6(_) => [0; 16].into(),
        };
        let bind = || UdpSocket::bind((unspecified, 0)).unwrap();
        let socket = hosts.hosts.client.enter(bind).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let said = socket
                .send_to(&request, (ip, PORT))
                .and_then(|_| socket.recv(&mut request));
            match said {
                Ok(_) => return,
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                Err(error) => panic!("no relay ({error}):\n{}", self.process.output()),
            }
        }
    }
}

/// The relay's user.
pub(super) fn credential() -> Credential {
    Credential::new(USER, PASSWORD)
}

/// Where the relay listens for clients of both families.
pub(super) fn servers() -> [SocketAddr; 2] {
    [RELAY_V4, RELAY_V6].map(|ip| SocketAddr::new(ip, PORT))
}

fn config_text(hosts: &BenchHosts, allocations: u32) -> String {
    let listen: String = servers()
        .iter()
        .map(|address| format!("[[listen]]\ntransport = \"udp\"\naddress = \"{address}\"\n"))
        .collect();
    let relayed: Vec<String> = hosts.relayed().iter().map(IpAddr::to_string).collect();
    format!(
        r#"
realm = "turnpike.test"
{listen}
[relay]
addresses = {relayed:?}
ports = "49152-65535"

[auth]
users = {{ {USER} = "{PASSWORD}" }}

[peers]
allow = ["{NETWORK_V4}", "{NETWORK_V6}", "{CLIENTS_V4}", "{CLIENTS_V6}", "{PEERS_V4}", "{PEERS_V6}"]

[limits]
allocations_per_user = {allocations}
allocations = {allocations}
"#
    )
}

/// The relay's program, as `make test` names it.
fn binary() -> PathBuf {
    let named = std::env::var_os("TURNPIKE_BIN");
    let named = named.expect("TURNPIKE_BIN names the relay's program: `make test` sets it");
    PathBuf::from(named)
}

/// How long a relay may take from its start to its first answer.
const READY_WITHIN: Duration = Duration::from_secs(10);
