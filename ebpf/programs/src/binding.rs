//! Binding requests (RFC 8489 section 6): answered where they came, with XOR-MAPPED-ADDRESS, and with
//! FINGERPRINT when the request has one. The answer to a request with anything more is the server's.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::helpers::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Address, Config, Endpoint, Reason, sum};

use crate::crc::fingerprint;
use crate::from_client;
use crate::indication::{COOKIE, pair, words};
use crate::memory::{read, write};
use crate::packet::{IPV4, IPV6, PROTOCOL_UDP, Packet, UDP};
use crate::rewrite::covered;
use crate::tables::config;

/// A Binding request that can be answered here.
pub struct Request {
    /// The transaction ID.
    id: [u32; 3],
    fingerprint: bool,
}

/// Whether a Binding request is ours to answer, and holds nothing but what is looked at.
#[inline(always)]
pub fn readable(
    ctx: &XdpContext,
    packet: &Packet,
    now: u64,
) -> Result<Option<Request>, Reason> {
    let Some(head) = read::<[u32; 5]>(ctx, packet.payload) else {
        return Ok(None);
    };
    let length = u16::from_be((head[0] >> 16) as u16);
    let is_whole = usize::from(length) + HEADER == packet.length;
    if config().flags & Config::ANSWER_BINDING == 0 || !is_whole {
        return Ok(None);
    }
    let [_, cookie, id @ ..] = head;
    let behind = match length {
        0 => 0,
        8 => match read::<[u32; 2]>(ctx, packet.payload + HEADER) {
            Some([FINGERPRINT, value]) if value == fingerprint(&head) => words(&[FINGERPRINT, value]),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let total = covered(packet.far, packet.near, packet.length + UDP) + words(&head) + behind;
    let is_right = match packet.checksum {
        0 => packet.far.address.is_v4(),
        checksum => sum::fold(total + u64::from(checksum)) == 0xffff,
    };
    if cookie != COOKIE || !is_right || !from_client::is_listener(packet, now)? {
        return Ok(None);
    }
    let fingerprint = length != 0;
    Ok(Some(Request { id, fingerprint }))
}

/// Turns the request into its answer and sends it back.
#[inline(always)]
pub fn answer(
    ctx: &XdpContext,
    packet: &Packet,
    request: &Request,
) -> Result<(Reason, u32), Reason> {
    let is_v4 = packet.far.address.is_v4();
    let tail = if request.fingerprint { FINGERPRINT_LENGTH } else { 0 };
    let length = HEADER + ATTRIBUTE + if is_v4 { 8 } else { 20 } + tail;
    // SAFETY: the context is the kernel's own.
    let moved = unsafe {
        let now = bpf_xdp_get_buff_len(ctx.as_ptr().cast());
        let longer = (packet.payload + length) as i32 - now as i32;
        longer == 0 || bpf_xdp_adjust_tail(ctx.as_ptr().cast(), longer) == 0
    };
    if !moved {
        return Err(Reason::Control);
    }
    let [id_0, id_1, id_2] = request.id;
    let head = [pair(RESPONSE, (length - HEADER) as u16), COOKIE, id_0, id_1, id_2];
    let port = u32::from(packet.far.port ^ COOKIE as u16) << 16;
    let written = if is_v4 {
        let address = packet.far.address.v4_word() ^ COOKIE;
        let value = [pair(MAPPED, 8), u32::from(1_u16.to_be()) | port, address];
        let [a, b, c, d, e] = head;
        let [f, g, h] = value;
        write_message(ctx, packet, request, &[a, b, c, d, e, f, g, h])
    } else {
        let Address([high, low]) = packet.far.address;
        let value = [pair(MAPPED, 20), u32::from(2_u16.to_be()) | port];
        let [a, b, c, d, e] = head;
        let [f, g] = value;
        let address = [
            high as u32 ^ COOKIE,
            (high >> 32) as u32 ^ id_0,
            low as u32 ^ id_1,
            (low >> 32) as u32 ^ id_2,
        ];
        let [h, i, j, k] = address;
        write_message(ctx, packet, request, &[a, b, c, d, e, f, g, h, i, j, k])
    };
    written
        .and_then(|total| write_headers(ctx, packet, length + UDP, total))
        .map(|()| (Reason::BindingAnswered, XDP_TX))
        .ok_or(Reason::NoTailroom)
}

/// Writes the message, with FINGERPRINT where it was asked for; its sum.
#[inline(always)]
fn write_message<const N: usize>(
    ctx: &XdpContext,
    packet: &Packet,
    request: &Request,
    message: &[u32; N],
) -> Option<u64> {
    write(ctx, packet.payload, *message)?;
    if !request.fingerprint {
        return Some(words(message));
    }
    let last = [FINGERPRINT, fingerprint(message)];
    write(ctx, packet.payload + 4 * N, last)?;
    Some(words(message) + words(&last))
}

/// Everything before the message: back to where it came from.
#[inline(always)]
fn write_headers(ctx: &XdpContext, packet: &Packet, length: usize, total: u64) -> Option<()> {
    let (from, to) = (packet.near, packet.far);
    let checksum = sum::udp_field(total + covered(from, to, length));
    let udp = [from.port, to.port, (length as u16).to_be(), checksum];
    write(ctx, packet.payload - UDP, udp)?;
    let [mac_to, mac_from] = read::<[[u8; 6]; 2]>(ctx, 0)?;
    write(ctx, 0, [mac_from, mac_to])?;
    if from.address.is_v4() {
        write_ipv4(ctx, packet, from, to, length)
    } else {
        write_ipv6(ctx, packet, from, to, length)
    }
}

#[inline(always)]
fn write_ipv4(
    ctx: &XdpContext,
    packet: &Packet,
    from: Endpoint,
    to: Endpoint,
    length: usize,
) -> Option<()> {
    let [high, low] = ((length + IPV4) as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x45, 0, high, low]);
    let second = u32::from_ne_bytes([0, 0, 0x40, 0]);
    let third = u32::from_ne_bytes([HOPS, PROTOCOL_UDP, 0, 0]);
    let (from, to) = (from.address.v4_word(), to.address.v4_word());
    let total = words(&[first, second, third, from, to]);
    let third = third | u32::from(!sum::fold(total)) << 16;
    write(ctx, packet.payload - UDP - IPV4, [first, second, third, from, to])
}

#[inline(always)]
fn write_ipv6(
    ctx: &XdpContext,
    packet: &Packet,
    from: Endpoint,
    to: Endpoint,
    length: usize,
) -> Option<()> {
    let [high, low] = (length as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x60, 0, 0, 0]);
    let second = u32::from_ne_bytes([high, low, PROTOCOL_UDP, HOPS]);
    let head = u64::from(first) | u64::from(second) << 32;
    let (Address([sh, sl]), Address([dh, dl])) = (from.address, to.address);
    write(ctx, packet.payload - UDP - IPV6, [head, sh, sl, dh, dl])
}

/// The BINDING method with the classes request and success response (RFC 8489 section 5).
pub const REQUEST: u16 = 0x0001;
const RESPONSE: u16 = 0x0101;
/// XOR-MAPPED-ADDRESS.
const MAPPED: u16 = 0x0020;
/// FINGERPRINT and its length, as they lie in a packet.
const FINGERPRINT: u32 = 0x8028_0004_u32.to_be();

const HEADER: usize = 20;
const ATTRIBUTE: usize = 4;
const FINGERPRINT_LENGTH: usize = 8;
/// The TTL or hop limit of an answer.
const HOPS: u8 = 64;
