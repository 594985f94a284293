//! Certificates on disk: what is refused and how, and what happens when they change.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use rustls::{ClientConnection, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::*;
use crate::state::StateFolder;

fn names() -> Vec<String> {
    ["192.0.2.1", "2001:db8::1", "relay.example.org", "localhost"]
        .map(str::to_owned)
        .to_vec()
}

fn files(folder: &Path) -> TlsConfig {
    TlsConfig {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    }
}

/// A folder with a good pair in it.
fn pair() -> (TempDir, TlsConfig) {
    let base = tempfile::tempdir().unwrap();
    let folder = StateFolder::open(Some(base.path())).unwrap();
    self_signed(&folder, &names()).unwrap();
    let files = files(base.path());
    (base, files)
}

/// What a client sees that trusts this certificate alone.
fn shows(certificates: &Certificates, trusted: CertificateDer<'static>) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = certificates.server_config();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(config).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        let mut byte = [0];
        if stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).unwrap();
        }
    });
    let client = trust_only(trusted).unwrap();
    let connection = ClientConnection::new(client, address.ip().into()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let echoed = stream
        .write_all(b"x")
        .and_then(|()| stream.read_exact(&mut [0]))
        .is_ok();
    drop(stream);
    server.join().unwrap();
    echoed
}

#[test]
fn handshake_shows_the_certificate_and_no_other_is_trusted() {
    let (_base, files) = pair();
    let (_other_base, other) = pair();
    let certificates = Certificates::load(&files).unwrap();
    let other = Certificates::load(&other).unwrap().certificate();
    assert!(shows(&certificates, certificates.certificate()));
    assert!(!shows(&certificates, other));
}

#[test]
fn own_certificate_names_the_host_for_a_year_and_is_kept() {
    let (base, files) = pair();
    let first = Certificates::load(&files).unwrap();
    assert!(first.names(&names()));
    assert!(!first.names(&["192.0.2.2".to_owned()]));
    let days = (first.expires_at() - clock::unix_seconds()) / 86_400;
    assert!((363..=365).contains(&days), "{days}");
    let rights = fs::metadata(&files.key).unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
    let folder = StateFolder::open(Some(base.path())).unwrap();
    let again = self_signed(&folder, &names()).unwrap();
    assert_eq!(again.certificate(), first.certificate());
}

#[test]
fn own_certificate_is_made_anew_for_new_addresses_and_before_it_ends() {
    let (base, files) = pair();
    let folder = StateFolder::open(Some(base.path())).unwrap();
    let first = Certificates::load(&files).unwrap().certificate();
    let moved = ["198.51.100.7".to_owned(), "not a_name".to_owned()];
    let second = self_signed(&folder, &moved).unwrap();
    assert_ne!(second.certificate(), first);
    assert!(second.names(&moved[..1]));
    let soon = clock::unix_seconds() + 20 * 86_400;
    write_pair(&files, &moved[..1], soon);
    let third = self_signed(&folder, &moved).unwrap();
    assert!(third.expires_at() > soon + 86_400);
}

#[test]
fn certificate_in_memory_needs_no_folder() {
    let mut certificates = in_memory(&names()).unwrap();
    assert!(certificates.names(&names()));
    assert!(shows(&certificates, certificates.certificate()));
    assert!(!certificates.refresh().unwrap() && !certificates.reload().unwrap());
}

#[test]
fn each_mistake_names_its_file_and_what_to_do() {
    let (base, good) = pair();
    let (_other_base, other) = pair();
    let write = |name: &str, text: &str| {
        let path = base.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let cut = fs::read_to_string(&good.certificate).unwrap();
    let cut = cut.replace("-----END CERTIFICATE-----", "");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (certificate, key, expected) in [
        (
            base.path().join("gone.pem"),
            good.key.clone(),
            "gone.pem: there is no such file",
        ),
        (base.path().to_owned(), good.key.clone(), "this is a folder"),
        (good.key.clone(), good.key.clone(), "no certificate in it"),
        (
            good.certificate.clone(),
            good.certificate.clone(),
            "no private key in it",
        ),
        (
            write("cut.pem", &cut),
            good.key.clone(),
            "cut.pem: damaged (an END line is missing)",
        ),
        (
            good.certificate.clone(),
            write("locked.pem", encrypted),
            "asks for a passphrase",
        ),
        (
            write("nonsense.pem", nonsense),
            good.key.clone(),
            "the first certificate cannot",
        ),
        (
            good.certificate.clone(),
            write("bad-key.pem", bad_key),
            "the key cannot be used",
        ),
        (
            good.certificate.clone(),
            other.key,
            "is not that of the certificate",
        ),
        (
            write("long.pem", &"x".repeat(2 << 20)),
            good.key.clone(),
            "longer than any",
        ),
    ] {
        let refused = Certificates::load(&TlsConfig { certificate, key }).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}

#[test]
fn changed_files_are_shown_to_the_next_handshake() {
    let (_base, files) = pair();
    let mut certificates = Certificates::load(&files).unwrap();
    let config = certificates.server_config();
    let first = certificates.certificate();
    assert!(!certificates.refresh().unwrap(), "nothing changed");
    let until = clock::unix_seconds() + 90 * 86_400;
    write_pair(&files, &names(), until);
    assert!(certificates.refresh().unwrap());
    assert!(
        !certificates.refresh().unwrap(),
        "the second reading agrees"
    );
    assert!(Arc::ptr_eq(&config, &certificates.server_config()));
    assert!(certificates.expires_at() <= until);
    assert!(shows(&certificates, certificates.certificate()));
    assert!(!shows(&certificates, first));
}

#[test]
fn pair_that_does_not_match_for_a_moment_is_no_error() {
    let (_base, files) = pair();
    let (_new_base, new) = pair();
    let mut certificates = Certificates::load(&files).unwrap();
    let old = certificates.certificate();
    fs::copy(&new.certificate, &files.certificate).unwrap();
    assert!(!certificates.refresh().unwrap());
    assert!(shows(&certificates, old), "the old pair stays");
    fs::copy(&new.key, &files.key).unwrap();
    assert!(certificates.refresh().unwrap());
    let now = Certificates::load(&new).unwrap().certificate();
    assert!(shows(&certificates, now));
}

#[test]
fn pair_that_stays_broken_is_reported_once_and_the_old_one_stays() {
    let (_base, files) = pair();
    let mut certificates = Certificates::load(&files).unwrap();
    let old = certificates.certificate();
    fs::write(&files.certificate, "half a certific").unwrap();
    assert!(!certificates.refresh().unwrap());
    assert!(matches!(
        certificates.refresh(),
        Err(TlsError::NoCertificate(_))
    ));
    assert!(!certificates.refresh().unwrap(), "it was said");
    assert!(shows(&certificates, old));
    assert!(certificates.reload().is_err(), "whoever asks is told");
}

#[test]
fn link_that_points_elsewhere_is_a_change() {
    let (_one_base, one) = pair();
    let (_two_base, two) = pair();
    let links = tempfile::tempdir().unwrap();
    let files = files(links.path());
    let point_to = |target: &TlsConfig| {
        for (link, target) in [
            (&files.certificate, &target.certificate),
            (&files.key, &target.key),
        ] {
            let new = link.with_extension("new");
            symlink(target, &new).unwrap();
            fs::rename(&new, link).unwrap();
        }
    };
    point_to(&one);
    let mut certificates = Certificates::load(&files).unwrap();
    assert!(!certificates.refresh().unwrap());
    point_to(&two);
    assert!(certificates.refresh().unwrap());
    let expected = Certificates::load(&two).unwrap().certificate();
    assert_eq!(certificates.certificate(), expected);
}

/// Writes a pair that is good until the day of this moment.
fn write_pair(files: &TlsConfig, names: &[String], until: u64) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(names.to_vec()).unwrap();
    let (year, month, day) = date::civil(until);
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate = params.self_signed(&key).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    fs::write(&files.certificate, certificate.pem()).unwrap();
}
