//! Success responses: what they grant, whether the rules allow it, and whether it is installed.

use std::net::SocketAddr;

use turnpike_stun::{Message, Method};
use turnpike_turn::attribute::{ChannelNumberAttribute, RequestedAddressFamily};
use turnpike_types::{AddressFamily, FiveTuple, Timestamp};

use super::response::Author;
use super::{Allocation, Channel, Model, Owed, Permission, Relay, Request};
use crate::mirror::{Held, Mirror};
use crate::violation::{Checked, ensure, violated};

impl Model {
    pub(super) fn granted(
        &mut self,
        request: &Request,
        response: &Message<'_>,
        author: &Author,
        lane: &Mirror,
    ) -> Checked {
        match request.method {
            Method::ALLOCATE => self.allocated(request, response, author, lane),
            Method::REFRESH => self.refreshed(request, response, author, lane),
            Method::CREATE_PERMISSION | Method::CHANNEL_BIND => {
                self.permitted(request, author, lane)
            }
            method => violated!(GrantWithinRules, "{method:?} granted"),
        }
    }

    fn refreshed(
        &mut self,
        request: &Request,
        response: &Message<'_>,
        author: &Author,
        lane: &Mirror,
    ) -> Checked {
        let lifetime = self.lifetime_of(response)?;
        if request.released {
            let is_zero = lifetime.is_zero();
            ensure!(
                is_zero,
                GrantWithinRules,
                "{lifetime:?} for what was released"
            );
            return Ok(());
        }
        let five_tuple = request.five_tuple;
        let family = request
            .message()
            .get::<RequestedAddressFamily>()
            .unwrap_or(None);
        let family = family.map(|RequestedAddressFamily(family)| family);
        let allocation = self.own_allocation(request, author)?;
        if lifetime.is_zero() {
            let Some(family) = family else {
                violated!(OwnAllocationOnly, "{five_tuple} released without an end");
            };
            allocation.drop_family(family);
            return Ok(());
        }
        let ends_at = request.at + lifetime;
        let of_family = |relay: &&mut Relay| {
            family.is_none_or(|family| family == AddressFamily::of(&relay.address.ip()))
        };
        let mut moved = Vec::new();
        for relay in allocation.relays.iter_mut().flatten().filter(of_family) {
            relay.ends_at = ends_at;
            moved.push(Held::Relay(five_tuple, relay.address));
        }
        ensure!(
            !moved.is_empty(),
            GrantWithinRules,
            "{family:?} of {five_tuple} refreshed"
        );
        for held in moved {
            self.check_promise(five_tuple, held, ends_at, lane);
        }
        Ok(())
    }

    /// CreatePermission, or ChannelBind, which is one as well.
    fn permitted(&mut self, request: &Request, author: &Author, lane: &Mirror) -> Checked {
        let five_tuple = request.five_tuple;
        let message = request.message();
        let peers = self.peers_of(&message).filter(|peers| !peers.is_empty());
        let Some(mut peers) = peers else {
            violated!(GrantWithinRules, "a grant without a peer");
        };
        if request.method == Method::CHANNEL_BIND {
            peers.truncate(1);
        }
        let ends_at = request.at + self.rules.lifetimes.permission;
        let mut promised = Vec::new();
        for peer in &peers {
            ensure!(
                self.admits(peer.ip()),
                GrantWithinRules,
                "{peer} is not to be reached"
            );
            let wire_ip = self.wire_ip(peer.ip());
            let allocation = self.own_allocation(request, author)?;
            let has_relay = allocation.relay(AddressFamily::of(&wire_ip)).is_some();
            ensure!(
                has_relay,
                GrantWithinRules,
                "no address of the family of {peer}"
            );
            allocation.permissions.insert(
                wire_ip,
                Permission {
                    ends_at,
                    is_certain: true,
                },
            );
            let end = allocation.permission_end(wire_ip).unwrap();
            promised.push((Held::Permission(five_tuple, wire_ip), end));
        }
        if request.method == Method::CHANNEL_BIND {
            promised.push(self.bound(request, author, peers[0])?);
        }
        for (held, end) in promised {
            self.check_promise(five_tuple, held, end, lane);
        }
        let limits = self.rules.limits;
        let allocation = &self.allocations[&five_tuple];
        let certain = allocation
            .permissions
            .values()
            .filter(|it| it.is_certain)
            .count();
        let few = certain <= limits.permissions_per_allocation;
        ensure!(few, QuotaKept, "{certain} permissions on {five_tuple}");
        let certain = allocation
            .channels
            .values()
            .filter(|it| it.is_certain)
            .count();
        ensure!(
            certain <= limits.channels_per_allocation,
            QuotaKept,
            "{certain} channels"
        );
        Ok(())
    }

    fn bound(
        &mut self,
        request: &Request,
        author: &Author,
        peer: SocketAddr,
    ) -> Checked<(Held, Timestamp)> {
        let Ok(Some(ChannelNumberAttribute(number))) = request.message().get() else {
            violated!(GrantWithinRules, "a channel without a number");
        };
        ensure!(
            self.admits_port(peer),
            GrantWithinRules,
            "a channel to {peer}"
        );
        let wire_peer = SocketAddr::new(self.wire_ip(peer.ip()), peer.port());
        let ends_at = request.at + self.rules.lifetimes.channel;
        let allocation = self.own_allocation(request, author)?;
        for (known, channel) in &allocation.channels {
            let agree = (*known == number) == (channel.peer == wire_peer);
            let excused = !channel.is_certain;
            ensure!(
                agree || excused,
                GrantWithinRules,
                "{number:?} bound to {wire_peer}, and {known:?} to {}",
                channel.peer
            );
        }
        allocation
            .channels
            .retain(|known, it| *known == number || it.peer != wire_peer);
        let channel = Channel {
            ends_at,
            peer: wire_peer,
            is_certain: true,
        };
        allocation.channels.insert(number, channel);
        let end = allocation
            .permission_end(wire_peer.ip())
            .unwrap()
            .min(ends_at);
        Ok((Held::Channel(request.five_tuple, number, wire_peer), end))
    }

    /// The allocation that a request may change: there, and its sender's own.
    fn own_allocation(&mut self, request: &Request, author: &Author) -> Checked<&mut Allocation> {
        let five_tuple = request.five_tuple;
        let Some(allocation) = self.allocations.get_mut(&five_tuple) else {
            violated!(
                OwnAllocationOnly,
                "{five_tuple} has no allocation, and yet a success"
            );
        };
        let owner = &allocation.identity;
        let is_own = *owner == author.identity;
        ensure!(
            is_own,
            OwnAllocationOnly,
            "{} changed what {owner} owns",
            author.identity
        );
        Ok(allocation)
    }

    /// What a success response promises is installed by now, with its end.
    pub(super) fn check_promise(
        &mut self,
        five_tuple: FiveTuple,
        held: Held,
        end: Timestamp,
        lane: &Mirror,
    ) {
        let found = lane.end_of(&held);
        if found != Some(end) {
            self.owed.push(Owed {
                five_tuple,
                held,
                end,
                found,
            });
        }
    }
}
