//! What was measured, where, and how sure it is: as a table for people and as JSON for machines.
//!
//! A [`Report`] holds only what was measured in one run on one machine. A row that could not be measured
//! stays in it with the reason; nothing is filled in from elsewhere.

mod machine;
mod mark;
mod number;
mod row;
mod table;

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::machine::Machine;
pub use self::mark::{Mark, Verdict};
pub use self::row::{Better, Figure, Measured, Row, Unit};
pub use self::table::{markdown, terminal};

/// The shape of the JSON; grows when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Seconds since 1970 at which the run began.
    pub began: u64,
    /// How long it took, seconds.
    pub took: f64,
    /// The plan's name: quick, full, or which rows were asked for.
    pub plan: String,
    /// Whether the run came to its end; false after Ctrl-C.
    pub complete: bool,
    /// What it ran on.
    pub machine: Machine,
    /// Who was measured, in the order of the columns.
    pub subjects: Vec<SubjectLine>,
    /// What was measured.
    pub rows: Vec<Row>,
    /// What a reader has to know beside the rows.
    pub notes: Vec<String>,
}

/// A program under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectLine {
    /// As in the rows.
    pub name: String,
    /// As the program itself says; or why it was skipped.
    pub version: String,
}

impl Report {
    /// An empty report of this machine.
    #[must_use]
    pub fn new(plan: &str, began: u64) -> Self {
        Self {
            schema: SCHEMA,
            began,
            took: 0.0,
            plan: plan.to_owned(),
            complete: false,
            machine: Machine::of_this(),
            subjects: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Writes the report as JSON, and makes its folder.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn keep(&self, file: &Path) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::write(file, json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_back_from_its_file_as_it_was() {
        let mut report = Report::new("quick", 1_700_000_000);
        report.rows.push(row::tests::cpu_row());
        report.notes.push("a note".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/report.json");
        report.keep(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let back: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(back, report);
        assert!(text.contains("\"schema\": 1"));
    }
}
