//! What the command line says, and which versions the peers have.

use std::collections::BTreeMap;

/// `name=value` words; what cargo adds is ignored.
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    pub(crate) fn read() -> Self {
        let words = std::env::args().skip(1);
        Self(
            words
                .filter_map(|word| {
                    let (name, value) = word.split_once('=')?;
                    Some((name.to_owned(), value.to_owned()))
                })
                .collect(),
        )
    }

    /// Whether it says nothing, as when all benches are run.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|it| !it.is_empty())
    }

    /// Whether a part is to be run.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.get("only")
            .is_none_or(|only| only.split(',').any(|it| it == part))
    }

    /// How often each is measured.
    pub(crate) fn rounds(&self) -> usize {
        self.get("rounds").map_or(5, |text| text.parse().unwrap())
    }

    /// A peer that is a crate, as the lock file has it, and what was done to it.
    pub(crate) fn crate_name(&self, name: &str) -> String {
        let lock = include_str!("../../../../Cargo.lock");
        let entry = format!("name = \"{name}\"\nversion = \"");
        let version = lock
            .split_once(entry.as_str())
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap();
        match self.get(&format!("{name}-note")) {
            Some(note) => format!("{name} {version} {note}"),
            None => format!("{name} {version}"),
        }
    }
}
