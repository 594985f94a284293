//! `turnpike man [FOLDER]`

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::Failure;

/// What `man` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the pages are written, one a command; without it, the first is printed
    folder: Option<PathBuf>,
}

pub(super) const EXAMPLES: &str = "Examples:\n  \
    turnpike man | man -l -\n  \
    turnpike man /usr/local/share/man/man1";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(super::command_line()).render(&mut page)?;
        return Ok(io::stdout().lock().write_all(&page)?);
    };
    let into_folder = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(into_folder)?;
    clap_mangen::generate_to(super::command_line(), folder).map_err(into_folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let args = Args {
            folder: Some(folder.path().join("man1")),
        };
        run(&args).unwrap();
        let mut names = vec!["turnpike".to_owned(), "turnpike-config-schema".to_owned()];
        for command in super::super::command_line().get_subcommands() {
            names.push(format!("turnpike-{}", command.get_name()));
        }
        assert!(names.len() > 5, "{names:?}");
        for name in names {
            let page = folder.path().join(format!("man1/{name}.1"));
            let page = fs::read_to_string(page).unwrap_or_default();
            assert!(page.contains(".SH SYNOPSIS"), "{name}");
        }
    }
}
