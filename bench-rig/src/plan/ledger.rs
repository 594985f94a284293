//! The report while it grows, shared with the thread that prints it on Ctrl-C.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Plan;
use crate::report::{Report, Row, SubjectLine};

/// What was measured so far.
#[derive(Debug, Clone)]
pub struct Ledger {
    report: Arc<Mutex<Report>>,
    began: Instant,
}

impl Ledger {
    /// Nothing yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        // A clock before 1970 is reported as 1970.
        let began = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self {
            report: Arc::new(Mutex::new(Report::new(&plan.name, began))),
            began: Instant::now(),
        }
    }

    /// All of it, as the report of a run that ends now.
    #[must_use]
    pub fn so_far(&self, complete: bool) -> Report {
        let mut report = self.open().clone();
        report.took = self.began.elapsed().as_secs_f64();
        report.complete = complete;
        report
    }

    pub(super) fn subject(&self, line: SubjectLine) {
        self.open().subjects.push(line);
    }

    pub(super) fn row(&self, row: Row) {
        self.open().rows.push(row);
    }

    pub(super) fn note(&self, note: String) {
        self.open().notes.push(note);
    }

    fn open(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
