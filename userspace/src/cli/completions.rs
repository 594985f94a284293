//! `turnpike completions SHELL`

use std::io::{self, Write};

use clap_complete::Shell;

use super::Failure;

/// What `completions` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell that the script is for
    shell: Shell,
}

pub(super) const EXAMPLES: &str = "Examples:\n  \
    turnpike completions bash > /usr/share/bash-completion/completions/turnpike\n  \
    turnpike completions zsh  > /usr/local/share/zsh/site-functions/_turnpike\n  \
    turnpike completions fish > ~/.config/fish/completions/turnpike.fish";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(&script(args.shell))?)
}

fn script(shell: Shell) -> Vec<u8> {
    // By way of memory, for the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command_line(), "turnpike", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn script_of_each_shell_names_each_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for command in super::super::command_line().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell} {command}");
            }
            assert!(script.contains("config"), "{shell}");
        }
    }
}
