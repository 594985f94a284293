//! Binding requests (RFC 8489 section 6): answered where they came, with XOR-MAPPED-ADDRESS, and with
//! FINGERPRINT when the request has one. The answer to anything more is the server's.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Address, Config, Endpoint, Reason, sum};

use crate::crc::fingerprint;
use crate::from_client;
use crate::indication::COOKIE;
use crate::memory::{read, write};
use crate::packet::{IPV4, IPV6, PROTOCOL_UDP, Packet, UDP};
use crate::rewrite::covered;
use crate::tables::config;

/// A Binding request that can be answered here.
pub struct Request {
    fingerprint: bool,
}

/// Whether a Binding request is ours to answer, and holds nothing but what may be ignored.
#[inline(always)]
pub fn readable(
    ctx: &XdpContext,
    packet: &Packet,
    length: u16,
    now: u64,
) -> Result<Option<Request>, Reason> {
    let config = config();
    let length = usize::from(length) + HEADER;
    let is_whole = length == packet.length && length & 3 == 0 && length <= LENGTH_MAX;
    if config.flags & Config::ANSWER_BINDING == 0 || !is_whole {
        return Ok(None);
    }
    if !from_client::is_listener(packet, now)? {
        return Ok(None);
    }
    // SAFETY: the context is the kernel's own.
    let (total, kind) = unsafe {
        let ctx = ctx.as_ptr().cast();
        (
            words(ctx, packet.payload, length),
            walk(ctx, packet.payload, length),
        )
    };
    let total = total + covered(packet.far, packet.near, length + UDP);
    let is_v4 = packet.far.address.is_v4();
    let is_right = match packet.checksum {
        0 => is_v4,
        checksum => sum::fold(total + u64::from(checksum)) == 0xffff,
    };
    Ok((is_right && kind != OTHER).then_some(Request {
        fingerprint: kind == FINGERPRINTED,
    }))
}

/// Turns the request into its answer and sends it back.
#[inline(always)]
pub fn answer(
    ctx: &XdpContext,
    packet: &Packet,
    request: &Request,
) -> Result<(Reason, u32), Reason> {
    let is_v4 = packet.far.address.is_v4();
    let plain = HEADER + ATTRIBUTE + if is_v4 { 8 } else { 20 };
    let length = plain
        + if request.fingerprint {
            FINGERPRINT_LENGTH
        } else {
            0
        };
    // SAFETY: the context is the kernel's own.
    let moved = unsafe {
        let now = bpf_xdp_get_buff_len(ctx.as_ptr().cast());
        let longer = (packet.payload + length) as i32 - now as i32;
        longer == 0 || bpf_xdp_adjust_tail(ctx.as_ptr().cast(), longer) == 0
    };
    if !moved {
        return Err(Reason::Control);
    }
    write_answer(ctx, packet, length, request.fingerprint, plain)
        .map(|()| (Reason::BindingAnswered, XDP_TX))
        .ok_or(Reason::NoTailroom)
}

#[inline(always)]
fn write_answer(
    ctx: &XdpContext,
    packet: &Packet,
    length: usize,
    with_fingerprint: bool,
    plain: usize,
) -> Option<()> {
    let message = packet.payload;
    let head = [RESPONSE.to_be(), ((length - HEADER) as u16).to_be()];
    write(ctx, message, head)?;
    write_address(ctx, message, packet.far)?;
    if with_fingerprint {
        // SAFETY: the context is the kernel's own.
        let crc = unsafe { fingerprint(ctx.as_ptr().cast(), message, plain) };
        write(ctx, message + plain, [0x8028_u16.to_be(), 4_u16.to_be()])?;
        write(ctx, message + plain + 4, crc)?;
    }
    // SAFETY: the context is the kernel's own.
    let total = unsafe { words(ctx.as_ptr().cast(), message, length) };
    let total = total + covered(packet.near, packet.far, length + UDP);
    let udp_length = ((length + UDP) as u16).to_be();
    let udp = [
        packet.near.port,
        packet.far.port,
        udp_length,
        sum::udp_field(total),
    ];
    write(ctx, message - UDP, udp)?;
    let [to, from] = read::<[[u8; 6]; 2]>(ctx, 0)?;
    write(ctx, 0, [from, to])?;
    if packet.far.address.is_v4() {
        write_ipv4(ctx, packet, length + UDP)
    } else {
        write_ipv6(ctx, packet, length + UDP)
    }
}

/// XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
#[inline(always)]
fn write_address(ctx: &XdpContext, message: usize, client: Endpoint) -> Option<()> {
    let at = message + HEADER;
    let port = client.port ^ COOKIE as u16;
    if client.address.is_v4() {
        let head = [0x0020_u16.to_be(), 8_u16.to_be(), 1_u16.to_be(), port];
        write(ctx, at, head)?;
        return write(ctx, at + 8, client.address.v4_word() ^ COOKIE);
    }
    let mask = read::<[u64; 2]>(ctx, message + 4)?;
    let Address([high, low]) = client.address;
    let head = [0x0020_u16.to_be(), 20_u16.to_be(), 2_u16.to_be(), port];
    write(ctx, at, head)?;
    write(ctx, at + 8, [high ^ mask[0], low ^ mask[1]])
}

#[inline(always)]
fn write_ipv4(ctx: &XdpContext, packet: &Packet, udp_length: usize) -> Option<()> {
    let [high, low] = ((udp_length + IPV4) as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x45, 0, high, low]);
    let second = u32::from_ne_bytes([0, 0, 0x40, 0]);
    let third = u32::from_ne_bytes([HOPS, PROTOCOL_UDP, 0, 0]);
    let (from, to) = (packet.near.address.v4_word(), packet.far.address.v4_word());
    let total = first as u64 + second as u64 + third as u64 + from as u64 + to as u64;
    let third = third | u32::from(!sum::fold(total)) << 16;
    write(
        ctx,
        packet.payload - UDP - IPV4,
        [first, second, third, from, to],
    )
}

#[inline(always)]
fn write_ipv6(ctx: &XdpContext, packet: &Packet, udp_length: usize) -> Option<()> {
    let [high, low] = (udp_length as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x60, 0, 0, 0]);
    let second = u32::from_ne_bytes([high, low, PROTOCOL_UDP, HOPS]);
    let head = u64::from(first) | u64::from(second) << 32;
    let Address([from_high, from_low]) = packet.near.address;
    let Address([to_high, to_low]) = packet.far.address;
    let words = [head, from_high, from_low, to_high, to_low];
    write(ctx, packet.payload - UDP - IPV6, words)
}

/// What a request has: a right FINGERPRINT, nothing to look at, or something for the server.
///
/// # Safety
/// `ctx` is the context that the kernel called the program with.
#[inline(never)]
unsafe fn walk(ctx: *mut xdp_md, message: usize, end: usize) -> u32 {
    let frame = XdpContext::new(ctx);
    if end > LENGTH_MAX || read::<u32>(&frame, message + 4) != Some(COOKIE) {
        return OTHER;
    }
    let mut at = HEADER;
    for _ in 0..ATTRIBUTES_MAX {
        if at >= end {
            return PLAIN;
        }
        let Some([kind, length]) = read::<[u16; 2]>(&frame, message + at) else {
            return OTHER;
        };
        let length = usize::from(u16::from_be(length));
        let next = at + ATTRIBUTE + ((length + 3) & !3);
        if next > end || next > LENGTH_MAX {
            return OTHER;
        }
        match u16::from_be(kind) {
            0x8028 if next == end && length == 4 => {
                let Some(found) = read::<u32>(&frame, message + at + ATTRIBUTE) else {
                    return OTHER;
                };
                // SAFETY: the caller answers for the context.
                let right = unsafe { fingerprint(ctx, message, at) } == found;
                return if right { FINGERPRINTED } else { OTHER };
            }
            0x8028 | ..0x8000 => return OTHER,
            _ => {}
        }
        at = next;
    }
    if at >= end { PLAIN } else { OTHER }
}

/// The sum of a message, whose length is a multiple of four.
///
/// # Safety
/// `ctx` is the context that the kernel called the program with.
#[inline(never)]
unsafe fn words(ctx: *mut xdp_md, message: usize, length: usize) -> u64 {
    let ctx = XdpContext::new(ctx);
    let mut total = 0;
    for index in 0..LENGTH_MAX / 4 {
        if index * 4 >= length {
            break;
        }
        let Some(word) = read::<u32>(&ctx, message + index * 4) else {
            break;
        };
        total += u64::from(word);
    }
    total
}

/// The BINDING method with the classes request and success response (RFC 8489 section 5).
pub const REQUEST: u16 = 0x0001;
const RESPONSE: u16 = 0x0101;

/// What [`walk`] says.
const PLAIN: u32 = 0;
const FINGERPRINTED: u32 = 1;
const OTHER: u32 = 2;

const HEADER: usize = 20;
const ATTRIBUTE: usize = 4;
const FINGERPRINT_LENGTH: usize = 8;
/// Requests that are longer are the server's; each byte is looked at.
const LENGTH_MAX: usize = 128;
const ATTRIBUTES_MAX: u32 = 8;
/// The TTL or hop limit of an answer.
const HOPS: u8 = 64;
