//! The configuration file: TOML in, a checked [`Config`] out.
//!
//! A raw structure is read with unknown keys refused, its values already parsed into what they
//! mean; then [`Config`] is made from it by the rules that no single value shows. Every refusal
//! has a line, a column and what to write instead. Without a file, [`Config::embedded`] is used.
//!
//! What this version does not have yet (TCP, TLS, a database, metrics) is refused, not ignored.

mod error;
mod raw;
mod rules;
mod units;
mod value;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use turnpike_turn::RelayAddress;
use turnpike_types::RateLimit;

pub use error::ConfigError;
pub use value::Secret;

/// The port that STUN and TURN are registered for.
pub const TURN_PORT: u16 = 3_478;

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
    /// UDP addresses to listen on; a wildcard stands for every address of the host. Empty: chosen.
    pub listen: Vec<SocketAddr>,
    /// Where relayed addresses come from.
    pub relay: RelayConfig,
    /// Who may allocate.
    pub auth: AuthConfig,
    /// Which peers may be reached.
    pub peers: PeersConfig,
    /// How much of everything.
    pub limits: LimitsConfig,
}

/// `[relay]`
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Addresses of this host that relayed addresses are taken from. Empty: chosen.
    pub addresses: Vec<RelayAddress>,
    /// Relayed ports. Default 49152 to 65535.
    pub ports: RangeInclusive<u16>,
}

/// `[auth]`
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// Long-term credentials: name and password.
    pub users: Vec<(String, Secret)>,
    /// Secrets of ephemeral credentials (`expiry:user`, REST).
    pub secrets: Vec<Secret>,
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
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or says something that cannot be honoured.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::parse(&text).map_err(|error| error.in_file(path))
    }

    /// Checks a text.
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
            },
            auth: AuthConfig {
                users: vec![(user.to_owned(), Secret::new(password))],
                ..AuthConfig::default()
            },
            peers: PeersConfig::default(),
            limits: LimitsConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests;
