//! A second reader of SCTP packets, written from RFC 9260 alone and as plainly as can be, to
//! disagree with the real one. It indexes, copies and allocates freely; it only ever runs here.

/// A packet taken apart.
#[derive(Debug)]
pub(crate) struct NaivePacket {
    pub(crate) ports: (u16, u16),
    pub(crate) tag: u32,
    pub(crate) checksum_is_right: bool,
    pub(crate) checksum_is_zero: bool,
    /// Up to where the bytes lie.
    pub(crate) chunks: Vec<NaiveChunk>,
    /// Whether they lie.
    pub(crate) is_broken: bool,
}

/// A chunk before its value is looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NaiveChunk {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) value: Vec<u8>,
}

impl NaivePacket {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 12 {
            return None;
        }
        let mut zeroed = bytes.to_vec();
        zeroed[8..12].fill(0);
        let mut packet = Self {
            ports: (be16(&bytes[0..2]), be16(&bytes[2..4])),
            tag: be32(&bytes[4..8]),
            checksum_is_right: bitwise_crc32c(&zeroed).to_le_bytes() == bytes[8..12],
            checksum_is_zero: bytes[8..12] == [0; 4],
            chunks: Vec::new(),
            is_broken: false,
        };
        let mut at = 12;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let len = if rest.len() < 4 {
                0
            } else {
                usize::from(be16(&rest[2..4]))
            };
            if len < 4 || len > rest.len() {
                packet.is_broken = true;
                break;
            }
            packet.chunks.push(NaiveChunk {
                kind: rest[0],
                flags: rest[1],
                value: rest[4..len].to_vec(),
            });
            at += len.div_ceil(4) * 4;
        }
        Some(packet)
    }
}

impl NaiveChunk {
    /// Whether the value is as long as its type allows; `None` when the type is not known.
    pub(crate) fn has_right_length(&self) -> Option<bool> {
        let len = self.value.len();
        Some(match self.kind {
            0 => len > 12,
            64 => len > 16,
            1 | 2 => len >= 16,
            3 => {
                len >= 12 && {
                    let count = |at: usize| usize::from(be16(&self.value[at..at + 2]));
                    len == 12 + 4 * (count(8) + count(10))
                }
            }
            4 | 5 => matches!(tlvs(&self.value).0.first(), Some((1, _))),
            6 | 9 | 10 | 130 | 132 => true,
            7 => len == 4,
            8 | 11 | 14 => len == 0,
            192 => len >= 4 && len.is_multiple_of(4),
            194 => len >= 4 && (len - 4).is_multiple_of(8),
            _ => return None,
        })
    }
}

/// Parameters or causes as type and value, up to where the bytes lie, and whether they do.
pub(crate) fn tlvs(mut list: &[u8]) -> (Vec<(u16, Vec<u8>)>, bool) {
    let mut all = Vec::new();
    while !list.is_empty() {
        let len = if list.len() < 4 {
            0
        } else {
            usize::from(be16(&list[2..4]))
        };
        if len < 4 || len > list.len() || all.len() == 64 {
            return (all, true);
        }
        all.push((be16(&list[0..2]), list[4..len].to_vec()));
        list = &list[(len.div_ceil(4) * 4).min(list.len())..];
    }
    (all, false)
}

/// The polynomial, bit by bit, as appendix A of RFC 9260 has it.
fn bitwise_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 != 0 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}

pub(crate) fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

pub(crate) fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
