//! Where a key stands in a file, for what is found wrong with it later, on the host.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The bytes of the first string under the key `path` that is one of `values`, if there are any: of
/// a key in each section of a list, or of an item of a list.
pub(super) fn value(text: &str, path: &[&str], values: &[String]) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    in_table(table.get_ref(), path, values)
}

fn in_table(table: &DeTable<'_>, path: &[&str], values: &[String]) -> Option<Range<usize>> {
    let (key, below) = path.split_first()?;
    let mut entries = table.iter();
    let (_, value) = entries.find(|(name, _)| name.get_ref() == *key)?;
    in_value(value, below, values)
}

fn in_value(
    value: &Spanned<DeValue<'_>>,
    path: &[&str],
    values: &[String],
) -> Option<Range<usize>> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, path, values),
        DeValue::Array(items) => items.iter().find_map(|item| in_value(item, path, values)),
        DeValue::String(text) if path.is_empty() && is_one_of(values, text) => Some(value.span()),
        _ => None,
    }
}

fn is_one_of(values: &[String], text: &str) -> bool {
    values.is_empty() || values.iter().any(|value| value == text)
}
