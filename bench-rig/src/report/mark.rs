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
    /// Judges a row by this alone. A figure that is "at least" may be higher, and decides nothing where
    /// that would turn the answer.
    #[must_use]
    pub fn verdict(&self, row: &Row) -> Verdict {
        let Some(own) = row.own() else {
            return Verdict::Skipped("not measured".to_owned());
        };
        let (bound, may_be_higher) = match self {
            Self::AtMost(bound) | Self::AtLeast(bound) => (*bound, false),
            Self::AtMostTimes(factor) | Self::AtLeastTimes(factor) => match row.best_rival() {
                Some((_, best)) => (factor * best.estimate.value, row.best_may_be_higher()),
                None => return Verdict::Skipped("no rival to compare with".to_owned()),
            },
        };
        let wants_less = matches!(self, Self::AtMost(_) | Self::AtMostTimes(_));
        let own_value = own.estimate.value;
        let is_reached = match wants_less {
            true => own_value <= bound,
            false => own_value >= bound,
        };
        let is_open = match is_reached == wants_less {
            true => own.at_least,
            false => may_be_higher,
        };
        match (is_open, is_reached) {
            (true, _) => Verdict::Undecided,
            (false, true) => Verdict::Reached,
            (false, false) => Verdict::Short,
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
    /// A mark might be or not: a figure that it compares is only known to be "at least" so much.
    Undecided,
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
            Self::Undecided => write!(out, "undecided"),
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
        let mut row_verdict = Verdict::Reached;
        for mark in &self.marks {
            match (mark.verdict(self), &row_verdict) {
                (Verdict::Short, _) => return Verdict::Short,
                (Verdict::Undecided, _) => row_verdict = Verdict::Undecided,
                (verdict, Verdict::Reached) => row_verdict = verdict,
                _ => {}
            }
        }
        row_verdict
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
    fn a_figure_that_may_be_higher_decides_only_what_that_would_not_turn() {
        let judge = |mark: Mark, own_is_open: bool, rival_is_open: bool| {
            let mut row = cpu_row();
            row.marks = vec![mark];
            // The third is the best rival.
            for (place, is_open) in [(0, own_is_open), (2, rival_is_open)] {
                row.measured[place].figure.as_mut().unwrap().at_least = is_open;
            }
            row.verdict()
        };
        // 1,000 against 4,000 and 2,500: the mark, and the verdict when our figure may be higher, when
        // a rival's may be.
        let cases = [
            (Mark::AtMostTimes(0.4), Verdict::Undecided, Verdict::Reached),
            (Mark::AtMostTimes(0.3), Verdict::Short, Verdict::Undecided),
            (
                Mark::AtLeastTimes(0.4),
                Verdict::Reached,
                Verdict::Undecided,
            ),
            (Mark::AtLeastTimes(0.5), Verdict::Undecided, Verdict::Short),
            (Mark::AtMost(1_000.0), Verdict::Undecided, Verdict::Reached),
            (Mark::AtLeast(1_001.0), Verdict::Undecided, Verdict::Short),
        ];
        for (mark, own_is_open, rival_is_open) in cases {
            assert_eq!(judge(mark, true, false), own_is_open, "{mark:?}");
            assert_eq!(judge(mark, false, true), rival_is_open, "{mark:?}");
        }
    }

    #[test]
    fn a_mark_that_is_missed_weighs_more_than_one_that_is_open() {
        let mut row = cpu_row();
        row.measured[0].figure.as_mut().unwrap().at_least = true;
        row.marks = vec![Mark::AtMostTimes(0.5), Mark::AtMost(900.0)];
        assert_eq!(row.verdict(), Verdict::Short);
        row.marks = vec![Mark::AtMostTimes(0.5), Mark::AtLeast(900.0)];
        assert_eq!(row.verdict(), Verdict::Undecided);
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
