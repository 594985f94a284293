//! What a relay knows of its database, and the first look at it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use turnpike_stun::opaque_string;

use super::{Database, DatabaseError, Reading, StoredCredentials};
use crate::config::{AuthConfig, Config, Secret};

/// What the configuration itself defines; it wins over a database.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    names: BTreeSet<String>,
    secrets: Vec<Secret>,
}

impl Fixed {
    /// The users and secrets of `[auth]`.
    #[must_use]
    pub fn of(auth: &AuthConfig) -> Self {
        let names = auth.users.iter().map(|(name, _)| name);
        Self {
            names: names
                .map(|name| opaque_string(name).unwrap_or_else(|| name.clone()))
                .collect(),
            secrets: auth.secrets.clone(),
        }
    }

    /// How many secrets.
    #[must_use]
    pub const fn secrets(&self) -> usize {
        self.secrets.len()
    }

    /// Whether nobody can use the relay without the database.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.secrets.is_empty()
    }

    /// Whether it has a user of this name, however it is written.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.names.contains(name)
            || opaque_string(name).is_some_and(|known_as| self.names.contains(&known_as))
    }

    pub(super) fn has_secret(&self, secret: &Secret) -> bool {
        self.secrets.contains(secret)
    }
}

/// Where more credentials come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Rows of other realms are not read.
    pub realm: String,
    /// What wins over it.
    pub fixed: Fixed,
}

impl Source {
    /// A database beside a configuration, whatever that says of one.
    #[must_use]
    pub fn new(path: &Path, config: &Config) -> Self {
        Self {
            path: path.to_owned(),
            realm: config.realm.clone(),
            fixed: Fixed::of(&config.auth),
        }
    }

    /// The first look: a file that is absent is created. A database that cannot be read keeps the
    /// relay from starting only where nobody could use it without; otherwise that is said, and
    /// `None` returned for [`Watch`](super::Watch) to keep trying.
    ///
    /// # Errors
    /// [`DatabaseError`], where the configuration has no credentials of its own.
    pub fn load_at_start(&self) -> Result<Option<StoredCredentials>, DatabaseError> {
        let opened = Database::open(&self.path);
        match opened.and_then(|database| database.credentials(&self.realm, &self.fixed)) {
            Ok(Reading { credentials, .. }) => {
                tracing::info!(
                    "user database {}: {credentials} of realm `{}`",
                    self.path.display(),
                    self.realm
                );
                Ok(Some(credentials))
            }
            Err(error) if self.fixed.is_empty() => Err(error),
            Err(error) => {
                tracing::warn!(
                    "starting without the user database, with the users and secrets of the \
                     configuration alone; it is tried again. {error}"
                );
                Ok(None)
            }
        }
    }
}
