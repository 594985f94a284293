//! What a start begins with: a configuration, and where none is given, a user and a certificate of
//! its own, kept in the state folder or else in memory.

use std::path::{Path, PathBuf};

use turnpike_types::Entropy;

use super::Failure;
use super::run::RunArgs;
use crate::config::{Config, Secret};
use crate::host::Host;
use crate::state::{StateError, StateFolder};
use crate::tls::{self, Certificates};

/// The name of the generated user.
const GUEST: &str = "turnpike";

/// Letters of a generated password: some 119 bits.
const PASSWORD_CHARS: usize = 20;

/// A generated user.
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) password: Secret,
    /// The file that it is the same from, start after start; or why it will be another.
    pub(super) kept: Result<PathBuf, StateError>,
}

/// What a start begins with.
pub(super) struct Setup {
    pub(super) config: Config,
    /// Where no configuration names users.
    pub(super) guest: Option<Guest>,
    /// What TLS listeners show, where there are any.
    pub(super) certificates: Option<Certificates>,
    /// Whether the certificate is of our own making.
    pub(super) is_self_signed: bool,
}

impl Setup {
    /// As the file says.
    pub(super) fn of_file(file: &Path, args: &RunArgs, host: &Host) -> Result<Self, Failure> {
        let mut config = Config::read(file)?;
        let certificates = config.tls.as_ref().map(Certificates::load).transpose()?;
        if config.listen.is_empty() {
            let tls_port = certificates.is_some().then_some(args.tls_port);
            config.listen = host.listeners(args.port, tls_port);
        }
        Ok(Self {
            config,
            guest: None,
            certificates,
            is_self_signed: false,
        })
    }

    /// Without a file. A state folder that cannot be used costs lasting, not running.
    pub(super) fn embedded(
        args: &RunArgs,
        host: &Host,
        entropy: &mut impl Entropy,
    ) -> Result<Self, Failure> {
        let folder = StateFolder::open(args.state.as_deref());
        let certificates = own_certificate(folder.as_ref().ok(), &names(host))?;
        let database = folder.as_ref().ok().map(StateFolder::database);
        let guest = guest(folder, Secret::new(password(entropy)));
        let mut config = Config::embedded(&guest.name, guest.password.reveal());
        config.auth.database = database;
        config.listen = host.listeners(args.port, Some(args.tls_port));
        Ok(Self {
            config,
            guest: Some(guest),
            certificates: Some(certificates),
            is_self_signed: true,
        })
    }
}

/// The user of the last start, or a new one.
fn guest(folder: Result<StateFolder, StateError>, password: Secret) -> Guest {
    let kept = folder.and_then(|folder| {
        let user = folder.user((GUEST, password.clone()))?;
        Ok((user, folder.user_file()))
    });
    let ((name, password), kept) = match kept {
        Ok((user, file)) => (user, Ok(file)),
        Err(error) => ((GUEST.to_owned(), password), Err(error)),
    };
    Guest {
        name,
        password,
        kept,
    }
}

fn own_certificate(
    folder: Option<&StateFolder>,
    names: &[String],
) -> Result<Certificates, tls::TlsError> {
    let kept = folder.map(|folder| tls::self_signed(folder, names));
    match kept {
        Some(Ok(certificates)) => return Ok(certificates),
        Some(Err(error)) => {
            tracing::warn!("the next start will have another TLS certificate: {error}");
        }
        // The user's line says why there is no folder.
        None => {}
    }
    tls::in_memory(names)
}

/// What clients may call this host.
fn names(host: &Host) -> Vec<String> {
    let addresses = host.listen_addresses().into_iter();
    let mut names: Vec<String> = addresses.map(|ip| ip.to_string()).collect();
    for name in ["127.0.0.1", "::1", "localhost"].map(str::to_owned) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.extend(Host::name().filter(|name| name != "localhost"));
    names
}

/// Letters and digits that cannot be mistaken for each other.
pub(super) fn password(entropy: &mut impl Entropy) -> String {
    const LETTERS: &[u8; 57] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    (0..PASSWORD_CHARS)
        .filter_map(|_| LETTERS.get(entropy.below(LETTERS.len() as u32) as usize))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn embedded(state: &Path) -> Setup {
        let args = RunArgs {
            config: None,
            port: 3_478,
            tls_port: 5_349,
            state: Some(state.to_owned()),
            fast_path: None,
            quiet: false,
        };
        let mut entropy = SystemEntropy::new().unwrap();
        Setup::embedded(&args, &Host::look().unwrap(), &mut entropy).unwrap()
    }

    #[test]
    fn generated_password_is_long_plain_and_new_each_time() {
        let mut entropy = SystemEntropy::new().unwrap();
        let one = password(&mut entropy);
        assert_eq!(one.len(), PASSWORD_CHARS);
        assert!(one.chars().all(|it| it.is_ascii_alphanumeric()));
        assert_ne!(one, password(&mut entropy));
    }

    #[test]
    fn user_and_certificate_are_the_same_at_the_next_start() {
        let base = tempfile::tempdir().unwrap();
        let [one, two] = [embedded(base.path()), embedded(base.path())];
        let guests = [one.guest.unwrap(), two.guest.unwrap()];
        assert_eq!(guests[0].password, guests[1].password);
        assert_eq!(
            guests[1].kept.as_ref().unwrap(),
            &base.path().join("user.toml")
        );
        let certificates = [one.certificates, two.certificates].map(Option::unwrap);
        assert_eq!(certificates[0].certificate(), certificates[1].certificate());
        let host = Host::look().unwrap();
        assert!(certificates[0].names(&[host.listen_addresses()[0].to_string()]));
    }

    #[test]
    fn without_a_state_folder_user_and_certificate_live_in_memory() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        let setup = embedded(&file.join("inside"));
        let guest = setup.guest.unwrap();
        assert_eq!(guest.password.reveal().len(), PASSWORD_CHARS);
        assert!(guest.kept.is_err());
        assert_eq!(setup.certificates.unwrap().files(), None);
        assert_eq!(setup.config.auth.users[0].1, guest.password);
    }

    #[test]
    fn embedded_listeners_have_all_transports() {
        let base = tempfile::tempdir().unwrap();
        let config = embedded(base.path()).config;
        for (transport, port) in [("udp", 3_478), ("tcp", 3_478), ("tls", 5_349)] {
            let is_there = config
                .listen
                .iter()
                .any(|it| it.transport.to_string() == transport && it.address.port() == port);
            assert!(is_there, "{transport}");
        }
    }
}
