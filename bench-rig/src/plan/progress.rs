//! What is going on now and how long it will take, on standard error.
//!
//! The time left is what the plan expects, stretched by how much longer than expected it took so far.
//! On a terminal one line is written over and over; elsewhere each experiment gets a line.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How far a run is.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    expected: Vec<Duration>,
    at: usize,
    before: Duration,
    title: &'static str,
    terminal: bool,
    trials: bool,
}

impl Progress {
    /// A run of experiments that are expected to take so long each.
    pub(super) fn new(expected: Vec<Duration>, trials: bool) -> Self {
        Self {
            began: Instant::now(),
            expected,
            at: 0,
            before: Duration::ZERO,
            title: "",
            // A line that is written over and lines that stay do not go together.
            terminal: io::stderr().is_terminal() && !trials,
            trials,
        }
    }

    /// The next experiment begins.
    pub(super) fn next(&mut self, title: &'static str) {
        self.at += 1;
        self.before = self.began.elapsed();
        self.title = title;
        let line = self.line("");
        self.write(&line, true);
    }

    /// Something within the experiment begins.
    pub(super) fn step(&self, words: &str) {
        self.write(&self.line(words), self.trials);
    }

    /// What a trial showed, for those who asked for it.
    pub(super) fn trial(&self, words: impl FnOnce() -> String) {
        if self.trials {
            // Nobody may be reading.
            writeln!(io::stderr(), "{}", words()).ok();
        }
    }

    /// Leaves the line on which progress was written.
    pub(super) fn end(&self) {
        if self.terminal {
            eprintln!();
        }
    }

    fn line(&self, words: &str) -> String {
        let spent = self.began.elapsed();
        let left = time_left(&self.expected, self.at, self.before, spent);
        format!(
            "[{}/{}] {} {words} - {} gone, about {} left",
            self.at,
            self.expected.len(),
            self.title,
            minutes(spent),
            minutes(left)
        )
    }

    fn write(&self, line: &str, begins: bool) {
        let mut err = io::stderr().lock();
        // Nobody may be reading.
        if self.terminal {
            write!(err, "\r\x1b[K{line}").ok();
            err.flush().ok();
        } else if begins {
            writeln!(err, "{line}").ok();
        }
    }
}

/// What remains when experiment number `at` (from 1) began after `before`, and `spent` is gone now.
fn time_left(expected: &[Duration], at: usize, before: Duration, spent: Duration) -> Duration {
    let this = at.saturating_sub(1);
    let sum = |parts: Option<&[Duration]>| parts.unwrap_or_default().iter().sum::<Duration>();
    let planned = sum(expected.get(..this));
    let stretch = if planned.is_zero() {
        1.0
    } else {
        (before.as_secs_f64() / planned.as_secs_f64()).clamp(0.3, 3.0)
    };
    let ours = expected.get(this).copied().unwrap_or_default();
    let within = spent.saturating_sub(before);
    ours.mul_f64(stretch).saturating_sub(within) + sum(expected.get(at..)).mul_f64(stretch)
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn time_left_is_what_was_expected_and_grows_when_it_takes_longer() {
        let expected = [MINUTE, MINUTE, MINUTE];
        let left = |at, before, spent| time_left(&expected, at, before, spent);
        assert_eq!(left(1, Duration::ZERO, Duration::ZERO), 3 * MINUTE);
        assert_eq!(left(2, MINUTE, MINUTE), 2 * MINUTE);
        assert_eq!(left(2, 2 * MINUTE, 2 * MINUTE), 4 * MINUTE);
        assert_eq!(left(3, 2 * MINUTE, 4 * MINUTE), Duration::ZERO);
    }

    #[test]
    fn times_are_minutes_and_seconds() {
        assert_eq!(minutes(Duration::from_secs(125)), "2:05");
    }
}
