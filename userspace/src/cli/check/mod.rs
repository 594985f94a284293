//! `turnpike check FILE`

mod files;
mod report;
mod warnings;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use self::report::Report;
use self::warnings::Kernel;
use super::Failure;
use crate::config::{Config, ConfigError, TURN_PORT};
use crate::host::Host;
use crate::relay::Plan;

/// What `check` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to check
    file: PathBuf,
    /// Print one JSON object: {"valid":true, ...} or {"valid":false,"error":{...}}
    #[arg(long)]
    json: bool,
}

pub(super) const LONG_ABOUT: &str = "Say whether a configuration file is good, without starting \
    anything, and what it means on this host.\n\n\
    A mistake is shown with its line, its column and what to write instead; exit status 1. So is \
    a certificate or a database that is named but cannot be used, or an address that this host does \
    not have. A line that begins with `warning` says what may be regretted; exit status 0.";

pub(super) const EXAMPLES: &str = "Examples:\n  \
    turnpike check turnpike.toml\n  \
    turnpike check --json turnpike.toml | jq -r .error.message";

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let checked = look(&args.file);
    if !args.json {
        io::stdout().lock().write_all(checked?.text().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (answer, status) = match checked {
        Ok(report) => (report.json(), ExitCode::SUCCESS),
        Err(failure) => (refusal(&args.file, &*failure), ExitCode::FAILURE),
    };
    writeln!(io::stdout().lock(), "{answer}")?;
    Ok(status)
}

/// Reads the file and all that it needs of this host.
fn look(file: &Path) -> Result<Report, Failure> {
    let config = Config::read(file)?;
    let plan = Plan::new(config, &Host::look()?, TURN_PORT).map_err(|error| {
        let message = error.to_string();
        match error.key() {
            Some((key, values)) => ConfigError::of_key(file, key, &values, message).into(),
            None => Failure::from(message),
        }
    })?;
    plan.engine(&[], None)?.check()?;
    let certificate = files::certificate(file, &plan.config)?;
    let database = files::database(&plan.config)
        .map_err(|error| ConfigError::of_key(file, "auth.database", &[], error.to_string()))?;
    Ok(Report {
        file: file.to_owned(),
        certificate,
        database,
        warnings: warnings::of(&plan, &Kernel::look()),
        plan,
    })
}

/// Line and column are null where the fault has no one place in the file.
fn refusal(file: &Path, failure: &(dyn std::error::Error + 'static)) -> Value {
    let refused = failure.downcast_ref::<ConfigError>();
    let place = refused.and_then(ConfigError::line_column);
    let message = refused.map_or_else(|| failure.to_string(), |it| it.message().to_owned());
    json!({
        "valid": false,
        "error": {
            "file": file,
            "line": place.map(|(line, _)| line),
            "column": place.map(|(_, column)| column),
            "message": message,
        },
    })
}
