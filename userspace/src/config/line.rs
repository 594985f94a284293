//! Which lines of a configuration may be shown with a mistake: what is said here ends in logs, and
//! a line may hold a password or a shared secret.
//!
//! The text may be damaged, or be no TOML at all, so lines are looked at one by one. A line is shown
//! only where it sets one key of the schema that holds no secret, or begins a section of it.

use std::ops::Range;

use super::schema::{schema, sections};

/// Nothing of this section is shown.
const SECRET_SECTION: &str = "auth";

/// `tls.key` names a file, and somebody may put in the key itself.
const SECRET_KEYS: &[&str] = &["key"];

/// Keys of coturn's `turnserver.conf` that are none of ours.
const COTURN_KEYS: &[&str] = &[
    "allowed-peer-ip",
    "alt-listening-port",
    "cert",
    "cli-password",
    "denied-peer-ip",
    "external-ip",
    "fingerprint",
    "listening-device",
    "listening-ip",
    "listening-port",
    "log-file",
    "lt-cred-mech",
    "max-bps",
    "max-port",
    "min-port",
    "mysql-userdb",
    "no-cli",
    "no-multicast-peers",
    "no-tcp-relay",
    "no-tls",
    "pkey",
    "psql-userdb",
    "redis-userdb",
    "relay-ip",
    "server-name",
    "simple-log",
    "static-auth-secret",
    "syslog",
    "tls-listening-port",
    "total-quota",
    "use-auth-secret",
    "user",
    "user-quota",
    "userdb",
    "verbose",
];

/// Whether the last line of `through`, a text cut after the line, may be shown.
pub(super) fn may_be_shown(through: &str) -> bool {
    let (before, line) = through.rsplit_once('\n').unwrap_or(("", through));
    let schema = schema();
    let sections = sections(&schema);
    if let Some(name) = header(line) {
        return name != SECRET_SECTION && sections.iter().any(|it| it.name == name);
    }
    let section = before.lines().rev().find_map(header).unwrap_or("");
    // A second `=` may be that of anything.
    let Some((key, _)) = line.split_once('=').filter(|(_, it)| !it.contains('=')) else {
        return false;
    };
    let key = key.trim();
    let mut keys = sections.iter().filter(|it| it.name == section);
    let is_known = keys.any(|it| it.keys.iter().any(|known| known.name == key));
    is_known && section != SECRET_SECTION && !SECRET_KEYS.contains(&key)
}

/// The name of the section that a line begins, or that it could be meant to begin.
fn header(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?;
    Some(name.trim_matches(['[', ']', ' ', '\t']))
}

/// The first key of coturn's at the top of a text, and the bytes that it stands in.
pub(super) fn coturn_key(text: &str) -> Option<(&str, Range<usize>)> {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let start = end;
        end += line.len();
        if header(line).is_some() {
            return None;
        }
        let key = line.split_once('=').map_or(line, |(key, _)| key);
        if COTURN_KEYS.contains(&key.trim()) {
            let indent = key.len() - key.trim_start().len();
            return Some((key.trim(), start + indent..start + key.trim_end().len()));
        }
    }
    None
}

/// Where a key of this name belongs, if there is one such place.
pub(super) fn place_of(key: &str) -> Option<String> {
    let schema = schema();
    let sections = sections(&schema);
    let mut with_key = sections
        .iter()
        .filter(|it| it.keys.iter().any(|known| known.name == key));
    match (with_key.next(), with_key.next()) {
        (Some(one), None) if one.is_list => Some(format!("in [[{}]]", one.name)),
        (Some(one), None) if one.name.is_empty() => {
            Some("at the top, before the first section".to_owned())
        }
        (Some(one), None) => Some(format!("in [{}]", one.name)),
        _ => None,
    }
}
