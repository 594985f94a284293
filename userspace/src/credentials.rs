//! A change of who may use the relay, on its way to every shard.

use turnpike_turn::server::{CredentialError, Credentials, UserKeys};

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

impl CredentialChange {
    /// Makes the change in what an engine holds.
    ///
    /// # Errors
    /// When the engine does not take a user or a secret.
    pub fn apply_to(&self, credentials: &mut Credentials) -> Result<(), CredentialError> {
        match self {
            Self::PutUser(name, keys) => credentials.add_user(name, *keys)?,
            Self::RemoveUser(name) => {
                credentials.remove_user(name);
            }
            Self::AddSecret(secret) => credentials.add_secret(secret.reveal().as_bytes())?,
            Self::RemoveSecret(secret) => {
                credentials.remove_secret(secret.reveal().as_bytes());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_made_and_undone() {
        let mut credentials = Credentials::new("r");
        let keys = UserKeys::of_password("alice", "r", "p").unwrap();
        let secret = Secret::new("north");
        for (change, holds) in [
            (CredentialChange::PutUser("alice".to_owned(), keys), (1, 0)),
            (CredentialChange::AddSecret(secret.clone()), (1, 1)),
            (CredentialChange::RemoveUser("alice".to_owned()), (0, 1)),
            (CredentialChange::RemoveSecret(secret), (0, 0)),
        ] {
            change.apply_to(&mut credentials).unwrap();
            assert_eq!((credentials.users(), credentials.secrets()), holds);
        }
    }
}
