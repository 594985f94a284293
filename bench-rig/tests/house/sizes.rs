//! Files over 600 lines and functions over 70 fail, unless `house_ratchet.txt` has a row for them. A row's
//! number is what was measured, and follows it down: it may only shrink, and goes when the limit
//! is met.
//!
//! Lines of inline test modules do not count. A function's length is counted on rustfmt's layout:
//! from its first line to the closing brace at the same indentation.

use std::collections::BTreeMap;
use std::fs;

use super::{TextFile, assert_none, root, text_files};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

const RATCHET: &str = "bench-rig/tests/house_ratchet.txt";

/// What is measured, by its name in the ratchet: `path` or `path::function`.
type Measured = BTreeMap<String, usize>;

#[test]
fn no_file_or_function_is_too_long() {
    let mut files = Measured::new();
    let mut functions = Measured::new();
    for file in text_files().iter().filter(|file| file.is_rust()) {
        let lines = without_test_modules(&file.text);
        files.insert(file.path.clone(), lines.len());
        if !is_test(file) {
            for (name, length) in function_lengths(&lines) {
                longest(&mut functions, format!("{}::{name}", file.path), length);
            }
        }
    }
    assert!(functions.len() > 100, "the counter finds no functions");
    let ratchet = fs::read_to_string(root().join(RATCHET)).expect(RATCHET);
    let mut rows = parse_ratchet(&ratchet);
    let mut complaints = judge(&files, FILE_LINES_MAX, &mut rows);
    complaints.extend(judge(&functions, FUNCTION_LINES_MAX, &mut rows));
    complaints.extend(
        rows.keys()
            .map(|name| format!("{RATCHET}: there is no {name} any more")),
    );
    assert_none(&complaints);
}

#[test]
fn a_long_function_is_measured_and_a_short_one_is_not_mistaken() {
    let body = "        work();\n".repeat(80);
    let source = format!(
        "trait T {{\n    fn declared(\n        &self,\n    ) -> u8;\n    fn short() {{}}\n}}\n\
         impl T for X {{\n    pub(crate) async fn long(\n        &self,\n    ) {{\n{body}    }}\n}}\n\
         fn after() {{\n    if x {{\n    }}\n}}\n"
    );
    let lines: Vec<&str> = source.lines().collect();
    let lengths: Vec<(&str, usize)> = function_lengths(&lines);
    assert_eq!(
        lengths,
        [("declared", 3), ("short", 1), ("long", 84), ("after", 4)]
    );
}

#[test]
fn inline_test_modules_do_not_count() {
    let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
    assert_eq!(without_test_modules(source), ["fn a() {}", "fn c() {}"]);
    let source = "#[cfg(test)]\nmod tests;\nfn c() {}\n";
    assert_eq!(without_test_modules(source).last(), Some(&"fn c() {}"));
}

#[test]
fn the_ratchet_only_shrinks() {
    let measured = |length| Measured::from([("a.rs::f".to_owned(), length)]);
    let judged = |length, ratchet| judge(&measured(length), 70, &mut parse_ratchet(ratchet)).len();
    assert_eq!(judged(70, ""), 0);
    assert_eq!(judged(71, ""), 1, "over the limit");
    assert_eq!(judged(90, "# why\na.rs::f 90\n"), 0);
    assert_eq!(judged(91, "a.rs::f 90\n"), 1, "grown");
    assert_eq!(
        judged(89, "a.rs::f 90\n"),
        1,
        "shrunk: the row has to follow"
    );
    assert_eq!(
        judged(60, "a.rs::f 90\n"),
        1,
        "short again: the row has to go"
    );
}

/// Holds what was measured against the limit and the ratchet, whose rows it uses up.
fn judge(measured: &Measured, limit: usize, rows: &mut Measured) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, &length) in measured {
        let row = rows.remove(name);
        let allowed = row.unwrap_or(limit);
        if length > allowed {
            complaints.push(format!("{name} has {length} lines, {allowed} are allowed"));
        } else if row.is_some() && length <= limit {
            complaints.push(format!(
                "{name} is short again: take its row out of {RATCHET}"
            ));
        } else if row.is_some() && length < allowed {
            complaints.push(format!("{name} has shrunk: write {length} in {RATCHET}"));
        }
    }
    complaints
}

fn parse_ratchet(text: &str) -> Measured {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (name, lines) = line.rsplit_once(' ').expect("a row is `name lines`");
            (
                name.to_owned(),
                lines.parse().expect("a row ends with a number"),
            )
        })
        .collect()
}

/// Two functions of one name in a file count as the longer of them.
fn longest(functions: &mut Measured, name: String, length: usize) {
    let known = functions.entry(name).or_default();
    *known = length.max(*known);
}

/// Whether a file holds nothing but tests.
fn is_test(file: &TextFile) -> bool {
    file.path.contains("/tests/") || file.path.ends_with("/tests.rs")
}

fn without_test_modules(source: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let opens = |next: &&str| next.trim_start().starts_with("mod ") && next.ends_with('{');
        if line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            let end = format!("{}}}", indentation(line));
            lines.by_ref().find(|inner| *inner == end);
        } else {
            kept.push(line);
        }
    }
    kept
}

/// Names and lengths of the functions, those inside other functions too.
fn function_lengths<'a>(lines: &[&'a str]) -> Vec<(&'a str, usize)> {
    let measure = |(at, line): (usize, &&'a str)| {
        let name = function_name(line)?;
        let rest = lines.get(at..)?;
        let indent = indentation(line);
        let ends = |line: &&str| {
            line.strip_prefix(indent).is_some_and(|rest| {
                rest == "}" || (rest.starts_with([')', 'w']) && rest.ends_with(';'))
            })
        };
        let one_line = line.ends_with('}') || line.ends_with(';');
        let length = if one_line {
            1
        } else {
            rest.iter().position(ends)? + 1
        };
        Some((name, length))
    };
    lines.iter().enumerate().filter_map(measure).collect()
}

/// The name of the function whose definition starts on this line.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_qualifier = |word: &str| {
        matches!(
            word,
            "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" | "default"
        ) || word.starts_with("pub(")
            || word.ends_with(')')
    };
    if !before.split_whitespace().all(is_qualifier) {
        return None;
    }
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    after.get(..end).filter(|name| !name.is_empty())
}

fn indentation(line: &str) -> &str {
    line.get(..line.len() - line.trim_start().len())
        .unwrap_or_default()
}
