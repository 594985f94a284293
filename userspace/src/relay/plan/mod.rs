//! From a configuration and a host to what the shards are made of.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::thread;

use turnpike_turn::RelayAddress;
use turnpike_turn::server::{
    self, CredentialError, Credentials, Lifetimes, PeerPolicy, ShardSlice, UserKeys,
};
use turnpike_types::ServerAddr;

use crate::config::{self, Config, LimitsConfig, ListenConfig, MetricsConfig, TURNS_PORT};
use crate::database::StoredCredentials;
use crate::host::Host;
use crate::shard::{Places, StreamLimits};

/// Permissions and channels that the lane has room for, an allocation on average.
const ENTRIES_PER_ALLOCATION: usize = 16;

/// What a shard has at least, or there are fewer: limits and ports are divided evenly, clients are
/// not, and one that finds its shard full is refused though another has room.
const ALLOCATIONS_A_SHARD: usize = 64;
const PAIRS_A_SHARD: usize = 32;

/// Connections in all, and from one client address, unless configured.
const CONNECTIONS: u32 = 16_384;
const CONNECTIONS_PER_ADDRESS: u32 = 1_024;

/// A configuration with its addresses decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to listen. Never a wildcard, never empty.
    pub listen: Vec<ListenConfig>,
    /// Where relayed addresses come from. Never empty.
    pub relay: Vec<RelayAddress>,
    /// The network devices that these addresses are on.
    pub devices: Vec<String>,
    /// Everything else.
    pub config: Config,
    /// What a database adds to the configuration's users and secrets. Empty unless set.
    pub stored: StoredCredentials,
}

/// Why a configuration does not fit this host.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Nothing to listen on or relay from.
    #[error("this host has no address to {0}; `ip address` lists what it has")]
    NoAddress(&'static str),
    /// A relay address is not the host's.
    #[error(
        "relay address {0} is not an address of this host, which `ip address` lists; behind a \
         NAT, [relay] addresses are the inside ones and external = {{ .. }} names the outside"
    )]
    NotOurs(IpAddr),
    /// A listener is not on an address of the host.
    #[error("{}", foreign_listener(.0))]
    ForeignListener(ListenConfig),
    /// Metrics are not on an address of the host.
    #[error(
        "metrics address {0} is not an address of this host, which `ip address` lists; \"0.0.0.0\" \
         stands for each of them, \"127.0.0.1\" is for programs of this host alone"
    )]
    ForeignMetrics(SocketAddr),
    /// A user name or password that RFC 8265 forbids.
    #[error("user `{0}`: the name or the password has characters that are not allowed (RFC 8265)")]
    Forbidden(String),
    /// The engine does not take a user or a secret.
    #[error("[auth]: {0}")]
    Credential(#[from] CredentialError),
}

impl PlanError {
    /// The key of the configuration that is at fault, and what its value may be written as.
    pub(crate) fn key(&self) -> Option<(&'static str, Vec<String>)> {
        match self {
            Self::NotOurs(ip) => Some(("relay.addresses", vec![ip.to_string()])),
            Self::ForeignListener(listener) => {
                let address = listener.address;
                let written = vec![address.to_string(), address.ip().to_string()];
                Some(("listen.address", written))
            }
            Self::ForeignMetrics(address) => Some(("metrics.address", vec![address.to_string()])),
            Self::NoAddress(_) | Self::Forbidden(_) | Self::Credential(_) => None,
        }
    }
}

impl Plan {
    /// Decides the addresses; `port` is what chosen listeners get.
    ///
    /// # Errors
    /// When the configuration names addresses that the host does not have.
    pub fn new(config: Config, host: &Host, port: u16) -> Result<Self, PlanError> {
        let listen = listen_addresses(&config, host, port);
        if listen.is_empty() {
            return Err(PlanError::NoAddress("listen on"));
        }
        let relay = relay_addresses(&config, host);
        if relay.is_empty() {
            return Err(PlanError::NoAddress("relay from"));
        }
        refuse_foreign(&listen, &relay, config.metrics)?;
        let listeners = listen.iter().map(|it| it.address.ip());
        let addresses: Vec<IpAddr> = listeners.chain(relay.iter().map(|it| it.ip)).collect();
        Ok(Self {
            devices: host.devices_of(&addresses),
            listen,
            relay,
            config,
            stored: StoredCredentials::default(),
        })
    }

    /// Where this process itself listens, which no client reaches through it: TURN, and metrics on
    /// each address that they are served on.
    fn services(&self, listeners: &[ServerAddr]) -> Vec<SocketAddr> {
        let mut services: Vec<SocketAddr> = listeners.iter().map(|server| server.0).collect();
        let Some(metrics) = self.config.metrics.map(|it| it.address) else {
            return services;
        };
        if !metrics.ip().is_unspecified() {
            services.push(metrics);
            return services;
        }
        let own = self.listen.iter().map(|it| it.address.ip());
        for ip in own.chain(self.relay.iter().map(|it| it.ip)) {
            let service = SocketAddr::new(ip, metrics.port());
            if !services.contains(&service) {
                services.push(service);
            }
        }
        services
    }

    /// What the engine is told. `guest` is one more user, for the relay's proof of itself.
    ///
    /// # Errors
    /// When a user or a secret cannot be used.
    pub fn engine(
        &self,
        listeners: &[ServerAddr],
        guest: Option<(&str, &str)>,
    ) -> Result<server::Config, PlanError> {
        let Config {
            realm,
            anonymous,
            auth,
            peers,
            limits,
            relay,
            ..
        } = &self.config;
        let mut credentials = Credentials::new(realm);
        for (name, keys) in &self.stored.users {
            credentials.add_user(name, *keys)?;
        }
        let users = auth
            .users
            .iter()
            .map(|(name, password)| (name.as_str(), password.reveal()));
        for (name, password) in users.chain(guest) {
            let keys = UserKeys::of_password(name, realm, password)
                .ok_or_else(|| PlanError::Forbidden(name.to_owned()))?;
            credentials.add_user(name, keys)?;
        }
        for secret in auth.secrets.iter().chain(&self.stored.secrets) {
            credentials.add_secret(secret.reveal().as_bytes())?;
        }
        let defaults = server::Config::default();
        Ok(server::Config {
            realm: realm.clone(),
            relay_addresses: self.relay.clone(),
            ports: relay.ports.clone(),
            anonymous: *anonymous,
            credentials,
            strict_expiry: auth.strict_expiry,
            lifetimes: lifetimes(limits),
            nonce_lifetime: auth.nonce_lifetime.unwrap_or(defaults.nonce_lifetime),
            limits: engine_limits(limits),
            peers: PeerPolicy {
                allow: peers.allow.clone(),
                deny: peers.deny.clone(),
                min_port: peers.min_port.unwrap_or(defaults.peers.min_port),
            },
            legacy_channels: relay.legacy_channels,
            services: self.services(listeners),
            ..defaults
        })
    }

    /// What clients on TCP and TLS may have at one shard, of `shards`.
    #[must_use]
    pub fn streams(&self) -> StreamLimits {
        let limits = &self.config.limits;
        let defaults = StreamLimits::default();
        StreamLimits {
            handshake_timeout: limits
                .handshake_timeout
                .unwrap_or(defaults.handshake_timeout),
            idle_timeout: limits.idle_timeout.unwrap_or(defaults.idle_timeout),
            write_queue_bytes: limits
                .write_queue
                .map_or(defaults.write_queue_bytes, |it| it as usize),
            ..defaults
        }
    }

    /// Leaves half of the process's descriptors to relayed addresses: strangers that only connect would
    /// take them all. Says how many connections there may be if that is fewer than wanted.
    pub fn leave_descriptors(&mut self, descriptors: u64) -> Option<u32> {
        let most = u32::try_from(descriptors / 2).unwrap_or(u32::MAX).max(1);
        let wanted = self.config.limits.connections.unwrap_or(CONNECTIONS);
        self.config.limits.connections = Some(wanted.min(most));
        (wanted > most).then_some(most)
    }

    /// How many clients on streams there may be.
    #[must_use]
    pub fn places(&self) -> Places {
        let limits = &self.config.limits;
        let connections = limits.connections.unwrap_or(CONNECTIONS) as usize;
        let per_address = limits.connections_per_address;
        Places::new(connections, per_address.unwrap_or(CONNECTIONS_PER_ADDRESS))
    }

    /// How many shards to start: `asked`, or as configured, or one a core that the process may use;
    /// unless asked, so few that each has room for a crowd of its own. At least one, and not more than
    /// there are pairs of relayed ports to divide.
    #[must_use]
    pub fn shards(&self, asked: Option<u16>) -> u16 {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let wanted = self.config.runtime.shards.map_or_else(cores, usize::from);
        let pairs = self.config.relay.ports.len() / 2;
        let allocations = engine_limits(&self.config.limits).allocations;
        let roomy = (allocations / ALLOCATIONS_A_SHARD).min(pairs / PAIRS_A_SHARD);
        let shards = asked.map_or_else(|| wanted.min(roomy), usize::from);
        u16::try_from(shards.clamp(1, pairs.max(1))).unwrap_or(u16::MAX)
    }

    /// How many entries the lane of one shard, of `shards`, needs room for.
    #[must_use]
    pub fn entries_max(&self, shards: u16) -> usize {
        engine_limits(&self.config.limits)
            .allocations
            .div_ceil(usize::from(shards.max(1)))
            .saturating_mul(ENTRIES_PER_ALLOCATION)
    }
}

/// What one shard's engine is told: its part of the ports and, rounded up, of the allocations.
pub(super) fn share(engine: &server::Config, shard: ShardSlice) -> server::Config {
    let shards = usize::from(shard.count.max(1));
    server::Config {
        shard,
        limits: server::Limits {
            allocations: engine.limits.allocations.div_ceil(shards),
            ..engine.limits
        },
        ..engine.clone()
    }
}

fn listen_addresses(config: &Config, host: &Host, port: u16) -> Vec<ListenConfig> {
    if config.listen.is_empty() {
        return host.listeners(port, config.tls.as_ref().map(|_| TURNS_PORT));
    }
    let mut listeners = Vec::new();
    for listen in &config.listen {
        let ip = listen.address.ip();
        let ips = if ip.is_unspecified() {
            host.expand(ip)
        } else {
            vec![ip]
        };
        for ip in ips {
            let listener = ListenConfig {
                transport: listen.transport,
                address: SocketAddr::new(ip, listen.address.port()),
            };
            if !listeners.contains(&listener) {
                listeners.push(listener);
            }
        }
    }
    listeners
}

/// Asks the kernel, which knows of more than the interfaces list: 127.0.0.0/8, or a sysctl that
/// allows them all.
fn is_ours(mut address: SocketAddr) -> bool {
    address.set_port(0);
    address.ip().is_unspecified() || UdpSocket::bind(address).is_ok()
}

fn refuse_foreign(
    listen: &[ListenConfig],
    relay: &[RelayAddress],
    metrics: Option<MetricsConfig>,
) -> Result<(), PlanError> {
    if let Some(own) = relay.iter().find(|it| !is_ours((it.ip, 0).into())) {
        return Err(PlanError::NotOurs(own.ip));
    }
    if let Some(listener) = listen.iter().find(|it| !is_ours(it.address)) {
        return Err(PlanError::ForeignListener(*listener));
    }
    match metrics {
        Some(metrics) if !is_ours(metrics.address) => {
            Err(PlanError::ForeignMetrics(metrics.address))
        }
        _ => Ok(()),
    }
}

fn foreign_listener(listener: &ListenConfig) -> String {
    let ListenConfig { transport, address } = listener;
    let ip = address.ip();
    match config::with_brackets(&ip.to_string()) {
        Some(meant) => format!(
            "listener {transport} {address}: {ip} is not an address of this host; if its end is \
             the port, write \"{meant}\""
        ),
        None => format!(
            "listener {transport} {address}: {ip} is not an address of this host, which \
             `ip address` lists; behind a NAT, listen on the inside address"
        ),
    }
}

fn relay_addresses(config: &Config, host: &Host) -> Vec<RelayAddress> {
    if !config.relay.addresses.is_empty() {
        return config.relay.addresses.clone();
    }
    let chosen = host.relay_addresses().into_iter();
    chosen
        .map(|ip| RelayAddress { ip, external: None })
        .collect()
}

fn lifetimes(limits: &LimitsConfig) -> Lifetimes {
    let defaults = Lifetimes::default();
    let allocation = limits.lifetime.unwrap_or(defaults.allocation);
    // One key alone moves the other as far as it must.
    let longest = limits
        .lifetime_max
        .unwrap_or_else(|| defaults.allocation_max.max(allocation));
    Lifetimes {
        allocation: allocation.min(longest),
        allocation_max: longest,
        ..defaults
    }
}

fn engine_limits(limits: &LimitsConfig) -> server::Limits {
    let defaults = server::Limits::default();
    let count = |limit: Option<u32>, default: usize| limit.map_or(default, |it| it as usize);
    server::Limits {
        allocations: count(limits.allocations, defaults.allocations),
        allocations_per_user: limits
            .allocations_per_user
            .unwrap_or(defaults.allocations_per_user),
        permissions_per_allocation: count(
            limits.permissions_per_allocation,
            defaults.permissions_per_allocation,
        ),
        channels_per_allocation: count(
            limits.channels_per_allocation,
            defaults.channels_per_allocation,
        ),
        allocation_rate: limits.allocation_rate,
        user_rate: limits.user_rate,
    }
}

#[cfg(test)]
mod tests;
