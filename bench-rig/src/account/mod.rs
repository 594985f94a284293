//! What a relay costs: time of its core, of its threads, of the kernel's threads that receive for
//! it; memory; descriptors.
//!
//! The relay's core runs nothing else, so what it was not idle is the relay's. That is held against
//! the sum of the clocks of all threads concerned, and the larger is charged ([`Cost::charged`]).
//! The kernel keeps no separate account of interrupts unless it was built for that
//! (`CONFIG_IRQ_TIME_ACCOUNTING`): the time of a softirq is on the clock of whichever thread it
//! interrupted, or on none in an idle core. On the relay's core it is in the core's busy time either
//! way.
//!
//! Not accounted: what the relay makes other cores do, such as the far end's receiving.

mod core;
mod memory;
mod task;

use std::time::Duration;

use self::core::CoreTimes;
use self::task::{TaskTimes, kernel_thread};
use crate::netns::NetnsError;
use crate::netns::bench::{BenchHosts, GENERATOR_CORE, RELAY_CORE};

pub use self::memory::{Memory, descriptors, memory, resident_bytes};

/// A measurement under way: what all clocks showed at its start.
#[derive(Debug)]
pub struct Meter {
    process: TaskTimes,
    napi: TaskTimes,
    softirqs: TaskTimes,
    core: CoreTimes,
    generator_stolen: Duration,
}

/// What something cost between two looks at the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time between the looks.
    pub wall: Duration,
    /// CPU time of the relay's processes: all their threads, those that have ended and the kernel's
    /// io_uring workers too, on whichever core.
    pub process: Duration,
    /// CPU time of the threads that receive for the relay's devices.
    pub napi: Duration,
    /// CPU time of the thread that the relay's core leaves softirqs to when they become too many.
    pub softirqs: Duration,
    /// Time in which the relay's core was not idle, without what was stolen.
    pub core_busy: Duration,
    /// Time in which the relay's core wanted to run and the machine's host did not let it.
    pub stolen: Duration,
    /// The same of the generator's core.
    pub generator_stolen: Duration,
}

impl Cost {
    /// What the relay is charged.
    #[must_use]
    pub fn charged(&self) -> Duration {
        self.core_busy.max(self.process + self.napi + self.softirqs)
    }

    /// The share of the time, 0 to 1, in which the relay's core was busy with what none of the threads
    /// here did: interrupts that found it idle and the way in and out of idleness, which are the
    /// relay's, and other programs, which should not be there. More than a third means those.
    #[must_use]
    pub fn unexplained_share(&self) -> f64 {
        let known = self.process + self.napi + self.softirqs;
        let unexplained = self.core_busy.saturating_sub(known).as_secs_f64();
        unexplained / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The share of the time that was stolen from either core, 0 to 1: the larger of the two.
    #[must_use]
    pub fn stolen_share(&self) -> f64 {
        let stolen = self.stolen.max(self.generator_stolen).as_secs_f64();
        stolen / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl Meter {
    /// Looks at all clocks: those of these processes, and of these hosts' receiving threads.
    ///
    /// # Errors
    /// When one of the processes or threads is not there.
    pub fn start(hosts: &BenchHosts, pids: &[u32]) -> Result<Self, AccountError> {
        // The core's clock last, and first at the end: it has to lie within the others'.
        Ok(Self {
            process: TaskTimes::of(pids)?,
            napi: TaskTimes::of(&hosts.relay_threads()?)?,
            softirqs: TaskTimes::of(&kernel_thread(&format!("ksoftirqd/{RELAY_CORE}"))?)?,
            generator_stolen: core::stolen(GENERATOR_CORE)?,
            core: CoreTimes::now(RELAY_CORE)?,
        })
    }

    /// Looks at them again.
    ///
    /// # Errors
    /// When a process or thread has ended in between: nobody knows what it cost.
    pub fn stop(self) -> Result<Cost, AccountError> {
        let core = CoreTimes::now(RELAY_CORE)?;
        let stolen = core.stolen.saturating_sub(self.core.stolen);
        let wall = core.at.saturating_sub(self.core.at);
        let idle = core.idle.saturating_sub(self.core.idle);
        Ok(Cost {
            wall,
            process: self.process.since()?,
            napi: self.napi.since()?,
            softirqs: self.softirqs.since()?,
            core_busy: wall.saturating_sub(idle).saturating_sub(stolen),
            stolen,
            generator_stolen: core::stolen(GENERATOR_CORE)?.saturating_sub(self.generator_stolen),
        })
    }
}

/// Why a cost is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The hosts are not as they were.
    #[error(transparent)]
    Hosts(#[from] NetnsError),
    /// A process or thread is not there.
    #[error("process {pid} is gone: what it cost is not known")]
    Gone {
        /// Its id.
        pid: u32,
    },
    /// The kernel does not tell, or in a form that is not known.
    #[error("the kernel does not tell {what}: {said}")]
    Untold {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        said: String,
    },
}
