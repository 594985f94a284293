//! Reading users and secrets of one realm.
//!
//! Every row is a stranger's: anything may stand in any column. What is no user or no secret is
//! skipped and counted; names longer than a user name may be are not even loaded.

use std::collections::BTreeMap;
use std::fmt;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use turnpike_stun::attribute::USERNAME_MAX;
use turnpike_stun::{IntegrityKey, opaque_string};
use turnpike_turn::server::{SECRETS_MAX, UserKeys};

use super::{Database, DatabaseError, Fixed, PAGE_ROWS, Problem, SECRET_BYTES_MAX, USERS_MAX, hex};
use crate::config::Secret;

/// Rows that are named when they are skipped; the others are counted.
const ROWS_NAMED_MAX: usize = 5;

/// What a database adds to the configuration. Prints counts only.
#[derive(Clone, Default)]
pub struct StoredCredentials {
    /// Keys by user name, as OpaqueString leaves it.
    pub users: BTreeMap<String, UserKeys>,
    /// Shared secrets, no more than there is room for.
    pub secrets: Vec<Secret>,
}

impl fmt::Debug for StoredCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCredentials")
            .field("users", &self.users.len())
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

/// How many of each.
impl fmt::Display for StoredCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize| match count {
            1 => "",
            _ => "s",
        };
        let (users, secrets) = (self.users.len(), self.secrets.len());
        write!(
            f,
            "{users} user{} and {secrets} secret{}",
            counted(users),
            counted(secrets)
        )
    }
}

impl StoredCredentials {
    /// Whether it lets nobody in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.secrets.is_empty()
    }
}

/// What was read, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Whom the database lets in.
    pub credentials: StoredCredentials,
    /// What it holds beside them.
    pub skipped: Skipped,
}

/// Rows that do not count. As text, it is fit for a log: rows are named by their `rowid`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Malformed rows of `turnusers_lt`.
    pub users: usize,
    /// The first of them, by `rowid`.
    pub rows: Vec<i64>,
    /// Malformed rows of `turn_secret`.
    pub secrets: usize,
    /// Secrets beyond [`SECRETS_MAX`], which are not used.
    pub excess_secrets: usize,
}

impl Skipped {
    /// Whether every row counted.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.users == 0 && self.secrets == 0 && self.excess_secrets == 0
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        if self.users > 0 {
            let rows: Vec<String> = self.rows.iter().map(i64::to_string).collect();
            let more = if self.users > rows.len() { ", .." } else { "" };
            write!(
                f,
                "{} malformed row(s) in turnusers_lt are skipped (rowid {}{more}); a good one has a \
                 name of 1 to {USERNAME_MAX} bytes and an hmackey of 32 hex digits",
                self.users,
                rows.join(", ")
            )?;
            before = "; ";
        }
        if self.secrets > 0 {
            write!(
                f,
                "{before}{} malformed row(s) in turn_secret are skipped",
                self.secrets
            )?;
            before = "; ";
        }
        if self.excess_secrets > 0 {
            write!(
                f,
                "{before}{} secret(s) are not used, {SECRETS_MAX} are the most with those of the \
                 configuration; remove some with `turnpike secret del`",
                self.excess_secrets
            )?;
        }
        Ok(())
    }
}

impl Database {
    /// Users and secrets of a realm beside what the configuration defines.
    ///
    /// # Errors
    /// [`DatabaseError`]; among others for more than [`USERS_MAX`] users.
    pub fn credentials(&self, realm: &str, fixed: &Fixed) -> Result<Reading, DatabaseError> {
        self.read(realm, fixed, USERS_MAX, || false)
    }

    /// The same with another bound, until `is_over` says to stop. It is asked between pages.
    pub(super) fn read(
        &self,
        realm: &str,
        fixed: &Fixed,
        users_max: usize,
        is_over: impl Fn() -> bool,
    ) -> Result<Reading, DatabaseError> {
        if !self.tables()?.contains("turnusers_lt") {
            return Err(self.failed(Problem::NoUserTable));
        }
        let mut reading = Reading::default();
        let mut after = Some(i64::MIN);
        while let Some(from) = after {
            if is_over() {
                return Err(self.failed(Problem::Stopped));
            }
            after = self.user_page(realm, from, fixed, &mut reading)?;
            if reading.credentials.users.len() > users_max {
                return Err(self.failed(Problem::TooManyUsers));
            }
        }
        let (secrets, malformed) = self.stored_secrets(realm)?;
        reading.skipped.secrets = malformed;
        let more = secrets
            .into_iter()
            .filter(|secret| !fixed.has_secret(secret));
        let room = SECRETS_MAX.saturating_sub(fixed.secrets());
        for secret in more {
            if reading.credentials.secrets.len() < room {
                reading.credentials.secrets.push(secret);
            } else {
                reading.skipped.excess_secrets += 1;
            }
        }
        Ok(reading)
    }

    /// Reads the users of one page into `reading`; the row to go on after, if there may be more.
    ///
    /// A row that changes its place while pages are read is read twice or, until the change itself
    /// is noticed, not at all.
    fn user_page(
        &self,
        realm: &str,
        after: i64,
        fixed: &Fixed,
        reading: &mut Reading,
    ) -> Result<Option<i64>, DatabaseError> {
        let query = users_query(self.tables()?.contains("turnpike_keys"));
        let mut read = || {
            let mut statement = self.connection.prepare(&query)?;
            let mut rows = statement.query(rusqlite::params![realm, after])?;
            let (mut count, mut last) = (0, after);
            while let Some(row) = rows.next()? {
                (count, last) = (count + 1, row.get(0)?);
                match user(row)? {
                    Some((name, _)) if fixed.has_name(&name) => {}
                    Some((name, keys)) => {
                        reading.credentials.users.insert(name, keys);
                    }
                    None => reading.skipped.count(last),
                }
            }
            Ok((count == PAGE_ROWS).then_some(last))
        };
        read().map_err(|error| self.sqlite(error))
    }

    /// Every secret of a realm, in the order of its text, and how many rows hold none.
    pub(super) fn stored_secrets(
        &self,
        realm: &str,
    ) -> Result<(Vec<Secret>, usize), DatabaseError> {
        if !self.tables()?.contains("turn_secret") {
            return Ok((Vec::new(), 0));
        }
        let read = || {
            let mut statement = self.connection.prepare(&format!(
                "SELECT iif(octet_length(value) <= {SECRET_BYTES_MAX}, value, NULL) \
                 FROM turn_secret WHERE realm = ?1 ORDER BY value"
            ))?;
            let mut rows = statement.query([realm])?;
            let (mut secrets, mut malformed) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                match row.get_ref(0)?.as_str() {
                    Ok(secret) if !secret.is_empty() => secrets.push(Secret::new(secret)),
                    _ => malformed += 1,
                }
            }
            Ok((secrets, malformed))
        };
        read().map_err(|error| self.sqlite(error))
    }

    /// A number that changes with every commit of another program.
    pub(super) fn version(&self) -> Result<i64, DatabaseError> {
        self.connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|error| self.sqlite(error))
    }
}

impl Skipped {
    fn count(&mut self, row: i64) {
        self.users += 1;
        if self.rows.len() < ROWS_NAMED_MAX {
            self.rows.push(row);
        }
    }
}

/// In the order of rows, whatever index there is: each page goes on where the last one ended, and a
/// row is looked at once.
fn users_query(with_sha256: bool) -> String {
    let (key, join) = if with_sha256 {
        (
            "k.sha256key",
            "LEFT JOIN turnpike_keys AS k \
             ON k.realm = u.realm AND k.name = u.name AND k.hmackey = u.hmackey ",
        )
    } else {
        ("NULL", "")
    };
    format!(
        "SELECT u.rowid, iif(octet_length(u.name) <= {USERNAME_MAX}, u.name, NULL), \
         iif(octet_length(u.hmackey) = 32, u.hmackey, NULL), {key} \
         FROM turnusers_lt AS u NOT INDEXED {join}\
         WHERE u.realm = ?1 AND u.rowid > ?2 ORDER BY u.rowid LIMIT {PAGE_ROWS}"
    )
}

/// Name and keys of a row; `None` where it is malformed.
fn user(row: &Row<'_>) -> rusqlite::Result<Option<(String, UserKeys)>> {
    let name = match row.get_ref(1)?.as_str() {
        Ok(name) if !name.is_empty() => opaque_string(name).unwrap_or_else(|| name.to_owned()),
        _ => return Ok(None),
    };
    if name.len() > USERNAME_MAX {
        return Ok(None);
    }
    let Some(md5) = key(row.get_ref(2)?) else {
        return Ok(None);
    };
    let keys = UserKeys {
        md5: IntegrityKey::from_md5(md5),
        sha256: key(row.get_ref(3)?).map(IntegrityKey::from_sha256),
    };
    Ok(Some((name, keys)))
}

fn key<const LEN: usize>(value: ValueRef<'_>) -> Option<[u8; LEN]> {
    match value {
        ValueRef::Text(digits) => hex::decode(digits),
        _ => None,
    }
}
