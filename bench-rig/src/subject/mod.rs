//! The relays under test: each a real program, started on the relay host with like settings.
//!
//! Alike for all ([`Settings`]): UDP listeners on both families, long-term credentials with one user,
//! quotas lifted, the same relayed addresses and ports, one relaying thread, all threads on
//! [`RELAY_CORE`](crate::netns::bench::RELAY_CORE), as many descriptors as the machine allows,
//! nothing logged, no TCP, no TLS. What differs is what the programs do with it.
//!
//! A program sees its settings in a memory file system of its own, which ends with it: however the
//! rig dies, nothing is left behind.
//!
//! Not here: what is measured beside relays ([`crate::ceiling`]).

mod answer;
mod coturn;
mod running;
mod turnpike;

use std::io;

use crate::netns::NetnsError;
use crate::netns::bench::BenchHosts;

pub use self::coturn::{Coturn, Variant};
pub use self::running::Running;
pub use self::turnpike::Turnpike;

/// A relay that can be started on the relay host, any number of times.
pub trait Subject {
    /// What it is called in a report, with what is special about its settings.
    fn name(&self) -> &str;

    /// The version that the program itself tells.
    fn version(&self) -> &str;

    /// Starts it and waits until it answers on both families. It dies with what is returned, and with
    /// the thread that called this.
    ///
    /// # Errors
    /// When it does not answer; the error says what it printed.
    fn start(&self, hosts: &BenchHosts, settings: &Settings) -> Result<Running, SubjectError>;
}

/// What a relay is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The port of its listeners. Two relays on the same hosts need two ports, and two ranges.
    pub port: u16,
    /// The first and the last of its relayed ports, on each relayed address.
    pub relayed_ports: (u16, u16),
    /// Allocations that it has to allow, all of one user.
    pub allocations: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 3478,
            relayed_ports: (49_152, 65_535),
            allocations: 131_072,
        }
    }
}

/// Everything that can be measured, each ready to start or with the reason why it is left out:
/// Turnpike first, then the rivals.
#[must_use]
pub fn all() -> Vec<Result<Box<dyn Subject>, SubjectError>> {
    let mut all = vec![Turnpike::find().map(boxed)];
    all.push(Coturn::of_debian().map(boxed));
    for variant in [Variant::Defaults, Variant::Multiplexed] {
        all.push(Coturn::of_unstable(variant).map(boxed));
    }
    all
}

fn boxed<S: Subject + 'static>(subject: S) -> Box<dyn Subject> {
    Box::new(subject)
}

/// Why a subject cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// It is not on this machine.
    #[error("{name} is left out: {why}")]
    Missing {
        /// Its name.
        name: String,
        /// Why, and what to do.
        why: String,
    },
    /// It ended, or did not answer in time.
    #[error("{name} does not answer: {why}; it printed:\n{output}")]
    Silent {
        /// Its name.
        name: String,
        /// What happened.
        why: String,
        /// All that it printed.
        output: String,
    },
    /// A host failed.
    #[error(transparent)]
    Hosts(#[from] NetnsError),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}

/// The realm of every relay.
const REALM: &str = "turnpike.test";
/// The user of every relay.
const USER: &str = "bench";
/// That user's password: known to all, and worth nothing outside the hosts.
const PASSWORD: &str = "correct horse";
