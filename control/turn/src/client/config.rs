//! What a client is told when it starts.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use thiserror::Error;
use turnpike_stun::long_term::ClientCredential;
use turnpike_types::{AddressFamily, ServerAddr, Transport};

use crate::attribute::ReservationToken;

/// What to ask of which server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server transport address.
    pub server: ServerAddr,
    /// How the server is reached. TLS and DTLS are the caller's affair; the engine only needs to
    /// know whether messages travel as datagrams or as a stream.
    pub transport: Transport,
    /// User name and password; `None` for a server that asks for none.
    pub credential: Option<Credential>,
    /// Which relayed transport addresses are wanted.
    pub families: Families,
    /// Which relayed port is wanted.
    pub port: Port,
    /// The lifetime to ask for, in seconds; `None` leaves it to the server (ten minutes).
    pub lifetime: Option<u32>,
    /// Whether Send indications carry DONT-FRAGMENT. A server that does not know the attribute is
    /// asked again without; see [`Client::dont_fragment`](super::Client::dont_fragment).
    pub dont_fragment: bool,
    /// SOFTWARE in Allocate and Refresh requests; at most 763 bytes.
    pub software: Option<&'static str>,
    /// Whether requests carry FINGERPRINT.
    pub fingerprint: bool,
    /// The first retransmission interval on datagrams (RFC 8489 section 6.2.1).
    pub rto: Duration,
    /// How much the client keeps.
    pub limits: Limits,
}

impl Config {
    /// An IPv4 allocation on any port, without credentials.
    #[must_use]
    pub const fn new(server: ServerAddr, transport: Transport) -> Self {
        Self {
            server,
            transport,
            credential: None,
            families: Families::Ipv4,
            port: Port::Any,
            lifetime: None,
            dont_fragment: false,
            software: None,
            fingerprint: false,
            rto: Duration::from_millis(500),
            limits: Limits {
                permissions: 64,
                channels: 64,
            },
        }
    }

    /// Whether the wishes go together.
    pub(super) const fn check(&self) -> Result<(), ConfigError> {
        match (self.families, self.port) {
            (Families::Both, Port::EvenWithNext) => Err(ConfigError::ReserveWithBoth),
            (Families::Both, Port::Reserved(_)) => Err(ConfigError::ReservedWithBoth),
            _ => Ok(()),
        }
    }
}

/// A long-term credential (RFC 8489 section 9.2). Prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user name, at most 508 bytes.
    pub username: Arc<str>,
    /// The password.
    pub password: Arc<str>,
}

impl Credential {
    /// A credential of these two.
    #[must_use]
    pub fn new(username: &str, password: &str) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
        }
    }

    pub(super) fn prepare(&self) -> Result<ClientCredential, ConfigError> {
        ClientCredential::new(&self.username, &self.password).map_err(|_| ConfigError::Credential)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

/// Which relayed transport addresses to ask for (RFC 8656 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    /// IPv4, the default of RFC 8656. Named in the request only when the server is reached over
    /// IPv6, where servers have other defaults, since servers before RFC 6156 refuse the attribute.
    Ipv4,
    /// IPv6, by REQUESTED-ADDRESS-FAMILY.
    Ipv6,
    /// One of each, by ADDITIONAL-ADDRESS-FAMILY. The server may grant IPv4 alone.
    Both,
}

impl Families {
    /// Whether an address of this family is welcome.
    pub(super) const fn include(self, family: AddressFamily) -> bool {
        matches!(
            (self, family),
            (Self::Ipv4, AddressFamily::Ipv4) | (Self::Ipv6, AddressFamily::Ipv6) | (Self::Both, _)
        )
    }
}

/// Which relayed port to ask for (RFC 8656 sections 18.7 and 18.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one, with the next higher reserved for another allocation; the token is in
    /// [`Allocation::reservation_token`](super::Allocation::reservation_token).
    EvenWithNext,
    /// The one reserved under this token; it decides the address family.
    Reserved(ReservationToken),
}

/// How much a client keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Permissions asked for by address. Those of channels come on top.
    pub permissions: usize,
    /// Channels, bound or waiting out their five minutes.
    pub channels: usize,
}

/// Wishes that no request can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A dual allocation cannot reserve the next port: there would be two tokens.
    #[error("a dual allocation cannot reserve the next port")]
    ReserveWithBoth,
    /// A reservation is one port of one family.
    #[error("a reserved port cannot become a dual allocation")]
    ReservedWithBoth,
    /// The user name or password has characters that OpaqueString forbids, or is too long.
    #[error("user name or password not allowed")]
    Credential,
}
