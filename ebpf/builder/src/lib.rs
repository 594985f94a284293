//! Builds a workspace of eBPF programs from a build script, or says what is missing.
//!
//! The programs need a compiler that has its library's source, which stable Rust only builds for
//! another target when told so, and a linker of LLVM's. Neither is needed for anything else here, so
//! their absence fails no build: the crate then carries an error message in place of the programs.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), String> {
//!     turnpike_ebpf_builder::build("../ebpf/generator", "generator")
//! }
//! // lib.rs: include!(concat!(env!("OUT_DIR"), "/generator.rs"));
//! // defines const GENERATOR: Result<&[u8], &str>
//! ```

#![forbid(unsafe_code)]

mod compiler;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use self::compiler::Compiler;

/// Builds the workspace in the folder `workspace`, relative to the package whose build script calls
/// this, and writes `NAME.rs` to the script's output folder: a constant in upper case that is the
/// object's bytes, or a message that says how to get them. The compiler that was taken stands in the
/// script's output (`cargo build -vv`).
///
/// # Errors
/// When there is all that is needed and the programs do not compile, or the output cannot be written.
pub fn build(workspace: &str, name: &str) -> Result<(), String> {
    let workspace = folder("CARGO_MANIFEST_DIR")?.join(workspace);
    let out = folder("OUT_DIR")?;
    watch(&workspace);
    let object = match find() {
        Ok((compiler, linker)) => {
            println!("{name}: built by {compiler}");
            Ok(compile(&compiler, &linker, &workspace, &out.join(name))?)
        }
        Err(missing) => {
            println!("cargo::warning={name}: no eBPF programs: {missing}");
            Err(missing)
        }
    };
    write(&out.join(format!("{name}.rs")), &constant(name, &object))
}

/// The source of the constant.
fn constant(name: &str, object: &Result<PathBuf, String>) -> String {
    let value = match object {
        Ok(path) => format!("Ok(include_bytes!({:?}))", path.display().to_string()),
        Err(missing) => format!("Err({missing:?})"),
    };
    format!(
        "const {}: Result<&[u8], &str> = {value};\n",
        name.to_uppercase()
    )
}

/// The compiler and the linker, or what is missing and how to get it.
fn find() -> Result<(Compiler, PathBuf), String> {
    both(Compiler::find(), compiler::linker())
}

fn both<C>(compiler: Option<C>, linker: Option<PathBuf>) -> Result<(C, PathBuf), String> {
    let missing = |what| format!("{what}; `make setup` installs what building them needs");
    let linker = linker.ok_or_else(|| missing("bpf-linker is not installed"))?;
    let compiler = compiler
        .ok_or_else(|| missing("no Rust compiler here has its library's source (rust-src)"))?;
    Ok((compiler, linker))
}

/// Runs cargo, and returns the path of the one program file in its output folder.
fn compile(
    compiler: &Compiler,
    linker: &Path,
    workspace: &Path,
    target: &Path,
) -> Result<PathBuf, String> {
    let flags: Vec<String> = [
        &format!("linker={}", linker.display()),
        "link-arg=--btf",
        "debuginfo=2",
        // The oldest kernel that is supported knows these instructions: 32-bit ones, atomic exchange.
        "target-cpu=v3",
        // Headers lie where they lie; without it a word of a packet is read byte by byte.
        "target-feature=+allows-misaligned-mem-access",
    ]
    .iter()
    .map(|flag| format!("-C{flag}"))
    .collect();
    let mut cargo = compiler.cargo();
    cargo
        .current_dir(workspace)
        .args(["build", "--locked", "--release", "--target", TARGET])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let output = scrubbed(&mut cargo)
        .output()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {said}", workspace.display()));
    }
    let program = only_program(&target.join(TARGET).join("release"))?;
    watch_sources(&program.with_extension("d"))?;
    Ok(program)
}

/// Takes away what the outer build has set for its own compiler: wrappers, flags and folders.
fn scrubbed(cargo: &mut Command) -> &mut Command {
    for variable in [
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTC",
        "CARGO_MAKEFLAGS",
        "MAKEFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "LLVM_PROFILE_FILE",
    ] {
        cargo.env_remove(variable);
    }
    cargo
}

/// The file that cargo made and its dependency file is named after.
fn only_program(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut programs = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "d"))
        .map(|path| path.with_extension(""));
    match (programs.next(), programs.next()) {
        (Some(program), None) => Ok(program),
        _ => Err(format!("{} does not hold one program", folder.display())),
    }
}

/// Has cargo run the build script again when a source changes, or when what was missing has come.
fn watch(workspace: &Path) {
    for part in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(part).display());
    }
    for path in compiler::watched() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rerun-if-env-changed=PATH");
}

/// The same for every source that went into a program, crates outside of its workspace among them.
/// Cargo lists them as makefiles do: `program: source source ...`.
fn watch_sources(list: &Path) -> Result<(), String> {
    let text = fs::read_to_string(list).map_err(|error| format!("{}: {error}", list.display()))?;
    for source in sources(&text) {
        println!("cargo::rerun-if-changed={source}");
    }
    Ok(())
}

/// The sources of such a list; a space inside of a path is escaped.
fn sources(list: &str) -> Vec<String> {
    let (_, sources) = list.trim_end().split_once(": ").unwrap_or_default();
    let sources = sources.replace("\\ ", "\0");
    sources
        .split_whitespace()
        .map(|source| source.replace('\0', " "))
        .collect()
}

/// Writes a file only when its text changes, or everything that includes it is built anew.
fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn folder(variable: &str) -> Result<PathBuf, String> {
    let value: Option<OsString> = env::var_os(variable);
    value
        .map(PathBuf::from)
        .ok_or_else(|| format!("{variable} is not set: this is for build scripts"))
}

/// The byte order is that of the machines this runs on.
const TARGET: &str = "bpfel-unknown-none";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_brings_it() {
        let no_linker = both(Some(()), None).unwrap_err();
        let no_compiler = both::<()>(None, Some("bpf-linker".into())).unwrap_err();
        assert!(
            no_linker.contains("bpf-linker is not installed"),
            "{no_linker}"
        );
        assert!(no_compiler.contains("rust-src"), "{no_compiler}");
        for message in [no_linker, no_compiler] {
            assert!(message.contains("`make setup`"), "{message}");
        }
        assert!(both(Some(()), Some("bpf-linker".into())).is_ok());
    }

    #[test]
    fn the_constant_is_the_object_or_the_message() {
        assert_eq!(
            constant("generator", &Ok("/a \"b\"/object".into())),
            "const GENERATOR: Result<&[u8], &str> = Ok(include_bytes!(\"/a \\\"b\\\"/object\"));\n"
        );
        assert_eq!(
            constant("programs", &Err("no `x`".into())),
            "const PROGRAMS: Result<&[u8], &str> = Err(\"no `x`\");\n"
        );
    }

    #[test]
    fn all_sources_of_a_program_are_watched() {
        assert_eq!(
            sources("/out/program: /a/layout/src/lib.rs /a/my\\ house/main.rs\n"),
            ["/a/layout/src/lib.rs", "/a/my house/main.rs"]
        );
        assert!(sources("").is_empty());
    }

    #[test]
    fn a_file_whose_text_stays_is_not_written_again() {
        let path = env::temp_dir().join(format!("turnpike-builder-{}", std::process::id()));
        write(&path, "one").unwrap();
        let first = fs::metadata(&path).unwrap().modified().unwrap();
        write(&path, "one").unwrap();
        let second = fs::metadata(&path).unwrap().modified().unwrap();
        write(&path, "two").unwrap();
        let text = fs::read_to_string(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(first, second);
        assert_eq!(text.unwrap(), "two");
    }
}
