//! Send and Data indications (RFC 8656 section 11): reading the one, writing the other.

use core::arch::asm;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Address, Client, Endpoint, FlowKey, NextHop, Reason, sum};

use crate::memory::{read, write};
use crate::packet::Packet;
use crate::plan::{Form, Payer, Payload, Plan};
use crate::tables::is_relayed;
use crate::{entry, from_client, from_peer};

/// What becomes of a Send indication; `length` is what its header says of the attributes.
#[inline(always)]
pub fn send(ctx: &XdpContext, packet: &Packet, length: u16, now: u64) -> Result<Plan, Reason> {
    let Some(client) = from_client::allocation(packet, now)? else {
        return Err(from_client::missing(packet, Reason::NoAllocation, now));
    };
    let mut found = Found::default();
    let length = usize::from(length);
    if length & 3 != 0 || length + HEADER != packet.length {
        return Err(Reason::Malformed);
    }
    // SAFETY: the context is the kernel's own.
    match unsafe {
        walk(
            ctx.as_ptr().cast(),
            packet.payload,
            packet.length,
            &mut found,
        )
    } {
        READ => {}
        UNUSUAL => return Err(Reason::Unusual),
        _ => return Err(Reason::Malformed),
    }
    let payload = found.payload(ctx, packet)?;
    let peer = found.peer(ctx, packet)?;
    let relayed = if peer.address.is_v4() {
        client.relayed_v4
    } else {
        client.relayed_v6
    };
    let key = FlowKey::permission(peer.address, relayed);
    let Some(permission) = entry::permission(&key, now)? else {
        let is_elsewhere = client.flags & Client::LANE != 0;
        return Err(if is_elsewhere {
            Reason::Lane
        } else {
            Reason::NoPermission
        });
    };
    from_peer::admit(&permission, peer, now)?;
    let payer = Payer {
        slot: permission.allocation,
        generation: permission.generation,
    };
    if permission.to_peer == NextHop::HERE {
        if !is_relayed(peer.port) {
            return Err(Reason::Lane);
        }
        let mut plan = from_peer::to_client(relayed, peer, payload, now)?;
        plan.reason = Reason::AllocationToAllocation;
        plan.sender = Some(payer);
        return Ok(plan);
    }
    Ok(Plan {
        source: relayed,
        destination: peer,
        form: Form::Bare,
        next_hop: permission.to_peer,
        reason: Reason::SendToPeer,
        payer,
        sender: None,
        payload,
    })
}

/// Where the attributes of a Send indication are, counted from its header; 0: not there.
#[derive(Default)]
#[repr(C)]
struct Found {
    peer: usize,
    data: usize,
    data_length: usize,
    dont_fragment: usize,
}

impl Found {
    #[inline(always)]
    fn payload(&self, ctx: &XdpContext, packet: &Packet) -> Result<Payload, Reason> {
        if self.data == 0 || self.peer == 0 || self.data_length > BYTES_MAX {
            return Err(Reason::Malformed);
        }
        let behind = self.data + self.data_length;
        if self.data > BEFORE_MAX || packet.length.wrapping_sub(behind) > BEHIND_MAX {
            return Err(Reason::Unusual);
        }
        let before = sum_of_rest(ctx, packet.payload, 0, self.data);
        Ok(Payload {
            offset: packet.payload + self.data,
            length: self.data_length as u16,
            removed: before + sum_of_rest(ctx, packet.payload, behind, packet.length),
            dont_fragment: self.dont_fragment != 0,
        })
    }

    /// RFC 8489 section 14.2.
    #[inline(always)]
    fn peer(&self, ctx: &XdpContext, packet: &Packet) -> Result<Endpoint, Reason> {
        if self.peer > BYTES_MAX {
            return Err(Reason::Unusual);
        }
        let at = packet.payload + self.peer;
        let [length, family, port] = read::<[u16; 3]>(ctx, at - 2).ok_or(Reason::Malformed)?;
        let port = port ^ COOKIE as u16;
        // The first byte of the value is to be ignored.
        let address = match (u16::from_be(length), u16::from_be(family) & 0xff) {
            (8, 1) => {
                let word = read::<u32>(ctx, at + 4).ok_or(Reason::Malformed)?;
                Address::from_v4_word(word ^ COOKIE)
            }
            (20, 2) => {
                let words = read::<[u64; 2]>(ctx, at + 4).ok_or(Reason::Malformed)?;
                let mask = read::<[u64; 2]>(ctx, packet.payload + 4).ok_or(Reason::Malformed)?;
                let address = Address([words[0] ^ mask[0], words[1] ^ mask[1]]);
                // An IPv4 address in this form is another one to the server.
                if address.is_v4() {
                    return Err(Reason::Unusual);
                }
                address
            }
            _ => return Err(Reason::Malformed),
        };
        Ok(Endpoint { address, port })
    }
}

/// One walk over the attributes; the first of a kind counts (RFC 8489 section 14).
///
/// # Safety
/// `ctx` is the context that the kernel called the program with.
#[inline(never)]
unsafe fn walk(ctx: *mut xdp_md, message: usize, end: usize, found: &mut Found) -> u32 {
    let ctx = XdpContext::new(ctx);
    if end > BYTES_MAX || read::<u32>(&ctx, message + 4) != Some(COOKIE) {
        return MALFORMED;
    }
    let mut at = HEADER;
    for _ in 0..ATTRIBUTES_MAX {
        if at >= end {
            return READ;
        }
        let Some([kind, length]) = read::<[u16; 2]>(&ctx, message + at) else {
            return MALFORMED;
        };
        let length = usize::from(u16::from_be(length));
        let value = at + ATTRIBUTE;
        at = value + ((length + 3) & !3);
        if at > end || at > BYTES_MAX {
            return MALFORMED;
        }
        match u16::from_be(kind) {
            XOR_PEER_ADDRESS if found.peer == 0 => found.peer = value,
            DATA if found.data == 0 => {
                found.data = value;
                found.data_length = length;
            }
            DONT_FRAGMENT if length == 0 => found.dont_fragment = 1,
            XOR_PEER_ADDRESS | DATA => {}
            DONT_FRAGMENT => return MALFORMED,
            // Its CRC covers the payload.
            FINGERPRINT => return UNUSUAL,
            0x8000.. => {}
            _ => return UNUSUAL,
        }
    }
    if at >= end { READ } else { UNUSUAL }
}

/// The sum of the bytes from `from` to `end`, both counted from `base`, which begins a 16-bit word.
#[inline(always)]
pub fn sum_of_rest(ctx: &XdpContext, base: usize, from: usize, end: usize) -> u64 {
    // SAFETY: the context is the kernel's own.
    unsafe { sum_of(ctx.as_ptr().cast(), base, from, end) }
}

/// # Safety
/// `ctx` is the context that the kernel called the program with.
#[inline(never)]
unsafe fn sum_of(ctx: *mut xdp_md, base: usize, from: usize, end: usize) -> u64 {
    let ctx = XdpContext::new(ctx);
    let mut total = 0;
    let mut at = from;
    for _ in 0..SUMMED_MAX {
        if at >= end || at > BYTES_MAX {
            break;
        }
        let mut place = base + at;
        // The compiler knows how far this reaches, and leaves out what would tell the verifier.
        // SAFETY: the register is set to what it is.
        unsafe { asm!("{0} = {0}", inout(reg) place, options(pure, nomem, nostack)) };
        let Some(byte) = read::<u8>(&ctx, place) else {
            break;
        };
        // The machine is little-endian: a word's first byte is its lower half.
        total += u64::from(byte) << ((at & 1) * 8);
        at += 1;
    }
    total
}

/// Bytes that a Data indication has before its payload.
#[inline(always)]
pub fn data_prefix(peer: Address) -> usize {
    if peer.is_v4() { 36 } else { 48 }
}

/// Writes a Data indication up to its payload; its sum (RFC 8656 section 11.4).
#[inline(always)]
pub fn write_data(ctx: &XdpContext, at: usize, peer: Endpoint, length: u16) -> Option<u64> {
    let is_v4 = peer.address.is_v4();
    let padded = (length + 3) & !3;
    let attributes = data_prefix(peer.address) as u16 - HEADER as u16 + padded;
    // Nobody answers an indication: its transaction ID need only differ from others.
    // SAFETY: the helper takes nothing and may be called anywhere.
    let id = unsafe {
        [
            bpf_get_prandom_u32(),
            bpf_get_prandom_u32(),
            bpf_get_prandom_u32(),
        ]
    };
    let head = [
        pair(DATA_INDICATION, attributes),
        COOKIE,
        id[0],
        id[1],
        id[2],
    ];
    write(ctx, at, head)?;
    let port = peer.port ^ COOKIE as u16;
    let data = pair(DATA, length);
    let mut total = head.iter().fold(0, |total, word| total + u64::from(*word));
    total += u64::from(data);
    let family = |number: u16| u32::from(number.to_be()) | u32::from(port) << 16;
    if is_v4 {
        let address = peer.address.v4_word() ^ COOKIE;
        let words = [pair(XOR_PEER_ADDRESS, 8), family(1), address];
        write(ctx, at + HEADER, words)?;
        write(ctx, at + 32, data)?;
        total += words.iter().fold(0, |total, word| total + u64::from(*word));
    } else {
        let Address([high, low]) = peer.address;
        let mask_high = u64::from(COOKIE) | u64::from(id[0]) << 32;
        let mask_low = u64::from(id[1]) | u64::from(id[2]) << 32;
        let address = [high ^ mask_high, low ^ mask_low];
        let words = [pair(XOR_PEER_ADDRESS, 20), family(2)];
        write(ctx, at + HEADER, words)?;
        write(ctx, at + 28, address)?;
        write(ctx, at + 44, data)?;
        total += words.iter().fold(0, |total, word| total + u64::from(*word));
        total += sum::halves(address[0]) + sum::halves(address[1]);
    }
    Some(total)
}

/// Writes the zero bytes behind a Data indication's payload.
#[inline(always)]
pub fn write_padding(ctx: &XdpContext, at: usize, count: usize) -> Option<()> {
    for index in 0..3 {
        if index < count {
            write(ctx, at + index, 0_u8)?;
        }
    }
    Some(())
}

/// Two numbers of 16 bits as they lie in a packet.
#[inline(always)]
fn pair(first: u16, second: u16) -> u32 {
    u32::from(first.to_be()) | u32::from(second.to_be()) << 16
}

/// The SEND method and the indication class, interleaved (RFC 8489 section 5).
pub const SEND: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;
const DATA: u16 = 0x0013;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DONT_FRAGMENT: u16 = 0x001a;
const FINGERPRINT: u16 = 0x8028;
/// The magic cookie as it lies in a packet.
pub const COOKIE: u32 = 0x2112_a442_u32.to_be();

/// What [`walk`] says.
const READ: u32 = 0;
const UNUSUAL: u32 = 1;
const MALFORMED: u32 = 2;

const HEADER: usize = 20;
const ATTRIBUTE: usize = 4;
/// Clients send two or three.
const ATTRIBUTES_MAX: u32 = 8;
/// No message that XDP shows in one piece is longer.
const BYTES_MAX: usize = 3_600;
/// What may lie before and behind the data; each byte of it is looked at.
const BEFORE_MAX: usize = 128;
const BEHIND_MAX: usize = 67;
const SUMMED_MAX: u32 = 128;
