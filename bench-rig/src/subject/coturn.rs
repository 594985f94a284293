//! coturn, the rival: Debian's package as it is installed, and the one of Debian unstable that
//! `scripts/rivals.sh` fetches into a folder of its own.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::running::{Running, SCRATCH, SETTINGS_FILE};
use super::{PASSWORD, REALM, Settings, Subject, SubjectError, USER};
use crate::netns::bench::BenchHosts;
use crate::netns::{RELAY_V4, RELAY_V6};

/// A coturn with the settings of a variant.
#[derive(Clone, Debug)]
pub struct Coturn {
    name: String,
    version: String,
    command: Vec<String>,
    /// Settings that turn off what this version has on by default and a relay under test has not.
    turned_off: String,
    variant: Variant,
}

/// What is special about a coturn's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nothing: its own defaults.
    Defaults,
    /// `multiplex-peer` and `udp-gso`: one relay socket for all allocations, runs of datagrams sent as
    /// one. All allocations then have the same relayed transport address, and are told apart by the
    /// peer's: no two may have the same peer.
    Multiplexed,
}

impl Coturn {
    /// The one that is installed, with its defaults.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_debian() -> Result<Self, SubjectError> {
        Self::of(vec!["turnserver".to_owned()], Variant::Defaults).map_err(|why| {
            let name = "coturn".to_owned();
            let why = format!("{why}; `make setup` installs it");
            SubjectError::Missing { name, why }
        })
    }

    /// The one of Debian unstable, by its own loader and with its own libraries.
    ///
    /// # Errors
    /// When it has not been fetched, with the reason that fetching gave.
    pub fn of_unstable(variant: Variant) -> Result<Self, SubjectError> {
        let missing = |why: String| SubjectError::Missing {
            name: "coturn of Debian unstable".to_owned(),
            why,
        };
        let cache = cache_folder();
        let root = cache.join(UNSTABLE);
        if !root.join("complete").exists() {
            let why = fs::read_to_string(cache.join(format!("{UNSTABLE}.missing")));
            let why = why.unwrap_or_else(|_| "scripts/rivals.sh fetches it".to_owned());
            return Err(missing(why.trim().to_owned()));
        }
        let command = own_loader(&root).map_err(missing)?;
        Self::of(command, variant).map_err(missing)
    }

    fn of(command: Vec<String>, variant: Variant) -> Result<Self, String> {
        let version = version(&command)?;
        let special = match variant {
            Variant::Defaults => "",
            Variant::Multiplexed => " multiplex-peer udp-gso",
        };
        Ok(Self {
            name: format!("coturn {version}{special}"),
            version,
            turned_off: turned_off(&run(&command, "-h")?.0),
            command,
            variant,
        })
    }
}

impl Subject for Coturn {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn start(&self, hosts: &BenchHosts, settings: &Settings) -> Result<Running, SubjectError> {
        let args = ["-c", SETTINGS_FILE].map(str::to_owned);
        let command = self.command.iter().cloned().chain(args);
        let text = text(hosts, settings, self.variant) + &self.turned_off;
        Running::start(self, hosts, settings, text, command)
    }
}

/// The settings file. Its logs go nowhere, for Turnpike logs nothing of what is measured either.
fn text(hosts: &BenchHosts, settings: &Settings, variant: Variant) -> String {
    let Settings {
        port,
        relayed_ports: (first, last),
        ..
    } = settings;
    let relayed: String = hosts
        .relayed()
        .iter()
        .map(|ip| format!("relay-ip={ip}\n"))
        .collect();
    let mut text = format!(
        "listening-port={port}\n\
         listening-ip={RELAY_V4}\n\
         listening-ip={RELAY_V6}\n\
         {relayed}\
         min-port={first}\n\
         max-port={last}\n\
         relay-threads=1\n\
         lt-cred-mech\n\
         realm={REALM}\n\
         user={USER}:{PASSWORD}\n\
         user-quota=0\n\
         total-quota=0\n\
         no-tcp\n\
         no-tls\n\
         no-tcp-relay\n\
         no-stdout-log\n\
         log-file=/dev/null\n\
         simple-log\n\
         userdb={SCRATCH}/users\n\
         pidfile={SCRATCH}/pid\n"
    );
    if variant == Variant::Multiplexed {
        let port = u32::from(*port) + MULTIPLEX_PORT_FROM_LISTENER;
        // Writing to a string cannot fail.
        write!(
            text,
            "multiplex-peer\nmultiplex-peer-port={port}\nudp-gso\n"
        )
        .ok();
    }
    text
}

/// How a program of another Debian is run here: by the loader that came with it.
fn own_loader(root: &Path) -> Result<Vec<String>, String> {
    let libraries = entry(&root.join("usr/lib"), |name| name.contains("-linux-gnu"))?;
    let loader = entry(&libraries, |name| {
        name.starts_with("ld-linux-") && name.contains(".so.")
    })?;
    let server = root.join("usr/bin/turnserver");
    let text = |path: PathBuf| path.display().to_string();
    Ok(vec![
        text(loader),
        "--library-path".to_owned(),
        text(libraries),
        text(server),
    ])
}

fn entry(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    entries
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .ok_or_else(|| format!("{} lacks what a program needs", folder.display()))
}

/// The version that the program tells: the last line, for others may complain before it.
fn version(command: &[String]) -> Result<String, String> {
    let (said, complaint) = run(command, "--version")?;
    let version = said.lines().last().unwrap_or_default().trim();
    if version.starts_with(|first: char| first.is_ascii_digit()) {
        Ok(version.to_owned())
    } else {
        Err(format!("it tells no version: {}", complaint.trim()))
    }
}

/// A feature that has to be turned on, by what the program says of its options, is off.
fn turned_off(help: &str) -> String {
    let options: Vec<&str> = help.split([' ', '\t', '\n', ',']).collect();
    ["cli", "dtls", "software-attribute"]
        .into_iter()
        .filter(|feature| !options.contains(&format!("--{feature}").as_str()))
        .map(|feature| format!("no-{feature}\n"))
        .collect()
}

/// What a command prints, to standard output and to standard error.
fn run(command: &[String], option: &str) -> Result<(String, String), String> {
    let (program, args) = command.split_first().ok_or("no program")?;
    let output = Command::new(program).args(args).arg(option).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&output.stdout), text(&output.stderr)))
}

/// Where `scripts/rivals.sh` puts what it fetches.
fn cache_folder() -> PathBuf {
    if let Some(folder) = env::var_os("TURNPIKE_RIVALS") {
        return PathBuf::from(folder);
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("turnpike")
}

/// The name under which the script keeps it, whatever the version.
const UNSTABLE: &str = "coturn-unstable";

/// coturn's own default, 3480, beside its default listener, 3478.
const MULTIPLEX_PORT_FROM_LISTENER: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_by_default_is_turned_off() {
        let old =
            " --no-dtls\t\tDo not start DTLS.\n --cli-ip=<IP>\n --no-cli\tTurn OFF the CLI.\n";
        assert_eq!(turned_off(old), "no-cli\nno-dtls\nno-software-attribute\n");
        let new = " --dtls\tStart DTLS\n --cli\tTurn on\n --software-attribute\n";
        assert_eq!(turned_off(new), "");
    }

    #[test]
    fn a_program_without_a_version_is_not_taken_for_coturn() {
        let error = Coturn::of(vec!["true".to_owned()], Variant::Defaults).unwrap_err();
        assert!(error.contains("no version"), "{error}");
    }
}
