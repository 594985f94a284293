//! A refusal of the configuration, said so that the reader can mend it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: Option<PathBuf>,
    place: Option<Place>,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    text: String,
    width: usize,
    /// The line may hold a password or a shared secret, and what is said here ends in logs.
    is_secret: bool,
}

/// A word that is no more than this many edits from a known one is taken for a slip of the hand.
const NEAR_EDITS_MAX: usize = 3;

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            file: None,
            place: None,
            message: message.into(),
        }
    }

    pub(super) fn at(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            file: None,
            place: Some(Place::of(text, span)),
            message: message.into(),
        }
    }

    pub(super) fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let message = nearest_key(error.message())
            .or_else(|| missing_key(error.message()))
            .or_else(|| without_value(error.message()))
            .unwrap_or_else(|| error.message().to_owned());
        match error.span() {
            Some(span) => Self::at(text, span, message),
            None => Self::new(message),
        }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file",
            io::ErrorKind::PermissionDenied => "this user may not read it",
            _ => return Self::new(format!("{}: {error}", path.display())),
        };
        Self::new(format!("{}: {hint}", path.display()))
    }

    pub(super) fn in_file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }

    /// Line and column, from 1, where a place is known.
    #[must_use]
    pub fn line_column(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| (place.line, place.column))
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
        }
        match &self.place {
            Some(place) if place.is_secret => {
                write!(f, "{}:{}: {}", place.line, place.column, self.message)
            }
            Some(place) => {
                writeln!(f, "{}:{}: {}", place.line, place.column, self.message)?;
                let margin = place.line.to_string().len();
                writeln!(f, "{:margin$} |", "")?;
                writeln!(f, "{} | {}", place.line, place.text)?;
                let indent = place.column - 1;
                write!(
                    f,
                    "{:margin$} | {:indent$}{}",
                    "",
                    "",
                    "^".repeat(place.width)
                )
            }
            None if self.file.is_some() => write!(f, " {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Place {
    fn of(text: &str, span: Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text
            .get(line_start..)
            .unwrap_or("")
            .lines()
            .next()
            .unwrap_or("");
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        let through_line = text.get(..line_start + line.len()).unwrap_or(text);
        let marked = text
            .get(span)
            .unwrap_or("")
            .lines()
            .next()
            .unwrap_or("")
            .chars()
            .count();
        Self {
            line: before.matches('\n').count() + 1,
            column,
            text: line.to_owned(),
            width: marked.max(1),
            is_secret: ends_in_auth(through_line),
        }
    }
}

/// Whether the last line belongs to `[auth]`, in whatever way that is written; rather once too
/// often, for a text that is not TOML has to be judged too.
fn ends_in_auth(text: &str) -> bool {
    text.lines()
        .map(str::trim_start)
        .fold(false, |before, line| {
            let is_header = line.starts_with('[');
            let begins = line.trim_start_matches(['[', ' ', '\t', '"', '\'']);
            begins.starts_with("auth") || (before && !is_header)
        })
}

/// Rewrites serde's "invalid type: string "x", expected a sequence": the value may be a secret.
fn without_value(message: &str) -> Option<String> {
    let (_, expected) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?
        .rsplit_once(", expected ")?;
    let expected = match expected {
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        other => other.to_owned(),
    };
    Some(format!("another value is needed: {expected}"))
}

/// Rewrites serde's "missing field `x`".
fn missing_key(message: &str) -> Option<String> {
    let key = message.strip_prefix("missing field ")?;
    Some(format!("the key {key} is missing"))
}

/// Rewrites serde's "unknown field `x`, expected one of `a`, `b`" into a suggestion.
fn nearest_key(message: &str) -> Option<String> {
    let mut quoted = message
        .strip_prefix("unknown field ")?
        .split('`')
        .skip(1)
        .step_by(2);
    let unknown = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    Some(match nearest(unknown, &known) {
        Some(key) => format!("unknown key `{unknown}`; did you mean `{key}`?"),
        None => format!("unknown key `{unknown}`; known here: {}", known.join(", ")),
    })
}

/// The known word that an unknown one is a slip of the hand from, if any.
pub(super) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(unknown, word), *word));
    let (edits, word) = distances.min()?;
    (edits <= NEAR_EDITS_MAX && edits < word.len()).then_some(word)
}
