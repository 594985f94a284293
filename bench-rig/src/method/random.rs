//! Seeded random numbers for resampling: the same trials always give the same interval.
//!
//! SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.

/// A generator of 64 bits a step.
#[derive(Debug)]
pub(super) struct SplitMix(u64);

impl SplitMix {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `values`, each as likely as the others; `None` when there are none.
    pub(super) fn pick(&mut self, values: &[f64]) -> Option<f64> {
        let count = u64::try_from(values.len())
            .ok()
            .filter(|count| *count > 0)?;
        let place = usize::try_from(self.next() % count).ok()?;
        values.get(place).copied()
    }

    /// Between 0 and 1.
    #[cfg(test)]
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_each_value_is_picked() {
        let mut one = SplitMix::new(7);
        let mut other = SplitMix::new(7);
        let values = [1.0, 2.0, 3.0];
        let picked: Vec<f64> = (0..60).filter_map(|_| one.pick(&values)).collect();
        let again: Vec<f64> = (0..60).filter_map(|_| other.pick(&values)).collect();
        assert_eq!(picked, again);
        assert!(values.iter().all(|value| picked.contains(value)));
        assert_eq!(one.pick(&[]), None);
    }
}
