//! A flood: requests of nobody's clients, between the packets of flows.
//!
//! Each is an Allocate request without credentials, which a server answers with a challenge (RFC 8489
//! section 9.2.3) if it answers at all. What becomes of them is not counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use turnpike_generator_layout::SPOOFED;
use turnpike_stun::Method;

use super::super::frame::{Link, Template, Wrapping};

/// Who else sends to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strangers {
    /// The server, of IPv4.
    pub server: SocketAddr,
    /// Requests for each packet of a flow.
    pub each: u32,
    /// Whether every request comes from another address, at random; else all come from a few.
    pub spoofed: bool,
}

impl Strangers {
    /// The frame of the stranger with this number. A spoofed one has no source yet.
    pub(super) fn frame(&self, link: Link, number: u32) -> Option<Template> {
        let ([a, b, c, _], _) = SPOOFED;
        let ip = match self.spoofed {
            true => Ipv4Addr::UNSPECIFIED,
            false => Ipv4Addr::new(a, b, c, u8::try_from(1 + number % FEW).ok()?),
        };
        let port = u16::try_from(PORTS_FROM + number % PORTS).ok()?;
        let from = SocketAddr::new(IpAddr::V4(ip), port);
        let request = Wrapping::Request(Method::ALLOCATE);
        Template::new(link, from, self.server, request, &[])
    }
}

/// Addresses, where they are few.
const FEW: u32 = 16;

/// Ports of each.
const PORTS: u32 = 997;
const PORTS_FROM: u32 = 10_000;
