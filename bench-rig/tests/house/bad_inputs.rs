//! `docs/bad-inputs.md` lists what an attacker or a broken client may send, numbered 1 to 94, each
//! with the answer and the test that shows it. The test that a row names has to exist.
//!
//! A row is `| number | input | answer | test |`; the test is one or more of
//! `` `folder/file.rs::test_name` ``, or `not yet: reason`.

use std::fs;

use super::{assert_none, root};

const LAST: u32 = 94;

#[test]
fn every_bad_input_is_listed_with_a_test_that_exists() {
    let path = root().join("docs/bad-inputs.md");
    let table = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    assert_none(&complaints(&table, |file| {
        fs::read_to_string(root().join(file)).ok()
    }));
}

#[test]
fn a_missing_row_test_or_reason_is_found() {
    let source = |file: &str| (file == "a/t.rs").then(|| "#[test]\nfn it_is_refused() {}".into());
    let good: Vec<String> = (1..=LAST)
        .map(|n| format!("| {n} | in | out | `a/t.rs::it_is_refused` |"))
        .collect();
    assert_none(&complaints(&good.join("\n"), source));

    for (bad, why) in [
        ("", "1 is missing"),
        (
            "| 1 | in | out | `a/t.rs::it_is_refused` |\n| 1 | in | out | not yet: x |",
            "twice",
        ),
        (
            "| 1 | in | out | `a/t.rs::it_is_gone` |",
            "has no fn it_is_gone",
        ),
        ("| 1 | in | out | `a/t.rs::it_is` |", "has no fn it_is"),
        (
            "| 1 | in | out | `a/u.rs::it_is_refused` |",
            "no file a/u.rs",
        ),
        ("| 1 | in | out | it_is_refused |", "names no test"),
        ("| 1 | in | out | not yet: |", "names no test"),
        ("| 1 | in |  | not yet: a reason |", "has an empty cell"),
    ] {
        let mut rows = good.clone();
        rows[0] = bad.to_owned();
        let complaints = complaints(&rows.join("\n"), source);
        assert_eq!(complaints.len(), 1, "{bad}: {complaints:?}");
        assert!(complaints[0].contains(why), "{bad}: {complaints:?}");
    }
    let one_more = format!("{}\n| 95 | in | out | not yet: a reason |", good.join("\n"));
    assert_eq!(complaints(&one_more, source).len(), 1);
}

/// A row of the table.
struct Row<'a> {
    number: u32,
    cells: Vec<&'a str>,
}

fn complaints(table: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rows: Vec<Row<'_>> = table.lines().filter_map(row).collect();
    let mut complaints = Vec::new();
    for number in 1..=LAST {
        match rows.iter().filter(|row| row.number == number).count() {
            0 => complaints.push(format!("bad input {number} is missing")),
            1 => {}
            _ => complaints.push(format!("bad input {number} is listed twice")),
        }
    }
    for row in &rows {
        if row.number == 0 || row.number > LAST {
            complaints.push(format!(
                "bad input {} is not one of 1 to {LAST}",
                row.number
            ));
        }
        complaints.extend(wrong_with(row, &source));
    }
    complaints
}

/// The cells of a table line whose first cell is a number.
fn row(line: &str) -> Option<Row<'_>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = inner.split('|').map(str::trim);
    let number = cells.next()?.parse().ok()?;
    Some(Row {
        number,
        cells: cells.collect(),
    })
}

fn wrong_with(row: &Row<'_>, source: impl Fn(&str) -> Option<String>) -> Option<String> {
    let number = row.number;
    let [input, answer, test] = row.cells[..] else {
        return Some(format!(
            "bad input {number} has {} cells, not four",
            row.cells.len() + 1
        ));
    };
    if input.is_empty() || answer.is_empty() {
        return Some(format!("bad input {number} has an empty cell"));
    }
    if test
        .strip_prefix("not yet:")
        .is_some_and(|reason| !reason.trim().is_empty())
    {
        return None;
    }
    let named: Vec<(String, &str)> = test
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(split)
        .collect();
    if named.is_empty() {
        return Some(format!(
            "bad input {number} names no test and gives no reason"
        ));
    }
    named.iter().find_map(|(file, name)| {
        let Some(text) = source(file) else {
            return Some(format!("bad input {number}: no file {file}"));
        };
        let found = text.contains(&format!("fn {name}("));
        (!found).then(|| format!("bad input {number}: {file} has no fn {name}"))
    })
}

/// Splits `folder/file.rs::test_name` (or `folder::file.rs::module::test_name`) in file and name.
fn split(test: &str) -> Option<(String, &str)> {
    let (file, rest) = test.split_once(".rs::")?;
    let name = rest.rsplit("::").next()?;
    Some((format!("{}.rs", file.replace("::", "/")), name))
}
