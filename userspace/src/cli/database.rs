//! What `turnpike user` and `turnpike secret` share: which database, which realm, and how a password
//! comes in without ever being an argument.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};

use super::Failure;
use super::setup::password;
use crate::config::{Config, REALM, Secret};
use crate::database::{Database, Fixed};
use crate::entropy::SystemEntropy;
use crate::state::StateFolder;

/// Bytes read of a password or secret; what is longer is refused, not cut.
const LINE_BYTES_MAX: usize = 4_096;

/// What Ctrl-C sends.
const INTERRUPT: u8 = 0x03;

#[derive(Debug, clap::Args)]
pub(super) struct DatabaseArgs {
    /// The database file (SQLite, coturn's tables); without it and --config, turnpike.db in the
    /// state folder. `add` makes it when absent
    #[arg(long, value_name = "FILE", conflicts_with = "config", global = true)]
    database: Option<PathBuf>,
    /// Take database and realm from this configuration file
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The state folder, where the database is in another than `turnpike run` uses by itself
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "database"], global = true)]
    state: Option<PathBuf>,
    /// The realm, where the configuration's is not meant [default: turnpike]
    #[arg(long, value_name = "REALM", global = true)]
    realm: Option<String>,
}

/// What a command works on.
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) realm: String,
    /// The configuration that named it, with what it defines itself, which wins.
    pub(super) config: Option<(PathBuf, Fixed)>,
}

impl Named {
    /// To add something: the file is made when absent.
    pub(super) fn open_or_make(&self) -> Result<Database, Failure> {
        Ok(Database::open(&self.path)?)
    }

    /// To look, or to take something out: a file made for that would be another than was meant, and
    /// a relay would take it for one without users.
    pub(super) fn open(&self) -> Result<Database, Failure> {
        Ok(Database::open_there(&self.path)?)
    }
}

impl DatabaseArgs {
    /// Which database, and which realm.
    pub(super) fn named(self) -> Result<Named, Failure> {
        let Some(file) = self.config else {
            let path = match self.database {
                Some(path) => path,
                None => StateFolder::open(self.state.as_deref())?.database(),
            };
            return Ok(Named {
                path,
                realm: self.realm.unwrap_or_else(|| REALM.to_owned()),
                config: None,
            });
        };
        let config = Config::read(&file)?;
        let fixed = Fixed::of(&config.auth);
        let path = config.auth.database.ok_or_else(|| {
            format!(
                "{}: no database is named there; add `database = \"FILE\"` to [auth], or give \
                 --database FILE",
                file.display()
            )
        })?;
        Ok(Named {
            path,
            realm: self.realm.unwrap_or(config.realm),
            config: Some((file, fixed)),
        })
    }
}

/// Letters and digits that nobody can guess.
pub(super) fn generated() -> Result<Secret, Failure> {
    Ok(Secret::new(password(&mut SystemEntropy::new()?)))
}

/// One line of standard input.
pub(super) fn from_stdin() -> Result<Secret, Failure> {
    line(&mut io::stdin().lock())
}

/// Asks for it twice on the terminal, which does not show it. `option` is what to say where there
/// is no terminal.
pub(super) fn from_terminal(what: &str, option: &str) -> Result<Secret, Failure> {
    let mut stdin = io::stdin().lock();
    if !stdin.is_terminal() {
        return Err(format!(
            "no terminal to ask for the {what} on; give it with {option}, or --generate one"
        )
        .into());
    }
    let hidden = Hidden::new()?;
    let mut ask = |question: String| {
        write!(io::stderr(), "{question}: ")?;
        line(&mut stdin)
    };
    let (one, two) = (
        ask(format!("{what} (not shown)"))?,
        ask("again".to_owned())?,
    );
    drop(hidden);
    if one != two {
        return Err("the two are not the same; nothing was changed".into());
    }
    Ok(one)
}

/// Reads a line, without its end. Ctrl-C ends it too, for [`Hidden`] makes it a character.
fn line(input: impl BufRead) -> Result<Secret, Failure> {
    let mut bytes = Vec::new();
    for byte in input.bytes() {
        match byte? {
            b'\n' => break,
            INTERRUPT => return Err("given up; nothing was changed".into()),
            _ if bytes.len() == LINE_BYTES_MAX => {
                return Err(format!("more than {LINE_BYTES_MAX} bytes in one line").into());
            }
            byte => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "this is not UTF-8 text")?;
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(&text)))
}

/// Standard input as a terminal that does not echo, until dropped. Ctrl-C ends the line instead of
/// the process, which would leave the terminal like this.
struct Hidden(Termios);

impl Hidden {
    fn new() -> nix::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut hidden = before.clone();
        hidden
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ISIG);
        hidden
            .local_flags
            .insert(LocalFlags::ECHONL | LocalFlags::ICANON);
        let end_of_line = SpecialCharacterIndices::VEOL as usize;
        if let Some(character) = hidden.control_chars.get_mut(end_of_line) {
            *character = INTERRUPT;
        }
        tcsetattr(io::stdin().as_fd(), SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _gone = tcsetattr(io::stdin().as_fd(), SetArg::TCSAFLUSH, &self.0);
    }
}

/// A name out of a database, fit for a terminal: it may hold anything.
pub(super) fn printable(name: &str) -> String {
    name.chars()
        .flat_map(|letter| {
            let escaped = letter.is_control().then(|| letter.escape_default());
            let plain = escaped.is_none().then_some(letter);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_loses_its_end_and_nothing_else() {
        for (input, text) in [
            ("pass word\n", "pass word"),
            ("pass\r\n", "pass"),
            (" pass ", " pass "),
            ("one\ntwo\n", "one"),
            ("", ""),
        ] {
            assert_eq!(line(&mut input.as_bytes()).unwrap().reveal(), text);
        }
    }

    #[test]
    fn endless_line_binary_and_ctrl_c_are_refused() {
        let endless = vec![b'x'; 10_000];
        for input in [&endless[..], b"\xFF\n", b"pass\x03"] {
            assert!(line(&mut &*input).is_err());
        }
    }

    #[test]
    fn control_characters_of_a_name_do_not_reach_the_terminal() {
        assert_eq!(
            printable("jos\u{e9} \u{1b}[2J\n"),
            "jos\u{e9} \\u{1b}[2J\\n"
        );
    }
}
