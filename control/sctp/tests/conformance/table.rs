//! The tables of purposes and of past faults say the same as the tests.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_is_in_the_table_and_every_row_is_a_test() {
    let rows = rows("9260-conformance.md");
    let own = tests(&["sctp/tests/conformance"]);
    let is_elsewhere = |name: &str| name.starts_with("every_test_is_in") || past(name);
    let missing: Vec<_> = own
        .iter()
        .filter(|name| !rows.contains(name) && !is_elsewhere(name))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    all_exist(&rows);
}

#[test]
fn every_test_is_in_the_table_of_past_faults_and_every_row_is_a_test() {
    let rows = rows("9260-past-faults.md");
    let text = fs::read_to_string(control().join("sctp/tests/conformance/past_faults.rs")).unwrap();
    let missing: Vec<_> = names(&text)
        .filter(|name| !rows.iter().any(|row| row == name))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    all_exist(&rows);
}

fn past(name: &str) -> bool {
    let text = fs::read_to_string(control().join("sctp/tests/conformance/past_faults.rs"));
    names(&text.unwrap()).any(|it| it == name)
}

fn control() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands between backticks in a table.
fn rows(table: &str) -> Vec<String> {
    let path = control().join("../docs/rfc").join(table);
    let text = fs::read_to_string(path).unwrap();
    let rows = text.split('`').skip(1).step_by(2);
    rows.map(str::to_owned).collect()
}

fn all_exist(rows: &[String]) {
    let tests = tests(&["sctp", "datachannel"]);
    let is_name = |row: &&String| row.contains('_') && !row.contains(['/', '.', ':']);
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| is_name(row) && !tests.contains(row))
        .collect();
    assert!(wrong.is_empty(), "no such tests: {wrong:?}");
}

/// The names of all tests in these folders.
fn tests(folders: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = folders.iter().map(|it| control().join(it)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().flatten().map(|it| it.path()));
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.extend(names(&text).map(str::to_owned));
        }
    }
    found
}

/// The names of the tests in a source file.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|after| {
        let after = after.trim_start().strip_prefix("fn ")?;
        Some(after.split_once('(')?.0)
    })
}
