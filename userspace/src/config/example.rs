//! A whole configuration file with comments, made from the schema.
//!
//! Prose stands after `# `. A key that is left at its default, or that only some need, stands
//! after a `#` alone, so that taking that away sets it.

use std::fmt::Write;

use serde_json::Value;

use super::schema::{Key, Section, schema, sections};

/// The keys that are set in the example, so that it is good as it is.
const SET: &[&str] = &["realm", "listen.transport", "listen.address", "auth.users"];

const HEAD: &str = "\
# The configuration of Turnpike, with every key there is.
#
# Lines that begin with `# ` explain. A line that begins with `#` alone is a key at its default, or
# an example where there is none: take the # away to set it. `turnpike check FILE` says whether the
# file is good.
";

/// A configuration file that names and explains every key.
#[must_use]
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    // Nothing is written but to a String, which cannot fail.
    let _infallible = write(&mut text);
    text
}

fn write(out: &mut String) -> std::fmt::Result {
    let schema = schema();
    for section in sections(&schema) {
        write_header(out, &section)?;
        for key in &section.keys {
            out.push('\n');
            write_prose(out, key.about)?;
            let value = key.example.filter(|_| is_set(&section, key));
            let value = value.or(key.default).or(key.example);
            let value = value.map_or_else(String::new, toml);
            let mark = if is_set(&section, key) { "" } else { "#" };
            writeln!(out, "{mark}{} = {value}", key.name)?;
        }
    }
    Ok(())
}

fn write_header(out: &mut String, section: &Section<'_>) -> std::fmt::Result {
    if section.name.is_empty() {
        return Ok(());
    }
    out.push('\n');
    write_prose(out, section.about)?;
    // A section must not stand there without the keys that it cannot be without.
    let mut required = section.keys.iter().filter(|key| key.is_required);
    let mark = if required.all(|key| is_set(section, key)) {
        ""
    } else {
        "#"
    };
    let name = section.name;
    if section.is_list {
        writeln!(out, "{mark}[[{name}]]")
    } else {
        writeln!(out, "{mark}[{name}]")
    }
}

fn write_prose(out: &mut String, prose: &str) -> std::fmt::Result {
    prose.lines().try_for_each(|line| writeln!(out, "# {line}"))
}

fn is_set(section: &Section<'_>, key: &Key<'_>) -> bool {
    SET.contains(&key.path(section).as_str())
}

/// A JSON value as TOML writes it, on one line.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(pairs) if pairs.is_empty() => "{}".to_owned(),
        Value::Object(pairs) => {
            let pairs = pairs.iter();
            let pairs: Vec<String> = pairs
                .map(|(key, value)| format!("{} = {}", toml_key(key), toml(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        // Strings, numbers and booleans look the same in both.
        other => other.to_string(),
    }
}

/// A bare key where it can be one.
fn toml_key(key: &str) -> String {
    if key.chars().all(|it| it.is_ascii_alphanumeric()) {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}
