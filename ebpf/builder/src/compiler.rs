//! Which compiler there is. It has to have the source of Rust's core library, because that comes
//! compiled for no eBPF target, and an LLVM that the linker understands.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A compiler that can build for eBPF.
#[derive(Debug)]
pub(crate) struct Compiler {
    rustc: OsString,
    version: String,
}

impl Compiler {
    /// The first of: the compiler of this build, then Debian's.
    pub(crate) fn find() -> Option<Self> {
        let this = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        [this, DEBIAN.into()]
            .into_iter()
            .find_map(Self::with_source)
    }

    fn with_source(rustc: OsString) -> Option<Self> {
        let sysroot = said(&rustc, &["--print", "sysroot"])?;
        let has_source = Path::new(&sysroot).join(SOURCE).exists();
        let version = said(&rustc, &["--version"])?;
        has_source.then_some(Self { rustc, version })
    }

    /// A cargo that builds with it.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.env("RUSTC", &self.rustc);
        // Building the core library is not stable; what the programs are written in is.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        cargo
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)
    }
}

/// Where the linker is, if it is installed.
pub(crate) fn linker() -> Option<PathBuf> {
    places()
        .map(|place| place.join(LINKER))
        .find(|path| path.exists())
}

/// Files that change when a compiler or the linker comes.
pub(crate) fn watched() -> Vec<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = said(&rustc, &["--print", "sysroot"]);
    let source = sysroot.map(|sysroot| Path::new(&sysroot).join(SOURCE));
    linker()
        .or_else(|| places().last().map(|place| place.join(LINKER)))
        .into_iter()
        .chain(source)
        .collect()
}

/// Where programs are; last where cargo installs them.
fn places() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = env::split_paths(&path).collect();
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    path.into_iter().chain(home.map(|home| home.join("bin")))
}

/// What a program prints, without the end of the line; None when it fails.
fn said(program: &OsString, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// The library's source, below a compiler's root.
const SOURCE: &str = "lib/rustlib/src/rust/library/Cargo.toml";

/// Debian's compiler, whose source is the package rust-src or rust-web-src.
const DEBIAN: &str = "/usr/bin/rustc";

const LINKER: &str = "bpf-linker";
