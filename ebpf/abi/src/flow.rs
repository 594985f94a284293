//! What becomes of a packet of a bound channel, either way.

use crate::{Address, Endpoint, FlowKey, check};

/// 64 bytes: source (16), destination (16), their ports (2 each), channel (2), flags (2), next hop (4),
/// allocation (4), its generation (4), check (4), end (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where the packet leaves from: the relayed address to a peer, the server's to a client.
    pub source: Endpoint,
    /// Where it goes to.
    pub destination: Endpoint,
    /// The number of the ChannelData header that it gets, network order; 0: it goes on bare.
    pub channel: u16,
    /// [`Flow::LANE`] or none.
    pub flags: u16,
    /// Index of `NEXT_HOPS`, or [`NextHop::HERE`](crate::NextHop::HERE).
    pub next_hop: u32,
    /// The allocation's slot.
    pub allocation: u32,
    /// Which use of the slot it belongs to.
    pub generation: u32,
    /// When it ends, the earliest of channel, permission and allocation.
    pub expires_at: u64,
}

impl Flow {
    /// A lane relays this one: the program lets its packets through.
    pub const LANE: u16 = 1;

    /// The value for a key, as the map has it.
    #[must_use]
    pub const fn sealed(&self, key: &FlowKey) -> [u64; 8] {
        let open = self.words(0);
        self.words(check::of(&key.words(), &open))
    }

    /// The value that such words are, when they belong to the key and are whole.
    #[inline(always)]
    #[must_use]
    pub const fn open(key: &[u64; 5], words: &[u64; 8]) -> Option<Self> {
        let [sh, sl, dh, dl, ports, place, generation, expires_at] = *words;
        let bare = generation & LOWER;
        let unsealed = [sh, sl, dh, dl, ports, place, bare, expires_at];
        if check::of(key, &unsealed) != (generation >> 32) as u32 {
            return None;
        }
        Some(Self {
            source: Endpoint {
                address: Address([sh, sl]),
                port: ports as u16,
            },
            destination: Endpoint {
                address: Address([dh, dl]),
                port: (ports >> 16) as u16,
            },
            channel: (ports >> 32) as u16,
            flags: (ports >> 48) as u16,
            next_hop: place as u32,
            allocation: (place >> 32) as u32,
            generation: generation as u32,
            expires_at,
        })
    }

    const fn words(&self, check: u32) -> [u64; 8] {
        let Address([source_high, source_low]) = self.source.address;
        let Address([destination_high, destination_low]) = self.destination.address;
        let ports = self.source.port as u64 | (self.destination.port as u64) << 16;
        let form = (self.channel as u64) << 32 | (self.flags as u64) << 48;
        [
            source_high,
            source_low,
            destination_high,
            destination_low,
            ports | form,
            self.next_hop as u64 | (self.allocation as u64) << 32,
            self.generation as u64 | (check as u64) << 32,
            self.expires_at,
        ]
    }
}

const LOWER: u64 = 0xffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn key() -> FlowKey {
        FlowKey {
            far: Endpoint::new("192.0.2.1:1027".parse().unwrap()),
            near: Endpoint::new("192.0.2.2:3478".parse().unwrap()),
            channel: 0x4001_u16.to_be(),
        }
    }

    fn flow() -> Flow {
        Flow {
            source: Endpoint::new("192.0.2.2:49152".parse().unwrap()),
            destination: Endpoint::new("[2001:db8::7]:5000".parse().unwrap()),
            channel: 0x4fff_u16.to_be(),
            flags: Flow::LANE,
            next_hop: 7,
            allocation: u32::MAX,
            generation: 3,
            expires_at: u64::MAX - 1,
        }
    }

    #[test]
    fn sealed_value_opens_under_its_own_key_only() {
        let words = flow().sealed(&key());
        assert_eq!(Flow::open(&key().words(), &words), Some(flow()));
        let mut other = key();
        other.far.port ^= 1;
        assert_eq!(Flow::open(&other.words(), &words), None);
        let mut torn = words;
        torn[7] -= 1;
        assert_eq!(Flow::open(&key().words(), &torn), None);
        assert_eq!(Flow::open(&key().words(), &[0; 8]), None);
    }
}
