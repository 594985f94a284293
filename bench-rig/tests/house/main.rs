//! Keeps the house in order: who may import whom, what builds without an operating system, how long
//! files and functions get, which words stay out, and that the documents name tests that exist.
//!
//! Each rule is a function from the project's files to a list of complaints. One test runs it on
//! this project and wants none; another runs it on something bad and wants the complaint.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

mod bad_inputs;
mod deviations;
mod imports;
mod no_os;
mod sizes;
mod unsafe_code;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};

/// A text file of the project.
struct TextFile {
    /// Relative to the project's root, with forward slashes.
    path: String,
    text: String,
}

impl TextFile {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// The project's root folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench-rig is in the root")
        .to_owned()
}

/// Every text file that git tracks or would track. Fails where there is no git to ask.
fn text_files() -> Vec<TextFile> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("the house rules need git");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let files: Vec<TextFile> = listed
        .split_terminator('\0')
        .filter_map(|path| {
            // A listed file may be deleted in the work tree; a file that is not UTF-8 is no text.
            let text = fs::read_to_string(root().join(path)).ok()?;
            Some(TextFile {
                path: path.to_owned(),
                text,
            })
        })
        .collect();
    assert!(
        files.iter().any(TextFile::is_rust),
        "git lists no source file"
    );
    files
}

/// The packages of the workspace with the dependencies they declare.
fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata")
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
