//! The check that binds a value to its key: a weighted sum of all their words.
//!
//! Not cryptography: nobody but the control plane writes these maps. It finds values of which one part
//! is older than the other, and values under another's key. Weights are odd and differ, so a single
//! changed word always shows, and of two or more each mixture does but one in four billion.

/// The check of a key's and a value's words. `value` holds zeros where its own check goes.
#[inline(always)]
#[must_use]
pub const fn of<const K: usize, const V: usize>(key: &[u64; K], value: &[u64; V]) -> u32 {
    let mut total = SEED;
    let mut weight = FIRST;
    let mut index = 0;
    while index < K {
        total = total.wrapping_add(word(key, index).wrapping_mul(weight));
        weight = weight.wrapping_add(STEP);
        index += 1;
    }
    index = 0;
    while index < V {
        total = total.wrapping_add(word(value, index).wrapping_mul(weight));
        weight = weight.wrapping_add(STEP);
        index += 1;
    }
    // The upper half has something of every bit.
    ((total >> 32) ^ total) as u32
}

#[inline(always)]
#[expect(
    clippy::indexing_slicing,
    reason = "the loops above stay below the lengths; there is no const get"
)]
const fn word<const N: usize>(words: &[u64; N], index: usize) -> u64 {
    words[index]
}

/// Not zero: a value of nothing but zeros does not hold.
const SEED: u64 = 0x7475_726e_7069_6b65;
/// Odd, below 2^31 so that it is an instruction's own constant.
const FIRST: u64 = 0x3504_f333;
/// Even, so that all weights are odd.
const STEP: u64 = 0x0209_e3a2;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u64; 5] = [1, 2, 3, 4, 5];
    const OLD: [u64; 8] = [10, 20, 30, 40, 50, 60, 70, 80];

    #[test]
    fn every_changed_bit_shows() {
        let whole = of(&KEY, &OLD);
        for word in 0..OLD.len() {
            for bit in 0..64 {
                let mut other = OLD;
                other[word] ^= 1 << bit;
                assert_ne!(of(&KEY, &other), whole, "word {word}, bit {bit}");
            }
        }
        for word in 0..KEY.len() {
            for bit in 0..64 {
                let mut other = KEY;
                other[word] ^= 1 << bit;
                assert_ne!(of(&other, &OLD), whole, "word {word} of the key, bit {bit}");
            }
        }
    }

    #[test]
    fn every_mixture_of_two_values_shows() {
        let mut new = OLD;
        for (index, word) in new.iter_mut().enumerate() {
            *word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index as u64;
        }
        let (was, is) = (of(&KEY, &OLD), of(&KEY, &new));
        for mixture in 1..(1 << OLD.len()) - 1 {
            let mut torn = OLD;
            for word in (0..OLD.len()).filter(|word| mixture & (1 << word) != 0) {
                torn[word] = new[word];
            }
            let check = of(&KEY, &torn);
            assert!(check != was && check != is, "mixture {mixture:08b}");
        }
    }

    #[test]
    fn nothing_but_zeros_does_not_hold() {
        assert_ne!(of(&[0; 5], &[0; 8]), 0);
        assert_ne!(of(&[0; 1], &[0; 3]), 0);
    }
}
