//! Keeps the table of `docs/configuration.md` what the schema says.

use std::path::PathBuf;

use super::example::toml;
use super::schema::{Key, Section, schema, sections};
use super::*;

const BEGIN: &str = "<!-- The table below is made from userspace/src/config/raw.rs. -->\n";
const END: &str = "<!-- The table ends here. -->\n";

/// Set to write the page instead of comparing it.
const BLESS: &str = "TURNPIKE_BLESS";

#[test]
fn page_of_the_configuration_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let renewed = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, renewed).unwrap();
        return;
    }
    assert!(
        page == renewed,
        "docs/configuration.md is out of date; renew it with\n  \
         {BLESS}=1 cargo test -p turnpike page_of_the_configuration"
    );
}

#[test]
fn example_of_the_page_is_good_and_each_of_its_keys_is_in_the_table() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, explained) = rest.split_once("```").unwrap();
    Config::parse(example).unwrap();
    let keys = example.lines().filter_map(|line| line.split_once('='));
    let keys: Vec<&str> = keys.map(|(key, _)| key.trim_matches(['#', ' '])).collect();
    assert!(keys.len() > 10, "{keys:?}");
    for key in keys {
        let named = [format!("| `{key}` |"), format!(".{key}` |")];
        assert!(named.iter().any(|name| explained.contains(name)), "{key}");
    }
}

fn table() -> String {
    let schema = schema();
    let rows = sections(&schema);
    let rows = rows.iter().flat_map(|section| {
        let keys = section.keys.iter();
        keys.map(move |key| row(section, key))
    });
    let rows: String = rows.collect();
    format!("| key | default | effect |\n|---|---|---|\n{rows}")
}

fn row(section: &Section<'_>, key: &Key<'_>) -> String {
    let default = match key.default {
        Some(value) => format!("`{}`", toml(value)),
        None if key.is_required => "needed".to_owned(),
        None => "none".to_owned(),
    };
    let about = key.about.replace('\n', " ").replace('|', "\\|");
    format!("| `{}` | {default} | {about} |\n", key.path(section))
}
