//! Values that know what they mean as soon as they are read, so that a wrong one is refused with
//! its own line and column.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use turnpike_types::Transport;

use super::words::nearest;
use super::{FastPathMode, LogFormat, TURN_PORT, TURNS_PORT, units};

/// A password or shared secret; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a listener is, its port perhaps left to its transport.
#[derive(Clone, Copy, Debug)]
pub(super) enum ListenAddress {
    WithPort(SocketAddr),
    Alone(IpAddr),
}

impl ListenAddress {
    /// The address with the port that its transport is registered for, if none is written.
    pub(super) fn on(self, transport: Transport) -> SocketAddr {
        match (self, transport) {
            (Self::WithPort(address), _) => address,
            (Self::Alone(ip), Transport::Tls | Transport::Dtls) => SocketAddr::new(ip, TURNS_PORT),
            (Self::Alone(ip), Transport::Udp | Transport::Tcp) => SocketAddr::new(ip, TURN_PORT),
        }
    }
}

/// Declares a newtype that is read from a string by a function, and is described by a schema.
macro_rules! from_text {
    ($(#[$doc:meta])* $name:ident($inner:ty), $parse:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Result<$inner, String> = $parse;
                parse(&text).map(Self).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

from_text! {
    /// `"90s"`
    DurationText(Duration), units::duration,
    { "type": "string", "pattern": "^ *([0-9]+ *(ms|s|m|min|h|d) *)+$" }
}
from_text! {
    /// `"10 MB"`
    SizeText(u64), units::size,
    { "type": "string", "pattern": "^ *[0-9]+ *(B|kB|KB|MB|GB|KiB|MiB|GiB) *$" }
}
from_text! {
    /// `"192.0.2.1:3478"` or `"[2001:db8::1]:3478"`, or without the port.
    ListenText(ListenAddress), listen, { "type": "string", "minLength": 2 }
}
from_text! {
    /// `"127.0.0.1:9641"`
    AddressText(SocketAddr), address, { "type": "string", "pattern": ":[0-9]{1,5}$" }
}
from_text! {
    /// `"192.0.2.1"`
    IpText(IpAddr), ip, { "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] }
}
from_text! {
    /// `"10.0.0.0/8"` or one address.
    NetText(IpNet), net, { "type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$" }
}
from_text! {
    /// `"49152-65535"`
    PortsText(RangeInclusive<u16>), ports,
    { "type": "string", "pattern": "^[0-9]{4,5} *- *[0-9]{4,5}$" }
}
from_text! {
    /// `"udp"`
    TransportText(Transport), transport, { "type": "string", "enum": ["udp", "tcp", "tls"] }
}
from_text! {
    /// `"json"`
    FormatText(LogFormat), format, { "type": "string", "enum": ["text", "json"] }
}
from_text! {
    /// `"auto"`
    ModeText(FastPathMode), mode, { "type": "string", "enum": ["auto", "require", "off"] }
}
from_text! {
    /// `"var/turnpike.db"`
    PathText(PathBuf), path, { "type": "string", "minLength": 1 }
}
from_text! {
    /// Not empty.
    SecretText(Secret), secret, { "type": "string", "minLength": 1, "writeOnly": true }
}

fn listen(text: &str) -> Result<ListenAddress, String> {
    match text.parse() {
        Ok(ip) => Ok(ListenAddress::Alone(ip)),
        Err(_) => address(text).map(ListenAddress::WithPort),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| match (with_brackets(text), text.parse::<IpAddr>()) {
            (Some(meant), _) => format!("`{text}` lacks the brackets; write \"{meant}\""),
            (None, Ok(ip)) => format!(
                "`{text}` lacks a port; write \"{}\"",
                SocketAddr::new(ip, 9_641)
            ),
            (None, Err(_)) => format!(
                "`{text}` is not an address; write \"192.0.2.1:3478\" or \"[2001:db8::1]:3478\""
            ),
        })
}

/// What `fd00::2:3478` was perhaps meant to be: the end of an IPv6 address taken for a port.
pub(crate) fn with_brackets(text: &str) -> Option<SocketAddr> {
    const PORT_MIN: u16 = 100;
    let (ip, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port >= PORT_MIN)?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some(SocketAddr::new(ip.into(), port))
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an IP address; names are not looked up"))
}

fn net(text: &str) -> Result<IpNet, String> {
    let net = match text.parse::<IpAddr>() {
        Ok(ip) => return Ok(IpNet::from(ip)),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            format!("`{text}` is not a network; write \"10.0.0.0/8\" or one address")
        })?,
    };
    if net.addr() == net.network() {
        Ok(net)
    } else {
        Err(format!(
            "`{text}` has bits beyond its prefix; did you mean \"{}\"?",
            net.trunc()
        ))
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("`{text}` is not a port range; write \"49152-65535\"");
    let (low, high) = text.split_once('-').ok_or_else(wrong)?;
    let low: u16 = low.trim().parse().map_err(|_| wrong())?;
    let high: u16 = high.trim().parse().map_err(|_| wrong())?;
    if low < 1_024 {
        return Err(format!(
            "relayed ports begin at 1024 or above, not at {low}"
        ));
    }
    if low > high {
        return Err(format!(
            "the range ends before it begins; did you mean \"{high}-{low}\"?"
        ));
    }
    Ok(low..=high)
}

fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        "dtls" => {
            Err("`dtls` is not in this version, which listens on udp, tcp and tls".to_owned())
        }
        _ => Err(not_one_of(text, "a transport", &["udp", "tcp", "tls"])),
    }
}

fn format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(not_one_of(text, "a log format", &["text", "json"])),
    }
}

fn mode(text: &str) -> Result<FastPathMode, String> {
    match text {
        "auto" => Ok(FastPathMode::Auto),
        "require" => Ok(FastPathMode::Require),
        "off" => Ok(FastPathMode::Off),
        _ => Err(not_one_of(
            text,
            "a mode of the fast path",
            &["auto", "require", "off"],
        )),
    }
}

fn not_one_of(text: &str, what: &str, known: &[&str]) -> String {
    match nearest(&text.to_lowercase(), known) {
        Some(value) => format!("`{text}` is not {what}; did you mean \"{value}\"?"),
        None => format!("`{text}` is not {what}; known: {}", known.join(", ")),
    }
}

/// Says nothing of the text itself: where a database server is expected, it holds a password.
fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.contains("://") {
        return Err("the path of a file is needed, not a URL".to_owned());
    }
    if text.contains("-----BEGIN") {
        return Err("the path of a file is needed, not what is in it".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn secret(text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(Secret::new(text))
    }
}
