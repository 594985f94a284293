//! The file's shape, key by key, as it is written.
//!
//! What is said of a key here is what operators read: the JSON Schema, the example and
//! `docs/configuration.md` are made from these comments and attributes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;
use super::value::{
    AddressText, DurationText, FormatText, IpText, ListenText, ModeText, NetText, PathText,
    PortsText, SecretText, SizeText, TransportText,
};

/// The configuration of Turnpike, a TURN relay (RFC 8656).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Turnpike")]
pub(super) struct Raw {
    /// The realm of long-term credentials, as a rule the domain. Changing it changes every key
    /// that is stored in a database.
    #[schemars(length(min = 1, max = 127), extend("default" = "turnpike"), example = &"example.org")]
    pub(super) realm: Option<At<String>>,
    /// Lets clients in without credentials: an open relay. Quotas then count by client address.
    #[schemars(extend("default" = false))]
    pub(super) anonymous: Option<At<bool>>,
    /// One section a listener. Without any, every address that the host has at the start is listened
    /// on.
    #[schemars(length(max = 64))]
    pub(super) listen: Vec<Listen>,
    /// The certificate of the listeners with transport "tls", which need one.
    pub(super) tls: Option<Tls>,
    /// Where relayed transport addresses come from.
    pub(super) relay: Relay,
    /// Who may allocate. Without users, secrets and database the relay does not start, unless
    /// `anonymous = true`.
    pub(super) auth: Auth,
    /// Which peers may be reached. Loopback, private, link-local and other special ranges may not.
    pub(super) peers: Peers,
    /// How much of everything.
    pub(super) limits: Limits,
    /// Relaying in the kernel, by XDP programs; what they do not carry goes through sockets.
    pub(super) fast_path: FastPath,
    /// Numbers for Prometheus.
    pub(super) metrics: Option<Metrics>,
    /// Threads, and how the relay stops.
    pub(super) runtime: Runtime,
    /// What goes to stderr. How much is set by the environment variable TURNPIKE_LOG.
    pub(super) log: Log,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// What clients speak: "udp", "tcp", or "tls" over TCP. UDP and TCP may share an address and
    /// port; TCP and TLS may not.
    #[schemars(example = &"udp")]
    pub(super) transport: At<TransportText>,
    /// Where clients send to. A wildcard stands for each address of its family that the host has at
    /// the start; one that comes later is not listened on until the next start. Without a port it is
    /// 3478, and 5349 for "tls".
    #[schemars(example = &"0.0.0.0:3478", example = &"[2001:db8::1]:3478")]
    pub(super) address: At<ListenText>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// PEM file: the server's certificate, then those that signed it. Read again when it changes.
    /// A path from the folder of this file.
    #[schemars(example = &"cert.pem")]
    pub(super) certificate: PathText,
    /// PEM file: the private key of the certificate. A path from the folder of this file.
    #[schemars(example = &"key.pem")]
    pub(super) key: PathText,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Relay {
    /// Addresses of this host that relayed transport addresses are taken from. Without any, those
    /// of the default routes.
    #[schemars(length(max = 64), extend("examples" = [["192.0.2.1", "2001:db8::1"]]))]
    pub(super) addresses: Vec<At<IpText>>,
    /// For a one-to-one NAT: each inside address of `relay.addresses` with the outside one, which
    /// clients and peers are told.
    // Keys are addresses of this host; they are checked in `rules`, where the text is at hand.
    #[schemars(extend("examples" = [{ "192.0.2.1": "198.51.100.7" }]))]
    pub(super) external: BTreeMap<At<String>, At<IpText>>,
    /// Relayed ports, from 1024, at least two a shard. Keep them out of
    /// net.ipv4.ip_local_port_range, or in net.ipv4.ip_local_reserved_ports.
    #[schemars(extend("default" = "49152-65535"))]
    pub(super) ports: Option<At<PortsText>>,
    /// Whether clients may bind channel numbers from 0x5000 to 0x7FFF too. RFC 8656 took them back;
    /// old clients and coturn's turnutils_uclient draw them.
    pub(super) legacy_channels: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    /// User names, each with its password.
    #[schemars(extend("examples" = [{ "alice": "a long password" }]))]
    pub(super) users: BTreeMap<At<String>, SecretText>,
    /// Shared secrets of ephemeral credentials, at most 16. The user name is `expiry:user`, with
    /// expiry in seconds since 1970; the password is base64(HMAC(secret, user name)), by SHA-1 or
    /// SHA-256.
    #[schemars(length(max = 16), extend("examples" = [["a long shared secret"]]))]
    pub(super) secrets: Vec<SecretText>,
    /// SQLite file with more users and secrets, in coturn's tables turnusers_lt and turn_secret.
    /// Changes take effect while the relay runs. A path from the folder of this file.
    #[schemars(example = &"var/turnpike.db")]
    pub(super) database: Option<At<PathText>>,
    /// Whether the end of an ephemeral credential also ends its live allocations.
    pub(super) strict_expiry: bool,
    /// How long a nonce is good for, from 10s to 24h.
    #[schemars(extend("default" = "10m"))]
    pub(super) nonce_lifetime: Option<At<DurationText>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Peers {
    /// Networks or addresses that may be reached on any port, but for the relay's own services.
    /// Wins over `peers.deny` and over the built-in ranges.
    #[schemars(extend("examples" = [["10.0.0.0/8"]]))]
    pub(super) allow: Vec<NetText>,
    /// Networks or addresses that are refused beside the built-in ranges.
    #[schemars(extend("examples" = [["203.0.113.0/24"]]))]
    pub(super) deny: Vec<NetText>,
    /// The lowest port of a peer that is not in `peers.allow`.
    #[schemars(extend("default" = 1024))]
    pub(super) min_port: Option<u16>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    /// Allocations in all, divided evenly over shards and rounded up: one may be full while another
    /// is not. Clients beyond are told 508.
    #[schemars(range(min = 1), extend("default" = 65536))]
    pub(super) allocations: Option<At<u32>>,
    /// Allocations and reservations of one user on all shards together; beyond, 486.
    #[schemars(range(min = 1), extend("default" = 128))]
    pub(super) allocations_per_user: Option<At<u32>>,
    /// Permissions of one allocation; beyond, 508.
    #[schemars(range(min = 1), extend("default" = 256))]
    pub(super) permissions_per_allocation: Option<At<u32>>,
    /// Channels of one allocation; beyond, 508.
    #[schemars(range(min = 1, max = 4096), extend("default" = 256))]
    pub(super) channels_per_allocation: Option<At<u32>>,
    /// The lifetime of an allocation whose client asks for less, or for nothing.
    #[schemars(extend("default" = "10m"))]
    pub(super) lifetime: Option<At<DurationText>>,
    /// The longest lifetime granted at a time.
    #[schemars(extend("default" = "1h"))]
    pub(super) lifetime_max: Option<At<DurationText>>,
    /// Packets that one allocation may relay a second, both directions together.
    #[schemars(range(min = 1), example = 5000)]
    pub(super) allocation_packets_per_second: Option<At<u32>>,
    /// Bytes that one allocation may relay a second, both directions together.
    #[schemars(example = &"10 MB")]
    pub(super) allocation_bytes_per_second: Option<At<SizeText>>,
    /// Packets that all allocations of a user may relay a second, together, on whichever shards they
    /// are.
    #[schemars(range(min = 1), example = 20000)]
    pub(super) user_packets_per_second: Option<At<u32>>,
    /// Bytes that all allocations of a user may relay a second, together, on whichever shards they
    /// are.
    #[schemars(example = &"40 MB")]
    pub(super) user_bytes_per_second: Option<At<SizeText>>,
    /// Connections of clients over TCP and TLS, in all, and never more than half of the descriptors.
    /// One beyond is closed; of TLS handshakes, an eighth at a time.
    #[schemars(range(min = 1), extend("default" = 16384))]
    pub(super) connections: Option<At<u32>>,
    /// Connections from one client address, or from one IPv6 /64.
    #[schemars(range(min = 1), extend("default" = 1024))]
    pub(super) connections_per_address: Option<At<u32>>,
    /// How long a TLS handshake may take, from 1s to 5m.
    #[schemars(extend("default" = "10s"))]
    pub(super) handshake_timeout: Option<At<DurationText>>,
    /// How long a connection may live without an allocation, from 1s to 24h.
    #[schemars(extend("default" = "60s"))]
    pub(super) idle_timeout: Option<At<DurationText>>,
    /// Bytes that may wait for one client that reads slowly, from 66 KiB to 64 MiB. Packets beyond
    /// are dropped and counted.
    #[schemars(extend("default" = "256 KiB"))]
    pub(super) write_queue: Option<At<SizeText>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FastPath {
    /// "auto" uses the fast path where this host has all that it needs, and else says once what is
    /// missing; "require" does not start without it; "off" uses sockets alone.
    #[schemars(extend("default" = "auto"))]
    pub(super) mode: Option<ModeText>,
    /// Network devices that packets of clients and peers come and leave by. Without any, those of
    /// the addresses that are listened on and relayed from, but no veth: what such a device is sent
    /// is lost unless its far end has an XDP program too.
    #[schemars(length(max = 64), extend("examples" = [["eth0"]]))]
    pub(super) interfaces: Vec<String>,
    /// Whether the kernel may run the programs for a driver that cannot ("generic XDP"), slower.
    pub(super) generic: bool,
    /// Channels that the kernel's tables have room for. Without it, two an allocation; what is
    /// beyond goes through sockets.
    #[schemars(range(min = 1), example = 131_072)]
    pub(super) channels: Option<At<u32>>,
    /// Permissions that the kernel's tables have room for. Without it, four an allocation; what is
    /// beyond goes through sockets.
    #[schemars(range(min = 1), example = 262_144)]
    pub(super) permissions: Option<At<u32>>,
    /// Requests a second that are let through from one IPv4 address, or one IPv6 /64, outside of its
    /// allocations. The others end in the kernel.
    #[schemars(range(min = 1), extend("default" = 1000))]
    pub(super) strangers_per_second: Option<At<u32>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    /// Where /metrics is served over HTTP. Without the section, nowhere. Whoever can reach it can
    /// read it.
    #[schemars(example = &"127.0.0.1:9641")]
    pub(super) address: At<AddressText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Runtime {
    /// Threads that relay, from 1 to 1024. Without it, one a core. There are fewer where one would
    /// have less than 64 allocations or 32 pairs of relayed ports.
    #[schemars(range(min = 1, max = 1024), example = 4)]
    pub(super) shards: Option<At<u16>>,
    /// How long a stop waits for calls to end, at most 1h. "0s" does not wait.
    #[schemars(extend("default" = "10s"))]
    pub(super) drain: Option<At<DurationText>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// "text" for people, "json" for programs: an object a line.
    #[schemars(extend("default" = "text"))]
    pub(super) format: Option<FormatText>,
    /// Whether addresses of clients and user names may appear. Credentials never do.
    pub(super) clients: bool,
}
