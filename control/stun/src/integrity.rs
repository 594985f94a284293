//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489 sections 14.5 and 14.6).
//!
//! The MAC covers the message up to the attribute, under a header whose length field ends with it.
//! The header is patched in a copy of its twenty bytes; the body is never copied.

use core::fmt;
use core::ops::RangeInclusive;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{AttributeType, HEADER_LEN, IntegrityKey};

/// Which MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntegrityAlgorithm {
    /// HMAC-SHA1 in MESSAGE-INTEGRITY, 20 bytes
    Sha1,
    /// HMAC-SHA256 in MESSAGE-INTEGRITY-SHA256, 16 to 32 bytes
    Sha256,
}

impl IntegrityAlgorithm {
    /// The attribute that carries it.
    #[must_use]
    pub const fn attribute_type(self) -> AttributeType {
        match self {
            Self::Sha1 => AttributeType::MESSAGE_INTEGRITY,
            Self::Sha256 => AttributeType::MESSAGE_INTEGRITY_SHA256,
        }
    }

    /// Bytes of the untruncated MAC.
    pub(crate) const fn mac_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether a value of `len` bytes is allowed: whole, or truncated in steps of four (SHA-256).
    pub(crate) fn allows_len(self, len: usize) -> bool {
        let lengths: RangeInclusive<usize> = match self {
            Self::Sha1 => 20..=20,
            Self::Sha256 => 16..=32,
        };
        lengths.contains(&len) && len.is_multiple_of(4)
    }
}

/// A MAC of either algorithm; the part beyond the algorithm's length is zero.
pub(crate) struct MacValue {
    bytes: [u8; 32],
    len: usize,
}

impl MacValue {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Compares with a received, perhaps truncated, value in constant time. The caller has
    /// checked the value's length.
    pub(crate) fn matches(&self, received: &[u8]) -> bool {
        match self.as_slice().get(..received.len()) {
            Some(expected) => bool::from(expected.ct_eq(received)),
            None => false,
        }
    }
}

impl fmt::Debug for MacValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacValue(redacted)")
    }
}

/// The MAC of a header (length field already patched) and the body before the attribute.
pub(crate) fn mac(
    algorithm: IntegrityAlgorithm,
    key: &IntegrityKey,
    header: &[u8; HEADER_LEN],
    body: &[u8],
) -> MacValue {
    let mut bytes = [0; 32];
    match algorithm {
        IntegrityAlgorithm::Sha1 => {
            let mut hmac = Hmac::<Sha1>::new(&key.block(algorithm).into());
            hmac.update(header);
            hmac.update(body);
            if let Some(head) = bytes.first_chunk_mut::<20>() {
                *head = hmac.finalize().into_bytes().into();
            }
        }
        IntegrityAlgorithm::Sha256 => {
            let mut hmac = Hmac::<Sha256>::new(&key.block(algorithm).into());
            hmac.update(header);
            hmac.update(body);
            bytes = hmac.finalize().into_bytes().into();
        }
    }
    MacValue {
        bytes,
        len: algorithm.mac_len(),
    }
}
