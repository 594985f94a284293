//! The command line: which commands there are. Each has its arguments in its own file.

mod banner;
mod check;
mod completions;
mod config;
mod console;
mod database;
mod doctor;
mod life_cycle;
mod log;
mod man;
mod rights;
mod run;
mod secret;
mod setup;
mod signals;
mod status;
mod user;
mod watch;
mod why;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// The environment variable that sets what is logged.
const LOG_VARIABLE: &str = "TURNPIKE_LOG";

#[derive(Debug, Parser)]
#[command(
    name = "turnpike",
    version,
    about = "A TURN relay (RFC 8656) for WebRTC and other real-time media",
    long_about = "A TURN relay (RFC 8656): two parties behind NATs that cannot reach each other \
                  directly send their media through it.",
    after_long_help = "First steps:\n  \
        turnpike run                     start with no configuration: addresses are picked, a user is\n                                   \
        made, and a line to paste into a browser's iceServers is printed\n  \
        turnpike config example > turnpike.toml\n                                   \
        a configuration with every key explained, to begin from\n  \
        turnpike check turnpike.toml     say whether a configuration is good, and what it means\n  \
        turnpike run --config turnpike.toml\n\n\
        Environment:\n  TURNPIKE_LOG   what is logged to stderr: error, warn, info (the default), debug\n  \
        TURNPIKE_STATE the state folder, where --state does not name it",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the relay and show what it does until Ctrl-C
    #[command(
        long_about = "Start the relay and show what it does until Ctrl-C (or SIGTERM).\n\n\
        Without --config it listens over UDP, TCP and TLS on every address of this host that \
        others can reach, relays from the address of the default route, and makes one user with a \
        random password and a certificate, which it keeps in a state folder. It prints what a \
        browser or any TURN client needs; on a LAN two browsers talk through it like that.\n\n\
        It proves itself after the start: over each transport, two allocations relay to each \
        other. It needs no rights for ports from 1024; with CAP_NET_RAW it also tells clients of \
        ICMP errors.\n\n\
        Signals: SIGINT (Ctrl-C) and SIGTERM refuse new allocations and end it when the last one \
        is gone, or after [runtime] drain (10 s); a second one ends it at once. SIGHUP reads the \
        certificate again, and nothing else; it is also read when its files change."
    )]
    Run(run::RunArgs),
    /// Say whether a configuration file is good, without starting anything
    #[command(long_about = check::LONG_ABOUT, after_help = check::EXAMPLES)]
    Check(check::Args),
    /// Say what stands in the way of relaying in the kernel, and what would cure it
    #[command(long_about = doctor::LONG_ABOUT, after_help = doctor::EXAMPLES)]
    Doctor(doctor::Args),
    /// Say which lane the packets of a client and a peer take, and why
    #[command(long_about = why::LONG_ABOUT, after_help = why::EXAMPLES)]
    Why(why::Args),
    /// Print the configuration file's schema, or an example of it
    Config(config::Args),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Args),
    /// Write the manual pages
    #[command(after_help = man::EXAMPLES)]
    Man(man::Args),
    /// Add, remove and list users of the database; a running relay follows within seconds
    User(user::UserArgs),
    /// Add, remove and list shared secrets of the database; a running relay follows within seconds
    Secret(secret::SecretArgs),
}

/// Runs the command line and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        Command::Run(args) => run::run(&args).map(done),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Config(args) => config::run(&args).map(done),
        Command::Completions(args) => completions::run(&args).map(done),
        Command::Man(args) => man::run(&args).map(done),
        Command::User(args) => user::user(args).map(done),
        Command::Secret(args) => secret::secret(args).map(done),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            // There is nowhere to report that stderr is closed.
            let _unheard =
                io::Write::write_fmt(&mut io::stderr(), format_args!("turnpike: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The whole command line, for what is written about it.
fn command_line() -> clap::Command {
    Cli::command()
}

/// Any failure of a command: it is printed, and the status is 1.
type Failure = Box<dyn std::error::Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        command_line().debug_assert();
    }

    #[test]
    fn help_names_each_command_and_the_log_variable() {
        let help = command_line().render_long_help().to_string();
        for word in [
            "turnpike run",
            "turnpike check",
            "config example",
            LOG_VARIABLE,
        ] {
            assert!(help.contains(word), "{word}\n{help}");
        }
    }
}
