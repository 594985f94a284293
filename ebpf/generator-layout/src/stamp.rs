//! The 28 bytes that every generated payload begins with:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | [`MAGIC`], whose first byte begins neither STUN nor ChannelData |
//! | 4 | 4 | number of the flow |
//! | 8 | 8 | when the packet was due, nanoseconds of `CLOCK_MONOTONIC` |
//! | 16 | 4 | sequence number, from 0, counted by flow and direction |
//! | 20 | 2 | 0: sent by a client, 1: sent by a peer |
//! | 22 | 2 | number of the run, so that a packet of the run before is not counted in this one |
//! | 24 | 4 | the check: makes the sum of the whole payload [`SUM`] |
//!
//! All numbers are little-endian, as are the machines that run the programs. The sum is the Internet
//! checksum's (RFC 1071) without its last complement. It costs next to nothing in a program, and a
//! payload whose sum never changes never changes the UDP checksum either: one header serves all
//! packets of a flow. It is not zero, or a relay that forgets the payload in its checksum would seem
//! right. What it does not see is two 16-bit words that changed places.

/// Bytes of the stamp.
pub const LEN: usize = 28;
/// Bytes 0 to 4 of each payload.
pub const MAGIC: u32 = u32::from_le_bytes(*b"tBpr");
/// The Internet sum of every payload.
pub const SUM: u16 = 0x7470;

/// A stamp as it lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct Stamp {
    /// [`MAGIC`].
    pub magic: u32,
    /// The flow's number.
    pub flow: u32,
    /// When the packet was due, nanoseconds of `CLOCK_MONOTONIC`.
    pub due: u64,
    /// Counted by flow and direction.
    pub sequence: u32,
    /// Who sent it, 0 or 1.
    pub direction: u16,
    /// The run's number.
    pub run: u16,
    /// See [`Stamp::check`].
    pub check: u32,
}

impl Stamp {
    /// The sum of the fields that are the same in all packets of a flow and run.
    #[must_use]
    pub const fn constant(&self) -> u16 {
        let constant = self.magic as u64 + self.flow as u64;
        fold(constant + self.direction as u64 + self.run as u64)
    }

    /// The check, when `constant` is the sum of what does not change: the other fields and the rest
    /// of the payload.
    #[inline(always)]
    #[must_use]
    pub const fn check(&self, constant: u32) -> u32 {
        let total = constant as u64 + halves(self.due) + self.sequence as u64;
        // To subtract is to add the complement.
        fold(!fold(total) as u64 + SUM as u64) as u32
    }
}

/// The sum of bytes; an odd last one is followed by zero.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().copied().map_or(0, u64::from);
    let total: u64 = pairs
        .iter()
        .map(|pair| u64::from(u16::from_le_bytes(*pair)))
        .sum();
    fold(total + last)
}

/// The two halves of a word, added: so words of 64 bits are summed without losing a carry.
#[inline(always)]
#[must_use]
pub const fn halves(word: u64) -> u64 {
    (word & 0xffff_ffff) + (word >> 32)
}

/// Folds a sum to 16 bits with its carries (RFC 1071 section 4.1).
#[inline(always)]
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "nothing above 16 bits is left"
)]
pub const fn fold(sum: u64) -> u16 {
    let sum = halves(sum);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

const _: () = assert!(size_of::<Stamp>() == LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_rfc_1071() {
        // The example of its section 3, whose sum is the same in either byte order but for the order.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes), 0xddf2_u16.swap_bytes());
        assert_eq!(sum(&[1, 0, 2]), 3);
        assert_eq!(fold(u64::MAX), 0xffff);
    }

    #[test]
    fn the_check_gives_every_payload_the_same_sum() {
        let filler = [7, 250, 3, 99, 255, 255];
        for number in 0..10_000u32 {
            let mut stamp = Stamp {
                magic: MAGIC,
                flow: number.wrapping_mul(0x9E37_79B9),
                due: u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15),
                sequence: !number,
                direction: 1,
                run: 0xffee,
                ..Stamp::default()
            };
            let constant = u32::from(stamp.constant()) + u32::from(sum(&filler));
            stamp.check = stamp.check(constant);
            let total = u64::from(stamp.constant())
                + halves(stamp.due)
                + u64::from(stamp.sequence)
                + u64::from(stamp.check)
                + u64::from(sum(&filler));
            assert_eq!(fold(total), SUM, "{stamp:?}");
        }
    }
}
