//! A change of who may use the relay, on its way to every shard.

use turnpike_turn::server::UserKeys;

use crate::config::Secret;

/// One change; the rest of what a shard knows stays.
#[derive(Clone, Debug)]
pub enum CredentialChange {
    /// A user is new, or has other keys.
    PutUser(String, UserKeys),
    /// A user is gone: no new allocations in its name.
    RemoveUser(String),
    /// One more shared secret.
    AddSecret(Secret),
    /// One secret less.
    RemoveSecret(Secret),
}
