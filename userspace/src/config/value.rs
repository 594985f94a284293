//! Values that know what they mean as soon as they are read, so that a wrong one is refused with
//! its own line and column.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny};

use super::units;

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

/// Declares a newtype that is read from a string by a function.
macro_rules! from_text {
    ($(#[$doc:meta])* $name:ident($inner:ty), $parse:expr) => {
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
    };
}

from_text! {
    /// `"90s"`
    DurationText(Duration), units::duration
}
from_text! {
    /// `"10 MB"`
    SizeText(u64), units::size
}
from_text! {
    /// `"192.0.2.1:3478"` or `"[2001:db8::1]:3478"`; without a port, 3478.
    ListenText(SocketAddr), listen
}
from_text! {
    /// `"192.0.2.1"`
    IpText(IpAddr), ip
}
from_text! {
    /// `"10.0.0.0/8"` or one address.
    NetText(IpNet), net
}
from_text! {
    /// `"49152-65535"`
    PortsText(RangeInclusive<u16>), ports
}
from_text! {
    /// `"udp"`
    TransportText(()), transport
}
from_text! {
    /// Not empty.
    SecretText(Secret), secret
}

/// A key that a later version honours: refused, so that nobody believes it works.
#[derive(Clone, Debug)]
pub(super) struct NotYet;

impl<'de> Deserialize<'de> for NotYet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(
            "this key is known but not in this version; remove it",
        ))
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, super::TURN_PORT)),
        Err(_) => Err(format!(
            "`{text}` is not an address; write \"192.0.2.1:3478\" or \"[2001:db8::1]:3478\""
        )),
    }
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

fn transport(text: &str) -> Result<(), String> {
    match text {
        "udp" => Ok(()),
        "tcp" | "tls" => Err(format!(
            "`{text}` is not in this version, which listens on udp only"
        )),
        _ => Err(format!(
            "`{text}` is not a transport; this version knows udp"
        )),
    }
}

fn secret(text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(Secret::new(text))
    }
}
