//! Adding and removing users and secrets, each in one transaction.

use rusqlite::{Transaction, params};
use turnpike_stun::attribute::USERNAME_MAX;
use turnpike_stun::{IntegrityKey, opaque_string};
use turnpike_turn::server::{SECRETS_MAX, UserKeys};

use super::{Database, DatabaseError, Problem, SECRET_BYTES_MAX, hex};
use crate::config::Secret;

/// Our own table; made with the first user that needs it, so that reading changes no file.
const KEYS_TABLE: &str = "CREATE TABLE IF NOT EXISTS turnpike_keys (realm TEXT, name TEXT, \
                          hmackey TEXT, sha256key TEXT, PRIMARY KEY (realm, name))";

impl Database {
    /// Adds a user, or gives it another password, and says whether it is new. The name is kept as
    /// OpaqueString leaves it.
    ///
    /// # Errors
    /// [`Problem::Forbidden`] for a name or password that cannot be used; what kept it from being
    /// written.
    pub fn put_user(
        &mut self,
        realm: &str,
        name: &str,
        password: &Secret,
    ) -> Result<bool, DatabaseError> {
        let known_as = opaque_string(name).filter(|name| name.len() <= USERNAME_MAX);
        let keys = UserKeys::of_password(name, realm, password.reveal());
        let (Some(known_as), Some(keys)) = (known_as, keys) else {
            return Err(self.failed(Problem::Forbidden));
        };
        let md5 = hex::encode(&keys.md5.reveal::<16>());
        let sha256 = keys.sha256.map(|key| hex::encode(&key.reveal::<32>()));
        self.write(|transaction| {
            transaction.execute_batch(KEYS_TABLE)?;
            let was_there = delete_user(transaction, realm, name)?;
            transaction.execute(
                "INSERT INTO turnusers_lt (realm, name, hmackey) VALUES (?1, ?2, ?3)",
                params![realm, known_as, md5],
            )?;
            transaction.execute(
                "INSERT INTO turnpike_keys (realm, name, hmackey, sha256key) \
                 VALUES (?1, ?2, ?3, ?4)",
                params![realm, known_as, md5, sha256],
            )?;
            Ok(!was_there)
        })
    }

    /// Removes a user and says whether it was there.
    ///
    /// # Errors
    /// What kept it from being written.
    pub fn remove_user(&mut self, realm: &str, name: &str) -> Result<bool, DatabaseError> {
        self.write(|transaction| {
            transaction.execute_batch(KEYS_TABLE)?;
            delete_user(transaction, realm, name)
        })
    }

    /// Adds a shared secret and says whether it is new.
    ///
    /// # Errors
    /// [`Problem::BadSecret`], [`Problem::TooManySecrets`]; what kept it from being written.
    pub fn add_secret(&mut self, realm: &str, secret: &Secret) -> Result<bool, DatabaseError> {
        let text = secret.reveal();
        let bytes = 1..=SECRET_BYTES_MAX;
        if !bytes.contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(self.failed(Problem::BadSecret));
        }
        let is_new = self.write(|transaction| {
            let (all, same): (i64, i64) = transaction.query_row(
                "SELECT count(*), count(iif(value = ?2, 1, NULL)) FROM turn_secret \
                 WHERE realm = ?1",
                [realm, text],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            if same > 0 {
                return Ok(Some(false));
            }
            if all >= SECRETS_MAX as i64 {
                return Ok(None);
            }
            transaction.execute(
                "INSERT INTO turn_secret (realm, value) VALUES (?1, ?2)",
                [realm, text],
            )?;
            Ok(Some(true))
        })?;
        is_new.ok_or_else(|| self.failed(Problem::TooManySecrets))
    }

    /// Removes a shared secret and says whether it was there.
    ///
    /// # Errors
    /// What kept it from being written.
    pub fn remove_secret(&mut self, realm: &str, secret: &Secret) -> Result<bool, DatabaseError> {
        self.write(|transaction| {
            let removed = transaction.execute(
                "DELETE FROM turn_secret WHERE realm = ?1 AND value = ?2",
                [realm, secret.reveal()],
            )?;
            Ok(removed > 0)
        })
    }

    /// The shared secrets of a realm.
    ///
    /// # Errors
    /// What kept them from being read.
    pub fn secrets(&self, realm: &str) -> Result<Vec<Secret>, DatabaseError> {
        Ok(self.stored_secrets(realm)?.0)
    }
}

/// Eight hex digits that tell the secrets of a realm apart. They give away no secret that is long
/// enough to be one; a short one can be guessed by them.
#[must_use]
pub fn fingerprint(realm: &str, secret: &Secret) -> String {
    let hash = IntegrityKey::long_term_sha256("fingerprint", realm, secret.reveal());
    hex::encode(&hash.reveal::<4>())
}

/// Removes a user under its name as it is written and as OpaqueString leaves it: `turnadmin` may
/// have kept the first, and both are the same user to the relay.
fn delete_user(transaction: &Transaction<'_>, realm: &str, name: &str) -> rusqlite::Result<bool> {
    let known_as = opaque_string(name).unwrap_or_else(|| name.to_owned());
    transaction.execute(
        "DELETE FROM turnpike_keys WHERE realm = ?1 AND name IN (?2, ?3)",
        [realm, name, &known_as],
    )?;
    let removed = transaction.execute(
        "DELETE FROM turnusers_lt WHERE realm = ?1 AND name IN (?2, ?3)",
        [realm, name, &known_as],
    )?;
    Ok(removed > 0)
}
