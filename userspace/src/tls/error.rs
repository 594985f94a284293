//! Why there is no certificate, in words that say what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::state::StateError;

/// Why a certificate cannot be used.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file is longer than any certificate or key.
    TooLong(PathBuf),
    /// A file is damaged.
    BadPem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file has no certificate in it.
    NoCertificate(PathBuf),
    /// A file has no private key in it.
    NoKey(PathBuf),
    /// The key asks for a passphrase.
    Encrypted(PathBuf),
    /// What is in the file is not a certificate that can be used.
    BadCertificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The key is of a kind that is not supported, or damaged.
    BadKey {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The key belongs to another certificate.
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library does not start.
    Setup(rustls::Error),
    /// A certificate of our own could not be made.
    Make(rcgen::Error),
    /// A certificate of our own could not be kept.
    Keep(StateError),
}

impl TlsError {
    /// The file at fault, where there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { path, .. }
            | Self::TooLong(path)
            | Self::BadPem { path, .. }
            | Self::NoCertificate(path)
            | Self::NoKey(path)
            | Self::Encrypted(path)
            | Self::BadCertificate { path, .. }
            | Self::BadKey { path, .. }
            | Self::Mismatch { key: path, .. } => Some(path),
            Self::Setup(_) | Self::Make(_) | Self::Keep(_) => None,
        }
    }
}

impl std::error::Error for TlsError {}

impl From<rcgen::Error> for TlsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error)
    }
}

impl From<StateError> for TlsError {
    fn from(error: StateError) -> Self {
        Self::Keep(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => unreadable(f, path, source),
            Self::TooLong(path) => write!(
                f,
                "{}: longer than any certificate or key; is it the right file?",
                path.display()
            ),
            Self::BadPem { path, problem } => {
                write!(f, "{}: damaged ({problem}); copy it again", path.display())
            }
            Self::NoCertificate(path) => write!(
                f,
                "{}: no certificate in it. It must be PEM, with BEGIN CERTIFICATE lines: the \
                 certificate, then those that signed it. `openssl x509 -inform der` makes PEM of DER",
                path.display()
            ),
            Self::NoKey(path) => write!(
                f,
                "{}: no private key in it. It must be PEM, with a BEGIN PRIVATE KEY line",
                path.display()
            ),
            Self::Encrypted(path) => write!(
                f,
                "{}: the key asks for a passphrase; `openssl pkey` writes it without one",
                path.display()
            ),
            Self::BadCertificate { path, source } => write!(
                f,
                "{}: the first certificate cannot be used: {source}",
                path.display()
            ),
            Self::BadKey { path, source } => write!(
                f,
                "{}: the key cannot be used ({source}); RSA from 2048 bits, ECDSA P-256 and \
                 P-384, and Ed25519 can",
                path.display()
            ),
            Self::Mismatch { certificate, key } => write!(
                f,
                "the key in {} is not that of the certificate in {}; the server's own certificate \
                 must be the first in its file",
                key.display(),
                certificate.display()
            ),
            Self::Setup(source) => write!(f, "TLS does not start: {source}"),
            Self::Make(source) => write!(f, "no certificate could be made: {source}"),
            Self::Keep(source) => source.fmt(f),
        }
    }
}

fn unreadable(f: &mut fmt::Formatter<'_>, path: &Path, source: &io::Error) -> fmt::Result {
    write!(f, "{}: ", path.display())?;
    match source.kind() {
        io::ErrorKind::NotFound => f.write_str(
            "there is no such file; [tls] certificate and key name PEM files, seen from the \
             folder of the configuration file",
        ),
        io::ErrorKind::PermissionDenied => f.write_str(
            "turnpike's user may not read it; `ls -l` shows who may, and each folder above it must \
             let it pass",
        ),
        io::ErrorKind::IsADirectory => f.write_str("this is a folder; name the file in it"),
        _ => write!(f, "cannot be read: {source}"),
    }
}
