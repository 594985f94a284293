//! What can go wrong with hosts, each with what a person can do about it.

use std::io;
use std::time::Duration;

/// Why a host, or a program on one, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetnsError {
    /// The kernel refused: the rights to make network namespaces are missing.
    #[error(
        "no right to make network namespaces ({said}); run this as root, or through sudo (`make \
         test` does), or in a container that has CAP_SYS_ADMIN and CAP_NET_ADMIN"
    )]
    Rights {
        /// The words of the program that was refused.
        said: String,
    },
    /// A program the rig needs is not installed.
    #[error("{program} is not installed; `make setup` installs it")]
    Missing {
        /// Name of the program.
        program: String,
    },
    /// A program ran and failed.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The command line.
        command: String,
        /// Its standard error, or how it ended.
        said: String,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// The hosts are not, or no longer, what a measurement needs.
    #[error("the hosts are not fit to measure on: {what}")]
    Broken {
        /// What is not as promised.
        what: String,
    },
    /// Another measurement did not end.
    #[error("process {holder} measures on this machine: wait for its end, or end it")]
    Busy {
        /// Its id.
        holder: String,
    },
    /// A program did not do in time what was waited for.
    #[error("waited up to {waited:?} for {what}; the program printed:\n{output}")]
    TooLate {
        /// How long was waited.
        waited: Duration,
        /// What was waited for.
        what: String,
        /// All that the program had printed until then.
        output: String,
    },
}

impl NetnsError {
    pub(super) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    pub(super) fn broken(what: impl Into<String>) -> Self {
        Self::Broken { what: what.into() }
    }

    pub(super) fn spawning(program: &str) -> impl FnOnce(io::Error) -> Self {
        let program = program.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { program },
            _ => Self::System {
                what: format!("starting {program}"),
                source,
            },
        }
    }
}
