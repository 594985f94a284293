//! Finds the application's bytes in what a relay sends: plain UDP to a peer, ChannelData (RFC 8656
//! section 12.4) or a Data indication (section 11.6) to a client.

use aya_ebpf::programs::XdpContext;

use crate::packet::{ETHERNET, IPV4, IPV6, PROTOCOL_UDP, TYPE_IPV4, TYPE_IPV6, UDP, read};
use crate::sum::sum;
use turnpike_generator_layout::place;
use turnpike_generator_layout::stamp::fold;

/// Where an application's bytes are.
pub struct Payload {
    /// Where in the frame they begin.
    pub offset: usize,
    /// How many they are.
    pub length: usize,
    /// The number in front of ChannelData, as it lies in the frame.
    channel: u16,
    /// Where in the frame the UDP header begins.
    udp: usize,
    /// The UDP header's length field.
    udp_length: usize,
    /// Where in the frame the IP addresses begin, and how many bytes both take.
    addresses: (usize, usize),
}

impl Payload {
    /// The bytes of a frame that is UDP right behind an IP header; None for every other frame.
    #[inline(always)]
    pub fn find(ctx: &XdpContext) -> Option<Self> {
        let (udp, addresses) = match read::<u16>(ctx, 12)? {
            TYPE_IPV4 => (udp_of_ipv4(ctx)?, (ETHERNET + 12, 8)),
            TYPE_IPV6 => (udp_of_ipv6(ctx)?, (ETHERNET + 8, 32)),
            _ => return None,
        };
        let udp_length = usize::from(u16::from_be(read::<u16>(ctx, udp + 4)?));
        let inside = udp + UDP;
        let (channel, (offset, length)) = match read::<[u16; 2]>(ctx, inside)?.map(u16::from_be) {
            [channel @ 0x4000..=0x4fff, length] => (channel, (inside + 4, usize::from(length))),
            [DATA_INDICATION, _] => (0, data_of_indication(ctx, inside)?),
            _ => (0, (inside, udp_length.wrapping_sub(UDP))),
        };
        Some(Self {
            offset,
            length,
            channel: channel.to_be(),
            udp,
            udp_length,
            addresses,
        })
    }

    /// Where it came to; None when a socket would refuse its UDP checksum. `payload_sum` is the
    /// sum of the payload.
    #[inline(always)]
    pub fn place(&self, ctx: &XdpContext, payload_sum: u32) -> Option<u64> {
        let (at, length) = self.addresses;
        let addresses = sum(ctx, at, length);
        let [from, to, _, checksum] = read::<[u16; 4]>(ctx, self.udp)?;
        // Zero: there is none (RFC 768), which IPv6 forbids (RFC 8200 section 8.1).
        let readable = match checksum {
            0 => length == 8,
            _ => self.checksum_holds(ctx, payload_sum + addresses),
        };
        readable.then_some(place(from, to, self.channel, addresses as u16))
    }

    /// Whether the UDP checksum is right, when the sum of the payload and both addresses is known.
    #[inline(always)]
    fn checksum_holds(&self, ctx: &XdpContext, known: u32) -> bool {
        let behind = self.offset + self.length;
        let end = self.udp + self.udp_length;
        if behind > end {
            return false;
        }
        let pseudo = (self.udp_length as u32 + u32::from(PROTOCOL_UDP)).to_be();
        let mut total = u64::from(pseudo) + u64::from(known);
        total += u64::from(sum(ctx, self.udp, self.offset - self.udp));
        if end > behind {
            total += u64::from(sum(ctx, behind, end - behind));
        }
        fold(total) == 0xffff
    }
}

#[inline(always)]
fn udp_of_ipv4(ctx: &XdpContext) -> Option<usize> {
    let version_and_length = read::<u8>(ctx, ETHERNET)?;
    let fragment = u16::from_be(read::<u16>(ctx, ETHERNET + 6)?) & 0x3fff;
    let protocol = read::<u8>(ctx, ETHERNET + 9)?;
    (version_and_length == 0x45 && fragment == 0 && protocol == PROTOCOL_UDP)
        .then_some(ETHERNET + IPV4)
}

#[inline(always)]
fn udp_of_ipv6(ctx: &XdpContext) -> Option<usize> {
    (read::<u8>(ctx, ETHERNET + 6)? == PROTOCOL_UDP).then_some(ETHERNET + IPV6)
}

/// Where the DATA attribute's value is, and its length.
#[inline(always)]
fn data_of_indication(ctx: &XdpContext, message: usize) -> Option<(usize, usize)> {
    let mut attribute = message + 20;
    for _ in 0..ATTRIBUTES_MAX {
        let [kind, length] = read::<[u16; 2]>(ctx, attribute)?.map(u16::from_be);
        if kind == DATA {
            return Some((attribute + 4, usize::from(length)));
        }
        attribute += 4 + ((usize::from(length) + 3) & !3);
        if attribute > FRAME_MAX {
            return None;
        }
    }
    None
}

/// RFC 8656 section 17: the Data indication, and the DATA attribute (section 18.4).
const DATA_INDICATION: u16 = 0x0017;
const DATA: u16 = 0x0013;

/// A relay's Data indication has two or three attributes.
const ATTRIBUTES_MAX: usize = 4;

/// No frame is longer.
const FRAME_MAX: usize = 1514;
