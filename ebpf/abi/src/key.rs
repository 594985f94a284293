//! The key of `FLOWS`, `PERMISSIONS` and `CLIENTS`: who sent a packet to which of our addresses.

use crate::{Address, Endpoint};

/// 40 bytes: far address (16), our address (16), far port, our port, channel number, zero (2 each,
/// network order).
///
/// | entry | far end | our end | channel |
/// |---|---|---|---|
/// | ChannelData of a client (`FLOWS`) | client | server | its number |
/// | datagram of a peer with a channel (`FLOWS`) | peer | relayed address | 0 |
/// | permission (`PERMISSIONS`) | peer, port 0 | relayed address | 0 |
/// | allocation (`CLIENTS`) | client | server | 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The client or peer that sends to us.
    pub far: Endpoint,
    /// Where it sends to.
    pub near: Endpoint,
    /// The channel number, network order; 0 for none.
    pub channel: u16,
}

impl FlowKey {
    /// The key as the map has it.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u64; 5] {
        let Address([far_high, far_low]) = self.far.address;
        let Address([near_high, near_low]) = self.near.address;
        let ports = self.far.port as u64 | (self.near.port as u64) << 16;
        let last = ports | (self.channel as u64) << 32;
        [far_high, far_low, near_high, near_low, last]
    }

    /// The key that such words are.
    #[must_use]
    pub const fn from_words(words: &[u64; 5]) -> Self {
        let [far_high, far_low, near_high, near_low, last] = *words;
        Self {
            far: Endpoint {
                address: Address([far_high, far_low]),
                port: last as u16,
            },
            near: Endpoint {
                address: Address([near_high, near_low]),
                port: (last >> 16) as u16,
            },
            channel: (last >> 32) as u16,
        }
    }

    /// The key of a permission: every port of the far end.
    #[inline(always)]
    #[must_use]
    pub const fn permission(far: Address, near: Endpoint) -> Self {
        Self {
            far: Endpoint {
                address: far,
                port: 0,
            },
            near,
            channel: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_in_memory_as_the_table_says() {
        let key = FlowKey {
            far: Endpoint::new("192.0.2.1:1027".parse().unwrap()),
            near: Endpoint::new("[2001:db8::2]:3478".parse().unwrap()),
            channel: 0x4001_u16.to_be(),
        };
        let bytes: [[u8; 8]; 5] = key.words().map(u64::to_ne_bytes);
        assert_eq!(bytes[1], [0, 0, 0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(bytes[2], [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0]);
        assert_eq!(bytes[4], [4, 3, 0x0d, 0x96, 0x40, 1, 0, 0]);
        assert_eq!(FlowKey::from_words(&key.words()), key);
    }
}
