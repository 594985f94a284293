//! Hash tables of slots, by what a packet shows: a five-tuple, or a relayed address and its peer.
//!
//! A table holds `u32` slots only; keys are compared in the records. The hash is keyed from the
//! caller's entropy, so that nobody outside can aim at one bucket.

use core::hash::{BuildHasher, Hasher};
use core::net::IpAddr;

use ahash::RandomState;
use hashbrown::HashTable;
use turnpike_types::{Entropy, FiveTuple, UserId};

use super::record::Endpoint;

#[derive(Debug)]
pub(super) struct KeyHasher(RandomState);

impl KeyHasher {
    pub(super) fn new(entropy: &mut impl Entropy) -> Self {
        let mut seed = || entropy.next_u64();
        Self(RandomState::with_seeds(seed(), seed(), seed(), seed()))
    }

    /// Client side: the five-tuple, and a channel number or a peer's IP address.
    pub(super) fn client(&self, five_tuple: &FiveTuple, rest: u128) -> u64 {
        let FiveTuple {
            client,
            server,
            transport,
        } = five_tuple;
        let ports = u64::from(client.port()) << 16 | u64::from(server.port());
        let mut hasher = self.0.build_hasher();
        hasher.write_u128(ip_bits(client.ip()));
        hasher.write_u128(ip_bits(server.ip()));
        hasher.write_u64(ports << 8 | *transport as u64);
        hasher.write_u128(rest);
        hasher.finish()
    }

    /// Peer side: the relayed address, the peer's IP address, and its port or 0.
    pub(super) fn relayed(&self, relayed: Endpoint, peer: Endpoint) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u128(ip_bits(relayed.ip));
        hasher.write_u128(ip_bits(peer.ip));
        hasher.write_u64(u64::from(relayed.port) << 16 | u64::from(peer.port));
        hasher.finish()
    }

    pub(super) fn local(&self, relayed: Endpoint) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u128(ip_bits(relayed.ip));
        hasher.write_u16(relayed.port);
        hasher.finish()
    }

    pub(super) fn user(&self, user: UserId) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(user.0);
        hasher.finish()
    }
}

pub(super) const fn ip_bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits() as u128,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// Takes a slot out of a table.
pub(super) fn forget(table: &mut HashTable<u32>, hash: u64, slot: u32) {
    if let Ok(entry) = table.find_entry(hash, |candidate| *candidate == slot) {
        entry.remove();
    }
}
