//! Random numbers for the life of an association, from entropy drawn once.
//!
//! HMAC-SHA-256 over a counter, with a secret key: as hard to guess as the key. Not for bulk.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use turnpike_types::Entropy;

/// A generator with its own secret.
pub(crate) struct Random {
    key: [u8; 64],
    counter: u64,
}

impl Random {
    pub(crate) fn new(entropy: &mut impl Entropy) -> Self {
        let mut key = [0; 64];
        entropy.fill(&mut key);
        Self { key, counter: 0 }
    }

    /// A number that is not zero, as verification tags have to be.
    pub(crate) fn nonzero_u32(&mut self) -> u32 {
        loop {
            let [.., a, b, c, d] = self.next_u64().to_be_bytes();
            let number = u32::from_be_bytes([a, b, c, d]);
            if number != 0 {
                return number;
            }
        }
    }
}

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(32) {
            self.counter += 1;
            let mut hmac = Hmac::<Sha256>::new(&self.key.into());
            hmac.update(&self.counter.to_be_bytes());
            let block = hmac.finalize().into_bytes();
            for (to, from) in part.iter_mut().zip(&block) {
                *to = *from;
            }
        }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(redacted)")
    }
}
