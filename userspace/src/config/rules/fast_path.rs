//! `[fast_path]`: that its tables have room, and its devices names.

use super::super::{FastPathConfig, raw};
use super::Refusal;
use super::limits::positive;

/// `IFNAMSIZ`, without the byte that ends the name.
const NAME_BYTES_MAX: usize = 15;
const INTERFACES_MAX: usize = 64;

pub(super) fn fast_path(fast_path: raw::FastPath) -> Result<FastPathConfig, Refusal> {
    Ok(FastPathConfig {
        mode: fast_path.mode.map_or_else(Default::default, |it| it.0),
        interfaces: interfaces(fast_path.interfaces)?,
        generic: fast_path.generic,
        channels: positive(fast_path.channels)?,
        permissions: positive(fast_path.permissions)?,
        strangers_per_second: positive(fast_path.strangers_per_second)?,
    })
}

fn interfaces(names: Vec<String>) -> Result<Vec<String>, Refusal> {
    let mut interfaces: Vec<String> = Vec::new();
    for name in names {
        let wrong = |why: &str| (None, format!("fast_path.interfaces: `{name}` {why}"));
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(['/', ' ', '\0']) {
            return Err(wrong("is no name of a network device"));
        }
        if interfaces.contains(&name) {
            return Err(wrong("is named twice"));
        }
        if interfaces.len() == INTERFACES_MAX {
            return Err(wrong("is one too many: there is room for 64"));
        }
        interfaces.push(name);
    }
    Ok(interfaces)
}
