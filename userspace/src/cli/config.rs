//! `turnpike config`: the configuration file's shape.

use std::io::{self, Write};

use super::Failure;
use crate::config;

/// What `config` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print a whole configuration file with comments
    #[command(
        long_about = "Print a whole configuration file with comments: every key, those at their \
                      defaults commented out.",
        after_help = "Example:\n  turnpike config example > turnpike.toml && $EDITOR turnpike.toml"
    )]
    Example,
    /// Print the JSON Schema of the configuration file
    #[command(
        long_about = "Print the JSON Schema (draft 2020-12) of the configuration file: editors \
                      complete and explain keys with it, programs validate with it.",
        after_help = "Example:\n  turnpike config schema > turnpike.schema.json\n\n\
                      Editors with Taplo (Even Better TOML) read it when the file begins with\n  \
                      #:schema ./turnpike.schema.json"
    )]
    Schema,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let text = match args.what {
        What::Example => config::example(),
        What::Schema => format!("{:#}\n", config::schema()),
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
