//! The state cookie (RFC 9260 section 5.1.3): all that is needed to make an association of a COOKIE
//! ECHO, so that an INIT leaves nothing behind.
//!
//! Authenticated with HMAC-SHA-256 over every byte; only who has the key can make one. It is not
//! secret, and it is not fresh by itself: the caller compares `created_at` with its clock.
//! Always [`COOKIE_LEN`] bytes.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use turnpike_types::{Entropy, Timestamp};

use crate::Tsn;

/// Bytes of a sealed cookie.
pub(crate) const COOKIE_LEN: usize = BODY_LEN + MAC_LEN;

const BODY_LEN: usize = 45;
const MAC_LEN: usize = 32;
/// HMAC-SHA-256 takes its key as one block, a shorter one padded with zeros.
const BLOCK_LEN: usize = 64;

/// The secret that seals cookies.
#[derive(Clone)]
pub(crate) struct CookieKey([u8; 32]);

impl CookieKey {
    /// Draws a key.
    pub(crate) fn random(entropy: &mut impl Entropy) -> Self {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        Self(key)
    }

    fn mac(&self, body: &[u8; BODY_LEN]) -> [u8; MAC_LEN] {
        let mut block = [0; BLOCK_LEN];
        if let Some(head) = block.first_chunk_mut() {
            *head = self.0;
        }
        let mut hmac = Hmac::<Sha256>::new(&block.into());
        hmac.update(body);
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKey(redacted)")
    }
}

/// What a cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateCookie {
    /// When the INIT came.
    pub(crate) created_at: Timestamp,
    /// The tag that we want to see.
    pub(crate) local_tag: u32,
    /// The tag that the peer wants to see.
    pub(crate) peer_tag: u32,
    /// Our tag of an association that was there before; zero when none was (section 5.2.2).
    pub(crate) local_tie_tag: u32,
    /// The peer's tag of that association.
    pub(crate) peer_tie_tag: u32,
    /// The TSN of our first DATA chunk.
    pub(crate) local_initial_tsn: Tsn,
    /// The TSN of the peer's first DATA chunk.
    pub(crate) peer_initial_tsn: Tsn,
    /// Bytes that the peer is ready to buffer.
    pub(crate) peer_a_rwnd: u32,
    /// Streams that we may send on.
    pub(crate) outbound_streams: u16,
    /// Streams that the peer may send on.
    pub(crate) inbound_streams: u16,
    /// Which extensions both know; the association's own bits.
    pub(crate) features: u8,
    /// Our port and the peer's.
    pub(crate) ports: (u16, u16),
}

impl StateCookie {
    /// Writes it down, sealed.
    #[must_use]
    pub(crate) fn seal(&self, key: &CookieKey) -> [u8; COOKIE_LEN] {
        let body = self.to_bytes();
        let mac = key.mac(&body);
        let mut sealed = [0; COOKIE_LEN];
        for (place, byte) in sealed.iter_mut().zip(body.iter().chain(&mac)) {
            *place = *byte;
        }
        sealed
    }

    /// Reads it; `None` when it was not sealed with this key. Compares in constant time.
    #[must_use]
    pub(crate) fn open(bytes: &[u8], key: &CookieKey) -> Option<Self> {
        let (body, mac) = bytes.split_first_chunk::<BODY_LEN>()?;
        let is_ours = mac.len() == MAC_LEN && bool::from(key.mac(body).ct_eq(mac));
        if is_ours {
            Self::from_bytes(body)
        } else {
            None
        }
    }

    fn to_bytes(self) -> [u8; BODY_LEN] {
        let mut body = [0; BODY_LEN];
        let mut rest = body.as_mut_slice();
        let mut put = |bytes: &[u8]| {
            if let Some((here, after)) =
                core::mem::take(&mut rest).split_at_mut_checked(bytes.len())
            {
                here.copy_from_slice(bytes);
                rest = after;
            }
        };
        put(&self.created_at.as_nanos().to_be_bytes());
        for word in [
            self.local_tag,
            self.peer_tag,
            self.local_tie_tag,
            self.peer_tie_tag,
            self.local_initial_tsn.0,
            self.peer_initial_tsn.0,
            self.peer_a_rwnd,
        ] {
            put(&word.to_be_bytes());
        }
        for half in [
            self.outbound_streams,
            self.inbound_streams,
            self.ports.0,
            self.ports.1,
        ] {
            put(&half.to_be_bytes());
        }
        put(&[self.features]);
        body
    }

    fn from_bytes(body: &[u8; BODY_LEN]) -> Option<Self> {
        let (created_at, rest) = body.split_first_chunk::<8>()?;
        let (words, rest) = rest.split_first_chunk::<28>()?;
        let [w0, w1, w2, w3, w4, w5, w6] = *words.as_chunks::<4>().0.first_chunk::<7>()?;
        let (halves, rest) = rest.split_first_chunk::<8>()?;
        let [h0, h1, h2, h3] = *halves.as_chunks::<2>().0.first_chunk::<4>()?;
        let [features] = *rest.first_chunk::<1>()?;
        Some(Self {
            created_at: Timestamp::from_nanos(u64::from_be_bytes(*created_at)),
            local_tag: u32::from_be_bytes(w0),
            peer_tag: u32::from_be_bytes(w1),
            local_tie_tag: u32::from_be_bytes(w2),
            peer_tie_tag: u32::from_be_bytes(w3),
            local_initial_tsn: Tsn(u32::from_be_bytes(w4)),
            peer_initial_tsn: Tsn(u32::from_be_bytes(w5)),
            peer_a_rwnd: u32::from_be_bytes(w6),
            outbound_streams: u16::from_be_bytes(h0),
            inbound_streams: u16::from_be_bytes(h1),
            features,
            ports: (u16::from_be_bytes(h2), u16::from_be_bytes(h3)),
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    struct Constant(u8);

    impl Entropy for Constant {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn cookie() -> StateCookie {
        StateCookie {
            created_at: Timestamp::from_nanos(0x0102_0304_0506_0708),
            local_tag: 0x1111_2222,
            peer_tag: 0x3333_4444,
            local_tie_tag: 0x5555_6666,
            peer_tie_tag: 0x7777_8888,
            local_initial_tsn: Tsn(0x9999_AAAA),
            peer_initial_tsn: Tsn(0xBBBB_CCCC),
            peer_a_rwnd: 0xDDDD_EEEE,
            outbound_streams: 0x1234,
            inbound_streams: 0x5678,
            features: 0x9A,
            ports: (5000, 5001),
        }
    }

    #[test]
    fn what_was_sealed_opens_as_it_was() {
        let key = CookieKey::random(&mut Constant(7));
        assert_eq!(
            StateCookie::open(&cookie().seal(&key), &key),
            Some(cookie())
        );
    }

    #[test]
    fn every_bit_is_sealed() {
        let key = CookieKey::random(&mut Constant(7));
        let sealed = cookie().seal(&key);
        for bit in 0..COOKIE_LEN * 8 {
            let mut forged = sealed;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(StateCookie::open(&forged, &key), None, "bit {bit}");
        }
    }

    #[test]
    fn no_other_length_opens() {
        let key = CookieKey::random(&mut Constant(7));
        let sealed = cookie().seal(&key);
        for len in 0..COOKIE_LEN {
            assert_eq!(StateCookie::open(&sealed[..len], &key), None);
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert_eq!(StateCookie::open(&longer, &key), None);
    }

    #[test]
    fn another_key_opens_nothing() {
        let sealed = cookie().seal(&CookieKey::random(&mut Constant(7)));
        let other = CookieKey::random(&mut Constant(8));
        assert_eq!(StateCookie::open(&sealed, &other), None);
    }

    #[test]
    fn the_key_is_not_shown() {
        let key = CookieKey::random(&mut Constant(0xAB));
        assert_eq!(format!("{key:?}"), "CookieKey(redacted)");
    }

    /// The MAC is HMAC-SHA-256 with the plain 32-byte key, as any other implementation computes it.
    #[test]
    fn the_block_is_the_key() {
        let key = CookieKey::random(&mut Constant(7));
        let sealed = cookie().seal(&key);
        let mut hmac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        hmac.update(&sealed[..BODY_LEN]);
        let mac: [u8; MAC_LEN] = hmac.finalize().into_bytes().into();
        assert_eq!(sealed[BODY_LEN..], mac);
    }
}
