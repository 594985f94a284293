//! Binding requests (RFC 8489 sections 2 and 6) answered where they came in: XOR-MAPPED-ADDRESS, and
//! FINGERPRINT where the request has one. Nothing else is wanted of such an answer.
//!
//! What has a wrong checksum or FINGERPRINT, an attribute that must be understood (message integrity is
//! one), or more than [`WORDS_MAX`] words is the server's to read. Nothing is stored for a request.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::helpers::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Address, Endpoint, Reason, sum};

use crate::crc;
use crate::from_client;
use crate::indication::{COOKIE, FINGERPRINT, pair};
use crate::memory::{bounded, forget, read, write};
use crate::packet::{IPV4, IPV6, PROTOCOL_UDP, Packet, UDP};
use crate::rewrite::covered;

/// Answers a request, or leaves it to the server, untouched.
#[inline(always)]
pub fn answer(ctx: &XdpContext, packet: &Packet, now: u64) -> Result<(Reason, u32), Reason> {
    let Some(macs) = macs(ctx) else {
        return Err(from_client::control(packet, now));
    };
    let Some(request) = Request::read(ctx, packet) else {
        return Err(from_client::control(packet, now));
    };
    if !may_be_answered(packet) || !from_client::is_listener(packet, now)? {
        return Err(from_client::control(packet, now));
    }
    let request = request.forgotten(now);
    let length = request.length_of_answer(packet.far.address);
    if !resize(ctx, packet.payload + length) {
        return Err(from_client::control(packet, now));
    }
    write_message(ctx, packet, &request, length)
        .and_then(|total| write_headers(ctx, packet, macs, length + UDP, total))
        .map(|()| (Reason::BindingAnswered, XDP_TX))
        .ok_or(Reason::NoTailroom)
}

/// A Binding request that can be answered here.
struct Request {
    /// The transaction ID.
    id: [u32; 3],
    has_fingerprint: bool,
}

impl Request {
    /// Reads a request to its end, in one go: what its checksum and its FINGERPRINT cover, and what its
    /// attributes are.
    #[inline(always)]
    fn read(ctx: &XdpContext, packet: &Packet) -> Option<Self> {
        let head = read::<[u32; 5]>(ctx, packet.payload)?;
        let [first, cookie, id @ ..] = head;
        let length = usize::from(u16::from_be((first >> 16) as u16));
        let words = packet.length / 4;
        let is_whole = length & 3 == 0 && length + HEADER == packet.length;
        if cookie != COOKIE || !is_whole || words > WORDS_MAX {
            return None;
        }
        let walked = Walk::new(&head).to_the_end(ctx, packet.payload, words)?;
        let pseudo = covered(packet.far, packet.near, packet.length + UDP);
        let is_right = match packet.checksum {
            0 => packet.far.address.is_v4(),
            checksum => sum::fold(pseudo + walked.sum + u64::from(checksum)) == 0xffff,
        };
        is_right.then_some(Self {
            id,
            has_fingerprint: walked.has_fingerprint,
        })
    }

    /// The same, without what the verifier knows of the way it was read.
    #[inline(always)]
    fn forgotten(self, unknown: u64) -> Self {
        Self {
            has_fingerprint: forget::<2>(self.has_fingerprint.into(), unknown) != 0,
            ..self
        }
    }

    /// Bytes of the answer's message.
    #[inline(always)]
    fn length_of_answer(&self, client: Address) -> usize {
        let address = if client.is_v4() { 8 } else { 20 };
        let last = if self.has_fingerprint { 8 } else { 0 };
        HEADER + ATTRIBUTE + address + last
    }
}

/// The words of a request, one after the other.
struct Walk {
    /// The sum of those that were passed.
    sum: u64,
    /// Their CRC.
    crc: u32,
    /// Words of the attribute's value that are to come.
    ahead: u32,
    has_fingerprint: bool,
}

impl Walk {
    #[inline(always)]
    fn new(head: &[u32; 5]) -> Self {
        let mut walk = Self {
            sum: 0,
            crc: crc::START,
            ahead: 0,
            has_fingerprint: false,
        };
        head.iter().for_each(|word| walk.pass(*word));
        walk
    }

    #[inline(always)]
    fn pass(&mut self, word: u32) {
        self.sum += u64::from(word);
        self.crc = crc::with(self.crc, word);
    }

    /// Walks through the attributes; `None` when one has to be understood, or is not whole.
    #[inline(always)]
    fn to_the_end(mut self, ctx: &XdpContext, message: usize, words: usize) -> Option<Self> {
        for index in HEADER / 4..WORDS_MAX {
            if index >= words {
                break;
            }
            let word = read::<u32>(ctx, message + index * 4)?;
            if self.ahead != 0 {
                self.ahead -= 1;
            } else if word == FINGERPRINT {
                return self.end(ctx, message + index * 4, index + 2 == words);
            } else {
                self.ahead = Self::optional(word)?;
            }
            self.pass(word);
        }
        (self.ahead == 0).then_some(self)
    }

    /// Words of the value of an attribute that need not be understood (RFC 8489 section 14).
    #[inline(always)]
    fn optional(first: u32) -> Option<u32> {
        let kind = u16::from_be(first as u16);
        let length = u32::from(u16::from_be((first >> 16) as u16));
        let is_optional = kind & 0x8000 != 0 && first as u16 != FINGERPRINT as u16;
        is_optional.then_some((length + 3) / 4)
    }

    /// FINGERPRINT must be the last and right, or the message is none (RFC 8489 section 14.7).
    #[inline(always)]
    fn end(mut self, ctx: &XdpContext, at: usize, is_last: bool) -> Option<Self> {
        let value = read::<u32>(ctx, at + ATTRIBUTE)?;
        self.sum += u64::from(FINGERPRINT) + u64::from(value);
        self.has_fingerprint = true;
        (is_last && value == crc::fingerprint(self.crc)).then_some(self)
    }
}

/// Whether the sender is somebody whom an answer may go to: another host, and one alone. What else
/// claims to have sent a request is the host's to judge.
#[inline(always)]
fn may_be_answered(packet: &Packet) -> bool {
    let Endpoint { address, port } = packet.far;
    let Address([high, _]) = address;
    let is_one_host = if address.is_v4() {
        // This network, loopback, multicast and all above it (RFC 6890).
        let [first, ..] = address.v4_word().to_ne_bytes();
        first != 0 && first != 127 && first < 224
    } else {
        // Unspecified, loopback and what else begins with 64 zeros; multicast.
        let [first, ..] = high.to_ne_bytes();
        high != 0 && first != 0xff
    };
    is_one_host && port != 0 && address != packet.near.address
}

/// Both MACs in the other order: 64 bits and 32; `None` if one of them is a group's.
#[inline(always)]
fn macs(ctx: &XdpContext) -> Option<(u64, u32)> {
    let first = read::<u64>(ctx, 0)?;
    let last = read::<u32>(ctx, 8)?;
    let (to, from) = (first & MAC, first >> 48 | u64::from(last) << 16);
    let is_group = (to | from) & 1 != 0;
    (!is_group).then_some((from | to << 48, (to >> 16) as u32))
}

/// Makes the frame so long; nothing is changed when that fails.
#[inline(always)]
fn resize(ctx: &XdpContext, wanted: usize) -> bool {
    // SAFETY: the context is the kernel's own.
    unsafe {
        let longer = wanted as i32 - bpf_xdp_get_buff_len(ctx.as_ptr().cast()) as i32;
        longer == 0 || bpf_xdp_adjust_tail(ctx.as_ptr().cast(), longer) == 0
    }
}

/// Words on their way into the frame: written one by one, because a message that is put together on the
/// stack is copied in words that are not aligned there.
struct Writer<'a> {
    ctx: &'a XdpContext,
    at: usize,
    sum: u64,
    crc: u32,
    has_fingerprint: bool,
}

impl Writer<'_> {
    #[inline(always)]
    fn put(&mut self, word: u32) -> Option<()> {
        write(self.ctx, self.at, word)?;
        self.at += 4;
        self.sum += u64::from(word);
        if self.has_fingerprint {
            self.crc = crc::with(self.crc, word);
        }
        Some(())
    }
}

/// Writes the answer over the request; its sum (RFC 8489 sections 5 and 14.2).
#[inline(always)]
fn write_message(
    ctx: &XdpContext,
    packet: &Packet,
    request: &Request,
    length: usize,
) -> Option<u64> {
    let [id_0, id_1, id_2] = request.id;
    let mut writer = Writer {
        ctx,
        at: packet.payload,
        sum: 0,
        crc: crc::START,
        has_fingerprint: request.has_fingerprint,
    };
    writer.put(pair(RESPONSE, (length - HEADER) as u16))?;
    writer.put(COOKIE)?;
    writer.put(id_0)?;
    writer.put(id_1)?;
    writer.put(id_2)?;
    let Endpoint { address, port } = packet.far;
    let port = u32::from(port ^ COOKIE as u16) << 16;
    if address.is_v4() {
        writer.put(pair(XOR_MAPPED_ADDRESS, 8))?;
        writer.put(u32::from(1_u16.to_be()) | port)?;
        writer.put(address.v4_word() ^ COOKIE)?;
    } else {
        let Address([high, low]) = address;
        writer.put(pair(XOR_MAPPED_ADDRESS, 20))?;
        writer.put(u32::from(2_u16.to_be()) | port)?;
        writer.put(high as u32 ^ COOKIE)?;
        writer.put((high >> 32) as u32 ^ id_0)?;
        writer.put(low as u32 ^ id_1)?;
        writer.put((low >> 32) as u32 ^ id_2)?;
    }
    if request.has_fingerprint {
        let value = crc::fingerprint(writer.crc);
        writer.put(FINGERPRINT)?;
        writer.put(value)?;
    }
    Some(writer.sum)
}

/// Everything before the message: back to where it came from, as a datagram of this host.
#[inline(always)]
fn write_headers(
    ctx: &XdpContext,
    packet: &Packet,
    macs: (u64, u32),
    length: usize,
    total: u64,
) -> Option<()> {
    let (from, to) = (packet.near, packet.far);
    let checksum = sum::udp_field(total + covered(from, to, length));
    let ports = u64::from(from.port) | u64::from(to.port) << 16;
    let rest = u64::from((length as u16).to_be()) | u64::from(checksum) << 16;
    write(ctx, bounded(packet.payload - UDP), ports | rest << 32)?;
    write(ctx, 0, macs.0)?;
    write(ctx, 8, macs.1)?;
    if from.address.is_v4() {
        write_ipv4(ctx, bounded(packet.payload - UDP - IPV4), from, to, length)
    } else {
        write_ipv6(ctx, bounded(packet.payload - UDP - IPV6), from, to, length)
    }
}

#[inline(always)]
fn write_ipv4(
    ctx: &XdpContext,
    at: usize,
    from: Endpoint,
    to: Endpoint,
    length: usize,
) -> Option<()> {
    let [high, low] = ((length + IPV4) as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x45, 0, high, low]);
    // DF, so that it needs no identification (RFC 6864).
    let second = u32::from_ne_bytes([0, 0, 0x40, 0]);
    let third = u32::from_ne_bytes([HOPS, PROTOCOL_UDP, 0, 0]);
    let (from, to) = (from.address.v4_word(), to.address.v4_word());
    let total = first as u64 + second as u64 + third as u64 + from as u64 + to as u64;
    let third = third | u32::from(!sum::fold(total)) << 16;
    write(ctx, at, u64::from(first) | u64::from(second) << 32)?;
    write(ctx, at + 8, u64::from(third) | u64::from(from) << 32)?;
    write(ctx, at + 16, to)
}

#[inline(always)]
fn write_ipv6(
    ctx: &XdpContext,
    at: usize,
    from: Endpoint,
    to: Endpoint,
    length: usize,
) -> Option<()> {
    let [high, low] = (length as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x60, 0, 0, 0]);
    let second = u32::from_ne_bytes([high, low, PROTOCOL_UDP, HOPS]);
    let (Address([sh, sl]), Address([dh, dl])) = (from.address, to.address);
    write(ctx, at, u64::from(first) | u64::from(second) << 32)?;
    write(ctx, at + 8, [sh, sl, dh, dl])
}

/// The BINDING method with the classes request and success response (RFC 8489 section 5).
pub const REQUEST: u16 = 0x0001;
const RESPONSE: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// The longest request that is read here, words: header, FINGERPRINT and 100 bytes of attributes.
const WORDS_MAX: usize = 32;
const HEADER: usize = 20;
const ATTRIBUTE: usize = 4;

/// The lower 48 bits.
const MAC: u64 = 0xffff_ffff_ffff;

/// The TTL or hop limit of an answer.
const HOPS: u8 = 64;
