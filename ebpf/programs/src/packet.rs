//! What a frame is, before anything is decided: Ethernet with at most one VLAN tag, IPv4 without
//! options or IPv6 without extension headers, whole, UDP, lengths that agree with each other.
//!
//! Everything else is let through, with the reason.

use aya_ebpf::programs::XdpContext;
use turnpike_abi::{Address, Endpoint, Reason, sum};

use crate::memory::{bounded, forget, pointer, read};

/// A UDP datagram in a frame.
pub struct Packet {
    /// Who sent it.
    pub far: Endpoint,
    /// Where to.
    pub near: Endpoint,
    /// Where in the frame the UDP payload begins.
    pub payload: usize,
    /// Bytes of UDP payload; all of them are in the frame.
    pub length: usize,
    /// The UDP checksum as it lies in the frame; 0: none.
    pub checksum: u16,
    /// The VLAN tag's lower 16 bits, the machine's order; 0 where there is no tag.
    pub tag: u16,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// TTL or hop limit.
    pub time_to_live: u8,
    /// Whether routers may not fragment it: the DF bit, and always so with IPv6.
    pub dont_fragment: bool,
}

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Length of a VLAN tag.
pub const VLAN: usize = 4;
/// Length of an IPv4 header without options.
pub const IPV4: usize = 20;
/// Length of an IPv6 header.
pub const IPV6: usize = 40;
/// Length of a UDP header.
pub const UDP: usize = 8;

/// EtherTypes and protocol numbers as they lie in the frame.
pub const TYPE_IPV4: u16 = 0x0800_u16.to_be();
pub const TYPE_IPV6: u16 = 0x86dd_u16.to_be();
pub const TYPE_VLAN: u16 = 0x8100_u16.to_be();
pub const PROTOCOL_UDP: u8 = 17;

impl Packet {
    /// Reads a frame, or says why it is not for this program.
    #[inline(always)]
    pub fn parse(ctx: &XdpContext) -> Result<Self, Reason> {
        match read::<u16>(ctx, 12) {
            Some(TYPE_IPV4) => Self::ipv4(ctx, ETHERNET, 0),
            Some(TYPE_IPV6) => Self::ipv6(ctx, ETHERNET, 0),
            Some(TYPE_VLAN) => Self::tagged(ctx),
            _ => Err(Reason::NotIp),
        }
    }

    /// The same, without what the verifier knows of the way it was read.
    #[inline(always)]
    pub fn forgotten(self, unknown: u64) -> Self {
        let end = |end: Endpoint| Endpoint {
            address: Address(end.address.0.map(|word| forget::<0>(word, unknown))),
            port: end.port,
        };
        Self {
            far: end(self.far),
            near: end(self.near),
            payload: forget::<128>(self.payload as u64, unknown) as usize,
            length: forget::<4_096>(self.length as u64, unknown) as usize,
            tag: forget::<0x1_0000>(self.tag.into(), unknown) as u16,
            dont_fragment: forget::<2>(self.dont_fragment.into(), unknown) != 0,
            traffic_class: forget::<256>(self.traffic_class.into(), unknown) as u8,
            time_to_live: forget::<256>(self.time_to_live.into(), unknown) as u8,
            ..self
        }
    }

    #[inline(always)]
    fn tagged(ctx: &XdpContext) -> Result<Self, Reason> {
        let [tag, kind] = read::<[u16; 2]>(ctx, ETHERNET).ok_or(Reason::NotIp)?;
        match kind {
            TYPE_IPV4 => Self::ipv4(ctx, ETHERNET + VLAN, u16::from_be(tag)),
            TYPE_IPV6 => Self::ipv6(ctx, ETHERNET + VLAN, u16::from_be(tag)),
            _ => Err(Reason::NotIp),
        }
    }

    #[inline(always)]
    fn ipv4(ctx: &XdpContext, ip: usize, tag: u16) -> Result<Self, Reason> {
        let [first, second, third, from, to] =
            read::<[u32; 5]>(ctx, ip).ok_or(Reason::BadHeader)?;
        let [version, traffic_class, length_high, length_low] = first.to_ne_bytes();
        match version {
            0x45 => {}
            0x46..=0x4f => return Err(Reason::Options),
            _ => return Err(Reason::BadHeader),
        }
        let [time_to_live, protocol, ..] = third.to_ne_bytes();
        match protocol {
            PROTOCOL_UDP => {}
            1 => return Err(Reason::Icmp),
            _ => return Err(Reason::NotUdp),
        }
        let fragment = u16::from_be((second >> 16) as u16);
        if fragment & FRAGMENT != 0 {
            return Err(Reason::Fragment);
        }
        let header = first as u64 + second as u64 + third as u64 + from as u64 + to as u64;
        if sum::fold(header) != 0xffff {
            return Err(Reason::BadHeader);
        }
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let udp = Udp::read(ctx, ip + IPV4, length.wrapping_sub(IPV4))?;
        Ok(udp.of(Self {
            far: Endpoint {
                address: Address::from_v4_word(from),
                port: 0,
            },
            near: Endpoint {
                address: Address::from_v4_word(to),
                port: 0,
            },
            payload: ip + IPV4 + UDP,
            length: 0,
            checksum: 0,
            tag,
            traffic_class,
            time_to_live,
            dont_fragment: fragment & DONT_FRAGMENT != 0,
        }))
    }

    #[inline(always)]
    fn ipv6(ctx: &XdpContext, ip: usize, tag: u16) -> Result<Self, Reason> {
        let [first, second] = read::<[u32; 2]>(ctx, ip).ok_or(Reason::BadHeader)?;
        let [fh, fl, nh, nl] = read::<[u64; 4]>(ctx, ip + 8).ok_or(Reason::BadHeader)?;
        let [version, class_low, ..] = first.to_ne_bytes();
        if version >> 4 != 6 {
            return Err(Reason::BadHeader);
        }
        let [length_high, length_low, protocol, time_to_live] = second.to_ne_bytes();
        match protocol {
            PROTOCOL_UDP => {}
            58 => return Err(Reason::Icmp),
            44 => return Err(Reason::Fragment),
            // RFC 8200 section 4, RFC 4302, 4303, 6275, 5533 and 7401.
            0 | 43 | 50 | 51 | 60 | 135 | 139 | 140 => return Err(Reason::Options),
            _ => return Err(Reason::NotUdp),
        }
        let (from, to) = (Address([fh, fl]), Address([nh, nl]));
        // Such an address would be taken for an IPv4 packet's.
        if from.is_v4() || to.is_v4() {
            return Err(Reason::BadHeader);
        }
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let udp = Udp::read(ctx, ip + IPV6, length)?;
        Ok(udp.of(Self {
            far: Endpoint {
                address: from,
                port: 0,
            },
            near: Endpoint {
                address: to,
                port: 0,
            },
            payload: ip + IPV6 + UDP,
            length: 0,
            checksum: 0,
            tag,
            traffic_class: version << 4 | class_low >> 4,
            time_to_live,
            dont_fragment: true,
        }))
    }
}

/// The UDP header's fields.
struct Udp {
    from: u16,
    to: u16,
    length: usize,
    checksum: u16,
}

impl Udp {
    /// Reads the header at `offset`; `length` is what IP says of it and its payload together.
    #[inline(always)]
    fn read(ctx: &XdpContext, offset: usize, length: usize) -> Result<Self, Reason> {
        let [from, to, said, checksum] = read::<[u16; 4]>(ctx, offset).ok_or(Reason::BadHeader)?;
        let said = usize::from(u16::from_be(said));
        if said != length || said < UDP || said > DATAGRAM_MAX {
            return Err(Reason::BadHeader);
        }
        let said = bounded(said);
        if ctx.data() + offset + said > ctx.data_end() {
            return Err(Reason::BadHeader);
        }
        Ok(Self {
            from,
            to,
            length: said - UDP,
            checksum,
        })
    }

    #[inline(always)]
    fn of(self, mut packet: Packet) -> Packet {
        packet.far.port = self.from;
        packet.near.port = self.to;
        packet.length = self.length;
        packet.checksum = self.checksum;
        packet
    }
}

/// Whether there are bytes in the frame behind `offset`.
#[inline(always)]
pub fn goes_on(ctx: &XdpContext, offset: usize) -> bool {
    pointer::<u8>(ctx, offset).is_some()
}

/// The DF bit.
const DONT_FRAGMENT: u16 = 0x4000;
/// The MF bit and the offset; the bit above DF is reserved and ignored.
const FRAGMENT: u16 = 0x3fff;

/// No frame that XDP shows in one piece is longer.
const DATAGRAM_MAX: usize = 3_520;
