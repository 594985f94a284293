//! A certificate authority of a test's own, and the files of a relay's certificate.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use turnpike_bench_rig::netns::{Hosts, RELAY_V4, RELAY_V6};

use super::python;
use super::relay::TLS_PORT;

/// The relay's name in its certificate; no name server knows it.
pub(super) const RELAY_NAME: &str = "relay.turnpike.test";

/// Where a relay reads its certificate and key from.
#[derive(Clone, Debug)]
pub(super) struct TlsFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Signs certificates for the relay host; its files are gone with it.
pub(super) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority and the relay's first certificate.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, "Turnpike's test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let authority = Self {
            folder,
            issuer: Issuer::new(params, key),
        };
        authority.replace();
        authority
    }

    /// The authority's own certificate, for clients to trust.
    pub(super) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(super) fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.folder.path().join("cert.pem"),
            key: self.folder.path().join("key.pem"),
        }
    }

    /// Puts another certificate and key in place of the files, each at once, and returns the
    /// certificate as PEM.
    pub(super) fn replace(&self) -> String {
        let names = [
            RELAY_NAME.to_owned(),
            RELAY_V4.to_string(),
            RELAY_V6.to_string(),
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap()
            .pem();
        let files = self.files();
        for (path, text) in [
            (files.key, key.serialize_pem()),
            (files.certificate, certificate.clone()),
        ] {
            let written = path.with_extension("new");
            fs::write(&written, text).unwrap();
            fs::rename(written, path).unwrap();
        }
        certificate
    }
}

/// The certificate that a new TLS connection to the relay is shown, as [`base64`].
#[track_caller]
pub(super) fn served_certificate(hosts: &Hosts) -> String {
    let code = format!("import ssl; print(ssl.get_server_certificate(('{RELAY_V4}', {TLS_PORT})))");
    let python = python().display().to_string();
    base64(&hosts.client.run(&python, ["-c", &code]).unwrap())
}

/// The first block of a PEM text without its line breaks, which programs put elsewhere.
pub(super) fn base64(pem: &str) -> String {
    let begun = pem.split_once("-----BEGIN CERTIFICATE-----");
    let body = begun.and_then(|(_, rest)| rest.split_once("-----END"));
    body.map_or("", |(body, _)| body)
        .split_whitespace()
        .collect()
}
