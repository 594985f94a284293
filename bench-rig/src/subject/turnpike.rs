//! Turnpike itself, as anybody would run it: by its binary and a configuration file.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::running::{Running, SETTINGS_FILE};
use super::{PASSWORD, REALM, Settings, Subject, SubjectError, USER};
use crate::netns::bench::{BenchHosts, CLIENT_DEVICE, PEERS_V4, PEERS_V6};
use crate::netns::{NETWORK_V4, NETWORK_V6, RELAY_V4, RELAY_V6};

/// A binary of Turnpike.
#[derive(Clone, Debug)]
pub struct Turnpike {
    name: String,
    binary: PathBuf,
    version: String,
    in_kernel: bool,
}

impl Turnpike {
    /// The binary that `TURNPIKE_BIN` names, else the one that `make run` builds.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self, SubjectError> {
        let binary = match env::var_os("TURNPIKE_BIN") {
            Some(path) => PathBuf::from(path),
            None => target_folder().join("release/turnpike"),
        };
        Self::at("turnpike", &binary)
    }

    /// The same binary, relaying in the kernel or not at all.
    #[must_use]
    pub fn in_kernel(self) -> Self {
        Self {
            name: format!("{} XDP", self.name),
            in_kernel: true,
            ..self
        }
    }

    /// Another binary under another name, to hold two against each other. It relays through sockets.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn at(name: &str, binary: &Path) -> Result<Self, SubjectError> {
        let missing = |why: String| SubjectError::Missing {
            name: name.to_owned(),
            why: format!("{}: {why}", binary.display()),
        };
        let output = Command::new(binary).arg("--version").output();
        let output = output.map_err(|error| missing(error.to_string()))?;
        if !output.status.success() {
            return Err(missing(format!("--version ended with {}", output.status)));
        }
        let version = String::from_utf8_lossy(&output.stdout);
        Ok(Self {
            name: name.to_owned(),
            binary: binary.to_owned(),
            version: version.trim().trim_start_matches("turnpike ").to_owned(),
            in_kernel: false,
        })
    }

    /// The configuration file's part on relaying in the kernel.
    fn fast_path(&self, hosts: &BenchHosts) -> String {
        match self.in_kernel {
            true => format!(
                "mode = \"require\"\ninterfaces = [\"{CLIENT_DEVICE}\", \"{}\"]",
                hosts.relay_peer_device()
            ),
            false => "mode = \"off\"".to_owned(),
        }
    }
}

impl Subject for Turnpike {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn start(&self, hosts: &BenchHosts, settings: &Settings) -> Result<Running, SubjectError> {
        let binary = self.binary.display().to_string();
        let command = [&binary, "run", "--config", SETTINGS_FILE].map(str::to_owned);
        let text = text(hosts, settings, &self.fast_path(hosts));
        Running::start(self, hosts, settings, text, command)
    }
}

/// The configuration file.
fn text(hosts: &BenchHosts, settings: &Settings, fast_path: &str) -> String {
    let Settings {
        port,
        relayed_ports: (first, last),
        allocations,
    } = settings;
    let listeners: String = [RELAY_V4, RELAY_V6]
        .map(|ip| SocketAddr::new(ip, *port))
        .map(|address| format!("[[listen]]\ntransport = \"udp\"\naddress = \"{address}\"\n"))
        .concat();
    let relayed = hosts.relayed();
    let addresses: Vec<String> = relayed.iter().map(|ip| format!("\"{ip}\"")).collect();
    let addresses = addresses.join(", ");
    format!(
        r#"realm = "{REALM}"
{listeners}
[relay]
addresses = [{addresses}]
ports = "{first}-{last}"
[auth]
users = {{ {USER} = "{PASSWORD}" }}
[peers]
allow = ["{NETWORK_V4}", "{PEERS_V4}", "{NETWORK_V6}", "{PEERS_V6}"]
[limits]
allocations = {allocations}
allocations_per_user = {allocations}
[fast_path]
{fast_path}
[runtime]
shards = 1
drain = "0s"
"#
    )
}

/// Where cargo builds to.
fn target_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target"));
    root.join(folder)
}
