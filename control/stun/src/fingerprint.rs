//! FINGERPRINT (RFC 8489 section 14.7): tells STUN from what shares its port. No security.

use crc::{CRC_32_ISO_HDLC, Crc, Table};

static CRC_32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

const XOR_VALUE: u32 = 0x5354_554E;

/// Bytes of the attribute's value.
pub(crate) const FINGERPRINT_LEN: usize = 4;

/// What [`Message::fingerprint`](crate::Message::fingerprint) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fingerprint {
    /// There is none.
    Absent,
    /// It is the last attribute and right.
    Valid,
    /// It is wrong, of a wrong length, or not the last attribute.
    Invalid,
}

/// The value for a header (length field already including the attribute) and the body before it.
pub(crate) fn fingerprint(header: &[u8], body: &[u8]) -> u32 {
    let mut digest = CRC_32.digest();
    digest.update(header);
    digest.update(body);
    digest.finalize() ^ XOR_VALUE
}
