//! A certificate of our own making, for a relay that was given none: ECDSA P-256, good for a year,
//! for the names and addresses of this host.
//!
//! Browsers refuse it, as they should. It keeps others from reading along, and proves that TLS
//! works here.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;

use super::{Certificates, TlsError, date};
use crate::clock;
use crate::config::TlsConfig;
use crate::state::StateFolder;

const SECONDS_A_DAY: u64 = 86_400;

/// How long it is good for, in days. Apple's clients refuse what is good for more than 398.
const DAYS: u64 = 365;

/// It is made anew by a start that finds fewer days left.
const DAYS_LEFT_MIN: u64 = 30;

/// The certificate kept in the folder, made anew where there is none, where it ends soon or does
/// not have all of these names and addresses.
///
/// # Errors
/// When it cannot be made, or cannot be kept: [`in_memory`] needs no folder.
pub fn self_signed(folder: &StateFolder, names: &[String]) -> Result<Certificates, TlsError> {
    let names = usable(names);
    let files = TlsConfig {
        certificate: folder.certificate(),
        key: folder.key(),
    };
    if let Ok(kept) = Certificates::load(&files) {
        let soon = clock::unix_seconds() + DAYS_LEFT_MIN * SECONDS_A_DAY;
        if kept.expires_at() > soon && kept.names(&names) {
            return Ok(kept);
        }
    }
    let made = make(&names)?;
    // A start that ends between the two finds that they do not match, and makes others.
    folder.put(&files.key, made.key_pem.as_bytes())?;
    folder.put(&files.certificate, made.certificate_pem.as_bytes())?;
    Certificates::load(&files)
}

/// A certificate that ends with the process.
///
/// # Errors
/// When it cannot be made.
pub fn in_memory(names: &[String]) -> Result<Certificates, TlsError> {
    let made = make(&usable(names))?;
    let provider = ring::default_provider();
    let key = PrivateKeyDer::from_pem_slice(made.key_pem.as_bytes())
        .map_err(|_| TlsError::Setup(rustls::Error::General("unreadable key".to_owned())))?;
    let pair = CertifiedKey::from_der(vec![made.certificate], key, &provider);
    Certificates::of(pair.map_err(TlsError::Setup)?)
}

/// Those that a certificate can have. A host may call itself what no name may look like.
fn usable(names: &[String]) -> Vec<String> {
    let is_usable = |name: &&String| ServerName::try_from(name.as_str()).is_ok();
    names.iter().filter(is_usable).cloned().collect()
}

struct Made {
    certificate: rustls::pki_types::CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

fn make(names: &[String]) -> Result<Made, TlsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.to_vec())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Turnpike, self-signed");
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = clock::unix_seconds();
    // From yesterday: clocks differ, and so do time zones where somebody got them wrong.
    let (year, month, day) = date::civil(now.saturating_sub(SECONDS_A_DAY));
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date::civil(now + DAYS * SECONDS_A_DAY);
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate = params.self_signed(&key)?;
    Ok(Made {
        certificate_pem: certificate.pem(),
        certificate: certificate.der().clone(),
        key_pem: key.serialize_pem(),
    })
}
