//! The checksum of a packet (RFC 9260 section 6.8 and appendix A, RFC 9653): CRC32c over the whole
//! packet with the field taken as zero.
//!
//! The field is little-endian, the only one in SCTP. The crate below picks the processor's CRC
//! instruction at run time and has tables elsewhere.

use crc32c::{crc32c, crc32c_append};

use super::HEADER_LEN;

/// Where the checksum is in the common header.
const FIELD: core::ops::Range<usize> = 8..HEADER_LEN;

/// Whether a packet may come without a checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChecksumRule {
    /// The checksum must be right.
    #[default]
    Required,
    /// We said that zero is acceptable (RFC 9653 section 5.3): a zero is not checked, anything else
    /// must be right.
    MayBeZero,
}

/// What to put in the checksum field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// The CRC32c.
    #[default]
    Crc32c,
    /// Zero; only where the peer said that it accepts it, and never with INIT or COOKIE ECHO
    /// (RFC 9653 section 5.2).
    Zero,
}

/// Whether the checksum of a packet, at least a header long, satisfies the rule.
pub(super) fn is_acceptable(packet: &[u8], rule: ChecksumRule) -> bool {
    let Some((header, chunks)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return false;
    };
    let [ports_and_tag @ .., c0, c1, c2, c3] = *header;
    let field = u32::from_le_bytes([c0, c1, c2, c3]);
    if field == 0 && rule == ChecksumRule::MayBeZero {
        return true;
    }
    let [a, b, c, d, e, f, g, h] = ports_and_tag;
    let zeroed = [a, b, c, d, e, f, g, h, 0, 0, 0, 0];
    field == crc32c_append(crc32c(&zeroed), chunks)
}

/// Fills in the checksum of a packet, at least a header long.
pub(super) fn fill_in(packet: &mut [u8], checksum: Checksum) {
    write_field(packet, 0);
    if checksum == Checksum::Crc32c {
        let crc = crc32c(packet);
        write_field(packet, crc);
    }
}

fn write_field(packet: &mut [u8], value: u32) {
    if let Some(field) = packet.get_mut(FIELD) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}
