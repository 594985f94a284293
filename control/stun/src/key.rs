//! Keys of the message integrity (RFC 8489 sections 9.1.1 and 9.2.2) and USERHASH.

use core::fmt;

use md5::Md5;
use sha1::Sha1;
use sha2::digest::Output;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::{IntegrityAlgorithm, PasswordAlgorithm};

/// The block of both hashes; HMAC pads shorter keys with zeros and hashes longer ones.
const BLOCK_LEN: usize = 64;
const SHA1_LEN: usize = 20;
const SHA256_LEN: usize = 32;

/// The secret that a message's integrity is computed with.
///
/// The functions take user name, realm and password as they stand after OpaqueString processing
/// (see [`opaque_string`](crate::opaque_string)). It prints redacted and compares in constant time.
#[derive(Clone, Copy)]
pub struct IntegrityKey {
    form: Form,
    bytes: [u8; BLOCK_LEN],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A key of at most a block, padded with zeros.
    Padded,
    /// A longer key: its SHA-1, then its SHA-256, as HMAC would hash it in either case.
    Hashed,
}

impl IntegrityKey {
    /// MD5 of `username:realm:password`, the long-term key of PASSWORD-ALGORITHM MD5 and of
    /// RFC 5389.
    #[must_use]
    pub fn long_term_md5(
        username: impl AsRef<[u8]>,
        realm: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Self {
        Self::from_md5(long_term_hash::<Md5>(username, realm, password).into())
    }

    /// SHA-256 of `username:realm:password`, the long-term key of PASSWORD-ALGORITHM SHA-256.
    #[must_use]
    pub fn long_term_sha256(
        username: impl AsRef<[u8]>,
        realm: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Self {
        Self::from_sha256(long_term_hash::<Sha256>(username, realm, password).into())
    }

    /// The long-term key of either password algorithm.
    #[must_use]
    pub fn long_term(
        algorithm: PasswordAlgorithm,
        username: impl AsRef<[u8]>,
        realm: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Self {
        match algorithm {
            PasswordAlgorithm::Md5 => Self::long_term_md5(username, realm, password),
            PasswordAlgorithm::Sha256 => Self::long_term_sha256(username, realm, password),
        }
    }

    /// The password itself (RFC 8489 section 9.1.1), of any length.
    #[must_use]
    pub fn short_term(password: impl AsRef<[u8]>) -> Self {
        let password = password.as_ref();
        let mut bytes = [0; BLOCK_LEN];
        if let Some(head) = bytes.get_mut(..password.len()) {
            head.copy_from_slice(password);
            return Self {
                form: Form::Padded,
                bytes,
            };
        }
        let (sha1, rest) = bytes.split_at_mut(SHA1_LEN);
        sha1.copy_from_slice(&Sha1::digest(password));
        if let Some(sha256) = rest.first_chunk_mut::<SHA256_LEN>() {
            *sha256 = Sha256::digest(password).into();
        }
        Self {
            form: Form::Hashed,
            bytes,
        }
    }

    /// A long-term MD5 key computed elsewhere, such as a user database's.
    #[must_use]
    pub fn from_md5(hash: [u8; 16]) -> Self {
        Self::short_term(hash)
    }

    /// A long-term SHA-256 key computed elsewhere.
    #[must_use]
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        Self::short_term(hash)
    }

    /// The first bytes of the key, for a user database to keep: 16 of an MD5 key, 32 of a SHA-256
    /// key. Never for a log.
    #[must_use]
    pub fn reveal<const LEN: usize>(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes
            .iter_mut()
            .zip(&self.bytes)
            .for_each(|(to, from)| *to = *from);
        bytes
    }

    /// The HMAC key as a whole block.
    pub(crate) fn block(&self, algorithm: IntegrityAlgorithm) -> [u8; BLOCK_LEN] {
        if self.form == Form::Padded {
            return self.bytes;
        }
        let (sha1, sha256) = self.bytes.split_at(SHA1_LEN);
        let hash = match algorithm {
            IntegrityAlgorithm::Sha1 => sha1,
            IntegrityAlgorithm::Sha256 => sha256.get(..SHA256_LEN).unwrap_or_default(),
        };
        let mut block = [0; BLOCK_LEN];
        block
            .iter_mut()
            .zip(hash)
            .for_each(|(to, from)| *to = *from);
        block
    }
}

fn long_term_hash<D: Digest>(
    username: impl AsRef<[u8]>,
    realm: impl AsRef<[u8]>,
    password: impl AsRef<[u8]>,
) -> Output<D> {
    D::new()
        .chain_update(username)
        .chain_update(b":")
        .chain_update(realm)
        .chain_update(b":")
        .chain_update(password)
        .finalize()
}

impl PartialEq for IntegrityKey {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form && bool::from(self.bytes.ct_eq(&other.bytes))
    }
}

impl Eq for IntegrityKey {}

impl Zeroize for IntegrityKey {
    fn zeroize(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(redacted)")
    }
}

/// The value of USERHASH (RFC 8489 section 14.4): SHA-256 of `username:realm`, both as they stand
/// after OpaqueString processing.
#[must_use]
pub fn userhash(username: impl AsRef<[u8]>, realm: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::new()
        .chain_update(username)
        .chain_update(b":")
        .chain_update(realm)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn debug_shows_no_byte_of_the_key() {
        let shown = format!("{:?}", IntegrityKey::short_term("secret"));
        assert_eq!(shown, "IntegrityKey(redacted)");
    }

    #[test]
    fn long_password_is_hashed_as_hmac_would() {
        use hmac::{Hmac, KeyInit, Mac};
        let password = [b'x'; 200];
        let key = IntegrityKey::short_term(password);
        let ours = Hmac::<Sha1>::new(&key.block(IntegrityAlgorithm::Sha1).into());
        let theirs = Hmac::<Sha1>::new_from_slice(&password).unwrap();
        assert_eq!(ours.finalize().into_bytes(), theirs.finalize().into_bytes());
        let ours = Hmac::<Sha256>::new(&key.block(IntegrityAlgorithm::Sha256).into());
        let theirs = Hmac::<Sha256>::new_from_slice(&password).unwrap();
        assert_eq!(ours.finalize().into_bytes(), theirs.finalize().into_bytes());
    }

    #[test]
    fn revealed_key_makes_the_same_key_again() {
        let md5 = IntegrityKey::long_term_md5("user", "realm", "pass");
        assert_eq!(IntegrityKey::from_md5(md5.reveal()), md5);
        let sha256 = IntegrityKey::long_term_sha256("user", "realm", "pass");
        assert_eq!(IntegrityKey::from_sha256(sha256.reveal()), sha256);
        assert_eq!(md5.reveal::<80>()[16..], [0; 64]);
    }

    #[test]
    fn keys_are_equal_when_their_secrets_are() {
        assert_eq!(IntegrityKey::short_term("a"), IntegrityKey::short_term("a"));
        assert_ne!(IntegrityKey::short_term("a"), IntegrityKey::short_term("b"));
    }
}
