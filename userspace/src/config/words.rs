//! What the TOML reader says, in words of the file's author: it speaks of Rust's types, and it
//! repeats values, which may be secret.

use super::line;

/// A word that is no more than this many edits from a known one is taken for a slip of the hand.
const NEAR_EDITS_MAX: usize = 3;

/// The message of a refusal, without the place.
pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    nearest_key(message)
        .or_else(|| missing_key(message))
        .or_else(|| wrong_type(message, marked(text, error)))
        .unwrap_or_else(|| message.to_owned())
}

/// What the refusal points at, where it may be shown.
fn marked<'a>(text: &'a str, error: &toml::de::Error) -> &'a str {
    let Some(span) = error.span() else {
        return "";
    };
    let rest = text.get(span.start..).unwrap_or("");
    let line_end = rest.find('\n').map_or(text.len(), |it| span.start + it);
    let is_shown = text.get(..line_end).is_some_and(line::may_be_shown);
    text.get(span).filter(|_| is_shown).unwrap_or("")
}

/// Rewrites serde's "invalid type: string "x", expected a sequence": the value may be a secret.
fn wrong_type(message: &str, marked: &str) -> Option<String> {
    let (found, expected) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?
        .rsplit_once(", expected ")?;
    let expected = match expected {
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "a string" => "a string, in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => list(found, marked),
        "a map" => "a table, { key = value }".to_owned(),
        it if it.starts_with("struct ") => {
            "a table of keys, [name] on a line of its own".to_owned()
        }
        other => other.to_owned(),
    };
    Some(format!("another value is needed: {expected}"))
}

/// What to write where a list was expected.
fn list(found: &str, marked: &str) -> String {
    match found {
        "map" if marked.starts_with('[') => format!("a list of tables; write [{marked}]"),
        "map" => "a list of tables, [[name]] on a line of its own".to_owned(),
        _ if marked.starts_with(['"', '\'']) => format!("a list; write [{marked}]"),
        _ => "a list, as in [\"one\", \"another\"]".to_owned(),
    }
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
    if let Some(place) = line::place_of(unknown) {
        return Some(format!("unknown key `{unknown}`; it belongs {place}"));
    }
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
