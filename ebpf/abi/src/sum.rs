//! The Internet checksum by increments (RFC 1624): sums of 16-bit words in the machine's order, which
//! gives the right result in either order as long as all of them are (RFC 1071 section 2 (B)).
//!
//! Sums are collected in 64 bits without looking at carries; [`fold`] brings them down in the end.

/// Folds a sum to 16 bits with its carries (RFC 1071 section 4.1).
#[inline(always)]
#[must_use]
pub const fn fold(sum: u64) -> u16 {
    let sum = halves(sum);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The two halves of a word, added: so words of 64 bits are summed without losing a carry.
#[inline(always)]
#[must_use]
pub const fn halves(word: u64) -> u64 {
    (word & 0xffff_ffff) + (word >> 32)
}

/// What is added to a sum to take a part of it out again: the part's complement.
#[inline(always)]
#[must_use]
pub const fn without(sum: u64) -> u64 {
    (!fold(sum)) as u64
}

/// The sum of what a checksum covers, the checksum field aside, without what the caller knows of it.
/// `checksum` is the field as it lies in the packet.
#[inline(always)]
#[must_use]
pub const fn rest(checksum: u16, known: u64) -> u64 {
    (!checksum) as u64 + without(known)
}

/// A UDP checksum field from the sum of all that it covers: never zero, which says that there is none
/// (RFC 768).
#[inline(always)]
#[must_use]
pub const fn udp_field(sum: u64) -> u16 {
    match !fold(sum) {
        0 => 0xffff,
        field => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u64 {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let last = rest.first().copied().map_or(0, u64::from);
        let pairs = pairs
            .iter()
            .map(|pair| u64::from(u16::from_ne_bytes(*pair)));
        pairs.sum::<u64>() + last
    }

    #[test]
    fn a_part_taken_out_and_another_put_in_is_the_sum_of_the_whole() {
        let payload: [u8; 333] = core::array::from_fn(|index| (index * 7 + index / 3) as u8);
        for cut in (0..64).step_by(2) {
            let (old, new) = ([0xfe; 64], [0x13; 64]);
            let before = udp_field(sum(&old[..cut]) + sum(&payload));
            let kept = rest(before, sum(&old[..cut]));
            let after = udp_field(kept + sum(&new));
            assert_eq!(after, udp_field(sum(&payload) + sum(&new)), "cut {cut}");
        }
    }

    #[test]
    fn udp_checksum_is_never_zero() {
        assert_eq!(udp_field(0xffff), 0xffff);
        assert_eq!(udp_field(0), 0xffff);
        assert_eq!(udp_field(1), 0xfffe);
        assert_eq!(fold(u64::MAX), 0xffff);
    }
}
