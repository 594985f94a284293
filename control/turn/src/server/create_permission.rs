//! CreatePermission (RFC 8656 section 10.2): which peers may reach an allocation, by IP address.
//!
//! All of the addresses are permitted, or none. Bounded by the attributes of one message.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use turnpike_stun::{Attribute, AttributeType};
use turnpike_types::{AddressFamily, Entropy, PeerAddr, PortRule};

use super::allocation::{Allocation, Permission};
use super::authenticate::Authenticated;
use super::output::{Body, Granted};
use super::peer_policy::OwnAddresses;
use super::procedure::{Refused, Request};
use super::{Refusal, Server};
use crate::attribute::XorPeerAddress;
use crate::wire_ip;

impl<E: Entropy> Server<E> {
    /// Answers a CreatePermission request.
    ///
    /// # Errors
    ///
    /// 400, 403, 437, 441, 443, 508.
    pub(super) fn create_permission(
        &mut self,
        request: &Request<'_>,
        who: &Authenticated<'_>,
    ) -> Result<Granted, Refused> {
        let id = self.own_allocation(request, who)?;
        let peers = peers_of(request)?;
        let allocation = self
            .allocations
            .get(id)
            .ok_or(Refusal::AllocationMismatch)?;
        let mut permissions: Vec<Permission> = Vec::with_capacity(peers.len());
        for peer_ip in peers {
            let permission = self.permission_for(allocation, peer_ip)?;
            if permissions
                .iter()
                .all(|known| known.wire_ip != permission.wire_ip)
            {
                permissions.push(permission);
            }
        }
        let is_new = |new: &&Permission| allocation.permission(new.wire_ip).is_none();
        let count = allocation.permissions.len() + permissions.iter().filter(is_new).count();
        if count > self.config.limits.permissions_per_allocation {
            return Err(Refusal::InsufficientCapacity.into());
        }
        let mut granted = Granted::from(Body::Permitted { id });
        for permission in permissions {
            granted
                .undo
                .extend(self.put_permission(id, permission, true));
        }
        Ok(granted)
    }

    /// A permission for a peer as the client names it.
    ///
    /// # Errors
    ///
    /// 443 without a relayed address of its family, 403 where the policy forbids it.
    pub(super) fn permission_for(
        &self,
        allocation: &Allocation,
        peer_ip: IpAddr,
    ) -> Result<Permission, Refusal> {
        if allocation.relay(AddressFamily::of(&peer_ip)).is_none() {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let ports = self.judge(peer_ip).ok_or(Refusal::Forbidden)?;
        let wire_ip = wire_ip(&self.config.relay_addresses, peer_ip);
        Ok(Permission {
            expires_at: self.now + self.config.lifetimes.permission,
            wire_ip,
            ports,
            by_external: wire_ip != peer_ip,
        })
    }

    /// What the peer policy says of a peer.
    pub(super) fn judge(&self, peer_ip: IpAddr) -> Option<PortRule> {
        let own = OwnAddresses {
            relay: &self.config.relay_addresses,
            ports: self.config.ports.clone(),
            services: &self.services,
        };
        self.config.peers.judge(&own, peer_ip)
    }

    /// Whether the ports that a peer may be reached on include this one.
    pub(super) fn reaches(&self, ports: PortRule, wire_peer: PeerAddr) -> bool {
        let PeerAddr(peer) = wire_peer;
        ports.admits_service(&peer, &self.services)
    }

    /// The peer as the client knows it.
    pub(super) fn known_ip(&self, permission: &Permission) -> IpAddr {
        if permission.by_external {
            crate::advertised_ip(&self.config.relay_addresses, permission.wire_ip)
        } else {
            permission.wire_ip
        }
    }
}

/// # Errors
///
/// 400 where there is no XOR-PEER-ADDRESS, or one that is none.
fn peers_of(request: &Request<'_>) -> Result<Vec<IpAddr>, Refusal> {
    let transaction_id = request.message.transaction_id();
    let mut peers = Vec::new();
    for attribute in request.message.attributes() {
        if attribute.kind == AttributeType::XOR_PEER_ADDRESS {
            let XorPeerAddress(peer) = XorPeerAddress::decode(attribute.value, &transaction_id)
                .map_err(|_| Refusal::BadRequest)?;
            peers.push(SocketAddr::ip(&peer));
        }
    }
    if peers.is_empty() {
        Err(Refusal::BadRequest)
    } else {
        Ok(peers)
    }
}
