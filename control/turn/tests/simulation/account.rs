//! Who there is: users by name and users behind a REST secret, as the world knows them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use turnpike_stun::{
    AttributeType, IntegrityAlgorithm, IntegrityKey, Message, PasswordAlgorithm, userhash,
};
use turnpike_turn::server::{Credentials, UserKeys};

pub(crate) const REALM: &str = "sim.example";
pub(crate) const SECRET: &[u8] = b"north";
/// Seconds since 1970 at the world's time zero.
pub(crate) const UNIX_START: u64 = 1_800_000_000;

/// One who can authenticate.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) username: String,
    pub(crate) password: String,
    /// Whose quota it is.
    pub(crate) identity: String,
    /// Seconds since 1970, for a REST user.
    pub(crate) expires_at: Option<u64>,
}

impl Account {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            username: name.to_owned(),
            password: format!("{name}'s password"),
            identity: name.to_owned(),
            expires_at: None,
        }
    }

    /// A REST user whose name is good until so many seconds after the start.
    pub(crate) fn ephemeral(name: &str, good_for: u64) -> Self {
        let expires_at = UNIX_START + good_for;
        let username = format!("{expires_at}:{name}");
        let mut mac = Hmac::<Sha1>::new_from_slice(SECRET).unwrap();
        mac.update(username.as_bytes());
        Self {
            password: STANDARD.encode(mac.finalize().into_bytes()),
            username,
            identity: format!("{name} by secret"),
            expires_at: Some(expires_at),
        }
    }
}

/// What the server is told of them.
pub(crate) fn credentials(accounts: &[Account]) -> Credentials {
    let mut credentials = Credentials::new(REALM);
    credentials.add_secret(SECRET).unwrap();
    for account in accounts
        .iter()
        .filter(|account| account.expires_at.is_none())
    {
        let keys = UserKeys::of_password(&account.username, REALM, &account.password).unwrap();
        credentials.add_user(&account.username, keys).unwrap();
    }
    credentials
}

/// The model's own eye for who sent a request.
#[derive(Debug)]
pub(crate) struct Registrar {
    accounts: Vec<(Account, [IntegrityKey; 2])>,
    by_hash: BTreeMap<[u8; 32], usize>,
}

impl Registrar {
    pub(crate) fn new(accounts: &[Account]) -> Self {
        let keyed = |account: &Account| {
            let (name, password) = (&account.username, &account.password);
            let keys = [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256]
                .map(|algorithm| IntegrityKey::long_term(algorithm, name, REALM, password));
            (account.clone(), keys)
        };
        let hashes = accounts.iter().enumerate();
        Self {
            accounts: accounts.iter().map(keyed).collect(),
            by_hash: hashes
                .map(|(at, it)| (userhash(&it.username, REALM), at))
                .collect(),
        }
    }

    /// Who proves to have sent this message, and the key it was proved with.
    pub(crate) fn author(&self, message: &Message<'_>) -> Option<(&Account, IntegrityKey)> {
        let (account, keys) = match message.raw(AttributeType::USERNAME) {
            Some(name) => self
                .accounts
                .iter()
                .find(|(account, _)| account.username.as_bytes() == name),
            None => {
                let hash = message.raw(AttributeType::USERHASH)?.try_into().ok()?;
                self.by_hash
                    .get::<[u8; 32]>(&hash)
                    .and_then(|at| self.accounts.get(*at))
            }
        }?;
        let algorithm = message.get::<PasswordAlgorithm>().ok()?;
        let key = match algorithm.unwrap_or(PasswordAlgorithm::Md5) {
            PasswordAlgorithm::Md5 => keys[0],
            _ => keys[1],
        };
        message
            .verify_integrity(integrity_of(message)?, &key)
            .then_some((account, key))
    }
}

/// The integrity attribute that counts in a message.
pub(crate) fn integrity_of(message: &Message<'_>) -> Option<IntegrityAlgorithm> {
    [IntegrityAlgorithm::Sha256, IntegrityAlgorithm::Sha1]
        .into_iter()
        .find(|algorithm| message.has_integrity(*algorithm))
}
