//! The user database: SQLite in coturn's tables, so that an existing coturn database works as it is
//! and `turnadmin` keeps working on ours.
//!
//! - [`Database`] is one open file: users and secrets of a realm are read, added and removed.
//! - [`Source`] is what a relay knows of its database: file, realm, and what the configuration
//!   itself defines, which wins. It is read at the start.
//! - [`Watch`] tells a running relay of changes, and outlives every failure of the file.
//!
//! It is *not* asked per request: shards hold every user, and a database that is locked, lost or
//! broken delays no packet and no allocation.
//!
//! `turnusers_lt.hmackey` is the MD5 key of RFC 8489 section 9.2.2 in hex, and all that coturn
//! keeps. Keys for SHA-256 live beside it in a table of our own, `turnpike_keys`, each with the MD5
//! key it was made with: it counts only while the two MD5 keys agree, for `turnadmin` may have
//! changed the password since.
//!
//! A new file has SQLite's rollback journal, as `turnadmin` makes it, and an existing one stays as it
//! is: one file that can be copied, that a reader without write permission can open, and that works
//! without shared memory. A reader holds its lock for one page of [`PAGE_ROWS`] rows at a time,
//! because `turnadmin` does not wait for a lock at all.
//!
//! Bounded by [`USERS_MAX`], [`USERNAME_MAX`], [`SECRETS_MAX`] and [`SECRET_BYTES_MAX`].
//!
//! [`USERNAME_MAX`]: turnpike_stun::attribute::USERNAME_MAX
//! [`SECRETS_MAX`]: turnpike_turn::server::SECRETS_MAX

mod error;
mod hex;
mod read;
mod source;
mod watch;
mod write;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use error::{DatabaseError, Problem};
pub use read::{Reading, Skipped, StoredCredentials};
pub use source::{Fixed, Source};
pub use watch::Watch;
pub use write::fingerprint;

/// Users of one realm that are read; every shard holds them all.
pub const USERS_MAX: usize = 5_000_000;

/// Bytes of a shared secret; coturn's column is declared with 256, and SQLite does not hold it to
/// that.
pub const SECRET_BYTES_MAX: usize = 512;

/// Rows that are read under one lock: a few milliseconds.
pub const PAGE_ROWS: usize = 10_000;

/// How long a command waits for another program's lock. `turnadmin` holds one for milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Readable by its owner alone: the keys in it are as good as passwords.
const FILE_MODE: u32 = 0o600;

/// coturn's tables, word for word.
const TABLES: [(&str, &str); 2] = [
    (
        "turnusers_lt",
        "CREATE TABLE IF NOT EXISTS turnusers_lt ( realm varchar(127) default '', \
         name varchar(512), hmackey char(128), PRIMARY KEY (realm,name))",
    ),
    (
        "turn_secret",
        "CREATE TABLE IF NOT EXISTS turn_secret (realm varchar(127) default '', \
         value varchar(256), primary key (realm,value))",
    ),
];

/// An open database.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// Opens a database; a file that is absent is created for its owner alone, and coturn's tables
    /// in a database that has none.
    ///
    /// # Errors
    /// [`DatabaseError`], which says what to do.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        create_file(path).map_err(|error| DatabaseError::of_io(path, error))?;
        let mut database = Self::open_existing(path, PATIENCE)?;
        database.add_tables()?;
        Ok(database)
    }

    /// Opens a database that is there, to look at it or to take something out of it.
    ///
    /// # Errors
    /// [`DatabaseError`]: [`Problem::Missing`] among others.
    pub fn open_there(path: &Path) -> Result<Self, DatabaseError> {
        Self::open_existing(path, PATIENCE)
    }

    /// Opens a database that is there, and leaves it as it is. `patience` is how long it waits for
    /// the locks of other programs.
    pub(crate) fn open_existing(path: &Path, patience: Duration) -> Result<Self, DatabaseError> {
        let of_io = |error| DatabaseError::of_io(path, error);
        // SQLite takes some relative names for orders, such as `:memory:`.
        let absolute = std::path::absolute(path).map_err(of_io)?;
        // SQLite says of a file that is missing no more than that it does not open.
        std::fs::metadata(&absolute).map_err(of_io)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&absolute, flags)?;
            connection.busy_timeout(patience)?;
            // What a stranger's schema defines is data here, and calls nothing.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| DatabaseError::of_sqlite(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn add_tables(&mut self) -> Result<(), DatabaseError> {
        let there = self.tables()?;
        if !there.is_empty() && !there.contains("turnusers_lt") {
            return Err(self.failed(Problem::NoUserTable));
        }
        let missing: Vec<&str> = TABLES
            .iter()
            .filter(|(name, _)| !there.contains(*name))
            .map(|(_, definition)| *definition)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            missing
                .iter()
                .try_for_each(|it| transaction.execute_batch(it))
        })
    }

    /// The names of its tables.
    fn tables(&self) -> Result<BTreeSet<String>, DatabaseError> {
        let list = || {
            self.connection
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()
        };
        list().map_err(|error| self.sqlite(error))
    }

    /// Runs one transaction that writes.
    fn write<T>(
        &mut self,
        change: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let run = || {
            // The lock is taken at once, so that waiting for it cannot end in a deadlock.
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|error| DatabaseError::of_sqlite(&self.path, error))
    }

    fn sqlite(&self, error: rusqlite::Error) -> DatabaseError {
        DatabaseError::of_sqlite(&self.path, error)
    }

    fn failed(&self, problem: Problem) -> DatabaseError {
        DatabaseError::new(&self.path, problem)
    }
}

/// Makes an empty file, which SQLite takes for an empty database. SQLite itself would let everybody
/// read it, as far as the umask does.
fn create_file(path: &Path) -> io::Result<()> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path);
    match created {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
