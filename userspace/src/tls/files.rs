//! A certificate and its key out of their PEM files (RFC 7468), and how the files looked.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::TlsError;
use crate::config::TlsConfig;

/// The longest file that is read; a chain of a dozen certificates has 30 kB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How the two files looked. Links are followed, so that a link that points elsewhere shows: that
/// is how certbot and Kubernetes put a new certificate in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look([Option<FileLook>; 2]);

/// Device and inode, size, and when content and rights last changed. `None`: not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileLook {
    inode: (u64, u64),
    size: u64,
    content: (i64, i64),
    rights: (i64, i64),
}

impl Look {
    pub(super) fn at(files: &TlsConfig) -> Self {
        let look = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some(FileLook {
                inode: (found.dev(), found.ino()),
                size: found.size(),
                content: (found.mtime(), found.mtime_nsec()),
                rights: (found.ctime(), found.ctime_nsec()),
            })
        };
        Self([look(&files.certificate), look(&files.key)])
    }
}

/// Reads both files and sees that they belong together.
pub(super) fn read(files: &TlsConfig, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(&files.certificate)?;
    let key = read_key(&files.key)?;
    if let Some(first) = chain.first() {
        ParsedCertificate::try_from(first).map_err(|source| TlsError::BadCertificate {
            path: files.certificate.clone(),
            source,
        })?;
    }
    CertifiedKey::from_der(chain, key, provider).map_err(|source| match source {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        },
        source => TlsError::BadKey {
            path: files.key.clone(),
            source,
        },
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_file(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| bad_pem(path, &error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read_file(path)?;
    let has = |words: &[u8]| text.windows(words.len()).any(|it| it == words);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::Encrypted(path.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(path.to_owned()),
        error => bad_pem(path, &error),
    })
}

/// What is wrong, without the bytes: they may be those of a key.
fn bad_pem(path: &Path, error: &pem::Error) -> TlsError {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "an END line is missing",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is not whole",
        pem::Error::Base64Decode(_) => "not Base64 between BEGIN and END",
        _ => "not PEM",
    };
    TlsError::BadPem {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::TooLong(path.to_owned()));
    }
    Ok(text)
}
