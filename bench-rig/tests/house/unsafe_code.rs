//! The engines hold no unsafe code: each crate under `control/` forbids it itself, so that no
//! `expect` further down can let it in. Those that build without an operating system are `no_std`.
//! Elsewhere unsafe code lives in the ring's room, in the kernel's programs, in the data plane and in
//! the rig's load generator only, and in the counting allocators of tests.

use std::fs;

use super::no_os::OS_FREE;
use super::{TextFile, assert_none, metadata, root, text_files};

/// The only folders whose code may be unsafe.
const ROOMS: &[&str] = &[
    "userspace/src/uring/",
    "bench-rig/src/load/",
    "dataplane/",
    "ebpf/",
];

/// How unsafe code begins, put together here so that this file has none.
const BEGINNINGS: &[&str] = &[
    concat!("uns", "afe {"),
    concat!("uns", "afe fn "),
    concat!("uns", "afe impl "),
    concat!("uns", "afe trait "),
    concat!("uns", "afe extern "),
];

#[test]
fn every_control_crate_forbids_unsafe_code() {
    assert_none(&lacking("#![forbid(unsafe_code)]", |_| true));
}

#[test]
fn every_os_free_crate_is_no_std() {
    assert_none(&lacking("#![no_std]", |name| OS_FREE.contains(&name)));
}

#[test]
fn an_attribute_that_is_missing_or_commented_out_is_found() {
    assert!(has_attribute(
        "//! Doc.\n#![forbid(unsafe_code)]\n",
        "#![forbid(unsafe_code)]"
    ));
    assert!(!has_attribute("//! Doc.\n", "#![forbid(unsafe_code)]"));
    assert!(!has_attribute(
        "// #![forbid(unsafe_code)]\n",
        "#![forbid(unsafe_code)]"
    ));
    assert!(!has_attribute(
        "#![deny(unsafe_code)]\n",
        "#![forbid(unsafe_code)]"
    ));
}

#[test]
fn unsafe_code_lives_in_its_rooms_only() {
    let files = text_files();
    assert_none(&outside(&files));
    assert!(
        files.iter().any(is_unsafe),
        "the ring's unsafe code is not found"
    );
}

#[test]
fn unsafe_code_in_another_room_is_found() {
    for beginning in BEGINNINGS {
        let text = format!("    let x = {beginning}y()\n");
        let file = |path: &str| {
            [TextFile {
                path: path.to_owned(),
                text: text.clone(),
            }]
        };
        assert_eq!(
            outside(&file("userspace/src/shard/mod.rs")).len(),
            1,
            "{beginning}"
        );
        assert_eq!(
            outside(&file("control/a/tests/b.rs")).len(),
            1,
            "{beginning}"
        );
        assert_none(&outside(&file("userspace/src/uring/ring.rs")));
        assert_none(&outside(&file("docs/unsafe.md")));
    }
    let comment = format!(
        "// {} is a word\nlet x = 1; // {}\n",
        BEGINNINGS[0], BEGINNINGS[1]
    );
    let file = TextFile {
        path: "userspace/src/lib.rs".to_owned(),
        text: comment,
    };
    assert_none(&outside(&[file]));
}

/// The files with unsafe code where none may be.
fn outside(files: &[TextFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| is_unsafe(file))
        .filter(|file| !ROOMS.iter().any(|room| file.path.starts_with(room)))
        .filter(|file| !is_counting_allocator(file))
        .map(|file| format!("{} has unsafe code", file.path))
        .collect()
}

fn is_unsafe(file: &TextFile) -> bool {
    let begins = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        BEGINNINGS.iter().any(|beginning| code.contains(beginning))
    };
    file.is_rust() && file.text.lines().any(begins)
}

/// A test that counts what is allocated needs a global allocator, which cannot be written without.
fn is_counting_allocator(file: &TextFile) -> bool {
    file.path.contains("/tests/") && file.text.contains("impl GlobalAlloc for")
}

/// The control crates for which `applies` whose `lib.rs` lacks an attribute.
fn lacking(attribute: &str, applies: impl Fn(&str) -> bool) -> Vec<String> {
    let control = root().join("control");
    let metadata = metadata();
    let crates: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path.as_std_path().starts_with(&control))
        .filter(|package| applies(&package.name))
        .collect();
    assert!(
        crates.len() >= OS_FREE.len(),
        "cargo metadata lists too few control crates"
    );
    crates
        .iter()
        .filter_map(|package| {
            let lib = package.manifest_path.with_file_name("src").join("lib.rs");
            let text = fs::read_to_string(&lib).unwrap_or_else(|error| panic!("{lib}: {error}"));
            (!has_attribute(&text, attribute)).then(|| format!("{lib} lacks {attribute}"))
        })
        .collect()
}

fn has_attribute(source: &str, attribute: &str) -> bool {
    source.lines().any(|line| line.trim_end() == attribute)
}
