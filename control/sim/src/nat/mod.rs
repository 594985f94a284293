//! A network address translator for UDP, of every kind RFC 4787 names.
//!
//! Mapping and filtering are independent of each other; mappings are refreshed by what leaves
//! (section 4.3, REQ-6), and the outside address stays with the inside address ("paired",
//! section 4.1). *Not* here: fragments, ICMP, and ALGs.
//!
//! Bounded by [`NatConfig::mappings_max`] and `CONTACTS_MAX` destinations a mapping.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;

use turnpike_types::{AddressFamily, Entropy, Timestamp};

use crate::DropRule;

/// What a NAT looks at, besides the inside endpoint (RFC 4787 sections 4.1 and 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behaviour {
    /// Nothing of the outside endpoint.
    EndpointIndependent,
    /// Its IP address.
    AddressDependent,
    /// Its IP address and port.
    AddressAndPortDependent,
}

impl Behaviour {
    /// Every kind, from the most open to the most closed.
    pub const ALL: [Self; 3] = [
        Self::EndpointIndependent,
        Self::AddressDependent,
        Self::AddressAndPortDependent,
    ];

    /// The part of `outside` that counts.
    const fn part(self, outside: SocketAddr) -> Part {
        match self {
            Self::EndpointIndependent => (None, None),
            Self::AddressDependent => (Some(outside.ip()), None),
            Self::AddressAndPortDependent => (Some(outside.ip()), Some(outside.port())),
        }
    }
}

/// How a NAT behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatConfig {
    /// When two destinations share a mapping.
    pub mapping: Behaviour,
    /// Who may answer.
    pub filtering: Behaviour,
    /// Whether the outside port is the inside one where that is free (section 4.2.1).
    pub preserves_port: bool,
    /// Whether an even port stays even and an odd one odd (section 4.2.2).
    pub preserves_parity: bool,
    /// How long a mapping outlives the last datagram that left by it (REQ-5: two minutes or more).
    pub mapping_timeout: Duration,
    /// Whether two inside hosts reach each other by outside addresses (section 6).
    pub hairpinning: bool,
    /// The outside ports.
    pub ports: RangeInclusive<u16>,
    /// The most mappings held at once.
    pub mappings_max: usize,
}

impl Default for NatConfig {
    fn default() -> Self {
        Self {
            mapping: Behaviour::EndpointIndependent,
            filtering: Behaviour::AddressAndPortDependent,
            preserves_port: false,
            preserves_parity: false,
            mapping_timeout: Duration::from_secs(120),
            hairpinning: true,
            ports: 1_024..=u16::MAX,
            mappings_max: 1_024,
        }
    }
}

/// A NAT and its mappings.
#[derive(Clone, Debug)]
pub struct Nat {
    config: NatConfig,
    addresses: Vec<IpAddr>,
    mappings: BTreeMap<MappingKey, Mapping>,
    keys: BTreeMap<SocketAddr, MappingKey>,
}

impl Nat {
    /// A NAT with these outside addresses and no mapping.
    #[must_use]
    pub fn new(config: NatConfig, addresses: &[IpAddr]) -> Self {
        Self {
            config,
            addresses: Vec::from(addresses),
            mappings: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Translates the source of a datagram that leaves.
    ///
    /// # Errors
    /// The rule that drops it.
    pub fn outbound(
        &mut self,
        now: Timestamp,
        inside: SocketAddr,
        destination: SocketAddr,
        entropy: &mut impl Entropy,
    ) -> Result<SocketAddr, DropRule> {
        let key = (inside, self.config.mapping.part(destination));
        if self
            .mappings
            .get(&key)
            .is_none_or(|mapping| mapping.expires_at <= now)
        {
            self.forget(&key);
            self.map(now, key, entropy)?;
        }
        let expires_at = now + self.config.mapping_timeout;
        let mapping = self.mappings.get_mut(&key).ok_or(DropRule::NatTableFull)?;
        mapping.expires_at = expires_at;
        mapping.contact(now, self.config.filtering.part(destination), expires_at);
        Ok(mapping.outside)
    }

    /// Translates the destination of a datagram that comes in.
    ///
    /// # Errors
    /// The rule that drops it.
    pub fn inbound(
        &self,
        now: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<SocketAddr, DropRule> {
        let key = self.keys.get(&destination).ok_or(DropRule::NatNoMapping)?;
        let mapping = self.mappings.get(key).ok_or(DropRule::NatNoMapping)?;
        if mapping.expires_at <= now {
            return Err(DropRule::NatNoMapping);
        }
        match mapping.contacts.get(&self.config.filtering.part(source)) {
            Some(until) if *until > now => Ok(key.0),
            _ => Err(DropRule::NatFiltered),
        }
    }

    /// Forgets every mapping, as a NAT does that lost its power.
    pub fn reset(&mut self) {
        self.mappings.clear();
        self.keys.clear();
    }

    /// How it behaves.
    #[must_use]
    pub const fn config(&self) -> &NatConfig {
        &self.config
    }

    /// The outside addresses.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Mappings held, live or not swept yet.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    fn map(
        &mut self,
        now: Timestamp,
        key: MappingKey,
        entropy: &mut impl Entropy,
    ) -> Result<(), DropRule> {
        if self.mappings.len() >= self.config.mappings_max {
            self.sweep(now);
        }
        if self.mappings.len() >= self.config.mappings_max {
            return Err(DropRule::NatTableFull);
        }
        let ip = self.outside_ip(key.0.ip()).ok_or(DropRule::NatNoAddress)?;
        let outside = self
            .free_port(ip, key.0.port(), entropy)
            .ok_or(DropRule::NatTableFull)?;
        self.keys.insert(outside, key);
        let mapping = Mapping {
            outside,
            expires_at: now,
            contacts: BTreeMap::new(),
        };
        self.mappings.insert(key, mapping);
        Ok(())
    }

    /// The same outside address for the same inside one, for ever.
    fn outside_ip(&self, inside: IpAddr) -> Option<IpAddr> {
        let family = AddressFamily::of(&inside);
        let same_family = || {
            self.addresses
                .iter()
                .filter(|ip| AddressFamily::of(ip) == family)
        };
        let last_byte = match inside {
            IpAddr::V4(ip) => ip.to_bits() & 0xFF,
            IpAddr::V6(ip) => u32::try_from(ip.to_bits() & 0xFF).unwrap_or(0),
        };
        let nth = usize::try_from(last_byte)
            .ok()?
            .checked_rem(same_family().count())?;
        same_family().nth(nth).copied()
    }

    fn free_port(
        &self,
        ip: IpAddr,
        inside_port: u16,
        entropy: &mut impl Entropy,
    ) -> Option<SocketAddr> {
        let range = &self.config.ports;
        let is_free = |port: u16| !self.keys.contains_key(&SocketAddr::new(ip, port));
        if self.config.preserves_port && range.contains(&inside_port) && is_free(inside_port) {
            return Some(SocketAddr::new(ip, inside_port));
        }
        let fits = |port: &u16| !self.config.preserves_parity || port % 2 == inside_port % 2;
        let width = u32::from(range.end().checked_sub(*range.start())?) + 1;
        let start = u16::try_from(entropy.below(width))
            .ok()?
            .checked_add(*range.start())?;
        let port = (start..=*range.end())
            .chain(*range.start()..start)
            .filter(fits)
            .find(|port| is_free(*port))?;
        Some(SocketAddr::new(ip, port))
    }

    fn sweep(&mut self, now: Timestamp) {
        self.mappings.retain(|_, mapping| mapping.expires_at > now);
        let mappings = &self.mappings;
        self.keys.retain(|_, key| mappings.contains_key(key));
    }

    fn forget(&mut self, key: &MappingKey) {
        if let Some(mapping) = self.mappings.remove(key) {
            self.keys.remove(&mapping.outside);
        }
    }
}

/// The part of an outside endpoint that a behaviour looks at.
type Part = (Option<IpAddr>, Option<u16>);

type MappingKey = (SocketAddr, Part);

#[derive(Clone, Debug)]
struct Mapping {
    outside: SocketAddr,
    expires_at: Timestamp,
    /// Until when each may answer.
    contacts: BTreeMap<Part, Timestamp>,
}

impl Mapping {
    fn contact(&mut self, now: Timestamp, part: Part, until: Timestamp) {
        if self.contacts.len() >= CONTACTS_MAX {
            self.contacts.retain(|_, until| *until > now);
        }
        if self.contacts.len() < CONTACTS_MAX || self.contacts.contains_key(&part) {
            self.contacts.insert(part, until);
        }
    }
}

/// The most destinations a mapping remembers; more may not answer.
const CONTACTS_MAX: usize = 256;

#[cfg(test)]
mod tests;
