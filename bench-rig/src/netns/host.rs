//! One host: a network namespace, and the ways into it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::ip::{batch, checked, ip};
use super::{NetnsError, Process};

/// A network namespace with its own interfaces, addresses, routes and ports.
///
/// It is made and taken away by the [`Hosts`](super::Hosts) it belongs to.
#[derive(Debug)]
pub struct Host {
    name: String,
}

impl Host {
    /// Makes the namespace with its loopback up, and nothing else in it.
    pub(super) fn create(name: &str) -> Result<Self, NetnsError> {
        ip(&["netns", "add", name])?;
        batch(name, "link set lo up\n")?;
        Ok(Self {
            name: name.to_owned(),
        })
    }

    /// Runs the lines of an `ip -batch` script here.
    pub(super) fn configure(&self, script: &str) -> Result<(), NetnsError> {
        batch(&self.name, script).map(drop)
    }

    /// Makes a device send whole UDP and TCP checksums, as a wire between machines would carry:
    /// without this a veth carries half-made ones, and only the kernel itself can read them.
    pub(super) fn send_whole_checksums(&self, device: &str) -> Result<(), NetnsError> {
        self.run("ethtool", ["-K", device, "tx", "off"]).map(drop)
    }

    /// The namespace's name, as `ip netns list` shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run on this host, in a process group of its own.
    ///
    /// The kernel kills it when the thread that starts it ends: start long-lived programs from a
    /// thread that outlives them, not from inside [`Host::enter`].
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "nsenter"])
            .arg(format!("--net={}", self.path().display()))
            .arg("--")
            .arg(program)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Runs a program on this host to its end and returns what it printed.
    ///
    /// # Errors
    /// When the program cannot be started or ends with a failure.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<String, NetnsError> {
        let mut command = self.command(program);
        command.args(args);
        let output = command.output().map_err(NetnsError::spawning("setpriv"))?;
        checked(&format!("{program} on {}", self.name), &output)
    }

    /// Starts a program on this host that is killed when the returned [`Process`] is dropped.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Process, NetnsError> {
        let mut command = self.command(program);
        command.args(args);
        Process::spawn(&mut command)
    }

    /// Runs `work` on a thread that has entered this host, and returns what it returned. Sockets
    /// made in `work` stay on this host when they are carried out of it.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let path = self.path();
        let namespace =
            File::open(&path).map_err(NetnsError::system(format!("opening {}", path.display())))?;
        let entered = move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|errno| NetnsError::system("entering a host")(errno.into()))?;
            Ok(work())
        };
        thread::scope(|scope| match scope.spawn(entered).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(NAMESPACES).join(&self.name)
    }
}

/// Where `ip netns` keeps one file a namespace.
pub(super) const NAMESPACES: &str = "/run/netns";
