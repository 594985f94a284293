//! The engines build where there is no operating system: for wasm32-unknown-unknown.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::root;

/// The crates that build without an operating system.
pub(super) const OS_FREE: &[&str] = &[
    "turnpike-types",
    "turnpike-stun",
    "turnpike-turn",
    "turnpike-sctp",
    "turnpike-datachannel",
    "turnpike-sim",
];

const TARGET: &str = "wasm32-unknown-unknown";

#[test]
fn the_engines_and_the_simulator_build_without_an_operating_system() {
    if let Err(said) = build(&root().join("Cargo.toml"), OS_FREE) {
        panic!("{said}\n(is the target there? `rustup target add {TARGET}`, or `make setup`)");
    }
}

#[test]
fn a_crate_that_needs_an_operating_system_does_not_build_without_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let manifest = folder.path().join("Cargo.toml");
    fs::write(
        &manifest,
        "[package]\nname = \"planted\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    )
    .unwrap();
    let library = folder.path().join("src/lib.rs");

    fs::write(&library, "#![no_std]\npub fn three() -> i32 { 3 }\n").unwrap();
    build(&manifest, &["planted"]).expect("a crate without an operating system builds");

    let descriptor = "pub fn three() -> std::os::fd::RawFd { 3 }\n";
    fs::write(&library, descriptor).unwrap();
    let said = build(&manifest, &["planted"]).expect_err("a planted file descriptor was not found");
    assert!(said.contains("could not find `fd`"), "{said}");
}

/// Builds packages for the target; what cargo said when it fails.
fn build(manifest: &Path, packages: &[&str]) -> Result<(), String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--lib", "--target", TARGET, "--manifest-path"])
        .arg(manifest);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let output = cargo.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
