//! A hash table by stream identifier. Streams are numbers below 65,536, so a plain multiplication
//! hashes them well enough and nobody can make them collide at will. Its order is never looked at.

use core::hash::{BuildHasher, Hasher};

use hashbrown::HashMap;

use crate::StreamId;

/// State by stream, for the streams in use.
pub(crate) type StreamMap<T> = HashMap<StreamId, T, BuildStreamHasher>;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BuildStreamHasher;

impl BuildHasher for BuildStreamHasher {
    type Hasher = StreamHasher;

    fn build_hasher(&self) -> StreamHasher {
        StreamHasher(0)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 << 8) | u64::from(byte);
        }
    }

    fn write_u16(&mut self, stream: u16) {
        self.0 = u64::from(stream);
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(GOLDEN_RATIO)
    }
}

/// 2^64 divided by the golden ratio, odd: spreads neighbours over the whole range.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
