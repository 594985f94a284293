//! What can be wrong with a database, in words that say what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::{SECRET_BYTES_MAX, USERS_MAX};
use turnpike_stun::attribute::USERNAME_MAX;
use turnpike_turn::server::SECRETS_MAX;

/// A database that could not be read or written. Never holds a name, a key or a secret.
#[derive(Debug)]
pub struct DatabaseError {
    path: PathBuf,
    problem: Problem,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// Another program holds a lock, longer than was waited.
    Locked,
    /// There is no such file.
    Missing,
    /// The file is there, and may not be read.
    Unreadable,
    /// The file or its folder may not be written.
    ReadOnly,
    /// The file is something else.
    NotADatabase,
    /// The file was one.
    Corrupt,
    /// SQLite, but without coturn's table of users.
    NoUserTable,
    /// No room for what was to be written.
    Full,
    /// More than [`USERS_MAX`].
    TooManyUsers,
    /// More than [`SECRETS_MAX`].
    TooManySecrets,
    /// A name or password that RFC 8265 forbids, or a name that is too long.
    Forbidden,
    /// A secret that is empty, too long, or not one line of text.
    BadSecret,
    /// The reader was told to stop.
    Stopped,
    /// What the kernel said.
    Io(io::Error),
    /// What SQLite said.
    Sqlite(rusqlite::Error),
}

impl DatabaseError {
    pub(super) fn new(path: &Path, problem: Problem) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }

    pub(super) fn of_io(path: &Path, error: io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => Problem::Missing,
            io::ErrorKind::PermissionDenied => Problem::Unreadable,
            io::ErrorKind::ReadOnlyFilesystem => Problem::ReadOnly,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::Full,
            _ => Problem::Io(error),
        };
        Self::new(path, problem)
    }

    pub(super) fn of_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let problem = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Problem::Locked,
            Some(ErrorCode::NotADatabase) => Problem::NotADatabase,
            Some(ErrorCode::DatabaseCorrupt) => Problem::Corrupt,
            Some(ErrorCode::DiskFull) => Problem::Full,
            Some(ErrorCode::ReadOnly) => Problem::ReadOnly,
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Problem::Unreadable,
            _ => Problem::Sqlite(error),
        };
        Self::new(path, problem)
    }

    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::error::Error for DatabaseError {}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "{path}: ")?;
        match &self.problem {
            Problem::Locked => write!(
                f,
                "another program holds the database locked; `fuser -v {path}` names it. Let it \
                 finish, or end it, and try again"
            ),
            problem => problem.fmt(f),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locked => "another program holds the database locked; try again",
            Self::Missing => {
                "there is no such file (or folder); put it back, or make a new one with \
                 `turnpike user add`"
            }
            Self::Unreadable => {
                "this user may not open the database; give it the right to the file and its folder"
            }
            Self::ReadOnly => {
                "the database may not be written by this user; give it the right to the file and \
                 its folder, or run this as the file's owner"
            }
            Self::NotADatabase => {
                "this is not a SQLite database; name another file, or move it away and a new one \
                 is made"
            }
            Self::Corrupt => {
                "the database is damaged; restore a copy, or save what is left with \
                 `sqlite3 FILE .recover`"
            }
            Self::NoUserTable => {
                "this SQLite database has no table turnusers_lt, so it is not one of TURN users; \
                 name another file"
            }
            Self::Full => "there is no room to write (disk full, or a quota); free some, try again",
            Self::TooManyUsers => {
                return write!(f, "more than {USERS_MAX} users in one realm; remove some");
            }
            Self::TooManySecrets => {
                return write!(
                    f,
                    "{SECRETS_MAX} secrets are the most; remove one with `turnpike secret del`"
                );
            }
            Self::Forbidden => {
                return write!(
                    f,
                    "the name or the password is empty or has characters that are not allowed \
                     (RFC 8265), or the name has more than {USERNAME_MAX} bytes"
                );
            }
            Self::BadSecret => {
                return write!(
                    f,
                    "a secret is one line of text, 1 to {SECRET_BYTES_MAX} bytes"
                );
            }
            Self::Stopped => "stopped",
            Self::Io(error) => return error.fmt(f),
            Self::Sqlite(error) => return error.fmt(f),
        })
    }
}
