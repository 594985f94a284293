//! A second STUN parser, written from RFC 8489 alone and as plainly as can be, to disagree with
//! the real one. It indexes, copies and allocates freely; it only ever runs here.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(crate) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
pub(crate) const FINGERPRINT: u16 = 0x8028;

/// A message taken apart.
#[derive(Debug)]
pub(crate) struct NaiveMessage {
    /// The two class bits: 0 request, 1 indication, 2 success, 3 error.
    pub(crate) class: u8,
    pub(crate) method: u16,
    pub(crate) transaction_id: [u8; 12],
    /// Those that count.
    pub(crate) attributes: Vec<NaiveAttribute>,
    bytes: Vec<u8>,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NaiveAttribute {
    pub(crate) kind: u16,
    pub(crate) value: Vec<u8>,
    pub(crate) offset: usize,
}

impl NaiveMessage {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 20 || bytes[0] >= 0x40 || bytes[4..8] != [0x21, 0x12, 0xA4, 0x42] {
            return None;
        }
        let length = be16(&bytes[2..4]);
        if !length.is_multiple_of(4) || bytes.len() != 20 + length {
            return None;
        }
        let all = walk(bytes)?;
        if all.len() > 64 {
            return None;
        }
        let message_type = be16(&bytes[0..2]);
        let bit = |from: usize, to: usize| (message_type >> from & 1) << to;
        let method = (0..4).map(|n| bit(n, n)).sum::<usize>()
            + (5..8).map(|n| bit(n, n - 1)).sum::<usize>()
            + (9..14).map(|n| bit(n, n - 2)).sum::<usize>();
        Some(Self {
            class: u8::try_from(bit(8, 1) + bit(4, 0)).ok()?,
            method: u16::try_from(method).ok()?,
            transaction_id: bytes[8..20].try_into().ok()?,
            attributes: those_that_count(all),
            bytes: bytes.to_vec(),
        })
    }

    pub(crate) fn first(&self, kind: u16) -> Option<&NaiveAttribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.kind == kind)
    }

    /// `None` when absent.
    pub(crate) fn fingerprint_is_valid(&self) -> Option<bool> {
        let attribute = self.first(FINGERPRINT)?;
        let is_last = attribute.offset + 8 == self.bytes.len();
        let crc = crc_32(&self.bytes[..attribute.offset]) ^ 0x5354_554E;
        Some(is_last && attribute.value == crc.to_be_bytes())
    }

    pub(crate) fn sha1_is_valid(&self, key: &[u8]) -> bool {
        self.first(MESSAGE_INTEGRITY).is_some_and(|attribute| {
            let mut hmac = Hmac::<Sha1>::new_from_slice(key).expect("any length");
            hmac.update(&self.covered_by(attribute));
            hmac.finalize().into_bytes()[..] == attribute.value
        })
    }

    pub(crate) fn sha256_is_valid(&self, key: &[u8]) -> bool {
        self.first(MESSAGE_INTEGRITY_SHA256)
            .is_some_and(|attribute| {
                let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
                hmac.update(&self.covered_by(attribute));
                let mac = hmac.finalize().into_bytes();
                [16, 20, 24, 28, 32].contains(&attribute.value.len())
                    && mac[..attribute.value.len()] == attribute.value
            })
    }

    fn covered_by(&self, attribute: &NaiveAttribute) -> Vec<u8> {
        let mut covered = self.bytes[..attribute.offset].to_vec();
        let length = attribute.offset - 20 + 4 + attribute.value.len();
        covered[2..4].copy_from_slice(&u16::try_from(length).expect("it fit").to_be_bytes());
        covered
    }
}

/// Reads MAPPED-ADDRESS, masked by the transaction ID if there is one.
pub(crate) fn address(value: &[u8], mask: Option<&[u8; 12]>) -> Option<SocketAddr> {
    let mut value = value.to_vec();
    let right_length = match value.get(1)? {
        1 => 8,
        2 => 20,
        _ => return None,
    };
    if value.len() != right_length {
        return None;
    }
    if let Some(transaction_id) = mask {
        let key = [[0x21, 0x12, 0xA4, 0x42].as_slice(), transaction_id].concat();
        value[2] ^= key[0];
        value[3] ^= key[1];
        for (byte, mask) in value[4..].iter_mut().zip(key) {
            *byte ^= mask;
        }
    }
    let ip = match <[u8; 4]>::try_from(&value[4..]) {
        Ok(octets) => IpAddr::from(octets),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(&value[4..]).ok()?),
    };
    Some(SocketAddr::new(ip, u16::try_from(be16(&value[2..4])).ok()?))
}

/// Reads class and number of ERROR-CODE.
pub(crate) fn error_code(value: &[u8]) -> Option<u16> {
    let (class, number) = (value.get(2)? % 8, value.get(3)?);
    let in_range = (3..=6).contains(&class) && *number < 100;
    in_range.then(|| u16::from(class) * 100 + u16::from(*number))
}

fn be16(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn walk(bytes: &[u8]) -> Option<Vec<NaiveAttribute>> {
    let mut all = Vec::new();
    let mut offset = 20;
    while offset < bytes.len() {
        let len = be16(bytes.get(offset + 2..offset + 4)?);
        let value = bytes.get(offset + 4..offset + 4 + len)?.to_vec();
        all.push(NaiveAttribute {
            kind: u16::try_from(be16(&bytes[offset..])).ok()?,
            value,
            offset,
        });
        offset += 4 + len.div_ceil(4) * 4;
    }
    (offset == bytes.len()).then_some(all)
}

/// RFC 8489 sections 14.5 to 14.7: integrity attributes in order, then a fingerprint, end.
fn those_that_count(all: Vec<NaiveAttribute>) -> Vec<NaiveAttribute> {
    let rank = |kind| match kind {
        MESSAGE_INTEGRITY => 1,
        MESSAGE_INTEGRITY_SHA256 => 2,
        FINGERPRINT => 3,
        _ => 0,
    };
    let mut sealed = 0;
    let mut counting = Vec::new();
    for attribute in all {
        let rank = rank(attribute.kind);
        if rank > sealed || (rank == 0 && sealed == 0) {
            sealed = rank;
            counting.push(attribute);
        }
    }
    counting
}

fn crc_32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}
