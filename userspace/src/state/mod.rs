//! The state folder: what the relay keeps from one start to the next when nobody tells it where.
//!
//! It holds a certificate of our own making, the generated user and the database of users and
//! secrets. It is *not* needed: a relay that cannot use it keeps these things in memory and says
//! so. Only its owner may look into it.

mod user;

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Names the folder, when no option does.
pub const STATE_VARIABLE: &str = "TURNPIKE_STATE";

/// A folder that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFolder(PathBuf);

/// Why there is no state folder, or why something cannot be kept in it.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither an option nor the environment says where.
    #[error("there is no home folder; --state or ${STATE_VARIABLE} names a state folder")]
    Nowhere,
    /// Others could put their certificate and users there.
    #[error("others may write to {}; `chmod 700` it, or name another with --state", .0.display())]
    Shared(PathBuf),
    /// The kernel refuses.
    #[error("{}: {source}; --state names another folder", .path.display())]
    Refused {
        /// What was to be made, read or written.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The generated user's file was changed into something else.
    #[error("{}: {problem}; mend it, or delete it for a new user", .path.display())]
    BadUser {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl StateFolder {
    /// Where it is: `chosen`, `$TURNPIKE_STATE`, systemd's `$STATE_DIRECTORY`,
    /// `$XDG_STATE_HOME/turnpike`, or `~/.local/state/turnpike`, whichever is there first.
    ///
    /// # Errors
    /// [`StateError::Nowhere`]
    pub fn locate(chosen: Option<&Path>) -> Result<PathBuf, StateError> {
        locate(chosen, |name| env::var_os(name)).ok_or(StateError::Nowhere)
    }

    /// Makes the folder where it is missing, for its owner alone.
    ///
    /// # Errors
    /// [`StateError`], which says what to do.
    pub fn open(chosen: Option<&Path>) -> Result<Self, StateError> {
        let path = Self::locate(chosen)?;
        let refused = |source| StateError::Refused {
            path: path.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(refused)?;
        let rights = fs::metadata(&path).map_err(refused)?.permissions().mode();
        if rights & 0o022 != 0 {
            return Err(StateError::Shared(path));
        }
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The certificate of our own making.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.0.join("cert.pem")
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    /// The database of users and secrets.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.0.join("turnpike.db")
    }

    /// Writes a file that only its owner may read: all of it or, when that fails, nothing.
    ///
    /// # Errors
    /// [`StateError::Refused`]
    pub fn put(&self, file: &Path, bytes: &[u8]) -> Result<(), StateError> {
        let mut name = OsString::from(file);
        name.push(format!(".{}", std::process::id()));
        let unfinished = PathBuf::from(name);
        let written = write_new(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, file));
        written.map_err(|source| {
            // It may never have been there.
            let _left_behind = fs::remove_file(&unfinished);
            StateError::Refused {
                path: file.to_owned(),
                source,
            }
        })
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    // A full disk may show no earlier.
    file.sync_all()
}

fn locate(chosen: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty());
    // The XDG specification has relative paths ignored.
    let absolute = |name: &str| named(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let of_systemd = || {
        // Several folders are separated by colons.
        let folders = named("STATE_DIRECTORY")?;
        env::split_paths(&folders).next()
    };
    chosen
        .map(Path::to_owned)
        .or_else(|| named(STATE_VARIABLE).map(PathBuf::from))
        .or_else(of_systemd)
        .or_else(|| absolute("XDG_STATE_HOME").map(|it| it.join("turnpike")))
        .or_else(|| absolute("HOME").map(|it| it.join(".local/state/turnpike")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(variables: &[(&str, &str)], chosen: Option<&str>) -> Option<PathBuf> {
        locate(chosen.map(Path::new), |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn folder_is_the_first_that_is_named() {
        let all = [
            (STATE_VARIABLE, "own"),
            ("STATE_DIRECTORY", "/var/lib/turnpike:/var/lib/other"),
            ("XDG_STATE_HOME", "/home/me/state"),
            ("HOME", "/home/me"),
        ];
        let expected = [
            "own",
            "/var/lib/turnpike",
            "/home/me/state/turnpike",
            "/home/me/.local/state/turnpike",
        ];
        assert_eq!(located(&all, Some("said")), Some("said".into()));
        for (from, folder) in expected.iter().enumerate() {
            assert_eq!(located(&all[from..], None), Some(folder.into()));
        }
        assert_eq!(located(&[("HOME", "")], None), None);
        assert_eq!(located(&[("XDG_STATE_HOME", "relative")], None), None);
    }

    #[test]
    fn folder_is_made_for_its_owner_alone_and_so_are_its_files() {
        let base = tempfile::tempdir().unwrap();
        let wanted = base.path().join("deep/er");
        let folder = StateFolder::open(Some(&wanted)).unwrap();
        folder.put(&folder.key(), b"one").unwrap();
        folder.put(&folder.key(), b"another").unwrap();
        let rights = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((rights(&wanted), rights(&folder.key())), (0o700, 0o600));
        assert_eq!(fs::read(folder.key()).unwrap(), b"another");
        assert_eq!(fs::read_dir(&wanted).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn folder_that_others_may_write_to_is_refused() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = StateFolder::open(Some(base.path())).unwrap_err();
        assert!(refused.to_string().contains("chmod 700"), "{refused}");
    }

    #[test]
    fn folder_that_cannot_be_made_is_named_with_the_reason() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = StateFolder::open(Some(&file.join("inside"))).unwrap_err();
        assert!(refused.to_string().contains("file/inside"), "{refused}");
    }

    #[test]
    fn file_that_cannot_be_put_leaves_the_old_one_and_no_rest() {
        let base = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(Some(base.path())).unwrap();
        // A folder in the place of the file: the last step fails, as for any other reason.
        fs::create_dir_all(folder.key().join("occupied")).unwrap();
        assert!(folder.put(&folder.key(), b"new").is_err());
        assert!(folder.key().join("occupied").exists());
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }
}
