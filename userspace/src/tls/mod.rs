//! The certificate of TLS listeners (RFC 8656 section 3.1, RFC 8446): loaded, watched, replaced
//! while calls run, and made where there is none.
//!
//! A connection in place keeps what it was made with; each new handshake gets the certificate of
//! that moment. It is *not* the TLS connection itself, which is the shard's, and it asks clients
//! for no certificate: credentials are TURN's. Protocol names (ALPN, RFC 7443) are neither wanted
//! nor refused.
//!
//! Bounded: files of 1 MiB, [`SESSIONS_MAX`] sessions to resume.

mod date;
mod error;
mod files;
mod self_signed;
mod trust;
mod validity;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{
    ClientHello, ParsedCertificate, ResolvesServerCert, ServerSessionMemoryCache,
};
use rustls::sign::CertifiedKey;

use crate::clock;
use crate::config::TlsConfig;
use files::Look;

pub use date::date;
pub use error::TlsError;
pub use self_signed::{in_memory, self_signed};
pub use trust::trust_only;
pub use validity::Validity;

/// Sessions that clients may resume; a client with an older one shakes hands anew.
pub const SESSIONS_MAX: usize = 4_096;

/// A certificate with its key, as TLS listeners show it.
pub struct Certificates {
    /// `None` for a certificate that lives in memory alone.
    files: Option<TlsConfig>,
    /// How the files looked when they were read last.
    seen: Look,
    /// Whether they were read twice as they look.
    settled: bool,
    shown: Arc<Shown>,
    server_config: Arc<ServerConfig>,
}

impl Certificates {
    /// Reads the files; says so in the log when the certificate is not good today.
    ///
    /// # Errors
    /// [`TlsError`], which says what to do.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let seen = Look::at(files);
        let pair = files::read(files, &ring::default_provider())?;
        let mut certificates = Self::of(pair)?;
        certificates.files = Some(files.clone());
        certificates.seen = seen;
        certificates.note_dates();
        Ok(certificates)
    }

    /// Shows this pair and no other.
    fn of(pair: CertifiedKey) -> Result<Self, TlsError> {
        let shown = Arc::new(Shown(ArcSwap::from_pointee(pair)));
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        Ok(Self {
            files: None,
            seen: Look::default(),
            settled: true,
            shown,
            server_config: Arc::new(config),
        })
    }

    /// What each connection is made with; always the same, whatever certificate it shows.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_config)
    }

    /// Where the files are; `None` for a certificate that lives in memory alone.
    #[must_use]
    pub const fn files(&self) -> Option<&TlsConfig> {
        self.files.as_ref()
    }

    /// The certificate shown now, without those that signed it.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        let pair = self.shown.0.load();
        let first = pair.cert.first();
        first.map_or_else(|| Vec::new().into(), CertificateDer::clone)
    }

    /// The last second of the certificate shown now, since 1970; 0 where it does not say.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        Validity::of(&self.certificate()).map_or(0, |validity| validity.until)
    }

    /// Whether the certificate shown now names all of these hosts and addresses.
    #[must_use]
    pub fn names(&self, names: &[String]) -> bool {
        let certificate = self.certificate();
        let Ok(parsed) = ParsedCertificate::try_from(&certificate) else {
            return false;
        };
        names.iter().all(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        })
    }

    /// Glances at the files; `true` when another certificate is shown now. To be called every
    /// second or so.
    ///
    /// What looks new is read at once, and once more at the next glance: only then is it known to
    /// be whole. So a certificate whose key follows a moment later is no error, and one that stays
    /// broken is reported once.
    ///
    /// # Errors
    /// What is wrong with the new files; the old pair stays.
    pub fn refresh(&mut self) -> Result<bool, TlsError> {
        let Some(files) = &self.files else {
            return Ok(false);
        };
        let look = Look::at(files);
        let is_same = look == self.seen;
        if is_same && self.settled {
            return Ok(false);
        }
        self.seen = look;
        self.settled = is_same;
        match files::read(files, &ring::default_provider()) {
            Ok(pair) => Ok(self.show(pair)),
            Err(_) if !is_same => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the files now, however they look; `true` when another certificate is shown now.
    ///
    /// # Errors
    /// What is wrong with the files; the old pair stays.
    pub fn reload(&mut self) -> Result<bool, TlsError> {
        let Some(files) = &self.files else {
            return Ok(false);
        };
        self.seen = Look::at(files);
        self.settled = true;
        let pair = files::read(files, &ring::default_provider())?;
        Ok(self.show(pair))
    }

    /// Shows this pair from now on; `false` when it is the one that is shown.
    fn show(&mut self, pair: CertifiedKey) -> bool {
        if self.shown.0.load().cert == pair.cert {
            return false;
        }
        self.shown.0.store(Arc::new(pair));
        self.note_dates();
        true
    }

    fn note_dates(&self) {
        let Some(validity) = Validity::of(&self.certificate()) else {
            return;
        };
        let now = clock::unix_seconds();
        if validity.until < now {
            tracing::warn!(
                "the TLS certificate expired on {}: clients will refuse it until it is replaced",
                date(validity.until)
            );
        } else if validity.from > now {
            tracing::warn!(
                "the TLS certificate is good from {} only; is this host's clock right?",
                date(validity.from)
            );
        }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// The pair of this moment. Prints without the key.
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

#[cfg(test)]
mod tests;
