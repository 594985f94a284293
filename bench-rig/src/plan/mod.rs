//! What is measured, of whom, and how long: the rows of the report.
//!
//! An [`Experiment`] sets up relays one after the other on a [`stage`], takes trials through
//! [`crate::load`] and [`crate::account`], and turns them into rows by [`crate::method`]. It knows no
//! packet formats and no relay's command line.

mod cost;
mod cycles;
mod delay;
mod effort;
mod experiment;
mod ledger;
mod memory;
mod progress;
mod rate;
mod stage;

pub use self::effort::Effort;
pub use self::experiment::Experiment;
pub use self::ledger::Ledger;

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
    /// Names of rivals, of [`RIVALS`].
    pub rivals: Vec<String>,
}
