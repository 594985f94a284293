//! Words that stay out of the project's text files: work left undone, paths of one machine, and the
//! hosts of package registries.

use super::{TextFile, assert_none, text_files};

/// Whole words that mark unfinished work. Put together here, so that this file has none of them.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Text that may not occur anywhere.
const NOWHERE: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
    concat!("static.", "rust-lang.org"),
];

#[test]
fn no_file_has_a_word_that_stays_out() {
    assert_none(&text_files().iter().flat_map(complaints).collect::<Vec<_>>());
}

#[test]
fn a_planted_word_is_found() {
    for word in UNFINISHED {
        assert_eq!(
            complaints(&file(&format!("one\n// {word}: later\n"))).len(),
            1,
            "{word}"
        );
        assert_eq!(
            complaints(&file(&format!("{word}(name) later"))).len(),
            1,
            "{word}"
        );
    }
    for word in NOWHERE {
        assert_eq!(
            complaints(&file(&format!("one\ntwo {word}\n"))).len(),
            1,
            "{word}"
        );
    }
}

#[test]
fn a_longer_word_is_not_mistaken() {
    assert_none(&complaints(&file(
        "the MASTODONS; a TURNPIKE; X XXI; framework/",
    )));
}

fn file(text: &str) -> TextFile {
    TextFile {
        path: "planted.rs".to_owned(),
        text: text.to_owned(),
    }
}

fn complaints(file: &TextFile) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let unfinished = UNFINISHED.iter().filter(|word| has_word(line, word));
        let nowhere = NOWHERE.iter().filter(|text| line.contains(**text));
        for word in unfinished.chain(nowhere) {
            complaints.push(format!("{}:{number}: {word}", file.path));
        }
    }
    complaints
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|part| part == word)
}
