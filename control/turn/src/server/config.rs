//! What the server is told once, at its start.
//!
//! [`Config::check`] refuses what could not work, so that nothing behind it asks again. Durations
//! are RFC 8656's unless set; counts of 0 mean none, never "unlimited".

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;

use thiserror::Error;
use turnpike_stun::attribute::{REALM_MAX, SOFTWARE_MAX};
use turnpike_stun::opaque_string;
use turnpike_types::RateLimit;

use super::{Credentials, PeerPolicy, ShardSlice, UserLedger};
use crate::RelayAddress;

/// How many IP addresses one server may hand relayed addresses out of.
pub const RELAY_ADDRESSES_MAX: usize = 1_024;

/// Most bytes of a SOFTWARE value that is sent; it would only make replies larger.
pub const SOFTWARE_SENT_MAX: usize = 128;

/// Characters of a realm (RFC 8489 section 14.9).
const REALM_CHARS_MAX: usize = 127;

/// Bytes of an ALTERNATE-DOMAIN (RFC 8489 section 14.16).
const DOMAIN_MAX: usize = 255;

/// Everything a [`Server`](super::Server) is made of, but for time and randomness.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm that user names belong to, at most 127 characters.
    pub realm: String,
    /// Where relayed addresses come from. At least one.
    pub relay_addresses: Vec<RelayAddress>,
    /// The relayed ports, of all shards together. 49152 to 65535 unless set.
    pub ports: RangeInclusive<u16>,
    /// Which part of the ports is this server's own.
    pub shard: ShardSlice,
    /// Where holdings are counted with those of other engines; none: this one counts alone.
    pub ledger: Option<Arc<dyn UserLedger>>,
    /// Whether nobody needs credentials. Anyone on the Internet may then relay through this host.
    pub anonymous: bool,
    /// Who may allocate; made for `realm`.
    pub credentials: Credentials,
    /// Whether the expiry of a REST credential ends live allocations too, not only new ones.
    pub strict_expiry: bool,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// How long a nonce is good for; RFC 8656 section 5 wants an hour at most. 10 minutes unless
    /// set.
    pub nonce_lifetime: Duration,
    /// How much there may be.
    pub limits: Limits,
    /// Which peers may be reached.
    pub peers: PeerPolicy,
    /// Our own transport addresses that no client may reach: listeners, metrics, databases.
    pub services: Vec<SocketAddr>,
    /// Where new allocations are sent instead, if anywhere.
    pub redirect: Option<Redirect>,
    /// The SOFTWARE value in replies to authenticated Allocate and Refresh requests; none unless
    /// set.
    pub software: Option<String>,
    /// Whether channel numbers from 0x5000 to 0x7FFF, which RFC 8656 took back, may be bound: clients
    /// made for RFC 5766 draw them. Not unless set.
    pub legacy_channels: bool,
    /// Whether the lanes can send with the DF bit set. If not, DONT-FRAGMENT is answered with 420.
    pub dont_fragment: bool,
}

impl Default for Config {
    /// Not complete: realm, relay addresses and credentials have no default that would work.
    fn default() -> Self {
        Self {
            realm: String::new(),
            relay_addresses: Vec::new(),
            ports: 49_152..=65_535,
            shard: ShardSlice::WHOLE,
            ledger: None,
            anonymous: false,
            credentials: Credentials::new(""),
            strict_expiry: false,
            lifetimes: Lifetimes::default(),
            nonce_lifetime: Duration::from_secs(600),
            limits: Limits::default(),
            peers: PeerPolicy::default(),
            services: Vec::new(),
            redirect: None,
            software: None,
            legacy_channels: false,
            dont_fragment: true,
        }
    }
}

/// How long things live (RFC 8656 sections 3.2, 9 and 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An allocation whose client asks for less, or nothing. 600 s unless set.
    pub allocation: Duration,
    /// The most an allocation is given at a time. 3600 s unless set.
    pub allocation_max: Duration,
    /// A permission. 300 s unless set.
    pub permission: Duration,
    /// A channel binding. 600 s unless set.
    pub channel: Duration,
    /// A reserved port. 30 s unless set, the least that RFC 8656 section 7.2 allows.
    pub reservation: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            allocation: Duration::from_secs(600),
            allocation_max: Duration::from_secs(3_600),
            permission: Duration::from_secs(300),
            channel: Duration::from_secs(600),
            reservation: Duration::from_secs(30),
        }
    }
}

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Allocations and reservations in all (508 beyond). Tables are made for this many at the
    /// start. 65,536 unless set.
    pub allocations: usize,
    /// Allocations and reservations a user (486 beyond), over all engines that share a ledger. 128
    /// unless set.
    pub allocations_per_user: u32,
    /// Permissions an allocation (508 beyond). 256 unless set.
    pub permissions_per_allocation: usize,
    /// Channel bindings an allocation (508 beyond), at most 4096. 256 unless set.
    pub channels_per_allocation: usize,
    /// What an allocation may relay. Unlimited unless set.
    pub allocation_rate: RateLimit,
    /// What all allocations of a user together may relay. Unlimited unless set.
    pub user_rate: RateLimit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations: 65_536,
            allocations_per_user: 128,
            permissions_per_allocation: 256,
            channels_per_allocation: 256,
            allocation_rate: RateLimit::UNLIMITED,
            user_rate: RateLimit::UNLIMITED,
        }
    }
}

/// Where a client is sent with 300 (RFC 8489 section 10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// For clients that come over IPv4; without it they are not redirected.
    pub ipv4: Option<SocketAddr>,
    /// For clients that come over IPv6; without it they are not redirected.
    pub ipv6: Option<SocketAddr>,
    /// The name in that server's certificate, where it differs from ours.
    pub domain: Option<String>,
}

impl Redirect {
    /// The server of the client's own family, which must be there, and the other one's.
    pub(super) fn servers_for(&self, client: IpAddr) -> Option<(SocketAddr, Option<SocketAddr>)> {
        let (same, other) = match client {
            IpAddr::V4(_) => (self.ipv4, self.ipv6),
            IpAddr::V6(_) => (self.ipv6, self.ipv4),
        };
        same.map(|same| (same, other))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let right_family = self.ipv4.is_none_or(|server| server.is_ipv4())
            && self.ipv6.is_none_or(|server| server.is_ipv6());
        let domain_fits = self
            .domain
            .as_ref()
            .is_none_or(|domain| domain.is_ascii() && (1..=DOMAIN_MAX).contains(&domain.len()));
        if right_family && domain_fits {
            Ok(())
        } else {
            Err(ConfigError::Redirect)
        }
    }
}

impl Config {
    /// Refuses what could not work.
    ///
    /// # Errors
    ///
    /// The first fault found.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_realm()?;
        if self.credentials.realm() != self.realm && !self.anonymous {
            return Err(ConfigError::CredentialsRealm);
        }
        self.check_relay_addresses()?;
        if self.ports.is_empty() || *self.ports.start() == 0 {
            return Err(ConfigError::Ports);
        }
        if self.shard.index >= self.shard.count.max(1) {
            return Err(ConfigError::Shard);
        }
        self.check_lifetimes()?;
        if u32::try_from(self.limits.allocations).is_err()
            || self.limits.channels_per_allocation > CHANNELS_MAX
        {
            return Err(ConfigError::Limits);
        }
        if self
            .software
            .as_ref()
            .is_some_and(|software| software.len() > SOFTWARE_SENT_MAX)
        {
            return Err(ConfigError::Software);
        }
        self.redirect.as_ref().map_or(Ok(()), Redirect::check)
    }

    fn check_realm(&self) -> Result<(), ConfigError> {
        let characters = self.realm.chars().count();
        let fits = (1..=REALM_CHARS_MAX).contains(&characters) && self.realm.len() <= REALM_MAX;
        // Clients make keys with the OpaqueString form of what they are told.
        let is_processed = opaque_string(&self.realm).as_deref() == Some(&*self.realm);
        if fits && is_processed {
            Ok(())
        } else {
            Err(ConfigError::Realm)
        }
    }

    fn check_lifetimes(&self) -> Result<(), ConfigError> {
        let Lifetimes {
            allocation,
            allocation_max,
            permission,
            channel,
            reservation,
        } = self.lifetimes;
        let nonce = self.nonce_lifetime;
        let in_range = [
            allocation,
            allocation_max,
            permission,
            channel,
            reservation,
            nonce,
        ]
        .iter()
        .all(|duration| DURATIONS.contains(duration));
        if in_range && allocation_max >= allocation {
            Ok(())
        } else {
            Err(ConfigError::Lifetimes)
        }
    }

    fn check_relay_addresses(&self) -> Result<(), ConfigError> {
        let addresses = &self.relay_addresses;
        if addresses.is_empty() || addresses.len() > RELAY_ADDRESSES_MAX {
            return Err(ConfigError::RelayAddresses);
        }
        for (index, address) in addresses.iter().enumerate() {
            let others = addresses.get(..index).unwrap_or_default();
            let external = address.advertised();
            // A NAT 1:1 is one to one: what is known by either name must be nobody else's.
            let names = |other: &RelayAddress| [other.ip, other.advertised()];
            let is_taken = |other: &RelayAddress| {
                names(other).contains(&address.ip) || names(other).contains(&external)
            };
            if address.ip.is_unspecified()
                || external.is_unspecified()
                || external.is_ipv4() != address.ip.is_ipv4()
                || others.iter().any(is_taken)
            {
                return Err(ConfigError::RelayAddresses);
            }
        }
        Ok(())
    }
}

/// Numbers from 0x4000 to 0x4FFF.
const CHANNELS_MAX: usize = 4_096;

/// From a second to a year, well within what the timer wheel can hold.
const DURATIONS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(31_536_000);

const _: () = assert!(SOFTWARE_SENT_MAX <= SOFTWARE_MAX);

/// What is wrong with a [`Config`]. The operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Empty, too long, or not what OpaqueString makes of it.
    #[error(
        "the realm must have 1 to {REALM_CHARS_MAX} characters, none of them a control character"
    )]
    Realm,
    /// Keys of another realm open nothing here.
    #[error("the credentials were made for another realm")]
    CredentialsRealm,
    /// None, too many, one twice (bound or external), an unspecified one, or an external one of the
    /// other family.
    #[error("relay addresses must be 1 to {RELAY_ADDRESSES_MAX} different, specified ones")]
    RelayAddresses,
    /// Empty, or from 0.
    #[error("the relay port range must not be empty nor hold port 0")]
    Ports,
    /// Not one of as many as there are.
    #[error("the shard's index must be below the number of shards")]
    Shard,
    /// Below a second, above a year, or the maximum below the default.
    #[error("lifetimes must be 1 s to a year, and the longest no shorter than the default")]
    Lifetimes,
    /// More than numbers can name.
    #[error("at most 2^32 - 1 allocations and {CHANNELS_MAX} channels an allocation")]
    Limits,
    /// Too long.
    #[error("SOFTWARE must have at most {SOFTWARE_SENT_MAX} bytes")]
    Software,
    /// Of the wrong family, or a name that is none.
    #[error("redirect servers must be of their family, the domain 1 to {DOMAIN_MAX} ASCII bytes")]
    Redirect,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::vec;

    fn valid() -> Config {
        let ip = IpAddr::from([93, 184, 216, 1]);
        Config {
            realm: "example.org".to_owned(),
            credentials: Credentials::new("example.org"),
            relay_addresses: vec![RelayAddress { ip, external: None }],
            ..Config::default()
        }
    }

    fn fault_of(change: impl FnOnce(&mut Config)) -> Option<ConfigError> {
        let mut config = valid();
        change(&mut config);
        config.check().err()
    }

    #[test]
    fn realm_and_relay_address_are_all_that_must_be_set() {
        assert_eq!(valid().check(), Ok(()));
        assert_eq!(Config::default().check(), Err(ConfigError::Realm));
    }

    #[test]
    fn what_could_not_work_is_refused_by_name() {
        use ConfigError as Fault;
        assert_eq!(fault_of(|c| c.realm = "x".repeat(128)), Some(Fault::Realm));
        for realm in ["e\u{301}", "a\u{0}", "a\u{a0}b"] {
            let changed = |c: &mut Config| {
                c.realm = realm.to_owned();
                c.credentials = Credentials::new(realm);
            };
            assert_eq!(fault_of(changed), Some(Fault::Realm), "{realm:?}");
        }
        assert_eq!(
            fault_of(|c| c.realm = "other".into()),
            Some(Fault::CredentialsRealm)
        );
        assert_eq!(
            fault_of(|c| c.relay_addresses.clear()),
            Some(Fault::RelayAddresses)
        );
        let twice = |c: &mut Config| c.relay_addresses.extend_from_within(..);
        assert_eq!(fault_of(twice), Some(Fault::RelayAddresses));
        let behind = |last, external: [u8; 4]| RelayAddress {
            ip: IpAddr::from([10, 0, 0, last]),
            external: Some(external.into()),
        };
        let shared = |c: &mut Config| {
            c.relay_addresses = vec![behind(1, [1, 1, 1, 1]), behind(2, [1, 1, 1, 1])];
        };
        assert_eq!(fault_of(shared), Some(Fault::RelayAddresses));
        let chained = |c: &mut Config| {
            c.relay_addresses = vec![behind(1, [10, 0, 0, 2]), behind(2, [1, 1, 1, 1])];
        };
        assert_eq!(fault_of(chained), Some(Fault::RelayAddresses));
        let crossed = RelayAddress {
            ip: IpAddr::from([1, 1, 1, 1]),
            external: Some(IpAddr::from([0x2a00_u16, 0, 0, 0, 0, 0, 0, 1])),
        };
        let crossed = |c: &mut Config| c.relay_addresses = vec![crossed];
        assert_eq!(fault_of(crossed), Some(Fault::RelayAddresses));
        assert_eq!(fault_of(|c| c.ports = 0..=9), Some(Fault::Ports));
        let shard = ShardSlice { index: 2, count: 2 };
        assert_eq!(fault_of(|c| c.shard = shard), Some(Fault::Shard));
        let short = Duration::from_millis(1);
        assert_eq!(
            fault_of(|c| c.nonce_lifetime = short),
            Some(Fault::Lifetimes)
        );
        let below = Duration::from_secs(599);
        assert_eq!(
            fault_of(|c| c.lifetimes.allocation_max = below),
            Some(Fault::Lifetimes)
        );
        assert_eq!(
            fault_of(|c| c.limits.channels_per_allocation = 5_000),
            Some(Fault::Limits)
        );
        assert_eq!(
            fault_of(|c| c.software = Some("x".repeat(129))),
            Some(Fault::Software)
        );
        let v6 = Redirect {
            ipv6: Some(([1, 1, 1, 1], 3_478).into()),
            ..Redirect::default()
        };
        assert_eq!(fault_of(|c| c.redirect = Some(v6)), Some(Fault::Redirect));
    }
}
