//! A permission, in both directions: a peer's datagrams to a client as Data indications, and a
//! client's Send indications to the peer.

use crate::{Address, Endpoint, FlowKey, check};

/// 72 bytes: server (16), client (16), their ports (2 each), flags (2), zero (2), next hop to the client
/// (4), to the peer (4), allocation (4), its generation (4), lowest and highest port (2 each), check
/// (4), end (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Our address that the client sends to.
    pub server: Endpoint,
    /// Where the client is.
    pub client: Endpoint,
    /// [`Permission::LANE`], [`Permission::GUARDED`].
    pub flags: u16,
    /// Index of `NEXT_HOPS` towards the client.
    pub to_client: u32,
    /// Index of `NEXT_HOPS` towards the peer, or [`NextHop::HERE`](crate::NextHop::HERE).
    pub to_peer: u32,
    /// The allocation's slot.
    pub allocation: u32,
    /// Which use of the slot it belongs to.
    pub generation: u32,
    /// The lowest port of the peer that may be reached; the machine's order.
    pub port_min: u16,
    /// The highest port of the peer that may be reached; the machine's order.
    pub port_max: u16,
    /// When it ends, the earlier of permission and allocation.
    pub expires_at: u64,
}

impl Permission {
    /// A lane relays this one: the program lets its packets through. So it is where the client knows
    /// the peer by another address than the wire's.
    pub const LANE: u16 = 1;
    /// The peer's address holds services of ours: `LOCALS` is asked before a port is reached.
    pub const GUARDED: u16 = 2;

    /// The value for a key, as the map has it.
    #[must_use]
    pub const fn sealed(&self, key: &FlowKey) -> [u64; 9] {
        let open = self.words(0);
        self.words(check::of(&key.words(), &open))
    }

    /// The value that such words are, when they belong to the key and are whole.
    #[inline(always)]
    #[must_use]
    pub const fn open(key: &[u64; 5], words: &[u64; 9]) -> Option<Self> {
        let [sh, sl, ch, cl, ports, hops, place, rule, expires_at] = *words;
        let bare = rule & LOWER;
        let unsealed = [sh, sl, ch, cl, ports, hops, place, bare, expires_at];
        if check::of(key, &unsealed) != (rule >> 32) as u32 {
            return None;
        }
        Some(Self {
            server: Endpoint {
                address: Address([sh, sl]),
                port: ports as u16,
            },
            client: Endpoint {
                address: Address([ch, cl]),
                port: (ports >> 16) as u16,
            },
            flags: (ports >> 32) as u16,
            to_client: hops as u32,
            to_peer: (hops >> 32) as u32,
            allocation: place as u32,
            generation: (place >> 32) as u32,
            port_min: rule as u16,
            port_max: (rule >> 16) as u16,
            expires_at,
        })
    }

    /// Whether the rule lets a port through, which is in the machine's order.
    #[inline(always)]
    #[must_use]
    pub const fn admits(&self, port: u16) -> bool {
        port >= self.port_min && port <= self.port_max
    }

    const fn words(&self, check: u32) -> [u64; 9] {
        let Address([server_high, server_low]) = self.server.address;
        let Address([client_high, client_low]) = self.client.address;
        let ports = self.server.port as u64 | (self.client.port as u64) << 16;
        let rule = self.port_min as u64 | (self.port_max as u64) << 16;
        [
            server_high,
            server_low,
            client_high,
            client_low,
            ports | (self.flags as u64) << 32,
            self.to_client as u64 | (self.to_peer as u64) << 32,
            self.allocation as u64 | (self.generation as u64) << 32,
            rule | (check as u64) << 32,
            self.expires_at,
        ]
    }
}

const LOWER: u64 = 0xffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_value_opens_under_its_own_key_only() {
        let near = Endpoint::new("192.0.2.2:49152".parse().unwrap());
        let key = FlowKey::permission(Address::new("203.0.113.9".parse().unwrap()), near);
        let permission = Permission {
            server: Endpoint::new("192.0.2.2:3478".parse().unwrap()),
            client: Endpoint::new("[2001:db8::7]:5000".parse().unwrap()),
            flags: Permission::GUARDED,
            to_client: 1,
            to_peer: 2,
            allocation: 3,
            generation: 4,
            port_min: 1_024,
            port_max: 65_535,
            expires_at: 5,
        };
        let words = permission.sealed(&key);
        assert_eq!(Permission::open(&key.words(), &words), Some(permission));
        let mut torn = words;
        torn[8] += 1;
        assert_eq!(Permission::open(&key.words(), &torn), None);
        assert!(permission.admits(1_024) && !permission.admits(1_023));
    }
}
