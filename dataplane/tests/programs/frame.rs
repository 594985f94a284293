//! Frames built from parts, with checksums over every byte: nothing here is by increments.

use std::net::{IpAddr, SocketAddr};

/// A UDP datagram in an Ethernet frame, as a test wants it.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) to: [u8; 6],
    pub(crate) from: [u8; 6],
    /// The lower 16 bits of a VLAN tag.
    pub(crate) tag: Option<u16>,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) traffic_class: u8,
    pub(crate) time_to_live: u8,
    pub(crate) dont_fragment: bool,
    pub(crate) identification: u16,
    pub(crate) flow_label: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) checksum: Checksum,
    /// Bytes behind the IP packet.
    pub(crate) trailer: Vec<u8>,
}

/// What stands in the UDP checksum's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Right,
    /// Zero: there is none.
    None,
    /// The right one, plus so much (modulo 65,535).
    Off(u16),
}

impl Frame {
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr, payload: Vec<u8>) -> Self {
        Self {
            to: [2, 9, 9, 9, 9, 1],
            from: [2, 9, 9, 9, 9, 2],
            tag: None,
            source,
            destination,
            traffic_class: 0,
            time_to_live: 64,
            dont_fragment: false,
            identification: 0x1234,
            flow_label: 0,
            payload,
            checksum: Checksum::Right,
            trailer: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.to, self.from].concat();
        if let Some(tag) = self.tag {
            bytes.extend([0x81, 0x00]);
            bytes.extend(tag.to_be_bytes());
        }
        let udp = self.udp();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                bytes.extend([0x08, 0x00]);
                let mut header = vec![0x45, self.traffic_class];
                header.extend((20 + udp.len() as u16).to_be_bytes());
                header.extend(self.identification.to_be_bytes());
                header.extend([if self.dont_fragment { 0x40 } else { 0 }, 0]);
                header.extend([self.time_to_live, 17, 0, 0]);
                header.extend(from.octets());
                header.extend(to.octets());
                let sum = !ones(&header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                bytes.extend(header);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                bytes.extend([0x86, 0xdd]);
                let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label;
                bytes.extend(first.to_be_bytes());
                bytes.extend((udp.len() as u16).to_be_bytes());
                bytes.extend([17, self.time_to_live]);
                bytes.extend(from.octets());
                bytes.extend(to.octets());
            }
            _ => panic!("a packet has one family"),
        }
        bytes.extend(udp);
        bytes.extend(&self.trailer);
        bytes
    }

    /// Where the UDP payload begins.
    pub(crate) fn payload_at(&self) -> usize {
        let tag = if self.tag.is_some() { 4 } else { 0 };
        tag + if self.source.is_ipv4() { 42 } else { 62 }
    }

    fn udp(&self) -> Vec<u8> {
        let mut udp = Vec::new();
        udp.extend(self.source.port().to_be_bytes());
        udp.extend(self.destination.port().to_be_bytes());
        udp.extend((8 + self.payload.len() as u16).to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.payload);
        let right = udp_checksum(self.source.ip(), self.destination.ip(), &udp, 0);
        let field = match self.checksum {
            Checksum::Right => right,
            Checksum::None => 0,
            Checksum::Off(by) => match (u32::from(right) + u32::from(by)) % 65_535 {
                0 => 65_535,
                field => field as u16,
            },
        };
        udp[6..8].copy_from_slice(&field.to_be_bytes());
        udp
    }
}

/// The checksum of a UDP datagram whose own field is zero, wrong by `error` (modulo 65,535).
pub(crate) fn udp_checksum(from: IpAddr, to: IpAddr, udp: &[u8], error: u64) -> u16 {
    let total = total_with_pseudo_header(from, to, udp);
    // What is added to it gives a multiple of 65,535, plus the error.
    match (error + 65_535 - total % 65_535) % 65_535 {
        // Zero would say that there is none.
        0 => 65_535,
        field => field as u16,
    }
}

/// The sum of a datagram and its pseudo header (RFC 768, RFC 8200 section 8.1).
pub(crate) fn total_with_pseudo_header(from: IpAddr, to: IpAddr, udp: &[u8]) -> u64 {
    let mut pseudo = Vec::new();
    for ip in [from, to] {
        match ip {
            IpAddr::V4(ip) => pseudo.extend(ip.octets()),
            IpAddr::V6(ip) => pseudo.extend(ip.octets()),
        }
    }
    pseudo.extend((udp.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, 17]);
    total(&pseudo) + total(udp)
}

/// The sum of big-endian 16-bit words; an odd last byte is followed by zero.
pub(crate) fn total(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2);
    words
        .map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low)))
        .sum()
}

/// The folded sum (RFC 1071).
pub(crate) fn ones(bytes: &[u8]) -> u16 {
    let mut sum = total(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A ChannelData message.
pub(crate) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    [&number.to_be_bytes(), &length.to_be_bytes(), payload].concat()
}

/// A STUN message whose attributes are padded with zeros.
pub(crate) fn stun(kind: u16, id: [u8; 12], attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = body.len() as u16;
    let mut message = [kind.to_be_bytes(), length.to_be_bytes()].concat();
    message.extend([0x21, 0x12, 0xa4, 0x42]);
    message.extend(id);
    message.extend(body);
    message
}

/// The value of an XOR-...-ADDRESS attribute (RFC 8489 section 14.2).
pub(crate) fn xor_address(address: SocketAddr, id: [u8; 12]) -> Vec<u8> {
    let mask = [&[0x21, 0x12, 0xa4, 0x42], &id[..]].concat();
    let (family, octets) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut value = vec![0, family];
    let port = address.port().to_be_bytes();
    value.extend([port[0] ^ 0x21, port[1] ^ 0x12]);
    value.extend(octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
    value
}

/// The CRC of a FINGERPRINT attribute, bit by bit (RFC 8489 section 14.7).
pub(crate) fn fingerprint(message: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in message {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc ^ 0x5354_554e
}

/// The message with a FINGERPRINT behind it.
pub(crate) fn with_fingerprint(mut message: Vec<u8>) -> Vec<u8> {
    let length = (message.len() - 20 + 8) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let crc = fingerprint(&message);
    message.extend([0x80, 0x28, 0, 4]);
    message.extend(crc.to_be_bytes());
    message
}
