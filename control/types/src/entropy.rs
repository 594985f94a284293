//! Randomness as an argument.

/// A source of random bytes.
///
/// Two kinds exist: the operating system's generator in the running relay, and the seeded one of
/// the simulator, which makes a run repeatable. Engines draw transaction IDs, ports, tokens and
/// keys from it and from nowhere else.
pub trait Entropy {
    /// Fills `bytes` completely.
    fn fill(&mut self, bytes: &mut [u8]);

    /// Draws a `u64`.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// Draws a number below `bound`; zero when `bound` is zero.
    ///
    /// The bias is below 2^-32 for every bound a `u32` can hold.
    fn below(&mut self, bound: u32) -> u32 {
        let wide = (u128::from(self.next_u64()) * u128::from(bound)) >> 64;
        u32::try_from(wide).unwrap_or(0)
    }
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}
