//! Probability as a whole number, so that no run depends on floating point.

use turnpike_types::Entropy;

/// How often something happens, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u32);

impl Chance {
    /// Never; draws nothing from the entropy.
    pub const NEVER: Self = Self(0);
    /// Each time.
    pub const ALWAYS: Self = Self(ONE);

    /// So many in a hundred, at most all.
    #[must_use]
    pub const fn percent(parts: u32) -> Self {
        Self::per_million(parts.saturating_mul(ONE / 100))
    }

    /// So many in a million, at most all.
    #[must_use]
    pub const fn per_million(parts: u32) -> Self {
        Self(if parts > ONE { ONE } else { parts })
    }

    /// Throws the dice once.
    pub fn happens(self, entropy: &mut impl Entropy) -> bool {
        self.0 > 0 && entropy.below(ONE) < self.0
    }
}

const ONE: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn never_and_always_are_exact() {
        let mut entropy = SeededEntropy::new(1);
        assert!((0..1_000).all(|_| !Chance::NEVER.happens(&mut entropy)));
        assert!((0..1_000).all(|_| Chance::ALWAYS.happens(&mut entropy)));
    }

    #[test]
    fn one_in_ten_happens_about_one_time_in_ten() {
        let mut entropy = SeededEntropy::new(2);
        let hits = (0..100_000)
            .filter(|_| Chance::percent(10).happens(&mut entropy))
            .count();
        assert!((9_500..10_500).contains(&hits), "{hits}");
    }

    #[test]
    fn above_one_is_one() {
        assert_eq!(Chance::percent(101), Chance::ALWAYS);
    }
}
