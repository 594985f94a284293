//! `turnpike doctor`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Failure;
use crate::config::{Config, TURN_PORT};
use crate::doctor::{self, Finding, Verdict, Wanted};
use crate::host::Host;
use crate::relay::Plan;

/// What `doctor` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file that the relay would be started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object: {"fast_path":"pass|warn|fail","findings":[...]}
    #[arg(long)]
    json: bool,
}

pub(super) const LONG_ABOUT: &str = "Say what on this host stands in the way of the fast path, which \
    relays packets in the kernel, and what would change it.\n\n\
    It looks and changes nothing. Each thing is `pass`, `warn` (it works, but not as well) or `fail` \
    (no fast path with it), with the command that cures it. Run it as the relay would be run: rights \
    are those of this process. Exit status 1 when something fails.";

pub(super) const EXAMPLES: &str = "Examples:\n  \
    sudo turnpike doctor\n  \
    turnpike doctor --config turnpike.toml --json | jq '.findings[] | select(.verdict != \"pass\")'";

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let wanted = Wanted::of(&plan(args.config.as_deref())?);
    let findings = doctor::examine(&wanted);
    let worst = findings.iter().map(|finding| finding.verdict).max();
    let worst = worst.unwrap_or(Verdict::Pass);
    let mut out = io::stdout().lock();
    if args.json {
        let findings: Vec<Value> = findings.iter().map(Finding::json).collect();
        let answer = json!({ "fast_path": worst.name(), "findings": findings });
        writeln!(out, "{answer}")?;
    } else {
        write_text(&mut out, &findings)?;
    }
    Ok(if worst == Verdict::Fail {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What a start with this file would do, or without one.
pub(super) fn plan(file: Option<&Path>) -> Result<Plan, Failure> {
    let config = match file {
        Some(file) => Config::read(file)?,
        None => Config::embedded("", ""),
    };
    Ok(Plan::new(config, &Host::look()?, TURN_PORT)?)
}

fn write_text(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        let verdict = finding.verdict.name();
        writeln!(out, "{verdict}  {}: {}", finding.subject, finding.found)?;
        if let Some(why) = &finding.why {
            writeln!(out, "      {why}")?;
        }
        if let Some(cure) = &finding.cure {
            writeln!(out, "      cure: {cure}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_written_with_why_and_cure() {
        let finding = Finding {
            subject: "eth0: MTU".to_owned(),
            verdict: Verdict::Fail,
            found: "9001".to_owned(),
            why: Some("too long".to_owned()),
            cure: Some("ip link set".to_owned()),
        };
        let mut text = Vec::new();
        write_text(&mut text, &[finding]).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "fail  eth0: MTU: 9001\n      too long\n      cure: ip link set\n"
        );
    }
}
