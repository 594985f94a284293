//! What clients send: ChannelData and Send indications for peers (RFC 8656 sections 11.2 and 12.6),
//! and what only the server can answer.

use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Client, Config, Flow, FlowKey, LocalKey, NextHop, Reason, Role};

use crate::memory::read;
use crate::packet::Packet;
use crate::plan::{Form, Payer, Payload, Plan};
use crate::tables::{BIND, SEND, config};
use crate::{binding, entry, from_peer, indication, stranger};

/// What becomes of a datagram that came to none of the relayed ports (RFC 7983: the first two bits tell
/// what it is). Messages that have a program of their own do not come here.
#[inline(always)]
pub fn decide(ctx: &XdpContext, packet: &Packet, now: u64) -> Result<Plan, Reason> {
    match head(ctx, packet) {
        Some([number @ 0x4000..=0x7fff, length]) if packet.length >= CHANNEL_DATA => {
            channel_data(ctx, packet, number, length, now)
        }
        _ => Err(control(packet, now)),
    }
}

/// The program that reads a message of a client, if it has one of its own.
#[inline(always)]
pub fn program(ctx: &XdpContext, packet: &Packet) -> Option<u32> {
    match head(ctx, packet)? {
        [indication::SEND, _] if packet.length >= STUN => Some(SEND),
        [binding::REQUEST, _] if config().flags & Config::ANSWER_BINDING != 0 => Some(BIND),
        _ => None,
    }
}

/// The message's first two numbers.
#[inline(always)]
pub fn head(ctx: &XdpContext, packet: &Packet) -> Option<[u16; 2]> {
    read::<[u16; 2]>(ctx, packet.payload).map(|head| head.map(u16::from_be))
}

#[inline(always)]
fn channel_data(
    ctx: &XdpContext,
    packet: &Packet,
    number: u16,
    length: u16,
    now: u64,
) -> Result<Plan, Reason> {
    let key = FlowKey {
        far: packet.far,
        near: packet.near,
        channel: number.to_be(),
    };
    let Some(flow) = entry::flow(&key, now)? else {
        return Err(missing(packet, Reason::NoChannel, now));
    };
    if flow.flags & Flow::LANE != 0 {
        return Err(Reason::Lane);
    }
    let header = u64::from(number.to_be()) + u64::from(length.to_be());
    let payload = Payload {
        offset: packet.payload + CHANNEL_DATA,
        length,
        removed: header + padding(ctx, packet, length)?,
    };
    let payer = Payer {
        slot: flow.allocation,
        generation: flow.generation,
    };
    if flow.next_hop == NextHop::HERE {
        let mut plan = from_peer::to_client(flow.source, flow.destination, payload, now)?;
        plan.reason = Reason::AllocationToAllocation;
        plan.sender = Some(payer);
        return Ok(plan);
    }
    Ok(Plan {
        source: flow.source,
        destination: flow.destination,
        form: Form::Bare,
        channel: 0,
        peer: flow.destination,
        next_hop: flow.next_hop,
        reason: Reason::ChannelToPeer,
        payer,
        sender: None,
        payload,
    })
}

/// The sum of the bytes behind a payload: RFC 8656 section 12.5 allows padding to four bytes.
#[inline(always)]
fn padding(ctx: &XdpContext, packet: &Packet, length: u16) -> Result<u64, Reason> {
    let length = usize::from(length);
    let behind = packet.length.wrapping_sub(CHANNEL_DATA + length);
    match behind {
        0 => Ok(0),
        1..=3 => {
            let from = packet.payload + CHANNEL_DATA + length;
            Ok(indication::sum_of_padding(ctx, from, behind))
        }
        4..=0xffff => Err(Reason::Unusual),
        _ => Err(Reason::Malformed),
    }
}

/// Why an entry under a client's five-tuple was not found.
#[inline(always)]
pub fn missing(packet: &Packet, entry: Reason, now: u64) -> Reason {
    match allocation(packet, now) {
        Err(torn) => torn,
        Ok(Some(client)) if client.flags & Client::LANE != 0 => Reason::Lane,
        Ok(Some(_)) => entry,
        Ok(None) => match is_listener(packet, now) {
            Err(torn) => torn,
            Ok(true) => Reason::NoAllocation,
            Ok(false) => Reason::NotOurs,
        },
    }
}

/// What goes on to the server: everything of a live allocation's client, and of strangers as much as
/// their prefix may send.
#[inline(always)]
pub fn control(packet: &Packet, now: u64) -> Reason {
    match allocation(packet, now) {
        Err(torn) => return torn,
        Ok(Some(_)) => return Reason::Control,
        Ok(None) => {}
    }
    match is_listener(packet, now) {
        Err(torn) => torn,
        Ok(false) => Reason::NotOurs,
        Ok(true) if stranger::may_pass(packet.far.address, now) => Reason::Control,
        Ok(true) => Reason::StrangerRate,
    }
}

/// The allocation of the packet's five-tuple.
#[inline(always)]
pub fn allocation(packet: &Packet, now: u64) -> Result<Option<Client>, Reason> {
    let key = FlowKey {
        far: packet.far,
        near: packet.near,
        channel: 0,
    };
    entry::client(&key, now)
}

/// Whether clients send to where the packet came to.
#[inline(always)]
pub fn is_listener(packet: &Packet, now: u64) -> Result<bool, Reason> {
    let local = entry::local(&LocalKey(packet.near), now)?;
    Ok(local.is_some_and(|local| local.role == Role::Listener as u8))
}

/// Length of a ChannelData header (RFC 8656 section 12.4).
const CHANNEL_DATA: usize = 4;
/// Length of a STUN header (RFC 8489 section 5).
const STUN: usize = 20;
