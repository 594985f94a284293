//! Ethernet frames with UDP datagrams, written and read without the kernel's help.
//!
//! A [`Template`] holds all of a flow's frame that does not change and the sum of it, so that a frame
//! costs a copy and the sum of its stamp. [`parse`] reads what comes back, checksum included, since no
//! kernel has looked at it. Not here: VLANs, IPv4 options, IPv6 extension headers, fragments; a relay
//! under test has no reason to send them, and such a frame is not taken for one of ours.

use std::net::{IpAddr, SocketAddr};

use turnpike_stun::{
    AttributeType, Class, HEADER_LEN, Message, MessageBuilder, Method, TransactionId,
};
use turnpike_turn::attribute::XorPeerAddress;
use turnpike_turn::channel_data::ChannelData;

use super::stamp;
use crate::netns::bench::Mac;

/// Most bytes of a frame: an Ethernet header and 1,500 bytes.
pub const FRAME_MAX: usize = 1_514;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const ATTRIBUTE: usize = 4;
const PROTOCOL_UDP: u8 = 17;

/// Ethernet, IPv6, UDP, and the front of a Send indication with an IPv6 peer.
const HEAD_MAX: usize = ETHERNET + IPV6 + UDP + HEADER_LEN + (ATTRIBUTE + 20) + ATTRIBUTE;

/// The two ends of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who sends the frame.
    pub source: Mac,
    /// Who is to take it.
    pub destination: Mac,
}

/// What is around the payload inside the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Nothing.
    Plain,
    /// ChannelData with this number.
    Channel(u16),
    /// A Send indication to this peer.
    Send(SocketAddr),
    /// A request that nobody signed, of this method; the payload is its SOFTWARE.
    Request(Method),
}

/// A frame without its stamp.
#[derive(Clone, Debug)]
pub struct Template {
    head: [u8; HEAD_MAX],
    len: usize,
    checksum_at: usize,
    /// Zeros after the payload of a Send indication.
    padding: usize,
    /// Of the pseudo header and of all that the checksum covers but the stamp.
    sum: u64,
}

impl Template {
    /// The frame of a datagram that carries a stamp and then `filler`, which is [`stamp::filler`].
    /// `None` where the families of the addresses differ or the payload does not fit.
    #[must_use]
    pub fn new(
        link: Link,
        from: SocketAddr,
        to: SocketAddr,
        wrapping: Wrapping,
        filler: &[u8],
    ) -> Option<Self> {
        let payload = stamp::LEN + filler.len();
        let front = wrapping.front(payload)?;
        let padding = match wrapping {
            Wrapping::Send(_) | Wrapping::Request(_) => ChannelData::padding(payload),
            Wrapping::Plain | Wrapping::Channel(_) => 0,
        };
        let datagram = UDP + front.len() + payload + padding;
        let mut head = headers(link, from, to, datagram)?;
        let checksum_at = head.len() - 2;
        head.extend_from_slice(&front);
        let covered = head.get(checksum_at + 2 - UDP..)?;
        let sum = pseudo_header(from, to, datagram) + sum_of(covered) + sum_of(filler);
        let len = head.len();
        if len + payload + padding > FRAME_MAX {
            return None;
        }
        head.resize(HEAD_MAX, 0);
        Some(Self {
            head: head.try_into().ok()?,
            len,
            checksum_at,
            padding,
            sum,
        })
    }

    /// Writes the frame with this stamp and returns its length. `filler` is the one that the template
    /// was made for.
    #[inline]
    #[must_use]
    pub fn write(
        &self,
        frame: &mut [u8; FRAME_MAX],
        stamp: &[u8; stamp::LEN],
        filler: &[u8],
    ) -> Option<usize> {
        let (head, rest) = frame.split_at_mut_checked(self.len)?;
        head.copy_from_slice(self.head.get(..self.len)?);
        let (place, rest) = rest.split_first_chunk_mut()?;
        *place = *stamp;
        let (place, rest) = rest.split_at_mut_checked(filler.len())?;
        place.copy_from_slice(filler);
        rest.get_mut(..self.padding)?.fill(0);
        let checksum = checksum(self.sum + sum_of(stamp));
        *frame.get_mut(self.checksum_at..)?.first_chunk_mut()? = checksum;
        Some(self.len + stamp::LEN + filler.len() + self.padding)
    }
}

/// Writes a frame around a datagram of any bytes, as control messages are, and returns its length.
/// `None` where the families of the addresses differ or the bytes do not fit.
#[must_use]
pub fn write(
    link: Link,
    from: SocketAddr,
    to: SocketAddr,
    bytes: &[u8],
    frame: &mut [u8; FRAME_MAX],
) -> Option<usize> {
    let head = headers(link, from, to, UDP + bytes.len())?;
    let (place, rest) = frame.split_at_mut_checked(head.len())?;
    place.copy_from_slice(&head);
    rest.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let covered = head.get(head.len() - UDP..)?;
    let sum = pseudo_header(from, to, UDP + bytes.len()) + sum_of(covered) + sum_of(bytes);
    *frame.get_mut(head.len() - 2..)?.first_chunk_mut()? = checksum(sum);
    Some(head.len() + bytes.len())
}

/// A received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Source and destination address, source and destination port, as they stand in the frame.
    pub ends: &'a [u8],
    /// What the datagram carries.
    pub payload: &'a [u8],
    udp: &'a [u8],
}

/// Reads a frame; `None` when it holds no whole UDP datagram.
#[inline]
#[must_use]
pub fn parse(frame: &[u8]) -> Option<Datagram<'_>> {
    let (ends, udp) = match frame.get(12..16)? {
        [0x08, 0x00, 0x45, _] if frame.get(23) == Some(&PROTOCOL_UDP) => {
            (frame.get(26..38)?, frame.get(ETHERNET + IPV4..)?)
        }
        [0x86, 0xDD, version, _] if version >> 4 == 6 && frame.get(20) == Some(&PROTOCOL_UDP) => {
            (frame.get(22..58)?, frame.get(ETHERNET + IPV6..)?)
        }
        _ => return None,
    };
    let &[_, _, _, _, high, low, ..] = udp else {
        return None;
    };
    let udp = udp.get(..usize::from(u16::from_be_bytes([high, low])))?;
    let payload = udp.get(UDP..)?;
    Some(Datagram { ends, payload, udp })
}

impl Datagram<'_> {
    /// Whether the UDP checksum is right. IPv4 may go without one.
    #[inline]
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let (addresses, _) = self.ends.split_at(self.ends.len() - 4);
        let goes_without = addresses.len() == 8 && self.udp.get(6..8) == Some(&[0, 0]);
        goes_without
            || fold(rest_of_pseudo_header(self.udp.len()) + sum_of(addresses) + sum_of(self.udp))
                == 0xFFFF
    }

    /// Who sent it and to whom.
    #[must_use]
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (addresses, ports) = self.ends.split_last_chunk::<4>()?;
        let (from, to) = addresses.split_at_checked(addresses.len() / 2)?;
        let [f0, f1, t0, t1] = *ports;
        let port = |high, low| u16::from_be_bytes([high, low]);
        Some((
            SocketAddr::new(ip(from)?, port(f0, f1)),
            SocketAddr::new(ip(to)?, port(t0, t1)),
        ))
    }
}

/// What a client received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwrapped<'a> {
    /// ChannelData with this number.
    Channel(u16, &'a [u8]),
    /// A Data indication from this peer.
    Data(SocketAddr, &'a [u8]),
    /// Neither.
    Other,
}

/// Takes off what is around data on its way to a client.
#[inline]
#[must_use]
pub fn unwrap(message: &[u8]) -> Unwrapped<'_> {
    match message {
        [0x40..=0x4F, ..] => match ChannelData::parse(message) {
            Ok(ChannelData { number, payload }) => {
                Unwrapped::Channel(number.get(), message.get(payload).unwrap_or_default())
            }
            Err(_) => Unwrapped::Other,
        },
        [0x00, 0x17, ..] => data_indication(message).unwrap_or(Unwrapped::Other),
        _ => Unwrapped::Other,
    }
}

fn data_indication(message: &[u8]) -> Option<Unwrapped<'_>> {
    let parsed = Message::parse(message).ok()?;
    let XorPeerAddress(peer) = parsed.get().ok()??;
    let data = parsed.raw(AttributeType::DATA)?;
    Some(Unwrapped::Data(peer, data))
}

impl Wrapping {
    /// What stands before a payload of this length.
    fn front(self, payload: usize) -> Option<Vec<u8>> {
        let length = u16::try_from(payload).ok()?.to_be_bytes();
        match self {
            Self::Plain => Some(Vec::new()),
            Self::Channel(number) => Some([number.to_be_bytes(), length].concat()),
            Self::Send(peer) => {
                let mut buf = [0; 64];
                let mut builder = builder(&mut buf, Class::Indication, Method::SEND);
                let len = builder.attribute(&XorPeerAddress(peer)).finish().ok()?;
                message_around(payload, AttributeType::DATA, buf.get(..len)?)
            }
            Self::Request(method) => {
                let mut buf = [0; HEADER_LEN];
                let len = builder(&mut buf, Class::Request, method).finish().ok()?;
                message_around(payload, AttributeType::SOFTWARE, buf.get(..len)?)
            }
        }
    }
}

/// A message whose transaction is the same each time: nobody waits for its answer.
fn builder(buf: &mut [u8], class: Class, method: Method) -> MessageBuilder<'_> {
    MessageBuilder::new(buf, class, method, TransactionId(*b"turnpikeload"))
}

/// What stands before a payload that is the last attribute of a message.
fn message_around(payload: usize, attribute: AttributeType, before: &[u8]) -> Option<Vec<u8>> {
    let mut front = before.to_vec();
    front.extend_from_slice(&attribute.0.to_be_bytes());
    front.extend_from_slice(&u16::try_from(payload).ok()?.to_be_bytes());
    let body = front.len() - HEADER_LEN + payload.next_multiple_of(4);
    let body = u16::try_from(body).ok()?.to_be_bytes();
    *front.get_mut(2..)?.first_chunk_mut()? = body;
    Some(front)
}

/// Addresses and ports as they stand in a frame, to compare [`Datagram::ends`] with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    bytes: [u8; 36],
    len: usize,
}

impl Ends {
    /// The ends of a datagram. Both addresses must be of one family.
    #[must_use]
    pub fn new(from: SocketAddr, to: SocketAddr) -> Self {
        let mut all = octets(from.ip());
        all.extend(octets(to.ip()));
        all.extend(from.port().to_be_bytes());
        all.extend(to.port().to_be_bytes());
        let mut bytes = [0; 36];
        for (place, byte) in bytes.iter_mut().zip(&all) {
            *place = *byte;
        }
        Self {
            bytes,
            len: all.len(),
        }
    }

    /// Both addresses, then both ports, as they stand in the frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whether a datagram has these ends.
    #[inline]
    #[must_use]
    pub fn are_of(&self, datagram: &Datagram<'_>) -> bool {
        self.bytes.get(..self.len) == Some(datagram.ends)
    }
}

/// Ethernet, IP and UDP headers before `datagram` bytes (UDP header included); the UDP checksum is
/// zero.
fn headers(link: Link, from: SocketAddr, to: SocketAddr, datagram: usize) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_MAX);
    head.extend_from_slice(&link.destination);
    head.extend_from_slice(&link.source);
    let length = u16::try_from(datagram).ok()?;
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            head.extend_from_slice(&[0x08, 0x00, 0x45, 0]);
            let total = length.checked_add(20)?;
            head.extend_from_slice(&total.to_be_bytes());
            // No identification, not to be fragmented, 64 hops.
            head.extend_from_slice(&[0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0]);
            head.extend_from_slice(&source.octets());
            head.extend_from_slice(&destination.octets());
            let sum = checksum(sum_of(head.get(ETHERNET..)?));
            *head.get_mut(ETHERNET + 10..)?.first_chunk_mut()? = sum;
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            head.extend_from_slice(&[0x86, 0xDD, 0x60, 0, 0, 0]);
            head.extend_from_slice(&length.to_be_bytes());
            head.extend_from_slice(&[PROTOCOL_UDP, 64]);
            head.extend_from_slice(&source.octets());
            head.extend_from_slice(&destination.octets());
        }
        _ => return None,
    }
    head.extend_from_slice(&from.port().to_be_bytes());
    head.extend_from_slice(&to.port().to_be_bytes());
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&[0, 0]);
    Some(head)
}

fn pseudo_header(from: SocketAddr, to: SocketAddr, datagram: usize) -> u64 {
    rest_of_pseudo_header(datagram) + sum_of(&octets(from.ip())) + sum_of(&octets(to.ip()))
}

/// Protocol and length.
#[inline]
fn rest_of_pseudo_header(datagram: usize) -> u64 {
    let length = u16::try_from(datagram).unwrap_or(u16::MAX);
    let big_endian = |value: u16| u64::from(u16::from_ne_bytes(value.to_be_bytes()));
    big_endian(u16::from(PROTOCOL_UDP)) + big_endian(length)
}

/// The sum of 16-bit words (RFC 1071), not yet folded. Bytes in their order in memory: the order of
/// the machine does not matter. What is summed up piece by piece must be cut at even offsets.
#[inline]
fn sum_of(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum();
    let mut last = [0; 4];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    sum += u64::from(u32::from_ne_bytes(last));
    sum
}

#[inline]
const fn fold(sum: u64) -> u64 {
    let sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    (sum & 0xFFFF) + (sum >> 16)
}

/// The checksum's bytes; a zero is sent as its other form (RFC 768).
#[inline]
fn checksum(sum: u64) -> [u8; 2] {
    match u16::try_from(0xFFFF - fold(sum)) {
        Ok(0) | Err(_) => [0xFF, 0xFF],
        Ok(checksum) => checksum.to_ne_bytes(),
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests;
