//! The nonce cookie (RFC 8489 section 9.2, erratum 6290): a server that has more to offer than
//! RFC 5389 says so in the nonce itself, which an attacker on the path cannot strip unnoticed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a nonce cookie: its fixed text and four base64 characters.
pub const COOKIE_LEN: usize = TEXT.len() + FEATURES_LEN;

const TEXT: &[u8; 9] = b"obMatJos2";
const FEATURES_LEN: usize = 4;

/// The 24 feature bits of a nonce cookie (RFC 8489 section 18.1).
///
/// Bit 0 is the least significant bit of the third byte, as in the test vector of appendix B.1;
/// the RFC's prose says the opposite and erratum 6290 puts it right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecurityFeatures(u32);

impl SecurityFeatures {
    /// No feature
    pub const NONE: Self = Self(0);
    /// Bit 0: PASSWORD-ALGORITHMS is in the response
    pub const PASSWORD_ALGORITHMS: Self = Self(1 << 0);
    /// Bit 1: USERHASH is understood, and asked for
    pub const USERNAME_ANONYMITY: Self = Self(1 << 1);

    /// The features of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in `self`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The features that a nonce announces; `None` without a cookie.
    #[must_use]
    pub fn of_nonce(nonce: &[u8]) -> Option<Self> {
        let (features, _) = nonce
            .strip_prefix(TEXT)?
            .split_first_chunk::<FEATURES_LEN>()?;
        let mut bytes = [0; 3];
        match STANDARD.decode_slice(features, &mut bytes) {
            Ok(3) => {
                let [high, middle, low] = bytes;
                Some(Self(u32::from_be_bytes([0, high, middle, low])))
            }
            _ => None,
        }
    }

    /// The cookie to put before a nonce.
    #[must_use]
    pub fn cookie(self) -> [u8; COOKIE_LEN] {
        let mut cookie = [0; COOKIE_LEN];
        let (text, features) = cookie.split_at_mut(TEXT.len());
        text.copy_from_slice(TEXT);
        // Three bytes are four characters, and there is room for exactly those.
        let written = STANDARD.encode_slice(self.to_bytes(), features);
        debug_assert_eq!(written, Ok(FEATURES_LEN));
        cookie
    }

    pub(super) const fn to_bytes(self) -> [u8; 3] {
        let [_, high, middle, low] = self.0.to_be_bytes();
        [high, middle, low]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appendix_b1_nonce_announces_username_anonymity_alone() {
        let nonce = b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
        assert_eq!(
            SecurityFeatures::of_nonce(nonce),
            Some(SecurityFeatures::USERNAME_ANONYMITY)
        );
    }

    #[test]
    fn cookies_of_the_known_features() {
        let both =
            SecurityFeatures::PASSWORD_ALGORITHMS.union(SecurityFeatures::USERNAME_ANONYMITY);
        for (features, cookie) in [
            (SecurityFeatures::NONE, b"obMatJos2AAAA"),
            (SecurityFeatures::PASSWORD_ALGORITHMS, b"obMatJos2AAAB"),
            (SecurityFeatures::USERNAME_ANONYMITY, b"obMatJos2AAAC"),
            (both, b"obMatJos2AAAD"),
        ] {
            assert_eq!(&features.cookie(), cookie);
            assert_eq!(SecurityFeatures::of_nonce(cookie), Some(features));
        }
    }

    #[test]
    fn other_nonces_have_no_cookie() {
        for nonce in [
            &b""[..],
            b"obMatJos2",
            b"obMatJos2AAA",
            b"obMatJos3AAAA",
            b"obMatJos2A*AA",
        ] {
            assert_eq!(SecurityFeatures::of_nonce(nonce), None);
        }
    }
}
