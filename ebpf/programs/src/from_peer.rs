//! Datagrams to relayed addresses: as ChannelData where a channel is bound, else as a Data indication
//! where there is a permission (RFC 8656 sections 11.3 and 12.7).

use turnpike_abi::{Endpoint, FlowKey, Local, LocalKey, Permission, Reason, Role};

use crate::entry;
use crate::packet::Packet;
use crate::plan::{Form, Payer, Payload, Plan};

/// What becomes of a datagram from the network.
#[inline(always)]
pub fn decide(packet: &Packet, now: u64) -> Result<Plan, Reason> {
    let payload = Payload {
        offset: packet.payload,
        length: packet.length as u16,
        removed: 0,
    };
    to_client(packet.far, packet.near, payload, now)
}

/// What becomes of a payload from a peer to a relayed address. The peer may be an allocation of ours.
#[inline(always)]
pub fn to_client(
    peer: Endpoint,
    relayed: Endpoint,
    payload: Payload,
    now: u64,
) -> Result<Plan, Reason> {
    let key = FlowKey {
        far: peer,
        near: relayed,
        channel: 0,
    };
    let Some(flow) = entry::flow(&key, now)? else {
        return to_client_as_data(peer, relayed, payload, now);
    };
    if flow.flags & turnpike_abi::Flow::LANE != 0 {
        return Err(Reason::Lane);
    }
    Ok(Plan {
        source: flow.source,
        destination: flow.destination,
        form: Form::Channel,
        channel: flow.channel,
        peer,
        next_hop: flow.next_hop,
        reason: Reason::PeerToChannel,
        payer: Payer {
            slot: flow.allocation,
            generation: flow.generation,
        },
        sender: None,
        payload,
    })
}

#[inline(always)]
fn to_client_as_data(
    peer: Endpoint,
    relayed: Endpoint,
    payload: Payload,
    now: u64,
) -> Result<Plan, Reason> {
    let key = FlowKey::permission(peer.address, relayed);
    let Some(permission) = entry::permission(&key, now)? else {
        return Err(unpermitted(relayed, now));
    };
    admit(&permission, peer, now)?;
    Ok(Plan {
        source: permission.server,
        destination: permission.client,
        form: Form::Data,
        channel: 0,
        peer,
        next_hop: permission.to_client,
        reason: Reason::PeerToData,
        payer: Payer {
            slot: permission.allocation,
            generation: permission.generation,
        },
        sender: None,
        payload,
    })
}

/// Whether a permission lets a peer's port through, and is for this program at all.
#[inline(always)]
pub fn admit(permission: &Permission, peer: Endpoint, now: u64) -> Result<(), Reason> {
    if permission.flags & Permission::LANE != 0 {
        return Err(Reason::Lane);
    }
    if !permission.admits(u16::from_be(peer.port)) {
        return Err(Reason::ForbiddenPort);
    }
    if permission.flags & Permission::GUARDED != 0
        && let Some(local) = entry::local(&LocalKey(peer), now)?
        && local.flags & Local::SERVICE != 0
    {
        return Err(Reason::ForbiddenPort);
    }
    Ok(())
}

/// Why nothing was found for a datagram to this address.
#[inline(always)]
fn unpermitted(relayed: Endpoint, now: u64) -> Reason {
    match entry::local(&LocalKey(relayed), now) {
        Err(torn) => torn,
        Ok(Some(local)) if local.flags & Local::LANE != 0 => Reason::Lane,
        Ok(Some(local)) if local.role == Role::Relayed as u8 => Reason::NoPermission,
        // A service of ours in the middle of the relay range.
        Ok(Some(_)) => Reason::NotOurs,
        Ok(None) => match entry::address(relayed, now) {
            Err(torn) => torn,
            Ok(Some(_)) => Reason::NoAllocation,
            Ok(None) => Reason::NotOurs,
        },
    }
}
