//! The report as text: a table for a terminal, and one in Markdown for documents.

use std::fmt::Write as _;

use super::row::{Figure, Measured, Row};
use super::{Machine, Report};

/// For a terminal: a paragraph a row.
#[must_use]
pub fn terminal(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report, "");
    for row in &report.rows {
        let unit = row.unit.words();
        line(&mut text, format_args!(""));
        line(
            &mut text,
            format_args!("{}  [{}, {unit}]", row.what, row.name),
        );
        for (place, measured) in row.measured.iter().enumerate() {
            let ratio = if place == 0 {
                String::new()
            } else {
                against(row, measured)
            };
            let figure = words(row, measured);
            line(
                &mut text,
                format_args!("  {:<26} {figure:<44}{ratio}", measured.subject),
            );
        }
        line(&mut text, format_args!("  {}", judged(row)));
        for note in &row.notes {
            line(&mut text, format_args!("  - {note}"));
        }
    }
    line(&mut text, format_args!(""));
    for note in &report.notes {
        line(&mut text, format_args!("{note}"));
    }
    line(&mut text, format_args!("{}", sum(report)));
    text
}

/// In Markdown: one table with a line a row.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report, "- ");
    line(&mut text, format_args!(""));
    line(
        &mut text,
        format_args!("| what | unit | Turnpike | best rival | others | ratio | mark | |"),
    );
    line(&mut text, format_args!("|---|---|---|---|---|---|---|---|"));
    for row in &report.rows {
        line(&mut text, format_args!("{}", markdown_line(row)));
    }
    line(&mut text, format_args!(""));
    for note in &report.notes {
        line(&mut text, format_args!("- {note}"));
    }
    text
}

fn markdown_line(row: &Row) -> String {
    let best = row.best_rival().map(|(name, _)| name);
    let cell = |measured: &Measured| words(row, measured);
    let named = |measured: &Measured| format!("{}: {}", measured.subject, cell(measured));
    let own = row.measured.first().map(cell).unwrap_or_default();
    let rivals = || row.measured.iter().skip(1);
    let first: Vec<String> = rivals()
        .filter(|measured| Some(measured.subject.as_str()) == best)
        .map(named)
        .collect();
    let others: Vec<String> = rivals()
        .filter(|measured| Some(measured.subject.as_str()) != best)
        .map(named)
        .collect();
    let ratio = row
        .ratio()
        .map(|ratio| format!("{:.2}", ratio.value))
        .unwrap_or_default();
    format!(
        "| {} | {} | {own} | {} | {} | {ratio} | {} | {} |",
        row.what,
        row.unit.words(),
        first.join("; "),
        others.join("; "),
        marks(row),
        row.verdict(),
    )
}

fn head(text: &mut String, report: &Report, bullet: &str) {
    let Machine {
        cpu,
        cores,
        memory,
        kernel,
        guest,
        mitigations,
    } = &report.machine;
    let guest = if *guest { ", a virtual machine" } else { "" };
    line(
        text,
        format_args!(
            "{bullet}{cpu}, {cores} cores, {} MiB{guest}; Linux {kernel}",
            memory >> 20
        ),
    );
    let mitigations = if mitigations.is_empty() {
        "none".to_owned()
    } else {
        mitigations.join("; ")
    };
    line(text, format_args!("{bullet}mitigations: {mitigations}"));
    for subject in &report.subjects {
        line(
            text,
            format_args!("{bullet}{}: {}", subject.name, subject.version),
        );
    }
}

/// How many marks were reached.
fn sum(report: &Report) -> String {
    let count = |wanted: &str| {
        report
            .rows
            .iter()
            .filter(|row| !row.marks.is_empty() && row.verdict().to_string().starts_with(wanted))
            .count()
    };
    let ended = if report.complete {
        "complete"
    } else {
        "INCOMPLETE: stopped before its end"
    };
    format!(
        "{} plan, {:.0} s, {ended}; marks: {} reached, {} short, {} undecided, {} skipped",
        report.plan,
        report.took,
        count("reached"),
        count("short"),
        count("undecided"),
        count("skipped"),
    )
}

fn judged(row: &Row) -> String {
    let verdict = row.verdict();
    let mut words = if row.marks.is_empty() {
        verdict.to_string()
    } else {
        format!("mark {}: {verdict}", marks(row))
    };
    if let Some((ratio, (best, _))) = row.ratio().zip(row.best_rival()) {
        write!(
            words,
            " ({:.2} x {best}, {:.2} to {:.2})",
            ratio.value, ratio.low, ratio.high
        )
        .ok();
    }
    words
}

fn marks(row: &Row) -> String {
    let words: Vec<String> = row.marks.iter().map(|mark| mark.words(row)).collect();
    words.join(" and ")
}

/// A rival's figure over the first program's.
fn against(row: &Row, measured: &Measured) -> String {
    let ratio = row.own().and_then(|own| {
        let rival = measured.figure.as_ref().ok()?;
        rival.estimate.times(&own.estimate)
    });
    ratio
        .map(|ratio| format!("{:.2} x", ratio.value))
        .unwrap_or_default()
}

/// A figure with its interval, or why there is none.
fn words(row: &Row, measured: &Measured) -> String {
    let Figure { estimate, at_least } = match &measured.figure {
        Ok(figure) => figure,
        Err(why) => return why.clone(),
    };
    let number = |value: f64| row.unit.number(value);
    let prefix = if *at_least { "at least " } else { "" };
    let value = number(estimate.value);
    if estimate.low == estimate.high {
        format!("{prefix}{value}")
    } else {
        format!(
            "{prefix}{value} ({} to {})",
            number(estimate.low),
            number(estimate.high)
        )
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(text, "{words}").ok();
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::cpu_row;
    use super::super::{Mark, SubjectLine};
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("quick", 0);
        report.subjects.push(SubjectLine {
            name: "coturn 4.6.1".to_owned(),
            version: "4.6.1 (Debian)".to_owned(),
        });
        let mut row = cpu_row();
        row.marks = vec![Mark::AtMostTimes(0.5)];
        report.rows.push(row);
        let mut short = cpu_row();
        short.marks = vec![Mark::AtMostTimes(0.3)];
        if let Some(Ok(figure)) = short.measured.first_mut().map(|own| &mut own.figure) {
            figure.at_least = true;
        }
        report.rows.push(short);
        report
    }

    #[test]
    fn the_terminal_shows_machine_versions_figures_and_verdicts() {
        let text = terminal(&report());
        for wanted in [
            "mitigations: ",
            "coturn 4.6.1: 4.6.1 (Debian)",
            "1,000 (980 to 1,020)",
            "at least 1,000",
            "not installed",
            "mark <= 0.50 x the best: reached (0.40 x coturn 4.18 gso, 0.38 to 0.42)",
            "mark <= 0.30 x the best: short",
            "INCOMPLETE",
            "1 reached, 1 short, 0 undecided, 0 skipped",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }

    #[test]
    fn markdown_has_a_line_a_row_with_the_best_rival_first() {
        let text = markdown(&report());
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("| CPU"))
            .collect();
        assert_eq!(rows.len(), 2);
        assert!(
            rows[0].contains("| coturn 4.18 gso: 2,500 (2,450 to 2,550) | coturn 4.6.1: 4,000"),
            "{text}"
        );
        assert!(rows[0].ends_with("| 0.40 | <= 0.50 x the best | reached |"));
    }
}
