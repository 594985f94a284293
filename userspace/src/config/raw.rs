//! The file's shape, key by key, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::value::{
    DurationText, IpText, ListenText, NetText, NotYet, PortsText, SecretText, SizeText,
    TransportText,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) realm: Option<Spanned<String>>,
    pub(super) anonymous: Option<Spanned<bool>>,
    pub(super) listen: Vec<Listen>,
    pub(super) tls: Option<NotYet>,
    pub(super) relay: Relay,
    pub(super) auth: Auth,
    pub(super) peers: Peers,
    pub(super) limits: Limits,
    pub(super) metrics: Option<NotYet>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// Read for its check alone: there is one transport in this version.
    #[serde(rename = "transport")]
    pub(super) _transport: TransportText,
    pub(super) address: Spanned<ListenText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Relay {
    pub(super) addresses: Vec<Spanned<IpText>>,
    /// Keys are addresses of this host; they are checked in `rules`, where the text is at hand.
    pub(super) external: BTreeMap<Spanned<String>, Spanned<IpText>>,
    pub(super) ports: Option<Spanned<PortsText>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) users: BTreeMap<Spanned<String>, SecretText>,
    pub(super) secrets: Vec<SecretText>,
    pub(super) database: Option<NotYet>,
    pub(super) strict_expiry: bool,
    pub(super) nonce_lifetime: Option<Spanned<DurationText>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Peers {
    pub(super) allow: Vec<NetText>,
    pub(super) deny: Vec<NetText>,
    pub(super) min_port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) allocations: Option<Spanned<u32>>,
    pub(super) allocations_per_user: Option<Spanned<u32>>,
    pub(super) permissions_per_allocation: Option<Spanned<u32>>,
    pub(super) channels_per_allocation: Option<Spanned<u32>>,
    pub(super) lifetime: Option<Spanned<DurationText>>,
    pub(super) lifetime_max: Option<Spanned<DurationText>>,
    pub(super) allocation_packets_per_second: Option<Spanned<u32>>,
    pub(super) allocation_bytes_per_second: Option<Spanned<SizeText>>,
    pub(super) user_packets_per_second: Option<Spanned<u32>>,
    pub(super) user_bytes_per_second: Option<Spanned<SizeText>>,
}
