//! A deviation from an RFC carries a mark in the code, the word and then `(rfc8656-7.2)` (see
//! [`MARK`]), and has a table row with the same mark and its reason under `docs/rfc/`. Neither goes
//! without the other.

use std::collections::BTreeSet;

use super::{TextFile, assert_none, text_files};

/// Put together here, so that this file has no mark.
const MARK: &str = concat!("DEVI", "ATION(");

#[test]
fn every_deviation_in_the_code_has_a_row_and_every_row_its_code() {
    assert_none(&complaints(&text_files()));
}

#[test]
fn a_mark_without_a_row_and_a_row_without_a_mark_are_found() {
    let code = file(
        "control/a/src/b.rs",
        &format!("// {MARK}rfc1-1): why\n// {MARK}rfc1-2)\n"),
    );
    let docs = file(
        "docs/rfc/1.md",
        &format!("| `{MARK}rfc1-2)` | why |\n| `{MARK}rfc1-3)` |\n"),
    );
    let prose = file(
        "docs/rfc/2.md",
        &format!("Prose may say {MARK}rfc1-1) without a row.\n"),
    );
    let complaints = complaints(&[code, docs, prose]);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(
        complaints
            .iter()
            .any(|complaint| complaint.contains("rfc1-1"))
    );
    assert!(
        complaints
            .iter()
            .any(|complaint| complaint.contains("rfc1-3"))
    );
}

fn file(path: &str, text: &str) -> TextFile {
    TextFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn complaints(files: &[TextFile]) -> Vec<String> {
    let code = files
        .iter()
        .filter(|file| file.is_rust())
        .flat_map(|file| file.text.lines());
    let rows = files
        .iter()
        .filter(|file| file.path.starts_with("docs/rfc/"))
        .flat_map(|file| file.text.lines())
        .filter(|line| line.trim_start().starts_with('|'));
    let code: BTreeSet<&str> = code.flat_map(marks).collect();
    let rows: BTreeSet<&str> = rows.flat_map(marks).collect();
    let without_row = code
        .difference(&rows)
        .map(|key| format!("no row in docs/rfc/ for {key}"));
    let without_code = rows
        .difference(&code)
        .map(|key| format!("no code has the mark of {key}"));
    without_row.chain(without_code).collect()
}

/// What stands between the brackets of each mark of a line.
fn marks(line: &str) -> impl Iterator<Item = &str> {
    line.split(MARK)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
}
