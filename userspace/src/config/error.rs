//! A refusal of the configuration, said so that the reader can mend it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{find, line, words};

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
    /// Otherwise it may hold a password or a shared secret.
    is_shown: bool,
}

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
        if let Some((key, span)) = line::coturn_key(text) {
            let message = format!(
                "`{key}` is a key of coturn's turnserver.conf; turnpike reads TOML with keys of \
                 its own, see docs/configuration.md and `turnpike config example`"
            );
            return Self::at(text, span, message);
        }
        let message = words::of_toml(text, error);
        match error.span() {
            Some(span) => Self::at(text, span, message),
            None => Self::new(message),
        }
    }

    /// A refusal of what stands in a file that was read: `key` is `section.key`, and its value is
    /// one of `values`, if there are any. Without a place where that is not found.
    pub(crate) fn of_key(
        file: &Path,
        key: &str,
        values: &[String],
        message: impl Into<String>,
    ) -> Self {
        let path: Vec<&str> = key.split('.').collect();
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let refusal = match find::value(&text, &path, values) {
            Some(span) => Self::at(&text, span, message),
            None => Self::new(message),
        };
        refusal.in_file(file)
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
            Some(place) if !place.is_shown => {
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
            is_shown: line::may_be_shown(through_line),
        }
    }
}
