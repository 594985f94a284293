//! From a configuration and a host to what the shards are made of.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::thread;

use turnpike_turn::RelayAddress;
use turnpike_turn::server::{
    self, CredentialError, Credentials, Lifetimes, PeerPolicy, ShardSlice, UserKeys,
};
use turnpike_types::ServerAddr;

use crate::config::{Config, LimitsConfig, ListenConfig, TURNS_PORT};
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
    /// A user name or password that RFC 8265 forbids.
    #[error("user `{0}`: the name or the password has characters that are not allowed (RFC 8265)")]
    Forbidden(String),
    /// The engine does not take a user or a secret.
    #[error("[auth]: {0}")]
    Credential(#[from] CredentialError),
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
        let foreign = relay
            .iter()
            .find(|own| UdpSocket::bind((own.ip, 0)).is_err());
        if let Some(foreign) = foreign {
            return Err(PlanError::NotOurs(foreign.ip));
        }
        Ok(Self {
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
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, PlanError> {
        Plan::new(Config::parse(text).unwrap(), &Host::look().unwrap(), 3_478)
    }

    #[test]
    fn wildcard_listens_on_each_address_of_its_family() {
        let text = "anonymous = true\n[[listen]]\ntransport = \"udp\"\naddress = \"0.0.0.0:4000\"\n\
                    [[listen]]\ntransport = \"udp\"\naddress = \"127.0.0.1:4000\"";
        let plan = plan(text).unwrap();
        let loopback: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        assert_eq!(
            plan.listen
                .iter()
                .filter(|it| it.address == loopback)
                .count(),
            1
        );
        assert!(
            plan.listen
                .iter()
                .all(|it| it.address.is_ipv4() && !it.address.ip().is_unspecified())
        );
    }

    #[test]
    fn relay_address_of_another_host_is_refused_by_name() {
        let refused = plan("anonymous = true\n[relay]\naddresses = [\"192.0.2.1\"]").unwrap_err();
        assert!(refused.to_string().contains("192.0.2.1"), "{refused}");
    }

    #[test]
    fn limits_and_users_reach_the_engine() {
        let text = "realm = \"r\"\n[auth]\nusers = { alice = \"a\" }\nsecrets = [\"s\"]\n\
                    [limits]\nallocations = 7\nallocations_per_user = 3\n[peers]\nmin_port = 1";
        let plan = plan(text).unwrap();
        let listener = ServerAddr(plan.listen[0].address);
        let engine = plan.engine(&[listener], Some(("guest", "g"))).unwrap();
        assert_eq!(engine.check(), Ok(()));
        assert_eq!(
            (
                engine.limits.allocations,
                engine.limits.allocations_per_user
            ),
            (7, 3)
        );
        assert_eq!(
            (engine.credentials.users(), engine.credentials.secrets()),
            (2, 1)
        );
        assert_eq!(engine.peers.min_port, 1);
        assert_eq!(engine.services, [listener.0]);
    }

    #[test]
    fn metrics_are_a_service_on_each_address_that_serves_them() {
        let text = "anonymous = true\n[[listen]]\ntransport = \"udp\"\naddress = \"127.0.0.1:4000\"\n\
                    [relay]\naddresses = [\"127.0.0.1\", \"::1\"]";
        let mut plan = plan(text).unwrap();
        let listener = ServerAddr(plan.listen[0].address);
        for (metrics, expected) in [
            ("192.0.2.9:9641", vec!["192.0.2.9:9641"]),
            ("[::]:9641", vec!["127.0.0.1:9641", "[::1]:9641"]),
        ] {
            let address = metrics.parse().unwrap();
            plan.config.metrics = Some(crate::config::MetricsConfig { address });
            let engine = plan.engine(&[listener], None).unwrap();
            let expected: Vec<SocketAddr> = expected.iter().map(|it| it.parse().unwrap()).collect();
            assert_eq!(engine.services, [&[listener.0], &expected[..]].concat());
        }
    }

    #[test]
    fn stored_users_reach_the_engine_and_the_configuration_wins() {
        let text = "realm = \"r\"\n[auth]\nusers = { alice = \"a\" }\nsecrets = [\"s\"]";
        let mut plan = plan(text).unwrap();
        for name in ["alice", "bob"] {
            let keys = UserKeys::of_password(name, "r", "stored").unwrap();
            let keys = UserKeys {
                sha256: None,
                ..keys
            };
            plan.stored.users.insert(name.to_owned(), keys);
        }
        plan.stored.secrets.push(crate::config::Secret::new("t"));
        let credentials = plan.engine(&[], None).unwrap().credentials;
        assert_eq!((credentials.users(), credentials.secrets()), (2, 2));
        assert!(!credentials.offers_sha256());
        plan.stored.users.remove("bob");
        // The configuration's alice has a key that the stored one lacks.
        assert!(plan.engine(&[], None).unwrap().credentials.offers_sha256());
    }

    #[test]
    fn shards_are_as_asked_or_configured_and_never_more_than_pairs_of_ports() {
        let mut plan = plan("anonymous = true\n[relay]\nports = \"50000-50007\"").unwrap();
        plan.config.limits.allocations = Some(7);
        assert!(plan.shards(None) >= 1);
        plan.config.runtime.shards = Some(2);
        assert_eq!(
            [None, Some(3), Some(0), Some(9)].map(|it| plan.shards(it)),
            [1, 3, 1, 4]
        );
        assert_eq!((plan.entries_max(1), plan.entries_max(2)), (7 * 16, 4 * 16));
        let engine = plan.engine(&[], None).unwrap();
        let shard = ShardSlice { index: 1, count: 2 };
        let own = share(&engine, shard);
        assert_eq!((own.shard, own.limits.allocations), (shard, 4));
    }

    #[test]
    fn shards_are_so_few_that_each_has_room_unless_asked() {
        let mut plan = plan("anonymous = true\n[runtime]\nshards = 4").unwrap();
        assert_eq!(plan.shards(None), 4);
        for (allocations, shards) in [(2, 1), (127, 1), (128, 2), (255, 3), (256, 4)] {
            plan.config.limits.allocations = Some(allocations);
            assert_eq!(plan.shards(None), shards, "{allocations}");
            assert_eq!(plan.shards(Some(4)), 4);
        }
        plan.config.relay.ports = 50_000..=50_127;
        assert_eq!(plan.shards(None), 2);
        plan.config.runtime.shards = None;
        assert!((1..=2).contains(&plan.shards(None)));
    }

    #[test]
    fn password_with_a_control_character_is_refused_by_user() {
        let plan = plan("[auth]\nusers = { alice = \"a\\u0007b\" }").unwrap();
        let refused = plan.engine(&[], None).unwrap_err();
        assert!(matches!(refused, PlanError::Forbidden(name) if name == "alice"));
    }
}
