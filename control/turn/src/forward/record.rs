//! What the forwarder keeps of each entry, as small as it goes: a million allocations must fit.

use core::net::{IpAddr, SocketAddr};

use turnpike_types::{
    ChannelNumber, FiveTuple, PortRule, RateLimit, Timestamp, TokenBucket, UserId,
};

use super::counters::Traffic;
use super::slab::{Linked, Links};

/// An IP address and a port, without the flow label and scope of [`SocketAddr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self {
            ip: addr.ip(),
            port: addr.port(),
        }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.ip, endpoint.port)
    }
}

/// One allocation, with the heads of the lists of all that hangs on it.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) generation: u32,
    pub(super) five_tuple: FiveTuple,
    pub(super) user: u32,
    pub(super) addresses: u32,
    pub(super) permissions: u32,
    pub(super) channels: u32,
    pub(super) limit: RateLimit,
    pub(super) bucket: TokenBucket,
    pub(super) traffic: Traffic,
}

/// One relayed transport address of an allocation.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) allocation: u32,
    pub(super) links: Links,
    pub(super) relayed: Endpoint,
    pub(super) expires_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Permission {
    pub(super) allocation: u32,
    pub(super) address: u32,
    pub(super) links: Links,
    pub(super) wire_ip: IpAddr,
    /// Whether the client knows the peer by an external address of ours.
    pub(super) is_mapped: bool,
    pub(super) ports: PortRule,
    pub(super) expires_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) allocation: u32,
    pub(super) address: u32,
    pub(super) links: Links,
    pub(super) number: ChannelNumber,
    pub(super) wire_peer: Endpoint,
    pub(super) expires_at: Timestamp,
}

/// What all allocations of one user may relay together.
#[derive(Debug)]
pub(super) struct User {
    pub(super) id: UserId,
    pub(super) allocations: u32,
    pub(super) limit: RateLimit,
    pub(super) bucket: TokenBucket,
}

impl Linked for Address {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl Linked for Permission {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl Linked for Channel {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_small() {
        assert_eq!(size_of::<Option<Allocation>>(), 176);
        assert_eq!(size_of::<Option<Address>>(), 40);
        assert_eq!(size_of::<Option<Permission>>(), 48);
        assert_eq!(size_of::<Option<Channel>>(), 48);
        assert_eq!(size_of::<Option<User>>(), 64);
    }
}
