//! STUN read in the simplest way there is: copy, look, compare. It shares no line with the crate.

use hmac::{Hmac, KeyInit, Mac};

pub(crate) struct NaiveMessage {
    pub(crate) class: u8,
    pub(crate) method: u16,
    pub(crate) transaction_id: Vec<u8>,
    /// Those that count.
    pub(crate) attributes: Vec<NaiveAttribute>,
    bytes: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct NaiveAttribute {
    pub(crate) kind: u16,
    pub(crate) value: Vec<u8>,
    pub(crate) offset: usize,
}

const INTEGRITY_SHA1: u16 = 0x0008;
const INTEGRITY_SHA256: u16 = 0x001C;
const FINGERPRINT: u16 = 0x8028;

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum * 256 + *byte as usize)
}

pub(crate) fn parse(bytes: &[u8]) -> Option<NaiveMessage> {
    if bytes.len() < 20 || bytes[0] >= 64 {
        return None;
    }
    if bytes[4..8] != [0x21, 0x12, 0xA4, 0x42] {
        return None;
    }
    if number(&bytes[2..4]) != bytes.len() - 20 || !bytes.len().is_multiple_of(4) {
        return None;
    }
    let mut all = Vec::new();
    let mut offset = 20;
    while offset < bytes.len() {
        if offset + 4 > bytes.len() {
            return None;
        }
        let len = number(&bytes[offset + 2..offset + 4]);
        if offset + 4 + len > bytes.len() {
            return None;
        }
        let kind = u16::try_from(number(&bytes[offset..offset + 2])).unwrap();
        let value = bytes[offset + 4..offset + 4 + len].to_vec();
        all.push(NaiveAttribute {
            kind,
            value,
            offset,
        });
        offset = (offset + 4 + len).div_ceil(4) * 4;
    }
    if all.len() > 64 {
        return None;
    }
    let message_type = number(&bytes[0..2]);
    let bit = |index: usize| (message_type >> index) & 1;
    let method_bits = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13];
    let method = method_bits
        .iter()
        .enumerate()
        .map(|(to, from)| bit(*from) << to)
        .sum::<usize>();
    Some(NaiveMessage {
        class: u8::try_from(bit(8) * 2 + bit(4)).unwrap(),
        method: u16::try_from(method).unwrap(),
        transaction_id: bytes[8..20].to_vec(),
        attributes: counting(all),
        bytes: bytes.to_vec(),
    })
}

/// Cuts after the first fingerprint, then strikes out what the integrity does not let count.
fn counting(mut all: Vec<NaiveAttribute>) -> Vec<NaiveAttribute> {
    if let Some(end) = all
        .iter()
        .position(|attribute| attribute.kind == FINGERPRINT)
    {
        all.truncate(end + 1);
    }
    let sha256 = all
        .iter()
        .position(|attribute| attribute.kind == INTEGRITY_SHA256);
    let sha1 = all
        .iter()
        .position(|attribute| attribute.kind == INTEGRITY_SHA1);
    let counts = |index: usize, kind: u16| {
        let after_sha256 = sha256.is_some_and(|sha256| index > sha256);
        let after_sha1 = sha1.is_some_and(|sha1| index > sha1);
        kind == FINGERPRINT
            || (!after_sha256 && !after_sha1)
            || (!after_sha256 && kind == INTEGRITY_SHA256)
    };
    let kept = all
        .iter()
        .enumerate()
        .filter(|(index, attribute)| counts(*index, attribute.kind));
    kept.map(|(_, attribute)| attribute.clone()).collect()
}

impl NaiveMessage {
    pub(crate) fn first(&self, kind: u16) -> Option<&NaiveAttribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.kind == kind)
    }

    /// The message up to an attribute, as if that attribute ended it.
    fn covered(&self, attribute: &NaiveAttribute) -> Vec<u8> {
        let mut covered = self.bytes[..attribute.offset].to_vec();
        let length = attribute.offset + 4 + attribute.value.len() - 20;
        covered[2] = u8::try_from(length / 256).unwrap();
        covered[3] = u8::try_from(length % 256).unwrap();
        covered
    }

    pub(crate) fn sha1_is_right(&self, key: &[u8]) -> bool {
        self.first(INTEGRITY_SHA1).is_some_and(|attribute| {
            let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
            mac.update(&self.covered(attribute));
            mac.finalize().into_bytes().to_vec() == attribute.value
        })
    }

    pub(crate) fn sha256_is_right(&self, key: &[u8]) -> bool {
        self.first(INTEGRITY_SHA256).is_some_and(|attribute| {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
            mac.update(&self.covered(attribute));
            [16, 20, 24, 28, 32].contains(&attribute.value.len())
                && mac.finalize().into_bytes()[..attribute.value.len()] == attribute.value
        })
    }

    /// `None` without a fingerprint.
    pub(crate) fn fingerprint_is_right(&self) -> Option<bool> {
        let attribute = self.first(FINGERPRINT)?;
        let crc = crc32(&self.bytes[..attribute.offset]) ^ 0x5354_554E;
        let is_last = attribute.offset + 8 == self.bytes.len();
        Some(is_last && attribute.value == crc.to_be_bytes())
    }

    /// Address and port of XOR-MAPPED-ADDRESS.
    pub(crate) fn xor_mapped_address(&self) -> Option<Option<(Vec<u8>, u16)>> {
        let value = &self.first(0x0020)?.value;
        let address_len = match value.get(1) {
            Some(1) => 4,
            Some(2) => 16,
            _ => return Some(None),
        };
        if value.len() != 4 + address_len {
            return Some(None);
        }
        let mask = &self.bytes[4..20];
        let unmasked: Vec<u8> = value[4..]
            .iter()
            .zip(mask)
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        Some(Some((
            unmasked,
            u16::try_from(number(&value[2..4])).unwrap() ^ 0x2112,
        )))
    }
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = 0xFFFF_FFFF_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
