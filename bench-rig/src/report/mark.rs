//! What a figure must reach, and whether it did.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::row::{Better, Row};

/// What the first subject's figure must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// At most so many times the best rival's figure.
    AtMostTimes(f64),
    /// At least so many times the best rival's figure.
    AtLeastTimes(f64),
    /// At most this, in the row's unit.
    AtMost(f64),
    /// At least this, in the row's unit.
    AtLeast(f64),
}

impl Mark {
    /// Whether the row reaches it; `None` when what it compares is missing.
    #[must_use]
    pub fn is_reached(&self, row: &Row) -> Option<bool> {
        let own = row.own()?.estimate.value;
        match self {
            Self::AtMostTimes(factor) => Some(own <= factor * row.best_rival()?.1.estimate.value),
            Self::AtLeastTimes(factor) => Some(own >= factor * row.best_rival()?.1.estimate.value),
            Self::AtMost(bound) => Some(own <= *bound),
            Self::AtLeast(bound) => Some(own >= *bound),
        }
    }

    /// Words for a table.
    #[must_use]
    pub fn words(&self, row: &Row) -> String {
        match self {
            Self::AtMostTimes(factor) => format!("<= {factor:.2} x the best"),
            Self::AtLeastTimes(factor) => format!(">= {factor:.2} x the best"),
            Self::AtMost(bound) => format!("<= {}", row.unit.number(*bound)),
            Self::AtLeast(bound) => format!(">= {}", row.unit.number(*bound)),
        }
    }
}

/// How a row ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All marks are reached.
    Reached,
    /// A mark is not.
    Short,
    /// The row has no mark.
    NoMark,
    /// There is nothing to judge, and why.
    Skipped(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached => write!(out, "reached"),
            Self::Short => write!(out, "short"),
            Self::NoMark => write!(out, "no mark"),
            Self::Skipped(why) => write!(out, "skipped: {why}"),
        }
    }
}

impl Row {
    /// Judges the row by its marks.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.own().is_none() {
            let why = match self.measured.first() {
                Some(own) => own.figure.clone().err().unwrap_or_default(),
                None => "not measured".to_owned(),
            };
            return Verdict::Skipped(why);
        }
        if self.marks.is_empty() {
            return Verdict::NoMark;
        }
        let judged: Vec<Option<bool>> = self
            .marks
            .iter()
            .map(|mark| mark.is_reached(self))
            .collect();
        if judged.contains(&Some(false)) {
            Verdict::Short
        } else if judged.contains(&None) {
            Verdict::Skipped("no rival to compare with".to_owned())
        } else {
            Verdict::Reached
        }
    }
}

impl Better {
    /// Whether `one` is the better figure.
    #[must_use]
    pub fn prefers(self, one: f64, other: f64) -> bool {
        match self {
            Self::Lower => one < other,
            Self::Higher => one > other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::cpu_row;
    use super::*;

    #[test]
    fn a_mark_compares_with_the_best_of_the_rivals() {
        // 1,000 ns against 4,000 and 2,500.
        let mut row = cpu_row();
        row.marks = vec![Mark::AtMostTimes(0.4)];
        assert_eq!(row.verdict(), Verdict::Reached);
        row.marks = vec![Mark::AtMostTimes(0.39)];
        assert_eq!(row.verdict(), Verdict::Short);
    }

    #[test]
    fn every_mark_of_a_row_counts() {
        let mut row = cpu_row();
        row.marks = vec![Mark::AtMostTimes(0.5), Mark::AtMost(900.0)];
        assert_eq!(row.verdict(), Verdict::Short);
        row.marks = vec![Mark::AtMostTimes(0.5), Mark::AtMost(1_000.0)];
        assert_eq!(row.verdict(), Verdict::Reached);
    }

    #[test]
    fn a_row_without_figures_says_why_and_is_never_reached() {
        let mut row = cpu_row();
        row.marks = vec![Mark::AtMostTimes(0.5)];
        row.measured[0].figure = Err("died under load".to_owned());
        assert_eq!(
            row.verdict(),
            Verdict::Skipped("died under load".to_owned())
        );
        let mut alone = cpu_row();
        alone.marks = vec![Mark::AtMostTimes(0.5)];
        alone.measured.truncate(1);
        assert_eq!(
            alone.verdict(),
            Verdict::Skipped("no rival to compare with".to_owned())
        );
    }
}
