//! Bytes and keys that several tests start from.

use turnpike_stun::{
    Class, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder, Method, TransactionId,
};
use turnpike_types::Entropy;

pub(crate) const ID: TransactionId = TransactionId([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0xAA, 0xBB]);
pub(crate) const SHA1: IntegrityAlgorithm = IntegrityAlgorithm::Sha1;
pub(crate) const SHA256: IntegrityAlgorithm = IntegrityAlgorithm::Sha256;

pub(crate) fn key() -> IntegrityKey {
    IntegrityKey::long_term_sha256("user", "realm", "pass")
}

/// Hexadecimal digits, spaces ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A message of the builder.
pub(crate) fn built(
    class: Class,
    method: Method,
    fill: impl FnOnce(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    let mut buf = vec![0xEE; 70_000];
    let mut builder = MessageBuilder::new(&mut buf, class, method, ID);
    fill(&mut builder);
    let len = builder.finish().unwrap();
    buf.truncate(len);
    buf
}

/// A Binding request of attributes exactly as given, in any order and with any padding byte.
pub(crate) fn crafted(attributes: &[(u16, &[u8])], padding: u8) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
        while body.len() % 4 != 0 {
            body.push(padding);
        }
    }
    let mut bytes = vec![0, 1];
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(0x2112_A442_u32.to_be_bytes());
    bytes.extend(ID.0);
    bytes.extend(body);
    bytes
}

pub(crate) fn kinds(message: &Message<'_>) -> Vec<u16> {
    message
        .attributes()
        .map(|attribute| attribute.kind.0)
        .collect()
}

/// Repeatable bytes (SplitMix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (z ^ (z >> 31)).to_be_bytes()[0];
        }
    }
}
