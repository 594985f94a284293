//! The file's shape for programs and editors: JSON Schema, made from the raw structures; and a walk
//! over its keys for what is written for people.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value};

use super::raw::Raw;

/// The JSON Schema (draft 2020-12) of the configuration file, sections in place.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
    let generator = settings
        .with_transform(RecursiveTransform(without_null))
        .into_generator();
    generator.into_root_schema_for::<Raw>().to_value()
}

/// TOML has no null: a key that may be left out is left out.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|it| it != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|it| !it.is_null());
    }
}

/// A section of the file with its keys, in the order of the raw structure.
pub(super) struct Section<'a> {
    /// Empty for the keys before the first section.
    pub(super) name: &'a str,
    pub(super) about: &'a str,
    /// Written `[[name]]`, any number of times.
    pub(super) is_list: bool,
    pub(super) keys: Vec<Key<'a>>,
}

/// What the schema says of a key.
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    pub(super) about: &'a str,
    pub(super) is_required: bool,
    pub(super) default: Option<&'a Value>,
    pub(super) example: Option<&'a Value>,
}

impl Key<'_> {
    /// `section.key`, as messages and documents call it.
    pub(super) fn path(&self, section: &Section<'_>) -> String {
        match section.name {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }
}

/// The sections of a schema made by [`schema`].
pub(super) fn sections(schema: &Value) -> Vec<Section<'_>> {
    let mut sections = vec![Section {
        name: "",
        about: text(schema, "description"),
        is_list: false,
        keys: Vec::new(),
    }];
    for (name, value) in properties(schema).into_iter().flatten() {
        let inner = value.get("items").unwrap_or(value);
        if properties(inner).is_some() {
            sections.push(Section {
                name,
                about: text(value, "description"),
                is_list: value.get("items").is_some(),
                keys: keys(inner),
            });
        }
    }
    if let Some(top) = sections.first_mut() {
        top.keys = keys(schema);
    }
    sections
}

/// The keys of a section that are not sections themselves.
fn keys(section: &Value) -> Vec<Key<'_>> {
    let required = section.get("required").and_then(Value::as_array);
    let all = properties(section).into_iter().flatten();
    let plain = all.filter(|(_, it)| properties(it.get("items").unwrap_or(it)).is_none());
    plain
        .map(|(name, value)| Key {
            name,
            about: text(value, "description"),
            is_required: required.is_some_and(|it| it.iter().any(|key| key == name)),
            default: value.get("default"),
            example: value.get("examples").and_then(|it| it.get(0)),
        })
        .collect()
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or("")
}
