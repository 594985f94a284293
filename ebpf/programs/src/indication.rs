//! Send and Data indications (RFC 8656 section 11): reading the one, writing the other.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Address, Client, Endpoint, FlowKey, NextHop, Reason, sum};

use crate::memory::{bounded, forget, read, write};
use crate::packet::Packet;
use crate::plan::{Form, Payer, Payload, Plan};
use crate::tables::is_relayed;
use crate::{entry, from_client, from_peer};

/// What becomes of a Send indication.
#[inline(always)]
pub fn send(ctx: &XdpContext, packet: &Packet, now: u64) -> Result<Plan, Reason> {
    let Some(client) = from_client::allocation(packet, now)? else {
        return Err(from_client::missing(packet, Reason::NoAllocation, now));
    };
    let head = read::<[u32; 5]>(ctx, packet.payload).ok_or(Reason::Malformed)?;
    let length = u16::from_be((head[0] >> 16) as u16);
    let is_whole = length & 3 == 0 && usize::from(length) + HEADER == packet.length;
    if !is_whole || head[1] != COOKIE {
        return Err(Reason::Malformed);
    }
    let Read { peer, payload } = Read::attributes(ctx, packet, &head)?.forgotten(now);
    let is_v4 = peer.address.is_v4();
    let relayed = if is_v4 {
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
        channel: 0,
        peer,
        next_hop: permission.to_peer,
        reason: Reason::SendToPeer,
        payer,
        sender: None,
        payload,
    })
}

/// What a Send indication says. Clients send two attributes, the peer's address and the data, in either
/// order, and some a FINGERPRINT behind them; what has more is the server's to read.
struct Read {
    peer: Endpoint,
    payload: Payload,
}

impl Read {
    #[inline(always)]
    fn attributes(ctx: &XdpContext, packet: &Packet, head: &[u32; 5]) -> Result<Self, Reason> {
        let message = packet.payload;
        let first = read::<u32>(ctx, message + HEADER).ok_or(Reason::Unusual)?;
        match first {
            PEER_V4 => Self::address_first::<2>(ctx, packet, head, first),
            PEER_V6 => Self::address_first::<5>(ctx, packet, head, first),
            first if first as u16 == DATA.to_be() => Self::data_first(ctx, packet, head, first),
            _ => Err(Reason::Unusual),
        }
    }

    /// `WORDS` is the length of the address attribute's value.
    #[inline(always)]
    fn address_first<const WORDS: usize>(
        ctx: &XdpContext,
        packet: &Packet,
        head: &[u32; 5],
        first: u32,
    ) -> Result<Self, Reason> {
        let at = HEADER + ATTRIBUTE;
        let value = read::<[u32; WORDS]>(ctx, packet.payload + at).ok_or(Reason::Unusual)?;
        let data = at + 4 * WORDS + ATTRIBUTE;
        let before = packet.payload + data - ATTRIBUTE;
        let second = read::<u32>(ctx, before).ok_or(Reason::Unusual)?;
        let length = u16::from_be((second >> 16) as u16);
        if second as u16 != DATA.to_be() {
            return Err(Reason::Unusual);
        }
        let end = data + ((usize::from(length) + 3) & !3);
        let last = last(ctx, packet, end)?;
        let known = words(head) + u64::from(first) + words(&value) + u64::from(second) + last;
        Ok(Self {
            peer: address(&value, head)?,
            payload: payload(ctx, packet, data, length, known),
        })
    }

    #[inline(always)]
    fn data_first(
        ctx: &XdpContext,
        packet: &Packet,
        head: &[u32; 5],
        first: u32,
    ) -> Result<Self, Reason> {
        let data = HEADER + ATTRIBUTE;
        let length = u16::from_be((first >> 16) as u16);
        let behind = data + ((usize::from(length) + 3) & !3);
        if behind > packet.length {
            return Err(Reason::Unusual);
        }
        let behind = bounded(behind);
        let second = read::<u32>(ctx, packet.payload + behind).ok_or(Reason::Unusual)?;
        let known = words(head) + u64::from(first) + u64::from(second);
        match second {
            PEER_V4 => Self::address_last::<2>(ctx, packet, head, behind, length, known),
            PEER_V6 => Self::address_last::<5>(ctx, packet, head, behind, length, known),
            _ => Err(Reason::Unusual),
        }
    }

    #[inline(always)]
    fn address_last<const WORDS: usize>(
        ctx: &XdpContext,
        packet: &Packet,
        head: &[u32; 5],
        behind: usize,
        length: u16,
        known: u64,
    ) -> Result<Self, Reason> {
        let at = behind + ATTRIBUTE;
        let known = known + last(ctx, packet, at + 4 * WORDS)?;
        let value = read::<[u32; WORDS]>(ctx, packet.payload + at).ok_or(Reason::Unusual)?;
        Ok(Self {
            peer: address(&value, head)?,
            payload: payload(
                ctx,
                packet,
                HEADER + ATTRIBUTE,
                length,
                known + words(&value),
            ),
        })
    }

    /// The same, without what the verifier knows of the way it was read.
    #[inline(always)]
    fn forgotten(self, unknown: u64) -> Self {
        let word = |word: u64| forget::<0>(word, unknown);
        Self {
            peer: Endpoint {
                address: Address(self.peer.address.0.map(word)),
                port: word(self.peer.port.into()) as u16,
            },
            payload: Payload {
                offset: forget::<256>(self.payload.offset as u64, unknown) as usize,
                length: forget::<4_096>(self.payload.length.into(), unknown) as u16,
                removed: word(self.payload.removed),
            },
        }
    }
}

/// The sum of what stands behind the two attributes, from `at` of the message: nothing or FINGERPRINT.
///
/// DEVIATION(rfc8489-7.3): its value is not checked here. It tells STUN from other protocols on a port,
/// and these two bits, the cookie, the lengths and a live allocation's five-tuple have told that; the UDP
/// checksum guards the bytes. The CRC of a whole payload would cost more than all else together.
#[inline(always)]
fn last(ctx: &XdpContext, packet: &Packet, at: usize) -> Result<u64, Reason> {
    if at == packet.length {
        return Ok(0);
    }
    if at + 8 != packet.length {
        return Err(Reason::Unusual);
    }
    match read::<[u32; 2]>(ctx, packet.payload + bounded(at)) {
        Some([FINGERPRINT, value]) => Ok(u64::from(FINGERPRINT) + u64::from(value)),
        _ => Err(Reason::Unusual),
    }
}

/// The data of an indication, at `data` of the message; `known` is the sum of all else but the padding.
#[inline(always)]
fn payload(ctx: &XdpContext, packet: &Packet, data: usize, length: u16, known: u64) -> Payload {
    let behind = packet.payload + data + usize::from(length);
    let padding = usize::from(length.wrapping_neg() & 3);
    Payload {
        offset: packet.payload + data,
        length,
        removed: known + sum_of_padding(ctx, behind, padding),
    }
}

/// The sum of the words.
#[inline(always)]
pub fn words<const N: usize>(words: &[u32; N]) -> u64 {
    words.iter().fold(0, |total, word| total + u64::from(*word))
}

/// RFC 8489 section 14.2: family, port and address, covered by the message's head.
#[inline(always)]
fn address<const WORDS: usize>(value: &[u32; WORDS], head: &[u32; 5]) -> Result<Endpoint, Reason> {
    let [first, address @ ..] = value.as_slice() else {
        return Err(Reason::Unusual);
    };
    // The first byte of the value is to be ignored.
    let family = first.to_ne_bytes()[1];
    let port = (first >> 16) as u16 ^ COOKIE as u16;
    let [_, cookie, id @ ..] = head;
    let address = match (family, address) {
        (1, [word]) => Address::from_v4_word(word ^ cookie),
        (2, [a, b, c, d]) => {
            let high = u64::from(a ^ cookie) | u64::from(b ^ id[0]) << 32;
            let low = u64::from(c ^ id[1]) | u64::from(d ^ id[2]) << 32;
            Address([high, low])
        }
        _ => return Err(Reason::Unusual),
    };
    // An IPv4 address in IPv6's form is another one to the server.
    if WORDS == 5 && address.is_v4() {
        return Err(Reason::Unusual);
    }
    Ok(Endpoint { address, port })
}

/// The sum of up to three bytes of padding at `offset` of the frame; words begin at even offsets.
#[inline(always)]
pub fn sum_of_padding(ctx: &XdpContext, offset: usize, count: usize) -> u64 {
    let byte = |index: usize| {
        if index >= count {
            return 0;
        }
        let at = bounded(offset + index);
        let byte = read::<u8>(ctx, at).unwrap_or(0);
        // The machine is little-endian: a word's first byte is its lower half.
        u64::from(byte) << ((at & 1) * 8)
    };
    byte(0) + byte(1) + byte(2)
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
pub fn pair(first: u16, second: u16) -> u32 {
    u32::from(first.to_be()) | u32::from(second.to_be()) << 16
}

/// The SEND method and the indication class, interleaved (RFC 8489 section 5).
pub const SEND: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;
const DATA: u16 = 0x0013;
const XOR_PEER_ADDRESS: u16 = 0x0012;
/// The magic cookie as it lies in a packet.
pub const COOKIE: u32 = 0x2112_a442_u32.to_be();
/// FINGERPRINT with its length, as they lie in a packet.
pub const FINGERPRINT: u32 = 0x8028_0004_u32.to_be();
/// XOR-PEER-ADDRESS with the lengths that it has, as they lie in a packet.
const PEER_V4: u32 = 0x0012_0008_u32.to_be();
const PEER_V6: u32 = 0x0012_0014_u32.to_be();

const HEADER: usize = 20;
const ATTRIBUTE: usize = 4;
