//! `turnpike user add|del|list`

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::Failure;
use super::database::{DatabaseArgs, Named, from_stdin, from_terminal, generated, printable};
use crate::database::{Database, Fixed};

#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a user, or give one another password
    #[command(
        long_about = "Add a user, or give one another password. It is asked for on the terminal, \
        and not shown there.\n\nA password is never an argument: every user of this host sees those \
        in `ps`, and the shell keeps them."
    )]
    Add {
        /// The user's name
        name: String,
        /// Read the password from standard input, one line
        #[arg(long, conflicts_with = "generate")]
        password_stdin: bool,
        /// Make a password up and print it
        #[arg(long)]
        generate: bool,
    },
    /// Remove a user: no new allocations in its name
    Del {
        /// The user's name
        name: String,
    },
    /// Show the names of all users
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn user(args: UserArgs) -> Result<(), Failure> {
    let named = args.database.named()?;
    let mut out = io::stdout().lock();
    match args.verb {
        Verb::Add {
            name,
            password_stdin,
            generate,
        } => {
            refuse_fixed(&named, &name)?;
            let password = match (password_stdin, generate) {
                (true, _) => from_stdin()?,
                (_, true) => generated()?,
                _ => from_terminal("password", "--password-stdin")?,
            };
            let is_new = named
                .open_or_make()?
                .put_user(&named.realm, &name, &password)?;
            let done = if is_new { "added" } else { "changed" };
            // Where it can be piped to, a generated password stands alone.
            writeln!(
                io::stderr(),
                "user `{}` of realm `{}` {done} in {}",
                printable(&name),
                named.realm,
                named.path.display()
            )?;
            if generate {
                writeln!(out, "{}", password.reveal())?;
            }
        }
        Verb::Del { name } => del(&named, &name)?,
        Verb::List { json } => list(&mut out, &named.open()?, &named.realm, json)?,
    }
    Ok(out.flush()?)
}

/// Refuses a name that the configuration has: what is written under it would never be read.
fn refuse_fixed(named: &Named, name: &str) -> Result<(), Failure> {
    match &named.config {
        Some((file, fixed)) if fixed.has_name(name) => Err(format!(
            "`{}` stands in [auth] users of {}, which wins over the database; change it there",
            printable(name),
            file.display()
        )
        .into()),
        _ => Ok(()),
    }
}

fn del(named: &Named, name: &str) -> Result<(), Failure> {
    if named.open()?.remove_user(&named.realm, name)? {
        return Ok(());
    }
    Err(format!(
        "{}: realm `{}` has no user `{}`; `turnpike user list` shows them",
        named.path.display(),
        named.realm,
        printable(name)
    )
    .into())
}

fn list(out: &mut impl Write, database: &Database, realm: &str, json: bool) -> Result<(), Failure> {
    let reading = database.credentials(realm, &Fixed::default())?;
    if !reading.skipped.is_nothing() {
        tracing::warn!("{}: {}", database.path().display(), reading.skipped);
    }
    let users = &reading.credentials.users;
    if json {
        let users: Vec<_> = users
            .iter()
            .map(|(name, keys)| serde_json::json!({"name": name, "sha256": keys.sha256.is_some()}))
            .collect();
        let list = serde_json::json!({"realm": realm, "users": users});
        serde_json::to_writer_pretty(&mut *out, &list)?;
        writeln!(out)?;
    } else {
        for name in users.keys() {
            writeln!(out, "{}", printable(name))?;
        }
    }
    Ok(())
}
