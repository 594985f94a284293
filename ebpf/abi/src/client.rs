//! An allocation as found by its five-tuple: whether there is one, and its relayed addresses.

use crate::{Address, Endpoint, FlowKey, check};

/// 48 bytes: relayed IPv6 address (16), relayed IPv4 address (4), its port (2), the other's port (2),
/// allocation (4), its generation (4), flags (4), check (4), end (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The relayed IPv4 address; port 0 where there is none.
    pub relayed_v4: Endpoint,
    /// The relayed IPv6 address; port 0 where there is none.
    pub relayed_v6: Endpoint,
    /// The allocation's slot.
    pub allocation: u32,
    /// Which use of the slot it is.
    pub generation: u32,
    /// [`Client::LANE`] or none.
    pub flags: u32,
    /// When the allocation ends.
    pub expires_at: u64,
}

impl Client {
    /// A lane holds entries of this allocation that the programs do not: what they miss is let through.
    pub const LANE: u32 = 1;

    /// The value for a key, as the map has it.
    #[must_use]
    pub const fn sealed(&self, key: &FlowKey) -> [u64; 6] {
        let open = self.words(0);
        self.words(check::of(&key.words(), &open))
    }

    /// The value that such words are, when they belong to the key and are whole.
    #[inline(always)]
    #[must_use]
    pub const fn open(key: &[u64; 5], words: &[u64; 6]) -> Option<Self> {
        let [high, low, v4, place, flags, expires_at] = *words;
        let unsealed = [high, low, v4, place, flags & LOWER, expires_at];
        if check::of(key, &unsealed) != (flags >> 32) as u32 {
            return None;
        }
        Some(Self {
            relayed_v4: Endpoint {
                address: Address::from_v4_word(v4 as u32),
                port: (v4 >> 32) as u16,
            },
            relayed_v6: Endpoint {
                address: Address([high, low]),
                port: (v4 >> 48) as u16,
            },
            allocation: place as u32,
            generation: (place >> 32) as u32,
            flags: flags as u32,
            expires_at,
        })
    }

    const fn words(&self, check: u32) -> [u64; 6] {
        let Address([high, low]) = self.relayed_v6.address;
        let ports = self.relayed_v4.port as u64 | (self.relayed_v6.port as u64) << 16;
        [
            high,
            low,
            self.relayed_v4.address.v4_word() as u64 | ports << 32,
            self.allocation as u64 | (self.generation as u64) << 32,
            self.flags as u64 | (check as u64) << 32,
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
        let key = FlowKey {
            far: Endpoint::new("192.0.2.1:1027".parse().unwrap()),
            near: Endpoint::new("192.0.2.2:3478".parse().unwrap()),
            channel: 0,
        };
        let client = Client {
            relayed_v4: Endpoint::new("192.0.2.2:49152".parse().unwrap()),
            relayed_v6: Endpoint::new("[2001:db8::7]:49154".parse().unwrap()),
            allocation: 9,
            generation: 8,
            flags: Client::LANE,
            expires_at: 7,
        };
        let words = client.sealed(&key);
        assert_eq!(Client::open(&key.words(), &words), Some(client));
        let mut torn = words;
        torn[0] += 1;
        assert_eq!(Client::open(&key.words(), &torn), None);
    }
}
