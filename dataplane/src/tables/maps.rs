//! The programs' maps, opened for one writer, and what their refusals mean to an engine.

use std::io;

use aya::Pod;
use aya::maps::{HashMap, MapData, MapError};
use nix::errno::Errno;
use turnpike_types::CommandError;

pub(crate) type Flows = HashMap<MapData, [u64; 5], [u64; 8]>;
pub(crate) type Permissions = HashMap<MapData, [u64; 5], [u64; 9]>;
pub(crate) type Clients = HashMap<MapData, [u64; 5], [u64; 6]>;
pub(crate) type Locals = HashMap<MapData, [u64; 3], [u64; 2]>;

/// The hash tables; each writer has its own descriptors of them.
#[derive(Debug)]
pub(crate) struct Maps {
    pub(crate) flows: Flows,
    pub(crate) permissions: Permissions,
    pub(crate) clients: Clients,
    pub(crate) locals: Locals,
}

/// Puts an entry in, or replaces it whole.
pub(super) fn put<K: Pod, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    (key, value): &(K, V),
) -> Result<(), CommandError> {
    map.insert(key, value, 0).map_err(|error| meaning(&error))
}

/// Takes an entry out, unless it is not there or another's by now.
pub(super) fn take<K: Pod, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    key: &K,
    is_ours: impl FnOnce(&V) -> bool,
) -> Result<(), CommandError> {
    let gone = |error: MapError| match meaning(&error) {
        CommandError::Absent => Ok(()),
        other => Err(other),
    };
    match map.get(key, 0) {
        Ok(value) if is_ours(&value) => map.remove(key).or_else(gone),
        Ok(_) => Ok(()),
        Err(error) => gone(error),
    }
}

/// What the kernel's refusal means.
fn meaning(error: &MapError) -> CommandError {
    let MapError::SyscallError(refused) = error else {
        return CommandError::Absent;
    };
    match errno(&refused.io_error) {
        Errno::E2BIG | Errno::ENOSPC => CommandError::TableFull,
        Errno::EPERM | Errno::EACCES => CommandError::NotPermitted,
        Errno::ENOENT => CommandError::Absent,
        _ => CommandError::OutOfResources,
    }
}

fn errno(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
}
