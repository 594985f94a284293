//! One row: one thing measured of several programs.

use serde::{Deserialize, Serialize};

use super::mark::Mark;
use super::number;
use crate::method::statistics::{Estimate, Point};

/// One row. The first of the measured is Turnpike, or what stands in its place; the others are rivals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The name by which `--only` knows it.
    pub name: String,
    /// What was measured, for people.
    pub what: String,
    /// The unit of every figure of the row.
    pub unit: Unit,
    /// Which figure is the better one.
    pub better: Better,
    /// Who was measured.
    pub measured: Vec<Measured>,
    /// What must be reached.
    pub marks: Vec<Mark>,
    /// How it was measured, and what went wrong on the way.
    pub notes: Vec<String>,
}

/// A program's part of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The program.
    pub subject: String,
    /// Its figure, or why there is none.
    pub figure: Result<Figure, String>,
    /// The trials behind a slope, for those who want to draw their own line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
}

/// A figure with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// In the row's unit.
    pub estimate: Estimate,
    /// The rig could not find the end: the true figure is this or more.
    pub at_least: bool,
}

impl From<Estimate> for Figure {
    fn from(estimate: Estimate) -> Self {
        Self {
            estimate,
            at_least: false,
        }
    }
}

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Costs, delays.
    Lower,
    /// Rates.
    Higher,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds of CPU time a packet.
    NanosecondsAPacket,
    /// Packets a second.
    PacketsASecond,
    /// Requests answered a second.
    RequestsASecond,
    /// Microseconds.
    Microseconds,
    /// Whole cycles a second.
    CyclesASecond,
    /// Bytes.
    Bytes,
    /// Allocations.
    Allocations,
    /// A part of a whole, printed in percent.
    Fraction,
}

impl Unit {
    /// Words for a table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NanosecondsAPacket => "ns/packet",
            Self::PacketsASecond => "packets/s",
            Self::RequestsASecond => "requests/s",
            Self::Microseconds => "us",
            Self::CyclesASecond => "cycles/s",
            Self::Bytes => "bytes",
            Self::Allocations => "allocations",
            Self::Fraction => "%",
        }
    }

    /// A number of this unit, without the unit.
    #[must_use]
    pub fn number(self, value: f64) -> String {
        match self {
            Self::Fraction => number::rounded(value * 100.0),
            _ => number::rounded(value),
        }
    }
}

impl Row {
    /// The figure of the first program, when it has one.
    #[must_use]
    pub fn own(&self) -> Option<Figure> {
        self.measured.first()?.figure.clone().ok()
    }

    /// The rival with the best figure, and the figure.
    #[must_use]
    pub fn best_rival(&self) -> Option<(&str, Figure)> {
        self.measured
            .iter()
            .skip(1)
            .filter_map(|rival| Some((rival.subject.as_str(), rival.figure.clone().ok()?)))
            .reduce(|best, other| {
                let better = self
                    .better
                    .prefers(other.1.estimate.value, best.1.estimate.value);
                if better { other } else { best }
            })
    }

    /// Whether the best rival's figure may be higher than is known. Where higher is better, any rival
    /// whose figure is "at least" may be the best.
    #[must_use]
    pub fn best_may_be_higher(&self) -> bool {
        let mut rivals = self.measured.iter().skip(1);
        match self.better {
            Better::Lower => self.best_rival().is_some_and(|(_, best)| best.at_least),
            Better::Higher => rivals.any(|rival| matches!(&rival.figure, Ok(it) if it.at_least)),
        }
    }

    /// The first program's figure over the best rival's, with the widest interval the two allow.
    #[must_use]
    pub fn ratio(&self) -> Option<Estimate> {
        let (_, rival) = self.best_rival()?;
        self.own()?.estimate.times(&rival.estimate)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// 1,000 ns against rivals of 4,000 and 2,500, and one that is missing.
    pub(in crate::report) fn cpu_row() -> Row {
        let measured = [
            ("turnpike", Ok(1_000.0)),
            ("coturn 4.6.1", Ok(4_000.0)),
            ("coturn 4.18 gso", Ok(2_500.0)),
            ("coturn 4.18", Err("not installed")),
        ]
        .map(|(subject, figure)| Measured {
            subject: subject.to_owned(),
            figure: figure
                .map(|value| {
                    Figure::from(Estimate {
                        value,
                        low: value * 0.98,
                        high: value * 1.02,
                    })
                })
                .map_err(str::to_owned),
            points: Vec::new(),
        });
        Row {
            name: "cpu-bursty".to_owned(),
            what: "CPU a relayed packet".to_owned(),
            unit: Unit::NanosecondsAPacket,
            better: Better::Lower,
            measured: measured.into(),
            marks: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_best_rival_is_the_cheapest_where_less_is_better_and_the_fastest_where_more_is() {
        let mut row = cpu_row();
        assert_eq!(row.best_rival().unwrap().0, "coturn 4.18 gso");
        row.better = Better::Higher;
        assert_eq!(row.best_rival().unwrap().0, "coturn 4.6.1");
        row.measured.truncate(1);
        assert_eq!(row.best_rival(), None);
    }

    #[test]
    fn the_ratio_is_against_the_best_rival() {
        let ratio = cpu_row().ratio().unwrap();
        assert!((ratio.value - 0.4).abs() < 1e-9);
        assert!(ratio.low < 0.39 && ratio.high > 0.41);
    }
}
