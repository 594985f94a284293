//! The rules that no single value shows.

mod auth;
mod fast_path;
mod limits;
mod listen;
mod relay;

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::at::At;
use super::raw::{self, Raw};
use super::value::{DurationText, SizeText};
use super::{Config, ConfigError, LogConfig, PeersConfig, REALM, RuntimeConfig};

/// RFC 8489 section 14.9
const REALM_CHARS_MAX: usize = 127;
const SHARDS: RangeInclusive<u16> = 1..=1_024;
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);

/// A refusal, still without its line: where, and what.
type Refusal = (Option<Range<usize>>, String);

pub(super) fn check(text: &str, raw: Raw) -> Result<Config, ConfigError> {
    build(raw).map_err(|(span, message)| match span {
        Some(span) => ConfigError::at(text, span, message),
        None => ConfigError::new(message),
    })
}

fn build(raw: Raw) -> Result<Config, Refusal> {
    let listen = listen::listeners(raw.listen, raw.tls.is_some())?;
    let metrics = raw.metrics;
    let runtime = runtime(raw.runtime)?;
    Ok(Config {
        realm: realm(raw.realm)?,
        auth: auth::credentials(raw.auth, raw.anonymous.as_ref())?,
        anonymous: raw.anonymous.is_some_and(At::into_inner),
        relay: relay::addresses(raw.relay, &listen, runtime.shards)?,
        tls: raw.tls.map(listen::certificate),
        metrics: metrics.map(|it| listen::metrics(it, &listen)).transpose()?,
        listen,
        peers: PeersConfig {
            allow: raw.peers.allow.into_iter().map(|it| it.0).collect(),
            deny: raw.peers.deny.into_iter().map(|it| it.0).collect(),
            min_port: raw.peers.min_port,
        },
        limits: limits::limits(raw.limits)?,
        fast_path: fast_path::fast_path(raw.fast_path)?,
        runtime,
        log: LogConfig {
            format: raw.log.format.map_or_else(Default::default, |it| it.0),
            clients: raw.log.clients,
        },
    })
}

fn realm(realm: Option<At<String>>) -> Result<String, Refusal> {
    let Some(realm) = realm else {
        return Ok(REALM.to_owned());
    };
    let span = realm.span();
    let realm = realm.into_inner();
    if realm.is_empty() {
        return refuse(span, "the realm must not be empty");
    }
    if realm.chars().count() > REALM_CHARS_MAX {
        return refuse(
            span,
            format!("the realm is longer than {REALM_CHARS_MAX} characters"),
        );
    }
    Ok(realm)
}

fn runtime(runtime: raw::Runtime) -> Result<RuntimeConfig, Refusal> {
    let shards = match runtime.shards {
        Some(shards) if !SHARDS.contains(shards.get_ref()) => {
            return refuse(
                shards.span(),
                format!("between {} and {} shards", SHARDS.start(), SHARDS.end()),
            );
        }
        other => other.map(At::into_inner),
    };
    let drain = duration(runtime.drain, &DRAIN, "a stop waits at most 1h")?;
    Ok(RuntimeConfig { shards, drain })
}

fn duration(
    value: Option<At<DurationText>>,
    range: &RangeInclusive<Duration>,
    rule: &str,
) -> Result<Option<Duration>, Refusal> {
    match value {
        Some(value) if !range.contains(&value.get_ref().0) => refuse(value.span(), rule),
        other => Ok(other.map(|it| it.into_inner().0)),
    }
}

fn size(
    value: Option<At<SizeText>>,
    range: &RangeInclusive<u64>,
    rule: &str,
) -> Result<Option<u64>, Refusal> {
    match value {
        Some(value) if !range.contains(&value.get_ref().0) => refuse(value.span(), rule),
        other => Ok(other.map(|it| it.into_inner().0)),
    }
}

fn refuse<T>(span: Range<usize>, message: impl Into<String>) -> Result<T, Refusal> {
    Err((Some(span), message.into()))
}
