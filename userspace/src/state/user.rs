//! The generated user, kept so that lines pasted yesterday work today.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::{StateError, StateFolder};
use crate::config::Secret;

/// The longest file that can hold a name and a password (RFC 8489 sections 14.3 and 14.9).
const FILE_BYTES_MAX: u64 = 8 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserFile {
    name: String,
    password: String,
}

impl StateFolder {
    /// The generated user's file.
    #[must_use]
    pub fn user_file(&self) -> PathBuf {
        self.path().join("user.toml")
    }

    /// The user that is kept here, or else `new`, which is kept from now on.
    ///
    /// # Errors
    /// [`StateError`]; nothing is kept then.
    pub fn user(&self, new: (&str, Secret)) -> Result<(String, Secret), StateError> {
        let path = self.user_file();
        let bad = |problem: &str| StateError::BadUser {
            path: path.clone(),
            problem: problem.to_owned(),
        };
        match fs::metadata(&path) {
            Ok(file) if file.len() > FILE_BYTES_MAX => return Err(bad("it is too long")),
            _ => {}
        }
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (name, password) = new;
                // Both are letters and digits, which TOML takes as they are.
                let text = format!(
                    "# The user that `turnpike run` makes; delete this file for a new one.\n\
                     name = \"{name}\"\npassword = \"{}\"\n",
                    password.reveal()
                );
                self.put(&path, text.as_bytes())?;
                return Ok((name.to_owned(), password));
            }
            Err(source) => return Err(StateError::Refused { path, source }),
        };
        // The parser's own words would quote the line, which may be the password's.
        let user: UserFile = toml::from_str(&text)
            .map_err(|_| bad("it must hold `name = \"..\"` and `password = \"..\"`"))?;
        if user.name.is_empty() || user.password.is_empty() {
            return Err(bad("name and password must not be empty"));
        }
        Ok((user.name, Secret::new(user.password)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_the_same_at_the_next_start_until_its_file_is_deleted() {
        let base = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(Some(base.path())).unwrap();
        let first = folder.user(("guest", Secret::new("one"))).unwrap();
        let second = folder.user(("guest", Secret::new("two"))).unwrap();
        assert_eq!((first.1.reveal(), second.1.reveal()), ("one", "one"));
        fs::remove_file(folder.user_file()).unwrap();
        let third = folder.user(("guest", Secret::new("three"))).unwrap();
        assert_eq!((third.0.as_str(), third.1.reveal()), ("guest", "three"));
    }

    #[test]
    fn broken_file_is_left_alone_and_quoted_nowhere() {
        let base = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(Some(base.path())).unwrap();
        for text in [
            "password = \"hunter2\"",
            "name = \"a\"\npassword = hunter2",
            "name = \"\"\npassword = \"hunter2\"",
        ] {
            fs::write(folder.user_file(), text).unwrap();
            let refused = folder.user(("guest", Secret::new("new"))).unwrap_err();
            let said = format!("{refused} {refused:?}");
            assert!(
                said.contains("user.toml") && !said.contains("hunter2"),
                "{said}"
            );
            assert_eq!(fs::read_to_string(folder.user_file()).unwrap(), text);
        }
    }
}
