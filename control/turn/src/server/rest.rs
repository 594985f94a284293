//! REST (ephemeral) credentials: a user name that says when it ends, and a password that follows
//! from it by a secret shared with whoever hands them out.
//!
//! `expiry:user` or `expiry`, seconds since 1970 in decimal; `base64(HMAC(secret, username))` with
//! SHA-1, or SHA-256. It is a convention (draft-uberti-behave-turn-rest), not an RFC.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use turnpike_stun::{IntegrityKey, PasswordAlgorithm};

/// A user name of the form `expiry:user` or `expiry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EphemeralUsername<'a> {
    /// Seconds since 1970.
    pub(super) expires_at: u64,
    /// Whose it is: the part after the separator, or all of it where there is none.
    pub(super) user: &'a str,
}

impl<'a> EphemeralUsername<'a> {
    /// `None` where the name is not of this form: it is then an ordinary name, known or not.
    pub(super) fn parse(username: &'a str, separator: char) -> Option<Self> {
        let (expiry, user) = username
            .split_once(separator)
            .unwrap_or((username, username));
        if expiry.is_empty() || !expiry.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let expires_at = expiry
            .parse::<u64>()
            .ok()
            .filter(|at| i64::try_from(*at).is_ok())?;
        Some(Self { expires_at, user })
    }
}

/// One secret, kept as the two keyed MACs that passwords are made with.
#[derive(Clone)]
pub(super) struct Secret {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
}

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            sha1: keyed(secret),
            sha256: keyed(secret),
        }
    }

    /// Whether it is this one, judged by what it makes.
    pub(super) fn is(&self, secret: &[u8]) -> bool {
        let (ours, theirs) = (self.sha256.clone(), keyed::<Hmac<Sha256>>(secret));
        ours.finalize()
            .into_bytes()
            .ct_eq(&theirs.finalize().into_bytes())
            .into()
    }

    /// The long-term keys that a user name has under this secret, by the MAC of the password.
    pub(super) fn keys(
        &self,
        algorithm: PasswordAlgorithm,
        username: &str,
        realm: &str,
    ) -> impl Iterator<Item = IntegrityKey> {
        let key = move |mac: &[u8]| {
            let mut password = [0; PASSWORD_MAX];
            let len = STANDARD.encode_slice(mac, &mut password).unwrap_or(0);
            let password = password.get(..len).unwrap_or_default();
            IntegrityKey::long_term(algorithm, username, realm, password)
        };
        let sha1 = move || key(&mac(&self.sha1, username));
        let sha256 = move || key(&mac(&self.sha256, username));
        core::iter::once_with(sha1).chain(core::iter::once_with(sha256))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Base64 of 32 bytes.
const PASSWORD_MAX: usize = 44;

fn mac<M: Mac + Clone>(keyed: &M, username: &str) -> impl core::ops::Deref<Target = [u8]> + use<M> {
    keyed.clone().chain_update(username).finalize().into_bytes()
}

fn keyed<M: KeyInit + Mac>(secret: &[u8]) -> M {
    // HMAC takes keys of any length, so the fallback is never met.
    <M as KeyInit>::new_from_slice(secret).unwrap_or_else(|_| M::new(&Default::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(username: &str) -> Option<(u64, &str)> {
        EphemeralUsername::parse(username, ':').map(|name| (name.expires_at, name.user))
    }

    #[test]
    fn expiry_comes_before_the_first_separator() {
        assert_eq!(
            parsed("1433895918:ninefingers"),
            Some((1_433_895_918, "ninefingers"))
        );
        assert_eq!(parsed("12:a:b"), Some((12, "a:b")));
        assert_eq!(parsed("12"), Some((12, "12")));
        assert_eq!(parsed("12:"), Some((12, "")));
        assert_eq!(
            EphemeralUsername::parse("7.x", '.').map(|name| name.expires_at),
            Some(7)
        );
    }

    #[test]
    fn anything_but_a_63_bit_number_is_an_ordinary_name() {
        for username in [
            "", ":", ":bob", "-1:bob", "+1:bob", "1 :bob", "0x10:bob", "bob:12",
        ] {
            assert_eq!(parsed(username), None, "{username}");
        }
        assert_eq!(
            parsed("9223372036854775807:x"),
            Some((i64::MAX as u64, "x"))
        );
        assert_eq!(parsed("9223372036854775808:x"), None);
        assert_eq!(parsed("99999999999999999999999:x"), None);
    }

    #[test]
    fn password_is_the_base64_of_either_mac() {
        // Passwords computed with: printf name | openssl dgst -sha1 -hmac north -binary | base64
        let secret = Secret::new(b"north");
        let made: alloc::vec::Vec<_> = secret
            .keys(PasswordAlgorithm::Md5, "1433895918:ninefingers", "realm")
            .collect();
        let key =
            |password| IntegrityKey::long_term_md5("1433895918:ninefingers", "realm", password);
        assert_eq!(
            made,
            [
                key("jy8hTxmOO7UtEKXqSkSlvakPVYA="),
                key("xdnAJn9/0fhMTrcTABhSvZcYTK5UOj3LzL0Zzpc0EwE="),
            ]
        );
    }

    #[test]
    fn secret_knows_itself() {
        let secret = Secret::new(b"north");
        assert!(secret.is(b"north"));
        assert!(!secret.is(b"south"));
    }
}
