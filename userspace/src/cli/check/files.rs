//! The files that a configuration names: whether the relay could use them.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use turnpike_types::Transport;

use super::Failure;
use crate::config::{Config, ConfigError};
use crate::database::{Database, Fixed};
use crate::tls::{self, Certificates};

/// How long another program's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found of `[tls]`, in words; `None` without the section.
///
/// # Errors
/// When a listener needs the certificate and it cannot be used.
pub(super) fn certificate(file: &Path, config: &Config) -> Result<Option<String>, Failure> {
    let Some(tls) = &config.tls else {
        return Ok(None);
    };
    if config
        .listen
        .iter()
        .all(|it| it.transport != Transport::Tls)
    {
        return Ok(Some("not used: no listener has transport tls".to_owned()));
    }
    let loaded = Certificates::load(tls).map_err(|error| {
        let key = match error.path() {
            Some(path) if path == tls.key => "tls.key",
            _ => "tls.certificate",
        };
        ConfigError::of_key(file, key, &[], error.to_string())
    })?;
    Ok(Some(format!(
        "{}, good until {}",
        tls.certificate.display(),
        tls::date(loaded.expires_at())
    )))
}

/// What was found of `auth.database`, in words; `None` without the key.
///
/// # Errors
/// When there is a file that is no database of users, or no folder to make one in.
pub(super) fn database(config: &Config) -> Result<Option<String>, Failure> {
    let Some(path) = &config.auth.database else {
        return Ok(None);
    };
    let found = match fs::metadata(path) {
        Ok(file) if file.is_file() && file.len() == 0 => "empty".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_without_folder(path)?;
            "not there yet".to_owned()
        }
        _ => {
            let database = Database::open_existing(path, PATIENCE)?;
            let reading = database.credentials(&config.realm, &Fixed::of(&config.auth))?;
            let stored = reading.credentials;
            format!(
                "{} user(s), {} secret(s)",
                stored.users.len(),
                stored.secrets.len()
            )
        }
    };
    Ok(Some(format!("{}, {found}", path.display())))
}

/// The relay makes a database, and no folder for it.
fn refuse_without_folder(database: &Path) -> Result<(), Failure> {
    let Some(folder) = database.parent().filter(|it| !it.as_os_str().is_empty()) else {
        return Ok(());
    };
    let path = database.display();
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(format!(
            "{path}: there is no folder {folder}; make it with `mkdir -p {folder}`"
        )
        .into());
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|_| {
        format!(
            "{path}: this user may not make a file in {}",
            folder.display()
        )
        .into()
    })
}
