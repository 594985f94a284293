//! `turnpike man [FOLDER]`

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

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
        let mut command = super::command_line();
        command.build();
        return Ok(io::stdout().lock().write_all(&page(&command)?)?);
    };
    let into_folder = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(into_folder)?;
    let mut command = super::command_line();
    command.build();
    write_pages(&command, folder).map_err(into_folder)?;
    Ok(())
}

/// The page of a command that is built, and those of the commands below it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write_pages(below, folder)?;
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    fs::write(folder.join(format!("{name}.1")), page(command)?)
}

/// The library's page, but with what follows the help in sections of its own: the library joins its
/// lines, and some are columns.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|it| !it.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let more = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    let more = more.map(ToString::to_string).unwrap_or_default();
    sections(&more).to_writer(&mut page)?;
    Ok(page)
}

/// A line that ends in a colon and is not indented begins a section; indented ones stand as they
/// are.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut is_verbatim = false;
    for line in text.lines().filter(|it| !it.is_empty()) {
        let is_indented = line.starts_with(' ');
        if is_indented != is_verbatim {
            roff.control(if is_indented { "nf" } else { "fi" }, []);
            is_verbatim = is_indented;
        }
        match line.strip_suffix(':').filter(|_| !is_indented) {
            Some(title) => roff.control("SH", [title.to_uppercase().as_str()]),
            None => roff.text([roman(line)]),
        };
    }
    if is_verbatim {
        roff.control("fi", []);
    }
    roff
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

    #[test]
    fn examples_and_columns_stand_as_they_are_under_titles_of_their_own() {
        let mut command = super::super::command_line();
        command.build();
        let text = String::from_utf8(page(&command).unwrap()).unwrap();
        assert!(!text.contains("EXTRA"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        for title in ["FIRST STEPS", "ENVIRONMENT"] {
            let headers = [format!(".SH {title}"), format!(".SH \"{title}\"")];
            let at = lines
                .iter()
                .position(|it| headers.iter().any(|header| header == it));
            assert_eq!(lines[at.unwrap() + 1], ".nf", "{text}");
        }
        let count = |request| lines.iter().filter(|it| **it == request).count();
        assert_eq!((count(".nf"), count(".fi")), (2, 2), "{text}");
        assert!(
            lines.contains(&"  turnpike run \\-\\-config turnpike.toml"),
            "{text}"
        );
    }
}
