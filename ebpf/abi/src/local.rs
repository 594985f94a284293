//! Our own transport addresses: what a packet that no flow was found for came to.

use crate::{Address, Endpoint, check};

/// 24 bytes: address (16), port (2, network order), zero (6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalKey(pub Endpoint);

impl LocalKey {
    /// The key as the map has it.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u64; 3] {
        let Address([high, low]) = self.0.address;
        [high, low, self.0.port as u64]
    }

    /// The key that such words are.
    #[must_use]
    pub const fn from_words(words: &[u64; 3]) -> Self {
        let [high, low, port] = *words;
        Self(Endpoint {
            address: Address([high, low]),
            port: port as u16,
        })
    }
}

/// What a transport address of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Clients send here. A listener on every address has an entry for each.
    Listener = 1,
    /// With port 0: every port of the relay range on this address is the relay's.
    RelayAddress = 2,
    /// The relayed transport address of a live allocation.
    Relayed = 3,
    /// Another service of ours, that no client may reach through the relay.
    Service = 4,
}

/// 16 bytes: role (1), flags (1), zero (2), check (4), end (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// What it is; [`Role`] as a number.
    pub role: u8,
    /// [`Local::LANE`], [`Local::SERVICE`].
    pub flags: u8,
    /// When it ends; never for all but [`Role::Relayed`].
    pub expires_at: u64,
}

impl Local {
    /// A lane serves this relayed address, wholly or in part: what the programs miss is let through.
    pub const LANE: u8 = 1;
    /// No client may reach it through the relay; set on listeners too.
    pub const SERVICE: u8 = 2;

    /// One that stays.
    #[must_use]
    pub const fn lasting(role: Role, flags: u8) -> Self {
        Self {
            role: role as u8,
            flags,
            expires_at: u64::MAX,
        }
    }

    /// The value for a key, as the map has it.
    #[must_use]
    pub const fn sealed(&self, key: &LocalKey) -> [u64; 2] {
        let open = self.words(0);
        self.words(check::of(&key.words(), &open))
    }

    /// The value that such words are, when they belong to the key and are whole.
    #[inline(always)]
    #[must_use]
    pub const fn open(key: &[u64; 3], words: &[u64; 2]) -> Option<Self> {
        let [first, expires_at] = *words;
        if check::of(key, &[first & 0xffff_ffff, expires_at]) != (first >> 32) as u32 {
            return None;
        }
        Some(Self {
            role: first as u8,
            flags: (first >> 8) as u8,
            expires_at,
        })
    }

    const fn words(&self, check: u32) -> [u64; 2] {
        let kind = self.role as u64 | (self.flags as u64) << 8;
        [kind | (check as u64) << 32, self.expires_at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_value_opens_under_its_own_key_only() {
        let key = LocalKey(Endpoint::new("192.0.2.2:3478".parse().unwrap()));
        let local = Local::lasting(Role::Listener, Local::SERVICE);
        let words = local.sealed(&key);
        assert_eq!(Local::open(&key.words(), &words), Some(local));
        assert_eq!(LocalKey::from_words(&key.words()), key);
        let other = LocalKey(Endpoint::new("192.0.2.2:3479".parse().unwrap()));
        assert_eq!(Local::open(&other.words(), &words), None);
    }
}
