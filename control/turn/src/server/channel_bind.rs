//! ChannelBind (RFC 8656 section 12.2): a short name for a peer's transport address.
//!
//! A binding permits the peer's IP address as well. A number stays with its peer and a peer with
//! its number for as long as the binding lives; binding the same two again refreshes both.

use core::net::SocketAddr;

use turnpike_types::{ChannelNumber, Entropy, PeerAddr};

use super::allocation::{Allocation, ChannelBinding, Permission};
use super::authenticate::Authenticated;
use super::output::{Body, Granted};
use super::procedure::{Refused, Request};
use super::{Refusal, Server};
use crate::attribute::{ChannelNumberAttribute, XorPeerAddress};
use crate::wire_ip;

impl<E: Entropy> Server<E> {
    /// Answers a ChannelBind request.
    ///
    /// # Errors
    ///
    /// 400, 403, 437, 441, 443, 508.
    pub(super) fn channel_bind(
        &mut self,
        request: &Request<'_>,
        who: &Authenticated<'_>,
    ) -> Result<Granted, Refused> {
        let id = self.own_allocation(request, who)?;
        let number = request.message.get::<ChannelNumberAttribute>()?;
        let ChannelNumberAttribute(number) = number.ok_or(Refusal::BadRequest)?;
        let peer = request.message.get::<XorPeerAddress>()?;
        let XorPeerAddress(peer) = peer.ok_or(Refusal::BadRequest)?;
        let allocation = self.allocations.get(id);
        let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
        let (permission, channel) = self.channel_for(allocation, number, peer)?;
        let mut granted = Granted::from(Body::Permitted { id });
        let undo = self.put_permission(id, permission, true);
        granted.undo.extend(undo);
        granted.undo.extend(self.put_channel(id, channel, true));
        Ok(granted)
    }

    /// A binding to a peer as the client names it, and the permission that goes with it.
    ///
    /// # Errors
    ///
    /// 400 where the number is RFC 5766's and that is not allowed, or number or peer is bound
    /// otherwise; 403, 443, 508.
    fn channel_for(
        &self,
        allocation: &Allocation,
        number: ChannelNumber,
        peer: SocketAddr,
    ) -> Result<(Permission, ChannelBinding), Refusal> {
        if number.is_legacy() && !self.config.legacy_channels {
            return Err(Refusal::BadRequest);
        }
        let wire_ip = wire_ip(&self.config.relay_addresses, peer.ip());
        let wire_peer = PeerAddr(SocketAddr::new(wire_ip, peer.port()));
        let bound = allocation.channel(number);
        let bound_to = allocation.channel_to(wire_peer);
        if bound.is_some_and(|bound| bound.wire_peer != wire_peer)
            || bound_to.is_some_and(|bound| bound.number != number)
        {
            return Err(Refusal::BadRequest);
        }
        let permission = self.permission_for(allocation, peer.ip())?;
        if !self.reaches(permission.ports, wire_peer) {
            return Err(Refusal::Forbidden);
        }
        let limits = &self.config.limits;
        let permissions_left = allocation.permissions.len() < limits.permissions_per_allocation;
        let channels_left = allocation.channels.len() < limits.channels_per_allocation;
        if !permissions_left && allocation.permission(wire_ip).is_none()
            || !channels_left && bound.is_none()
        {
            return Err(Refusal::InsufficientCapacity);
        }
        let expires_at = self.now + self.config.lifetimes.channel;
        let channel = ChannelBinding {
            expires_at,
            wire_peer,
            number,
        };
        Ok((permission, channel))
    }
}
