//! Frames of 172 bytes of payload. What differs between sessions, and the checksums of IPv4's headers, the
//! wrapper writes; UDP checksums are only corrected by the programs, so any will do.

/// Where the UDP header and the UDP payload are.
pub(crate) const UDP_V4: u64 = 34;
pub(crate) const UDP_V6: u64 = 54;
pub(crate) const PAYLOAD_V4: u64 = UDP_V4 + 8;
pub(crate) const PAYLOAD_V6: u64 = UDP_V6 + 8;

const PAYLOAD: [u8; 172] = [0xa5; 172];
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A frame up to its UDP payload.
pub(crate) struct Frame {
    head: Vec<u8>,
    is_v4: bool,
}

impl Frame {
    /// To the relay's address of IPv4.
    pub(crate) fn v4(from: u16, to: u16) -> Self {
        let mut head = ethernet(0x0800);
        head.extend([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0]);
        head.extend([0, 0, 0, 0, 10, 99, 0, 1]);
        head.extend(udp(from, to));
        Self { head, is_v4: true }
    }

    /// From a client to the relay's address of IPv6.
    pub(crate) fn v6(from: u16, to: u16) -> Self {
        let mut head = ethernet(0x86dd);
        head.extend([0x60, 0, 0, 0, 0, 0, 17, 64]);
        for address in ["2001:db8:40::", "2001:db8:99::1"] {
            let address: std::net::Ipv6Addr = address.parse().unwrap();
            head.extend(address.octets());
        }
        head.extend(udp(from, to));
        Self { head, is_v4: false }
    }

    /// From a peer instead, to a relayed address.
    pub(crate) fn of_a_peer(mut self) -> Self {
        self.head[26..28].copy_from_slice(&[0x00, 0xc0]);
        self.head[44..46].copy_from_slice(&[0x00, 0x01]);
        self
    }

    pub(crate) fn datagram(self) -> Self {
        self.with(&PAYLOAD)
    }

    pub(crate) fn channel_data(self, number: u16) -> Self {
        let length = PAYLOAD.len() as u16;
        let header = [number.to_be_bytes(), length.to_be_bytes()].concat();
        self.with(&[&header, &PAYLOAD[..]].concat())
    }

    /// A Send indication to a peer on port 5,000.
    pub(crate) fn send(self) -> Self {
        let port = [0x13 ^ 0x21, 0x88 ^ 0x12];
        let (length, address): (u16, Vec<u8>) = if self.is_v4 {
            (8, [&[0, 1], &port[..], &[0; 4]].concat())
        } else {
            // The transaction ID, which covers the lower bytes, is zero.
            let mut ip = [
                0x20, 0x01, 0x0d, 0xb8, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ];
            ip.iter_mut()
                .zip(COOKIE)
                .for_each(|(byte, mask)| *byte ^= mask);
            (20, [&[0, 2], &port[..], &ip].concat())
        };
        let data = PAYLOAD.len() as u16;
        let attributes = [
            &[0, 0x12][..],
            &length.to_be_bytes(),
            &address,
            &[0, 0x13],
            &data.to_be_bytes(),
            &PAYLOAD,
        ]
        .concat();
        let length = attributes.len() as u16;
        let header = [&[0, 0x16], &length.to_be_bytes()[..], &COOKIE, &[0; 12]].concat();
        self.with(&[header, attributes].concat())
    }

    fn with(mut self, message: &[u8]) -> Self {
        let udp = self.head.len() - 8;
        let length = 8 + message.len() as u16;
        self.head[udp + 4..udp + 6].copy_from_slice(&length.to_be_bytes());
        if self.is_v4 {
            self.head[16..18].copy_from_slice(&(20 + length).to_be_bytes());
        } else {
            self.head[18..20].copy_from_slice(&length.to_be_bytes());
        }
        self.head.extend(message);
        self
    }

    pub(crate) const fn is_v4(&self) -> bool {
        self.is_v4
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.head
    }
}

fn ethernet(kind: u16) -> Vec<u8> {
    let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    [&macs[..], &kind.to_be_bytes()].concat()
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    let checksum = [0x12, 0x34];
    [
        &from.to_be_bytes()[..],
        &to.to_be_bytes(),
        &[0, 0],
        &checksum,
    ]
    .concat()
}
