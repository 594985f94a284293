//! Why the relay did not start, in words that say what to do.

use std::fmt;
use std::io;

use turnpike_dataplane::loader::LoadError;
use turnpike_types::Transport;

use super::PlanError;
use crate::config::ListenConfig;
use crate::shard::ShardError;

/// Why the relay did not start, or ended by itself.
#[derive(Debug)]
pub enum StartError {
    /// The configuration does not fit this host.
    Plan(PlanError),
    /// A listener could not be opened.
    Listen {
        /// Over what, and where.
        listen: ListenConfig,
        /// What the kernel said.
        source: io::Error,
    },
    /// The fast path is required and cannot be had.
    FastPath(LoadError),
    /// No descriptor for the wake-up.
    Wake(io::Error),
    /// No thread.
    Thread(io::Error),
    /// A shard refused, or failed later.
    Shard {
        /// Which, from 0.
        shard: u16,
        /// Why.
        error: ShardError,
    },
    /// A shard's thread does not stop.
    Hangs {
        /// Which, from 0.
        shard: u16,
    },
    /// A shard's thread ended in a fault of its own.
    Panicked {
        /// Which, from 0.
        shard: u16,
    },
}

impl std::error::Error for StartError {}

impl From<PlanError> for StartError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Listen { listen, source } => listen_hint(f, *listen, source),
            Self::FastPath(error) => write!(
                f,
                "fast_path.mode is \"require\": {error}; \"auto\" starts without"
            ),
            Self::Wake(error) => write!(f, "no descriptor left ({error}); raise `ulimit -n`"),
            Self::Thread(error) => write!(f, "a shard's thread does not start: {error}"),
            Self::Shard { shard, error } => {
                write!(f, "shard {shard}: {error}")?;
                match error {
                    ShardError::Ring(error) => ring_hint(f, &error.source),
                    _ => Ok(()),
                }
            }
            Self::Hangs { shard } => write!(
                f,
                "the thread of shard {shard} hangs and is not waited for; this is a fault of \
                 turnpike, report it"
            ),
            Self::Panicked { shard } => write!(
                f,
                "the thread of shard {shard} panicked; this is a fault of turnpike, report it"
            ),
        }
    }
}

fn listen_hint(
    f: &mut fmt::Formatter<'_>,
    ListenConfig { transport, address }: ListenConfig,
    source: &io::Error,
) -> fmt::Result {
    let port = address.port();
    let (sockets, option) = match transport {
        Transport::Tls => ("t", "--tls-port"),
        Transport::Tcp => ("t", "--port"),
        Transport::Udp | Transport::Dtls => ("u", "--port"),
    };
    write!(f, "cannot listen on {} {address}: ", transport.name())?;
    match source.kind() {
        io::ErrorKind::AddrInUse => write!(
            f,
            "another program has the port. `ss -{sockets}lpn 'sport = :{port}'` names it; stop it, \
             or choose another port with `{option}`, or in a configuration file with [[listen]] address"
        ),
        io::ErrorKind::PermissionDenied => write!(
            f,
            "not permitted. Ports below 1024 need CAP_NET_BIND_SERVICE: run as root, or \
             `setcap cap_net_bind_service+ep` the binary, or choose a port from 1024"
        ),
        io::ErrorKind::AddrNotAvailable => {
            write!(
                f,
                "it is not an address of this host; `ip address` lists those"
            )
        }
        _ => write!(f, "{source}"),
    }
}

fn ring_hint(f: &mut fmt::Formatter<'_>, source: &io::Error) -> fmt::Result {
    match source.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => f.write_str(
            ". io_uring is not allowed here: `sysctl kernel.io_uring_disabled` must be 0, and a \
             container's seccomp profile must admit it",
        ),
        Some(libc::EINVAL) => f.write_str(". Linux 6.1 or later is needed; see `uname -r`"),
        Some(libc::ENOMEM) => f.write_str(". Raise the locked-memory limit (`ulimit -l`)"),
        _ => Ok(()),
    }
}
