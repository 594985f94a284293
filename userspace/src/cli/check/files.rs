//! The files that a configuration names: whether the relay could use them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use turnpike_types::Transport;

use super::Failure;
use crate::config::Config;
use crate::tls::{self, Certificates};

/// What was found of `[tls]`, in words; `None` without the section.
///
/// # Errors
/// When a listener needs the certificate and it cannot be used.
pub(super) fn certificate(config: &Config) -> Result<Option<String>, Failure> {
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
    let loaded = Certificates::load(tls)?;
    Ok(Some(format!(
        "{}, good until {}",
        tls.certificate.display(),
        tls::date(loaded.expires_at())
    )))
}

/// What was found of `auth.database`, in words; `None` without the key.
///
/// # Errors
/// When there is a file that cannot be read.
pub(super) fn database(config: &Config) -> Result<Option<String>, Failure> {
    let Some(path) = &config.auth.database else {
        return Ok(None);
    };
    match File::open(path).and_then(|mut file| file.read(&mut [0; 16])) {
        Ok(_) => Ok(Some(format!("{}, readable", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Some(format!("{}, not there yet", path.display())))
        }
        Err(error) => Err(unusable("auth.database", path, &error.to_string())),
    }
}

fn unusable(key: &str, path: &Path, why: &str) -> Failure {
    format!("{key}: {} cannot be used: {why}", path.display()).into()
}
