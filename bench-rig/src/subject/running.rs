//! A relay that runs on the relay host, on its core.

use std::net::SocketAddr;
use std::time::Duration;

use turnpike_turn::client::Credential;

use super::answer::wait_for_answer;
use super::{PASSWORD, Settings, Subject, SubjectError, USER};
use crate::netns::bench::{BenchHosts, FIFO_PRIORITY, RELAY_CORE};
use crate::netns::{Process, RELAY_V4, RELAY_V6};

/// A running relay. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    name: String,
    version: String,
    port: u16,
    process: Process,
}

impl Running {
    /// Starts `command` on the relay's core with `settings_text` in the file [`SETTINGS_FILE`].
    pub(super) fn start(
        subject: &dyn Subject,
        hosts: &BenchHosts,
        settings: &Settings,
        settings_text: String,
        command: impl IntoIterator<Item = String>,
    ) -> Result<Self, SubjectError> {
        let args = ["--mount", "sh", "-euc", SCRIPT, "sh"].map(str::to_owned);
        let place = [RELAY_CORE.to_string(), FIFO_PRIORITY.to_string()];
        let args = args.into_iter().chain([settings_text]);
        let args = args.chain(place).chain(command);
        let running = Self {
            name: subject.name().to_owned(),
            version: subject.version().to_owned(),
            port: settings.port,
            process: hosts.hosts.relay.spawn("unshare", args)?,
        };
        for server in [running.server(), running.server_v6()] {
            wait_for_answer(hosts, &running, server)?;
        }
        Ok(running)
    }

    /// Its name in a report.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that the program told.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where IPv4 clients reach it.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        SocketAddr::new(RELAY_V4, self.port)
    }

    /// Where IPv6 clients reach it.
    #[must_use]
    pub fn server_v6(&self) -> SocketAddr {
        SocketAddr::new(RELAY_V6, self.port)
    }

    /// The one user that it lets in.
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential::new(USER, PASSWORD)
    }

    /// Its processes, for [`crate::account::Meter`].
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        vec![self.process.id()]
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.process.is_running()
    }

    /// All that it has printed: the last words of one that died.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Asks it to end, waits a moment, and kills it if it has not.
    pub fn stop(mut self) {
        // Whatever comes of it, the drop that follows kills it.
        self.process.terminate(STOPPED_WITHIN).ok();
    }
}

/// Where a relay finds its settings, and where it may write.
pub(super) const SETTINGS_FILE: &str = "/mnt/settings";
/// Where a relay may write: a file system in memory that no other process sees.
pub(super) const SCRATCH: &str = "/mnt";

/// Settings, core, priority and the program's command line are its arguments. A coturn that finds fault with a
/// setting writes to `/var/log` whatever the others say.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=64m turnpike-bench /mnt
mount --bind /mnt /var/log
printf '%s' "$1" >/mnt/settings
core=$2
priority=$3
shift 3
cd /mnt
ulimit -n "$(ulimit -H -n)"
exec chrt --fifo "$priority" taskset --cpu-list "$core" "$@"
"#;

/// How long a relay may take to end; calls that are still on would keep some from it.
const STOPPED_WITHIN: Duration = Duration::from_secs(1);
