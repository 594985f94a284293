//! What is measured, of whom, and how long: the rows of the report.
//!
//! An [`Experiment`] sets up relays one after the other on a `stage`, takes trials through
//! [`crate::load`] and [`crate::account`], and turns them into rows by [`crate::method`]. It knows no
//! packet formats and no relay's command line. Everything is bounded: trials in length and number,
//! rounds, waits for a relay that does not answer.

mod act;
mod cost;
mod cycles;
mod delay;
mod effort;
mod experiment;
mod fault;
mod flood;
mod ledger;
mod memory;
mod progress;
mod rate;
mod run;
mod scene;
mod stage;

pub use self::effort::Effort;
pub use self::experiment::Experiment;
pub use self::ledger::Ledger;
pub use self::run::{RunError, run};

use std::path::PathBuf;

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For the report.
    pub name: String,
    /// What to measure, in this order.
    pub experiments: Vec<Experiment>,
    /// How much time to take.
    pub effort: Effort,
    /// The turnpike program.
    pub turnpike: PathBuf,
    /// Whom to measure beside it.
    pub rivals: Rivals,
    /// Say on standard error what each trial showed.
    pub trials: bool,
}

/// Whom to measure beside Turnpike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rivals {
    /// All that can be had.
    All,
    /// Those whose name contains one of these.
    Named(Vec<String>),
}

impl Rivals {
    /// Whether a run without any rival would not be what was asked for.
    fn wants_somebody(&self) -> bool {
        matches!(self, Self::Named(parts) if !parts.is_empty())
    }

    fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(parts) => parts.iter().any(|part| name.contains(part)),
        }
    }
}
