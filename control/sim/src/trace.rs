//! What happened, in order, as one number and on request as lines to read.

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::SocketAddr;

use turnpike_types::Timestamp;

use crate::{DatagramId, DropRule, HostId, NatId};

/// One thing that happened in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happening<'a> {
    /// A host sent a datagram.
    Sent {
        /// Which datagram.
        id: DatagramId,
        /// Which host.
        host: HostId,
        /// The source it wrote.
        source: SocketAddr,
        /// Where to.
        destination: SocketAddr,
        /// What is in it.
        payload: &'a [u8],
    },
    /// A link made a second copy.
    Duplicated {
        /// Which datagram.
        id: DatagramId,
    },
    /// A link turned a bit.
    Corrupted {
        /// Which datagram.
        id: DatagramId,
        /// Which bit of its payload, from the first byte's lowest.
        bit: u32,
    },
    /// A NAT translated one of the addresses.
    Translated {
        /// Which datagram.
        id: DatagramId,
        /// Which NAT.
        nat: NatId,
        /// The address before.
        from: SocketAddr,
        /// The address after.
        to: SocketAddr,
    },
    /// A copy went no further.
    Dropped {
        /// Which datagram.
        id: DatagramId,
        /// Why.
        rule: DropRule,
    },
    /// A copy arrived.
    Delivered {
        /// Which datagram.
        id: DatagramId,
        /// At which host.
        host: HostId,
    },
    /// The caller had something to say.
    Note(&'a str),
}

impl fmt::Display for Happening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent {
                id,
                host,
                source,
                destination,
                payload,
            } => {
                let bytes = payload.len();
                write!(
                    f,
                    "#{} sent by host {}: {source} -> {destination}",
                    id.0, host.0
                )?;
                write!(f, ", {bytes} bytes")
            }
            Self::Duplicated { id } => write!(f, "#{} duplicated", id.0),
            Self::Corrupted { id, bit } => write!(f, "#{} corrupted: bit {bit} turned", id.0),
            Self::Translated { id, nat, from, to } => {
                write!(f, "#{} translated by NAT {}: {from} -> {to}", id.0, nat.0)
            }
            Self::Dropped { id, rule } => write!(f, "#{} dropped: {rule:?}", id.0),
            Self::Delivered { id, host } => write!(f, "#{} delivered to host {}", id.0, host.0),
            Self::Note(text) => f.write_str(text),
        }
    }
}

/// Told of each happening; for a trace to read.
pub type Observer = Box<dyn FnMut(Timestamp, &Happening<'_>)>;

/// The running hash of all that happened.
#[derive(Default)]
pub struct Trace {
    hash: MixHasher,
    observer: Option<Observer>,
}

impl Trace {
    /// Adds a happening.
    pub fn record(&mut self, now: Timestamp, happening: &Happening<'_>) {
        now.hash(&mut self.hash);
        happening.hash(&mut self.hash);
        if let Some(observer) = &mut self.observer {
            observer(now, happening);
        }
    }

    /// Tells `observer` of everything from now on.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Whether somebody reads along, so that a caller may save itself the formatting of notes.
    #[must_use]
    pub const fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// All that happened so far, as one number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x})", self.hash())
    }
}

/// A hash that is the same on each platform and in each version, unlike the standard ones.
#[derive(Clone, Debug, Default)]
struct MixHasher(u64);

impl MixHasher {
    const fn mix(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

impl Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.mix(u64::from_le_bytes(word));
        }
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.mix(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(notes: &[&str]) -> u64 {
        let mut trace = Trace::default();
        for note in notes {
            trace.record(Timestamp::ZERO, &Happening::Note(note));
        }
        trace.hash()
    }

    #[test]
    fn order_and_content_count() {
        assert_eq!(hash_of(&["a", "b"]), hash_of(&["a", "b"]));
        assert_ne!(hash_of(&["a", "b"]), hash_of(&["b", "a"]));
        assert_ne!(hash_of(&["a", "b"]), hash_of(&["ab"]));
    }

    #[test]
    fn time_counts() {
        let (mut early, mut late) = (Trace::default(), Trace::default());
        early.record(Timestamp::ZERO, &Happening::Note("x"));
        late.record(Timestamp::from_nanos(1), &Happening::Note("x"));
        assert_ne!(early.hash(), late.hash());
    }
}
