//! Who may use the relay: users by name, and the secrets behind REST (ephemeral) credentials.
//!
//! Users hold hashed keys only (RFC 8489 section 9.2.2), never a password. What the server may
//! offer follows from what it holds: SHA-256 where every user has such a key, user anonymity where
//! every user can be enumerated, which no secret allows.
//!
//! Bounded by the caller, and by [`SECRETS_MAX`] and [`USERNAME_MAX`].

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;
use turnpike_stun::attribute::USERNAME_MAX;
use turnpike_stun::{IntegrityKey, PasswordAlgorithm, opaque_string, userhash};

use super::rest::Secret;

/// How many secrets may be in use at once, for rotation. Each costs a stranger's request two MACs.
pub const SECRETS_MAX: usize = 16;

/// Users and secrets.
#[derive(Clone)]
pub struct Credentials {
    realm: String,
    users: BTreeMap<Box<str>, UserKeys>,
    by_userhash: BTreeMap<[u8; 32], Box<str>>,
    without_sha256: usize,
    secrets: Vec<Secret>,
    separator: char,
}

/// The long-term keys of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserKeys {
    /// Of PASSWORD-ALGORITHM MD5: MD5 of `username:realm:password`.
    pub md5: IntegrityKey,
    /// Of PASSWORD-ALGORITHM SHA-256, where it is known; user databases of older relays lack it.
    pub sha256: Option<IntegrityKey>,
}

impl UserKeys {
    /// Both keys, for a password that is at hand. User name, realm and password go through
    /// OpaqueString; `None` where one of them may not.
    #[must_use]
    pub fn of_password(username: &str, realm: &str, password: &str) -> Option<Self> {
        let (username, realm) = (opaque_string(username)?, opaque_string(realm)?);
        let password = opaque_string(password)?;
        Some(Self {
            md5: IntegrityKey::long_term_md5(&username, &realm, &password),
            sha256: Some(IntegrityKey::long_term_sha256(&username, &realm, &password)),
        })
    }

    /// The key of an algorithm.
    #[must_use]
    pub const fn of(&self, algorithm: PasswordAlgorithm) -> Option<IntegrityKey> {
        match algorithm {
            PasswordAlgorithm::Md5 => Some(self.md5),
            PasswordAlgorithm::Sha256 => self.sha256,
        }
    }
}

impl Credentials {
    /// Nobody. `realm` is the one that the keys were made for.
    #[must_use]
    pub fn new(realm: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            users: BTreeMap::new(),
            by_userhash: BTreeMap::new(),
            without_sha256: 0,
            secrets: Vec::new(),
            separator: ':',
        }
    }

    /// The realm that the keys were made for.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Adds a user, or replaces the keys of one. Clients send names as OpaqueString leaves them, so
    /// that is what the user is known by; a name that the profile refuses is taken as it is.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Username`] for a name of no or more than [`USERNAME_MAX`] bytes.
    pub fn add_user(&mut self, username: &str, keys: UserKeys) -> Result<(), CredentialError> {
        let username = known_as(username);
        if username.is_empty() || username.len() > USERNAME_MAX {
            return Err(CredentialError::Username);
        }
        self.remove_user(&username);
        self.without_sha256 += usize::from(keys.sha256.is_none());
        self.by_userhash
            .insert(userhash(&username, &self.realm), username.as_str().into());
        self.users.insert(username.into_boxed_str(), keys);
        Ok(())
    }

    /// Removes a user and says whether it was there. Its allocations go on until they are ended.
    pub fn remove_user(&mut self, username: &str) -> bool {
        let username = known_as(username);
        let Some(keys) = self.users.remove(&*username) else {
            return false;
        };
        self.without_sha256 -= usize::from(keys.sha256.is_none());
        self.by_userhash.remove(&userhash(&*username, &self.realm));
        true
    }

    /// Adds a REST secret: `password = base64(HMAC(secret, username))`, with SHA-1 or SHA-256.
    ///
    /// # Errors
    ///
    /// [`CredentialError::EmptySecret`], or [`CredentialError::TooManySecrets`] beyond
    /// [`SECRETS_MAX`].
    pub fn add_secret(&mut self, secret: &[u8]) -> Result<(), CredentialError> {
        if secret.is_empty() {
            return Err(CredentialError::EmptySecret);
        }
        if self.secrets.len() >= SECRETS_MAX {
            return Err(CredentialError::TooManySecrets);
        }
        self.secrets.push(Secret::new(secret));
        Ok(())
    }

    /// Removes a REST secret and says whether it was there.
    pub fn remove_secret(&mut self, secret: &[u8]) -> bool {
        let before = self.secrets.len();
        self.secrets.retain(|known| !known.is(secret));
        self.secrets.len() < before
    }

    /// What stands between expiry and user in a REST user name; `:` unless set.
    pub const fn set_separator(&mut self, separator: char) {
        self.separator = separator;
    }

    /// What stands between expiry and user in a REST user name.
    #[must_use]
    pub const fn separator(&self) -> char {
        self.separator
    }

    /// How many users there are, without those behind secrets.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// How many secrets there are.
    #[must_use]
    pub const fn secrets(&self) -> usize {
        self.secrets.len()
    }

    /// Whether SHA-256 keys may be offered: every user has one. Those behind secrets do.
    #[must_use]
    pub const fn offers_sha256(&self) -> bool {
        self.without_sha256 == 0
    }

    /// Whether USERHASH may be offered: every user can be enumerated.
    #[must_use]
    pub const fn offers_anonymity(&self) -> bool {
        self.secrets.is_empty()
    }

    pub(super) fn user(&self, username: &str) -> Option<(&str, &UserKeys)> {
        self.users
            .get_key_value(username)
            .map(|(name, keys)| (&**name, keys))
    }

    pub(super) fn user_of_hash(&self, hash: &[u8; 32]) -> Option<(&str, &UserKeys)> {
        self.user(self.by_userhash.get(hash)?)
    }

    pub(super) fn secret_list(&self) -> &[Secret] {
        &self.secrets
    }
}

fn known_as(username: &str) -> String {
    opaque_string(username).unwrap_or_else(|| username.to_owned())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("users", &self.users.len())
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

/// Why a user or a secret was not taken. The operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The name is empty or too long.
    #[error("a user name has 1 to {USERNAME_MAX} bytes")]
    Username,
    /// The secret is empty: anyone could compute its passwords.
    #[error("a REST secret must not be empty")]
    EmptySecret,
    /// There are as many as there may be.
    #[error("at most {SECRETS_MAX} REST secrets")]
    TooManySecrets,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const REALM: &str = "example.org";

    fn md5_only() -> UserKeys {
        UserKeys {
            md5: IntegrityKey::from_md5([7; 16]),
            sha256: None,
        }
    }

    #[test]
    fn sha256_is_offered_only_while_every_user_has_such_a_key() {
        let mut credentials = Credentials::new(REALM);
        let full = UserKeys::of_password("alice", REALM, "password").unwrap();
        credentials.add_user("alice", full).unwrap();
        assert!(credentials.offers_sha256());
        credentials.add_user("bob", md5_only()).unwrap();
        assert!(!credentials.offers_sha256());
        credentials.add_user("bob", md5_only()).unwrap();
        assert!(credentials.remove_user("bob"));
        assert!(credentials.offers_sha256());
    }

    #[test]
    fn user_is_known_by_the_opaque_string_form_of_the_name() {
        let (decomposed, composed) = ("jose\u{301}", "jos\u{e9}");
        let mut credentials = Credentials::new(REALM);
        let keys = UserKeys::of_password(decomposed, REALM, "password").unwrap();
        credentials.add_user(decomposed, keys).unwrap();
        assert_eq!(credentials.user(composed), Some((composed, &keys)));
        let hash = userhash(composed, REALM);
        assert_eq!(credentials.user_of_hash(&hash), Some((composed, &keys)));
        assert!(credentials.remove_user(decomposed));
        assert_eq!(credentials.users(), 0);
    }

    #[test]
    fn userhash_is_never_offered_beside_a_secret() {
        let mut credentials = Credentials::new(REALM);
        assert!(credentials.offers_anonymity());
        credentials.add_secret(b"north").unwrap();
        assert!(!credentials.offers_anonymity());
        assert!(credentials.remove_secret(b"north"));
        assert!(credentials.offers_anonymity());
    }

    #[test]
    fn user_is_found_by_name_and_by_userhash_until_removed() {
        let mut credentials = Credentials::new(REALM);
        credentials.add_user("alice", md5_only()).unwrap();
        let hash = userhash("alice", REALM);
        assert_eq!(
            credentials.user_of_hash(&hash).map(|(name, _)| name),
            Some("alice")
        );
        assert!(credentials.remove_user("alice"));
        assert!(!credentials.remove_user("alice"));
        assert_eq!(credentials.user_of_hash(&hash), None);
    }

    #[test]
    fn names_and_secrets_are_bounded() {
        let mut credentials = Credentials::new(REALM);
        assert_eq!(
            credentials.add_user("", md5_only()),
            Err(CredentialError::Username)
        );
        let long = "x".repeat(USERNAME_MAX + 1);
        assert_eq!(
            credentials.add_user(&long, md5_only()),
            Err(CredentialError::Username)
        );
        assert_eq!(
            credentials.add_secret(b""),
            Err(CredentialError::EmptySecret)
        );
        for number in 0..SECRETS_MAX {
            credentials
                .add_secret(format!("secret {number}").as_bytes())
                .unwrap();
        }
        assert_eq!(
            credentials.add_secret(b"more"),
            Err(CredentialError::TooManySecrets)
        );
    }

    #[test]
    fn debug_shows_neither_names_nor_secrets() {
        let mut credentials = Credentials::new(REALM);
        credentials.add_user("alice", md5_only()).unwrap();
        credentials.add_secret(b"north").unwrap();
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("alice") && !shown.contains("north"));
    }
}
