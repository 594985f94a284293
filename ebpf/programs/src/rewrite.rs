//! Changing a packet: moving its head, writing the headers, correcting the checksum by what went and
//! what came. The payload stays where it is.
//!
//! RFC 8656 sections 13 and 14, the preferred treatment: TTL less one, DSCP, ECN and DF as they came, a
//! new identification where one is needed; no flow label.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::helpers::{
    bpf_get_prandom_u32, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len,
};
use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Address, Endpoint, Reason, Traffic, sum};

use crate::account::{charge, count_traffic};
use crate::entry;
use crate::indication;
use crate::memory::{forget, write};
use crate::packet::{
    ETHERNET, IPV4, IPV6, PROTOCOL_UDP, Packet, TYPE_IPV4, TYPE_IPV6, TYPE_VLAN, UDP, VLAN, goes_on,
};
use crate::plan::{Form, Plan};
use crate::tables::DEVICES;

/// Sends a packet as planned; the reason to count it under, and the action.
#[inline(always)]
pub fn leave(
    ctx: &XdpContext,
    packet: &Packet,
    plan: &Plan,
    now: u64,
) -> Result<(Reason, u32), Reason> {
    // Worked out first, so that nothing else needs the old addresses: the stack is short.
    let old = Old {
        kept: forget::<0>(kept(packet, plan), now),
        was_v4: packet.far.address.is_v4(),
    };
    let hop = entry::next_hop(plan.next_hop)?;
    let sizes = Sizes::new(packet, plan, &hop, &old)?;
    let action = way_out(ctx, hop[2] as u32)?;
    let bytes = plan.payload.length;
    if let Some(sender) = plan.sender {
        charge(sender.slot, sender.generation, bytes, now)?;
    }
    charge(plan.payer.slot, plan.payer.generation, bytes, now)?;

    move_ends(ctx, plan, &sizes)?;
    write_all(ctx, packet, plan, &sizes, &hop, &old).ok_or(Reason::NoTailroom)?;

    if let Some(sender) = plan.sender {
        count_traffic(sender.slot, Traffic::TO_PEER, bytes);
    }
    let direction = if matches!(plan.form, Form::Bare) {
        Traffic::TO_PEER
    } else {
        Traffic::TO_CLIENT
    };
    count_traffic(plan.payer.slot, direction, bytes);
    Ok((plan.reason, action))
}

/// What is left of the old headers.
struct Old {
    /// The sum of the payload; 0 where there is no checksum.
    kept: u64,
    was_v4: bool,
}

/// How long the parts of the new packet are.
struct Sizes {
    /// Where the IP header begins.
    ip: usize,
    /// Where what goes before the payload begins.
    prefix: usize,
    /// Where the payload begins.
    payload: usize,
    /// Zero bytes behind the payload.
    padding: usize,
    /// The UDP header and all behind it.
    udp_length: usize,
    is_v6: bool,
}

impl Sizes {
    /// Refuses what the next hop cannot take, and what must not go on.
    #[inline(always)]
    fn new(packet: &Packet, plan: &Plan, hop: &[u64; 3], old: &Old) -> Result<Self, Reason> {
        if packet.time_to_live <= 1 {
            return Err(Reason::TimeToLive);
        }
        let is_v6 = !plan.destination.address.is_v4();
        if packet.checksum == 0 && (is_v6 || !old.was_v4) {
            return Err(Reason::NoChecksum);
        }
        let (prefix, padding) = match plan.form {
            Form::Bare => (0, 0),
            Form::Channel => (4, 0),
            Form::Data => {
                let padding = (plan.payload.length.wrapping_neg() & 3) as usize;
                (indication::data_prefix(plan.peer.address), padding)
            }
        };
        let ip = if hop[0] >> 48 == 0 {
            ETHERNET
        } else {
            ETHERNET + VLAN
        };
        let header = if is_v6 { IPV6 } else { IPV4 };
        let udp_length = UDP + prefix + usize::from(plan.payload.length) + padding;
        let mtu = (hop[1] >> 48) as usize;
        if header + udp_length > mtu {
            return Err(Reason::TooBig);
        }
        Ok(Self {
            ip,
            prefix: ip + header + UDP,
            payload: ip + header + UDP + prefix,
            padding,
            udp_length,
            is_v6,
        })
    }
}

/// The action that takes the packet to a device. Asked for before anything is written: a device that
/// packets may not leave by costs no packet.
#[inline(always)]
fn way_out(ctx: &XdpContext, device: u32) -> Result<u32, Reason> {
    if ctx.ingress_ifindex() as u32 == device {
        return Ok(XDP_TX);
    }
    DEVICES.redirect(device, 0).map_err(|_| Reason::NoDevice)
}

/// The sum of the payload, as the old checksum says; 0 where there is none.
#[inline(always)]
fn kept(packet: &Packet, plan: &Plan) -> u64 {
    if packet.checksum == 0 {
        return 0;
    }
    let length = packet.length + UDP;
    let known = covered(packet.far, packet.near, length) + plan.payload.removed;
    sum::rest(packet.checksum, known)
}

/// The sum of the pseudo header and of the UDP header without its checksum.
#[inline(always)]
pub fn covered(from: Endpoint, to: Endpoint, length: usize) -> u64 {
    let length = u64::from((length as u16).to_be());
    let ports = u64::from(from.port) + u64::from(to.port);
    let protocol = u64::from(u16::from(PROTOCOL_UDP).to_be());
    addresses(from.address) + addresses(to.address) + protocol + 2 * length + ports
}

#[inline(always)]
fn addresses(address: Address) -> u64 {
    if address.is_v4() {
        return u64::from(address.v4_word());
    }
    let Address([high, low]) = address;
    sum::halves(high) + sum::halves(low)
}

/// Makes room for the new headers, and cuts off what lies behind the payload. Nothing is changed when
/// the first step fails, and the second is a drop.
#[inline(always)]
fn move_ends(ctx: &XdpContext, plan: &Plan, sizes: &Sizes) -> Result<(), Reason> {
    let shorter = plan.payload.offset as i32 - sizes.payload as i32;
    let end = plan.payload.offset + usize::from(plan.payload.length);
    let has_tail = goes_on(ctx, end);
    // SAFETY: the context is the kernel's own.
    if shorter != 0 && unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), shorter) } != 0 {
        return Err(Reason::NoHeadroom);
    }
    if !has_tail && sizes.padding == 0 {
        return Ok(());
    }
    let wanted = sizes.payload + usize::from(plan.payload.length) + sizes.padding;
    // SAFETY: the context is the kernel's own.
    let moved = unsafe {
        let length = bpf_xdp_get_buff_len(ctx.as_ptr().cast());
        let longer = wanted as i32 - length as i32;
        longer == 0 || bpf_xdp_adjust_tail(ctx.as_ptr().cast(), longer) == 0
    };
    if moved {
        Ok(())
    } else {
        Err(Reason::NoTailroom)
    }
}

/// Writes everything before the payload, and the padding behind it.
#[inline(always)]
fn write_all(
    ctx: &XdpContext,
    packet: &Packet,
    plan: &Plan,
    sizes: &Sizes,
    hop: &[u64; 3],
    old: &Old,
) -> Option<()> {
    let prefix = match plan.form {
        Form::Bare => 0,
        Form::Channel => {
            let number = plan.channel;
            let length = plan.payload.length.to_be();
            write(ctx, sizes.prefix, [number, length])?;
            u64::from(number) + u64::from(length)
        }
        Form::Data => indication::write_data(ctx, sizes.prefix, plan.peer, plan.payload.length)?,
    };
    if sizes.padding != 0 {
        let end = sizes.payload + usize::from(plan.payload.length);
        if end > FRAME_MAX {
            return None;
        }
        indication::write_padding(ctx, end, sizes.padding)?;
    }
    write_ethernet(ctx, hop, packet.tag, sizes.is_v6)?;
    let total = old.kept + covered(plan.source, plan.destination, sizes.udp_length) + prefix;
    let checksum = if packet.checksum == 0 {
        0
    } else {
        sum::udp_field(total)
    };
    let udp = [
        plan.source.port,
        plan.destination.port,
        (sizes.udp_length as u16).to_be(),
        checksum,
    ];
    write(ctx, sizes.prefix - UDP, udp)?;
    if sizes.is_v6 {
        write_ipv6(ctx, packet, plan, sizes)
    } else {
        write_ipv4(ctx, packet, plan, sizes, old)
    }
}

/// MACs, a VLAN tag with the priority that the packet came with, and the type.
#[inline(always)]
fn write_ethernet(ctx: &XdpContext, hop: &[u64; 3], tag: u16, is_v6: bool) -> Option<()> {
    let kind = if is_v6 { TYPE_IPV6 } else { TYPE_IPV4 };
    let [to, from, _] = *hop;
    // Each word's last two bytes are overwritten by what follows.
    write(ctx, 0, to)?;
    write(ctx, 6, from)?;
    let vlan = (to >> 48) as u16;
    if vlan == 0 {
        return write(ctx, 12, kind);
    }
    let tag = vlan | (tag & PRIORITY).to_be();
    write(ctx, 12, [TYPE_VLAN, tag, kind])
}

#[inline(always)]
fn write_ipv4(
    ctx: &XdpContext,
    packet: &Packet,
    plan: &Plan,
    sizes: &Sizes,
    old: &Old,
) -> Option<()> {
    let length = sizes.udp_length + IPV4;
    let dont_fragment = if old.was_v4 {
        packet.dont_fragment
    } else {
        // RFC 7915 section 5.1: IPv6 without a Fragment header.
        length > IPV6_SAFE
    };
    let second = if dont_fragment {
        u32::from_ne_bytes([0, 0, 0x40, 0])
    } else {
        // SAFETY: the helper takes nothing and may be called anywhere.
        unsafe { bpf_get_prandom_u32() & 0xffff }
    };
    let [high, low] = (length as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x45, packet.traffic_class, high, low]);
    let third = u32::from_ne_bytes([packet.time_to_live - 1, PROTOCOL_UDP, 0, 0]);
    let (from, to) = (
        plan.source.address.v4_word(),
        plan.destination.address.v4_word(),
    );
    let total = first as u64 + second as u64 + third as u64 + from as u64 + to as u64;
    let third = third | u32::from(!sum::fold(total)) << 16;
    write(ctx, sizes.ip, [first, second, third, from, to])
}

#[inline(always)]
fn write_ipv6(ctx: &XdpContext, packet: &Packet, plan: &Plan, sizes: &Sizes) -> Option<()> {
    let class = packet.traffic_class;
    let first = u32::from_ne_bytes([0x60 | class >> 4, class << 4, 0, 0]);
    let [high, low] = (sizes.udp_length as u16).to_be_bytes();
    let second = u32::from_ne_bytes([high, low, PROTOCOL_UDP, packet.time_to_live - 1]);
    let Address([sh, sl]) = plan.source.address;
    let Address([dh, dl]) = plan.destination.address;
    let head = u64::from(first) | u64::from(second) << 32;
    write(ctx, sizes.ip, [head, sh, sl, dh, dl])
}

/// Never exceeded; the verifier wants to see a bound.
const FRAME_MAX: usize = 4_096;

/// PCP and DEI of a VLAN tag.
const PRIORITY: u16 = 0xf000;

/// RFC 7915 section 5.1: what came in a shorter IPv6 packet may be fragmented once it is IPv4.
const IPV6_SAFE: usize = 1_260;
