//! The rules that no single value shows.

use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use turnpike_turn::RelayAddress;
use turnpike_types::{RateLimit, Transport};

use super::raw::{self, Raw};
use super::value::{DurationText, IpText, SizeText};
use super::{
    AuthConfig, Config, ConfigError, LimitsConfig, ListenConfig, LogConfig, PeersConfig, REALM,
    RELAY_PORTS, RelayConfig, RuntimeConfig,
};

/// RFC 8489 sections 14.3 and 14.9: USERNAME and REALM are below these many bytes.
const USERNAME_BYTES_MAX: usize = 508;
const REALM_BYTES_MAX: usize = 762;
const LISTENERS_MAX: usize = 64;
const RELAY_ADDRESSES_MAX: usize = 64;
const LIFETIME: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
const NONCE_LIFETIME: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(86_400);

/// A refusal, still without its line: where, and what.
type Refusal = (Option<Range<usize>>, String);

pub(super) fn check(text: &str, raw: Raw) -> Result<Config, ConfigError> {
    build(raw).map_err(|(span, message)| match span {
        Some(span) => ConfigError::at(text, span, message),
        None => ConfigError::new(message),
    })
}

fn build(raw: Raw) -> Result<Config, Refusal> {
    let Raw {
        realm,
        anonymous,
        listen,
        relay,
        auth,
        peers,
        limits,
        tls: _,
        metrics: _,
    } = raw;
    let listen = listeners(listen)?;
    let auth = credentials(auth, anonymous.as_ref())?;
    let relay = relay_addresses(relay, &listen)?;
    Ok(Config {
        realm: checked_realm(realm)?,
        anonymous: anonymous.is_some_and(Spanned::into_inner),
        listen,
        relay,
        auth,
        peers: PeersConfig {
            allow: peers.allow.into_iter().map(|it| it.0).collect(),
            deny: peers.deny.into_iter().map(|it| it.0).collect(),
            min_port: peers.min_port,
        },
        tls: None,
        limits: checked_limits(limits)?,
        metrics: None,
        runtime: RuntimeConfig::default(),
        log: LogConfig::default(),
    })
}

fn checked_realm(realm: Option<Spanned<String>>) -> Result<String, Refusal> {
    let Some(realm) = realm else {
        return Ok(REALM.to_owned());
    };
    let span = realm.span();
    let realm = realm.into_inner();
    if realm.is_empty() {
        return refuse(span, "the realm must not be empty");
    }
    if realm.len() > REALM_BYTES_MAX {
        return refuse(
            span,
            format!("the realm is longer than {REALM_BYTES_MAX} bytes"),
        );
    }
    Ok(realm)
}

fn listeners(listen: Vec<raw::Listen>) -> Result<Vec<ListenConfig>, Refusal> {
    let mut addresses = Vec::new();
    for listener in listen {
        let span = listener.address.span();
        let address = listener.address.into_inner().0;
        let listener = ListenConfig {
            transport: Transport::Udp,
            address,
        };
        if addresses.contains(&listener) {
            return refuse(span, format!("{address} is listened on twice"));
        }
        if address.ip().is_multicast() {
            return refuse(span, format!("{address} is a multicast address"));
        }
        if addresses.len() == LISTENERS_MAX {
            return refuse(span, format!("more than {LISTENERS_MAX} listeners"));
        }
        addresses.push(listener);
    }
    Ok(addresses)
}

fn credentials(auth: raw::Auth, anonymous: Option<&Spanned<bool>>) -> Result<AuthConfig, Refusal> {
    let mut users = Vec::new();
    for (name, password) in auth.users {
        let span = name.span();
        let name = name.into_inner();
        if name.is_empty() || name.len() > USERNAME_BYTES_MAX {
            return refuse(
                span,
                format!("a user name has 1 to {USERNAME_BYTES_MAX} bytes"),
            );
        }
        users.push((name, password.0));
    }
    let none = users.is_empty() && auth.secrets.is_empty();
    match anonymous {
        Some(anonymous) if *anonymous.get_ref() && !none => {
            return refuse(
                anonymous.span(),
                "`anonymous = true` lets everybody in, so [auth] would mean nothing; keep one",
            );
        }
        Some(anonymous) if *anonymous.get_ref() => {}
        _ if none => {
            let hint = "no credentials: add [auth] with `users = { name = \"password\" }` or \
                        `secrets = [\"secret\"]`, or set `anonymous = true` for an open relay";
            return Err((None, hint.to_owned()));
        }
        _ => {}
    }
    Ok(AuthConfig {
        users,
        secrets: auth.secrets.into_iter().map(|it| it.0).collect(),
        database: None,
        strict_expiry: auth.strict_expiry,
        nonce_lifetime: auth.nonce_lifetime.map(nonce_lifetime).transpose()?,
    })
}

fn nonce_lifetime(lifetime: Spanned<DurationText>) -> Result<Duration, Refusal> {
    let span = lifetime.span();
    let lifetime = lifetime.into_inner().0;
    if NONCE_LIFETIME.contains(&lifetime) {
        Ok(lifetime)
    } else {
        refuse(span, "a nonce lives between 10s and 24h")
    }
}

fn relay_addresses(relay: raw::Relay, listen: &[ListenConfig]) -> Result<RelayConfig, Refusal> {
    let mut addresses: Vec<RelayAddress> = Vec::new();
    for address in relay.addresses {
        let span = address.span();
        let ip = address.into_inner().0;
        if ip.is_unspecified() || ip.is_multicast() {
            return refuse(span, format!("{ip} is no address that peers could send to"));
        }
        if addresses.iter().any(|own| own.ip == ip) {
            return refuse(span, format!("{ip} is named twice"));
        }
        if addresses.len() == RELAY_ADDRESSES_MAX {
            return refuse(
                span,
                format!("more than {RELAY_ADDRESSES_MAX} relay addresses"),
            );
        }
        addresses.push(RelayAddress { ip, external: None });
    }
    for (inside, outside) in relay.external {
        set_external(&mut addresses, &inside, outside)?;
    }
    let (ports_span, ports) = match relay.ports {
        Some(ports) => (Some(ports.span()), ports.into_inner().0),
        None => (None, RELAY_PORTS),
    };
    let clash = listen
        .iter()
        .find(|listener| ports.contains(&listener.address.port()));
    if let Some(listener) = clash {
        let message = format!(
            "the relayed ports hold the listener's own port {}",
            listener.address.port()
        );
        return Err((ports_span, message));
    }
    Ok(RelayConfig { addresses, ports })
}

fn set_external(
    addresses: &mut [RelayAddress],
    inside: &Spanned<String>,
    outside: Spanned<IpText>,
) -> Result<(), Refusal> {
    let text = inside.get_ref();
    let outside_span = outside.span();
    let outside = outside.into_inner().0;
    let Ok(ip) = text.parse::<IpAddr>() else {
        return refuse(inside.span(), format!("`{text}` is not an IP address"));
    };
    let taken = addresses.iter().any(|own| own.external == Some(outside));
    let Some(own) = addresses.iter_mut().find(|own| own.ip == ip) else {
        return refuse(
            inside.span(),
            format!("{ip} is not among [relay] addresses"),
        );
    };
    if ip.is_ipv4() != outside.is_ipv4() {
        return refuse(
            outside_span,
            format!("{outside} is not of the family of {ip}"),
        );
    }
    if taken {
        return refuse(
            outside_span,
            format!("{outside} stands for two relay addresses"),
        );
    }
    own.external = Some(outside);
    Ok(())
}

fn checked_limits(limits: raw::Limits) -> Result<LimitsConfig, Refusal> {
    Ok(LimitsConfig {
        allocations: positive(limits.allocations)?,
        allocations_per_user: positive(limits.allocations_per_user)?,
        permissions_per_allocation: positive(limits.permissions_per_allocation)?,
        channels_per_allocation: positive(limits.channels_per_allocation)?,
        lifetime: limits.lifetime.map(lifetime).transpose()?,
        lifetime_max: limits.lifetime_max.map(lifetime).transpose()?,
        allocation_rate: RateLimit {
            packets_per_second: positive(limits.allocation_packets_per_second)?,
            bytes_per_second: positive_size(limits.allocation_bytes_per_second)?,
        },
        user_rate: RateLimit {
            packets_per_second: positive(limits.user_packets_per_second)?,
            bytes_per_second: positive_size(limits.user_bytes_per_second)?,
        },
        ..LimitsConfig::default()
    })
}

fn lifetime(lifetime: Spanned<DurationText>) -> Result<Duration, Refusal> {
    let span = lifetime.span();
    let lifetime = lifetime.into_inner().0;
    if LIFETIME.contains(&lifetime) {
        Ok(lifetime)
    } else {
        refuse(span, "an allocation lives between 1s and 365d at a time")
    }
}

fn positive(limit: Option<Spanned<u32>>) -> Result<Option<u32>, Refusal> {
    match limit {
        Some(limit) if *limit.get_ref() == 0 => refuse(limit.span(), NO_LIMIT),
        other => Ok(other.map(Spanned::into_inner)),
    }
}

fn positive_size(limit: Option<Spanned<SizeText>>) -> Result<Option<u64>, Refusal> {
    match limit {
        Some(limit) if limit.get_ref().0 == 0 => refuse(limit.span(), NO_LIMIT),
        other => Ok(other.map(|it| it.into_inner().0)),
    }
}

const NO_LIMIT: &str = "0 would refuse everything; remove the key for no limit of your own";

fn refuse<T>(span: Range<usize>, message: impl Into<String>) -> Result<T, Refusal> {
    Err((Some(span), message.into()))
}
