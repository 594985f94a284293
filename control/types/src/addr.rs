//! Addresses by role (RFC 8656 section 2), so that a peer cannot be passed where a client is meant.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub SocketAddr);

        impl $name {
            /// The IP address without the port.
            #[must_use]
            pub const fn ip(&self) -> IpAddr {
                self.0.ip()
            }

            /// The port.
            #[must_use]
            pub const fn port(&self) -> u16 {
                self.0.port()
            }

            /// The address family.
            #[must_use]
            pub const fn family(&self) -> AddressFamily {
                AddressFamily::of(&self.0.ip())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

role! {
    /// The transport address a TURN client sends from, as the server sees it.
    ClientAddr
}
role! {
    /// The server transport address: where the server listens.
    ServerAddr
}
role! {
    /// The far host a TURN client talks to through the relay; it speaks no TURN.
    PeerAddr
}
role! {
    /// The address on the relay that peers send to, as bound on this host (before any NAT 1:1).
    RelayedAddr
}
role! {
    /// The client's transport address after NATs, as reported in XOR-MAPPED-ADDRESS.
    ReflexiveAddr
}

/// IPv4 or IPv6, with the code points of RFC 8489 section 14.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamily {
    /// 0x01
    Ipv4,
    /// 0x02
    Ipv6,
}

impl AddressFamily {
    /// The family of an address. An IPv4-mapped IPv6 address is IPv6.
    #[must_use]
    pub const fn of(ip: &IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The other family.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Ipv4 => Self::Ipv6,
            Self::Ipv6 => Self::Ipv4,
        }
    }
}

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams: ChannelData needs no padding.
    Udp,
    /// A byte stream: ChannelData is padded to four bytes.
    Tcp,
    /// A byte stream inside TLS.
    Tls,
    /// Datagrams inside DTLS.
    Dtls,
}

impl Transport {
    /// Every transport, in order.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Tls, Self::Dtls];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        }
    }

    /// Whether messages arrive as a byte stream and must be framed (RFC 8656 section 12.4).
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Client address, server address and transport: names at most one allocation (RFC 8656 section 5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple {
    /// Where the client sends from.
    pub client: ClientAddr,
    /// Where the client sends to.
    pub server: ServerAddr,
    /// How.
    pub transport: Transport,
}

impl fmt::Debug for FiveTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FiveTuple({self})")
    }
}

impl fmt::Display for FiveTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}/{}", self.client.0, self.server.0, self.transport)
    }
}
