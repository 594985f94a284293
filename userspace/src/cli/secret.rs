//! `turnpike secret add|del|list`

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::Failure;
use super::database::{DatabaseArgs, from_stdin, from_terminal, generated, printable};
use crate::config::Secret;
use crate::database::{Database, fingerprint};

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a shared secret of ephemeral credentials (TURN REST API)
    #[command(
        long_about = "Add a shared secret of ephemeral credentials (TURN REST API). It is asked for \
        on the terminal, and not shown there; its fingerprint is printed.\n\nTo rotate: add the new \
        one, have the application use it, remove the old one when its last credential has \
        expired.\n\nA secret is never an argument: every user of this host sees those in `ps`, and \
        the shell keeps them."
    )]
    Add {
        /// Read it from standard input, one line
        #[arg(long, conflicts_with = "generate")]
        stdin: bool,
        /// Make one up and print it instead of its fingerprint
        #[arg(long)]
        generate: bool,
    },
    /// Remove a shared secret
    Del {
        /// Which one, as `turnpike secret list` shows it
        #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
        fingerprint: Option<String>,
        /// Read the secret itself from standard input, one line
        #[arg(long)]
        stdin: bool,
    },
    /// Show the fingerprints of all shared secrets
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Show the secrets themselves too
        #[arg(long)]
        show: bool,
    },
}

pub(super) fn secret(args: SecretArgs) -> Result<(), Failure> {
    let named = args.database.named()?;
    let realm = named.realm.as_str();
    let mut out = io::stdout().lock();
    match args.verb {
        Verb::Add { stdin, generate } => {
            let secret = match (stdin, generate) {
                (true, _) => from_stdin()?,
                (_, true) => generated()?,
                _ => from_terminal("secret", "--stdin")?,
            };
            let is_new = named.open_or_make()?.add_secret(realm, &secret)?;
            let done = if is_new { "added" } else { "was there" };
            let path = named.path.display();
            writeln!(io::stderr(), "secret of realm `{realm}` {done} in {path}")?;
            if generate {
                writeln!(out, "{}", secret.reveal())?;
            } else {
                writeln!(out, "{}", fingerprint(realm, &secret))?;
            }
        }
        Verb::Del { fingerprint, .. } => {
            let mut database = named.open()?;
            let secret = match fingerprint {
                Some(wanted) => with_fingerprint(&database, realm, &wanted)?,
                None => from_stdin()?,
            };
            if !database.remove_secret(realm, &secret)? {
                return Err(no_such_secret(&database, realm));
            }
        }
        Verb::List { json, show } => list(&mut out, &named.open()?, realm, json, show)?,
    }
    Ok(out.flush()?)
}

/// The one secret with a fingerprint.
fn with_fingerprint(database: &Database, realm: &str, wanted: &str) -> Result<Secret, Failure> {
    let wanted = wanted.to_ascii_lowercase();
    let mut found = database
        .secrets(realm)?
        .into_iter()
        .filter(|secret| fingerprint(realm, secret) == wanted);
    match (found.next(), found.next()) {
        (Some(secret), None) => Ok(secret),
        (Some(_), Some(_)) => Err("two secrets have this fingerprint; name one by --stdin".into()),
        _ => Err(no_such_secret(database, realm)),
    }
}

fn no_such_secret(database: &Database, realm: &str) -> Failure {
    format!(
        "{}: realm `{realm}` has no such secret; `turnpike secret list` shows what it has",
        database.path().display()
    )
    .into()
}

fn list(
    out: &mut impl Write,
    database: &Database,
    realm: &str,
    json: bool,
    show: bool,
) -> Result<(), Failure> {
    let secrets = database.secrets(realm)?;
    if !json {
        for secret in &secrets {
            let shown = if show {
                format!(" {}", printable(secret.reveal()))
            } else {
                String::new()
            };
            writeln!(out, "{}{shown}", fingerprint(realm, secret))?;
        }
        return Ok(());
    }
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| {
            let fingerprint = fingerprint(realm, secret);
            if show {
                serde_json::json!({"fingerprint": fingerprint, "secret": secret.reveal()})
            } else {
                serde_json::json!({"fingerprint": fingerprint})
            }
        })
        .collect();
    let list = serde_json::json!({"realm": realm, "secrets": secrets});
    serde_json::to_writer_pretty(&mut *out, &list)?;
    Ok(writeln!(out)?)
}
