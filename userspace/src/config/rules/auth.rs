//! `[auth]`: who may allocate, and that somebody may.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::at::At;
use super::super::{AuthConfig, Secret, raw};
use super::{Refusal, duration, refuse};

/// RFC 8489 section 14.3: USERNAME is below these many bytes.
const USERNAME_BYTES_MAX: usize = 508;
const NONCE_LIFETIME: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(86_400);

pub(super) fn credentials(
    auth: raw::Auth,
    anonymous: Option<&At<bool>>,
) -> Result<AuthConfig, Refusal> {
    let auth = AuthConfig {
        users: auth
            .users
            .into_iter()
            .map(|(name, password)| Ok((user_name(name)?, password.0)))
            .collect::<Result<Vec<(String, Secret)>, Refusal>>()?,
        secrets: auth.secrets.into_iter().map(|it| it.0).collect(),
        database: auth.database.map(|it| it.into_inner().0),
        strict_expiry: auth.strict_expiry,
        nonce_lifetime: duration(
            auth.nonce_lifetime,
            &NONCE_LIFETIME,
            "a nonce lives between 10s and 24h",
        )?,
    };
    // A database may get its users later.
    let none = auth.users.is_empty() && auth.secrets.is_empty() && auth.database.is_none();
    match anonymous.filter(|it| *it.get_ref()) {
        Some(anonymous) if !none => refuse(
            anonymous.span(),
            "`anonymous = true` lets everybody in, so [auth] would mean nothing; keep one",
        ),
        None if none => {
            let hint = "no credentials: add [auth] with `users = { name = \"password\" }`, \
                        `secrets = [\"secret\"]` or `database = \"turnpike.db\"`, or set \
                        `anonymous = true` for an open relay";
            Err((None, hint.to_owned()))
        }
        _ => Ok(auth),
    }
}

fn user_name(name: At<String>) -> Result<String, Refusal> {
    if (1..=USERNAME_BYTES_MAX).contains(&name.get_ref().len()) {
        return Ok(name.into_inner());
    }
    refuse(
        name.span(),
        format!("a user name has 1 to {USERNAME_BYTES_MAX} bytes"),
    )
}
