//! Where packets go next: one entry for all flows that leave the same way.

use crate::check;

/// 24 bytes: destination MAC (6), VLAN (2, network order), source MAC (6), MTU (2), interface index (4),
/// check (4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// The neighbour's MAC.
    pub to: [u8; 6],
    /// Our device's MAC.
    pub from: [u8; 6],
    /// The VLAN's number, the machine's order; 0: frames leave untagged.
    pub vlan: u16,
    /// The longest IP packet, bytes.
    pub mtu: u16,
    /// The device; 0: not known at the moment, packets go down a lane, whose sending makes the kernel
    /// look for the neighbour.
    pub device: u32,
}

impl NextHop {
    /// The index that stands for this host: the packet is for another of its relayed addresses.
    pub const HERE: u32 = 0;

    /// The value for an index, as the map has it.
    #[must_use]
    pub const fn sealed(&self, index: u32) -> [u64; 3] {
        let open = self.words(0);
        self.words(check::of(&[index as u64], &open))
    }

    /// The words, when they belong to the index and are whole.
    #[inline(always)]
    #[must_use]
    pub const fn holds(index: u32, words: &[u64; 3]) -> bool {
        let [first, second, third] = *words;
        check::of(&[index as u64], &[first, second, third & 0xffff_ffff]) == (third >> 32) as u32
    }

    /// The value that such words are, when they belong to the index and are whole.
    #[must_use]
    pub const fn open(index: u32, words: &[u64; 3]) -> Option<Self> {
        if !Self::holds(index, words) {
            return None;
        }
        let [first, second, third] = *words;
        let [a, b, c, d, e, f, vlan_high, vlan_low] = first.to_ne_bytes();
        let [g, h, i, j, k, l, mtu_0, mtu_1] = second.to_ne_bytes();
        Some(Self {
            to: [a, b, c, d, e, f],
            from: [g, h, i, j, k, l],
            vlan: u16::from_be_bytes([vlan_high, vlan_low]),
            mtu: u16::from_ne_bytes([mtu_0, mtu_1]),
            device: third as u32,
        })
    }

    const fn words(&self, check: u32) -> [u64; 3] {
        let [a, b, c, d, e, f] = self.to;
        let [vlan_high, vlan_low] = self.vlan.to_be_bytes();
        let [g, h, i, j, k, l] = self.from;
        let [mtu_0, mtu_1] = self.mtu.to_ne_bytes();
        [
            u64::from_ne_bytes([a, b, c, d, e, f, vlan_high, vlan_low]),
            u64::from_ne_bytes([g, h, i, j, k, l, mtu_0, mtu_1]),
            self.device as u64 | (check as u64) << 32,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_value_opens_under_its_own_index_only() {
        let hop = NextHop {
            to: [1, 2, 3, 4, 5, 6],
            from: [7, 8, 9, 10, 11, 12],
            vlan: 0x123,
            mtu: 1_500,
            device: 4,
        };
        let words = hop.sealed(9);
        assert_eq!(NextHop::open(9, &words), Some(hop));
        assert_eq!(NextHop::open(8, &words), None);
        assert_eq!(NextHop::open(0, &[0; 3]), None);
    }
}
