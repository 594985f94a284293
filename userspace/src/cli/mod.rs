//! The command line.

mod banner;
mod check;
mod life_cycle;
mod rights;
mod run;
mod setup;
mod signals;
mod status;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

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
    #[command(
        long_about = "Say whether a configuration file is good, without starting anything. \
        A mistake is shown with its line, its column and what to write instead; exit status 1."
    )]
    Check {
        /// The file to check
        file: PathBuf,
    },
}

/// Runs the command line and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        // It would say so on stderr, and panic where that is what cannot be written.
        .log_internal_errors(false)
        .init();
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check { file } => check::check(&file),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere to report that stderr is closed.
            let _unheard =
                io::Write::write_fmt(&mut io::stderr(), format_args!("turnpike: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Any failure of a command: it is printed, and the status is 1.
type Failure = Box<dyn std::error::Error>;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_each_command_and_the_log_variable() {
        let help = Cli::command().render_long_help().to_string();
        for word in ["turnpike run", "turnpike check", LOG_VARIABLE] {
            assert!(help.contains(word), "{word}\n{help}");
        }
    }
}
