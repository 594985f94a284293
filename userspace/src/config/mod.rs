//! The configuration file: TOML in, a checked [`Config`] out.
//!
//! A raw structure is read with unknown keys refused, its values already parsed into what they
//! mean; then [`Config`] is made from it by the rules that no single value shows. Every refusal
//! has a line, a column and what to write instead. Without a file, [`Config::embedded`] is used.
//!
//! The raw structure also says what each key does: [`schema()`] and [`example()`] are made from it.

mod at;
mod error;
mod example;
mod find;
mod line;
#[cfg(test)]
mod page;
mod raw;
mod rules;
mod schema;
mod units;
mod value;
mod words;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use turnpike_turn::RelayAddress;
use turnpike_types::{RateLimit, Transport};

pub use error::ConfigError;
pub use example::example;
pub use schema::schema;
pub use value::Secret;
pub(crate) use value::with_brackets;

/// The port that STUN and TURN are registered for.
pub const TURN_PORT: u16 = 3_478;

/// The port that STUN and TURN over TLS are registered for.
pub const TURNS_PORT: u16 = 5_349;

/// The relayed ports of RFC 8656 section 7.2: the dynamic range.
pub const RELAY_PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// The realm when none is set.
pub const REALM: &str = "turnpike";

/// A configuration that passed every check which needs no look at the host.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm of long-term credentials (RFC 8489 section 9.2).
    pub realm: String,
    /// Lets clients in without credentials. Default false.
    pub anonymous: bool,
    /// Where to listen; a wildcard stands for every address of the host. Empty: chosen.
    pub listen: Vec<ListenConfig>,
    /// The certificate of TLS listeners.
    pub tls: Option<TlsConfig>,
    /// Where relayed addresses come from.
    pub relay: RelayConfig,
    /// Who may allocate.
    pub auth: AuthConfig,
    /// Which peers may be reached.
    pub peers: PeersConfig,
    /// How much of everything.
    pub limits: LimitsConfig,
    /// Relaying in the kernel.
    pub fast_path: FastPathConfig,
    /// Where metrics are served, if anywhere.
    pub metrics: Option<MetricsConfig>,
    /// Threads, draining and the state folder.
    pub runtime: RuntimeConfig,
    /// What is logged and how.
    pub log: LogConfig,
}

/// `[[listen]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// UDP, TCP or TLS.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

/// `[tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM: the certificate, then those that signed it.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// `[fast_path]`; `None` leaves the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastPathConfig {
    /// Whether it is used.
    pub mode: FastPathMode,
    /// Network devices. Empty: those of our addresses.
    pub interfaces: Vec<String>,
    /// Whether the kernel may run the programs where a driver cannot. Default false.
    pub generic: bool,
    /// Channels that there is room for. Default two an allocation.
    pub channels: Option<u32>,
    /// Permissions that there is room for. Default four an allocation.
    pub permissions: Option<u32>,
    /// Unauthenticated requests a second from one source prefix. Default 1,000.
    pub strangers_per_second: Option<u32>,
}

/// Whether relaying in the kernel is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FastPathMode {
    /// Where it can be had.
    #[default]
    Auto,
    /// Or the relay does not start.
    Require,
    /// Never.
    Off,
}

/// `[metrics]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where `/metrics` is served, by HTTP.
    pub address: SocketAddr,
}

/// `[runtime]`; `None` leaves the default.
#[derive(Clone, Debug, Default)]
pub struct RuntimeConfig {
    /// Threads that relay. Default: one a core.
    pub shards: Option<u16>,
    /// How long a stop waits for calls to end. Default 10 s.
    pub drain: Option<Duration>,
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Text for people, or JSON, a line each.
    pub format: LogFormat,
    /// Whether client addresses and user names may appear. Default false.
    pub clients: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[relay]`
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Addresses of this host that relayed addresses are taken from. Empty: chosen.
    pub addresses: Vec<RelayAddress>,
    /// Relayed ports. Default 49152 to 65535.
    pub ports: RangeInclusive<u16>,
    /// Whether channel numbers of RFC 5766 may be bound. Default false.
    pub legacy_channels: bool,
}

/// `[auth]`
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// Long-term credentials: name and password.
    pub users: Vec<(String, Secret)>,
    /// Secrets of ephemeral credentials (`expiry:user`, REST).
    pub secrets: Vec<Secret>,
    /// A SQLite database with more users and secrets, in coturn's tables.
    pub database: Option<PathBuf>,
    /// Whether an ephemeral credential's end also ends its live allocations. Default false.
    pub strict_expiry: bool,
    /// How long a nonce is good for. `None`: the engine's default.
    pub nonce_lifetime: Option<Duration>,
}

/// `[peers]`
#[derive(Clone, Debug, Default)]
pub struct PeersConfig {
    /// Reachable whatever else is said, on any port. Wins over `deny`.
    pub allow: Vec<IpNet>,
    /// Refused beside the built-in ranges (loopback, private, link-local, and so on).
    pub deny: Vec<IpNet>,
    /// The lowest peer port. `None`: the engine's default, 1024.
    pub min_port: Option<u16>,
}

/// `[limits]`; `None` leaves the engine's default.
#[derive(Clone, Debug, Default)]
pub struct LimitsConfig {
    /// Allocations in all.
    pub allocations: Option<u32>,
    /// Allocations one user may hold.
    pub allocations_per_user: Option<u32>,
    /// Permissions one allocation may hold.
    pub permissions_per_allocation: Option<u32>,
    /// Channels one allocation may hold.
    pub channels_per_allocation: Option<u32>,
    /// How long an allocation lives whose client asks for less, or for nothing. Default 10 min.
    pub lifetime: Option<Duration>,
    /// The most an allocation is given at a time. Default 1 h.
    pub lifetime_max: Option<Duration>,
    /// What one allocation may relay a second, both directions together.
    pub allocation_rate: RateLimit,
    /// What one user's allocations together may relay a second.
    pub user_rate: RateLimit,
    /// Connections (TCP and TLS) in all. Default 16,384.
    pub connections: Option<u32>,
    /// Connections from one client address (an IPv6 /64). Default 1,024.
    pub connections_per_address: Option<u32>,
    /// How long a TLS handshake may take. Default 10 s.
    pub handshake_timeout: Option<Duration>,
    /// How long a connection may live without an allocation. Default 60 s.
    pub idle_timeout: Option<Duration>,
    /// Bytes that may wait for a slow reader; packets beyond are dropped. Default 256 KiB.
    pub write_queue: Option<u64>,
}

impl Config {
    /// Reads and checks a file. Paths in it begin at its own folder.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or says something that cannot be honoured.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        let mut config = Self::parse(&text).map_err(|error| error.in_file(path))?;
        if let Some(folder) = path.parent() {
            config.move_paths_to(folder);
        }
        Ok(config)
    }

    /// Joined to a folder, an absolute path stays what it is.
    fn move_paths_to(&mut self, folder: &Path) {
        let tls = self.tls.iter_mut();
        let paths = tls.flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        for path in paths.chain(&mut self.auth.database) {
            *path = folder.join(&path);
        }
    }

    /// Checks a text. Relative paths in it stay as they are written.
    ///
    /// # Errors
    /// When it is not TOML or says something that cannot be honoured.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: raw::Raw =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(text, &error))?;
        rules::check(text, raw)
    }

    /// What `turnpike run` does without a file: one generated user, addresses of the host's own.
    #[must_use]
    pub fn embedded(user: &str, password: &str) -> Self {
        Self {
            realm: REALM.to_owned(),
            anonymous: false,
            listen: Vec::new(),
            relay: RelayConfig {
                addresses: Vec::new(),
                ports: RELAY_PORTS,
                legacy_channels: false,
            },
            auth: AuthConfig {
                users: vec![(user.to_owned(), Secret::new(password))],
                ..AuthConfig::default()
            },
            tls: None,
            peers: PeersConfig::default(),
            limits: LimitsConfig::default(),
            fast_path: FastPathConfig::default(),
            metrics: None,
            runtime: RuntimeConfig::default(),
            log: LogConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests;
