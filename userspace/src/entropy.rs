//! Randomness of the running relay: ChaCha20 keyed by the operating system.
//!
//! Nonces, ports and tokens are drawn from it. It takes a new key from the system every
//! [`RESEED_BYTES`], so that a key that leaks tells little.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use turnpike_types::Entropy;

/// Bytes drawn from one key.
pub const RESEED_BYTES: usize = 1 << 20;

/// The system's generator could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the system's random generator cannot be read: {0}")]
pub struct EntropyError(getrandom::Error);

/// A generator that no one else can foretell.
pub struct SystemEntropy {
    generator: ChaCha20Rng,
    left: usize,
}

impl SystemEntropy {
    /// Keys a generator.
    ///
    /// # Errors
    /// When the system gives no randomness; nothing safe can be done without.
    pub fn new() -> Result<Self, EntropyError> {
        Ok(Self {
            generator: Self::keyed()?,
            left: RESEED_BYTES,
        })
    }

    fn keyed() -> Result<ChaCha20Rng, EntropyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(EntropyError)?;
        Ok(ChaCha20Rng::from_seed(seed))
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        match self.left.checked_sub(bytes.len()) {
            Some(left) => self.left = left,
            None => {
                // The old key is still unknown to anyone if the system fails now.
                if let Ok(generator) = Self::keyed() {
                    self.generator = generator;
                }
                self.left = RESEED_BYTES;
            }
        }
        self.generator.fill_bytes(bytes);
    }
}

impl std::fmt::Debug for SystemEntropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SystemEntropy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generators_never_agree() {
        let mut one = SystemEntropy::new().unwrap();
        let mut other = SystemEntropy::new().unwrap();
        assert_ne!(one.next_u64(), other.next_u64());
    }

    #[test]
    fn key_changes_after_its_share_of_bytes() {
        let mut entropy = SystemEntropy::new().unwrap();
        let mut same_key = entropy.generator.clone();
        let mut bytes = vec![0; RESEED_BYTES];
        let mut expected = vec![0; RESEED_BYTES];
        entropy.fill(&mut bytes);
        same_key.fill_bytes(&mut expected);
        assert_eq!(bytes, expected);
        let mut next = [0; 16];
        let mut old = [0; 16];
        entropy.fill(&mut next);
        same_key.fill_bytes(&mut old);
        assert_ne!(next, old);
    }
}
