//! The table of purposes and the tests say the same.

use std::fs;
use std::path::Path;

#[test]
fn every_test_is_in_the_table_and_every_row_is_a_test() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(room.join("../../docs/rfc/9260-conformance.md")).unwrap();
    let mut tests = Vec::new();
    for folder in ["tests/conformance", "tests/wire", "src"] {
        for file in fs::read_dir(room.join(folder)).unwrap().flatten() {
            if file.path().extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(file.path()).unwrap();
                let found = names(&text).map(|name| (folder, name.to_owned()));
                tests.extend(found);
            }
        }
    }
    let rows: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
    let is_row = |name: &str| rows.contains(&name);
    let own = tests
        .iter()
        .filter(|(folder, _)| *folder == "tests/conformance");
    let missing: Vec<_> = own
        .filter(|(_, name)| !is_row(name) && !name.starts_with("every_test_is_in"))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let is_test = |row: &&str| tests.iter().any(|(_, name)| name == row);
    let is_name = |row: &&str| row.contains('_') && !row.contains(['/', '.']);
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| is_name(row) && !is_test(row))
        .collect();
    assert!(wrong.is_empty(), "no such tests: {wrong:?}");
}

/// The names of the tests in a source file.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|after| {
        let (_, after) = after.split_once("fn ")?;
        Some(after.split_once('(')?.0)
    })
}
