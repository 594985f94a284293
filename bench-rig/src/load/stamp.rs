//! The stamp at the front of every payload: which packet this is, when it was due, and a check over
//! all of the payload. Packet sockets and XDP programs write the same bytes.
//!
//! All numbers are little-endian. After the stamp the payload is [`filler`], the same in every packet.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | [`MAGIC`] |
//! | 4 | 4 | number of the flow |
//! | 8 | 8 | when the packet was due, nanoseconds of `CLOCK_MONOTONIC` (what `bpf_ktime_get_ns` reads) |
//! | 16 | 4 | sequence number, from 0, counted by flow and direction |
//! | 20 | 2 | [`TO_PEER`] or [`TO_CLIENT`]: who sent it |
//! | 22 | 2 | number of the run, so that a packet of the run before is not counted in this one |
//! | 24 | 4 | the check: [`stamp_sum`] of bytes 0 to 24 plus [`filler_sum`] of the rest |
//!
//! The check is a wrapping sum of the payload's 32-bit words (the last one filled up with zeros), each
//! times an odd weight `2 * i + 1`, where `i` counts the words of the whole payload and the check's own
//! word is left out. Any single wrong word is found, and so is nearly every exchange of two.

/// Bytes of the stamp.
pub const LEN: usize = 28;

/// Bytes 0 to 4 of each payload.
pub const MAGIC: u32 = u32::from_le_bytes(*b"tBpr");
/// Where the magic stands.
pub const MAGIC_AT: usize = 0;
/// Where the number of the flow stands.
pub const FLOW_AT: usize = 4;
/// Where the time stands at which the packet was due.
pub const DUE_AT: usize = 8;
/// Where the sequence number stands.
pub const SEQUENCE_AT: usize = 16;
/// Where the direction stands.
pub const DIRECTION_AT: usize = 20;
/// Where the number of the run stands.
pub const RUN_AT: usize = 22;
/// Where the check stands.
pub const CHECK_AT: usize = 24;

/// Sent by a client.
pub const TO_PEER: u16 = 0;
/// Sent by a peer.
pub const TO_CLIENT: u16 = 1;

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The flow's number.
    pub flow: u32,
    /// When it was due, nanoseconds of `CLOCK_MONOTONIC`.
    pub due: u64,
    /// Counted by flow and direction.
    pub sequence: u32,
    /// [`TO_PEER`] or [`TO_CLIENT`].
    pub direction: u16,
    /// The run's number.
    pub run: u16,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Whole, with this stamp.
    Whole(Stamp),
    /// Too short, without the magic, or the check is wrong.
    Corrupted,
}

impl Stamp {
    /// The stamp's bytes. `filler_sum` is that of the payload's length.
    #[inline]
    #[must_use]
    pub fn to_bytes(self, filler_sum: u32) -> [u8; LEN] {
        let [f0, f1, f2, f3] = self.flow.to_le_bytes();
        let [d0, d1, d2, d3, d4, d5, d6, d7] = self.due.to_le_bytes();
        let [s0, s1, s2, s3] = self.sequence.to_le_bytes();
        let [w0, w1] = self.direction.to_le_bytes();
        let [r0, r1] = self.run.to_le_bytes();
        let [m0, m1, m2, m3] = MAGIC.to_le_bytes();
        let [c0, c1, c2, c3] = stamp_sum(self).wrapping_add(filler_sum).to_le_bytes();
        [
            m0, m1, m2, m3, f0, f1, f2, f3, d0, d1, d2, d3, d4, d5, d6, d7, s0, s1, s2, s3, w0, w1,
            r0, r1, c0, c1, c2, c3,
        ]
    }
}

/// Reads and checks a payload.
#[inline]
#[must_use]
pub fn read(payload: &[u8]) -> Read {
    let Some((stamp, filler)) = payload.split_first_chunk::<LEN>() else {
        return Read::Corrupted;
    };
    let (words, _) = stamp.as_chunks::<4>();
    let &[magic, flow, due_low, due_high, sequence, last, check] = words else {
        return Read::Corrupted;
    };
    let last = u32::from_le_bytes(last);
    let stamp = Stamp {
        flow: u32::from_le_bytes(flow),
        due: u64::from(u32::from_le_bytes(due_high)) << 32 | u64::from(u32::from_le_bytes(due_low)),
        sequence: u32::from_le_bytes(sequence),
        direction: low_half(last),
        run: low_half(last >> 16),
    };
    let sum = stamp_sum(stamp).wrapping_add(sum_of(filler));
    if u32::from_le_bytes(magic) == MAGIC && u32::from_le_bytes(check) == sum {
        Read::Whole(stamp)
    } else {
        Read::Corrupted
    }
}

/// The weighted sum of the words of a stamp, the magic among them and the check left out.
#[inline]
#[must_use]
pub const fn stamp_sum(stamp: Stamp) -> u32 {
    let [d0, d1, d2, d3, d4, d5, d6, d7] = stamp.due.to_le_bytes();
    let [w0, w1] = stamp.direction.to_le_bytes();
    let [r0, r1] = stamp.run.to_le_bytes();
    MAGIC
        .wrapping_add(stamp.flow.wrapping_mul(3))
        .wrapping_add(u32::from_le_bytes([d0, d1, d2, d3]).wrapping_mul(5))
        .wrapping_add(u32::from_le_bytes([d4, d5, d6, d7]).wrapping_mul(7))
        .wrapping_add(stamp.sequence.wrapping_mul(9))
        .wrapping_add(u32::from_le_bytes([w0, w1, r0, r1]).wrapping_mul(11))
}

/// What follows the stamp in a payload of `payload` bytes: byte `i` of the payload is
/// `(i * 0x9E + 0x37) & 0xFF`.
#[must_use]
pub fn filler(payload: usize) -> Vec<u8> {
    (LEN..payload)
        .map(|i| low_byte(i.wrapping_mul(0x9E).wrapping_add(0x37)))
        .collect()
}

/// The sum of a payload's filler, a constant of the payload's length.
#[must_use]
pub fn filler_sum(payload: usize) -> u32 {
    sum_of(&filler(payload))
}

/// The weighted sum of the words after the stamp.
#[inline]
fn sum_of(filler: &[u8]) -> u32 {
    let (words, rest) = filler.as_chunks::<4>();
    let mut weight = FIRST_FILLER_WEIGHT;
    let mut sum = 0u32;
    for word in words {
        sum = sum.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(weight));
        weight = weight.wrapping_add(2);
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    sum.wrapping_add(u32::from_le_bytes(last).wrapping_mul(weight))
}

/// The weight of the payload's eighth word, the first after the stamp.
pub const FIRST_FILLER_WEIGHT: u32 = 2 * 7 + 1;

const _: () = assert!(LEN == CHECK_AT + 4 && LEN.is_multiple_of(4));
const _: () = assert!(
    DUE_AT.is_multiple_of(8),
    "the time can be written as one word"
);

#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is what is meant"
)]
const fn low_half(word: u32) -> u16 {
    word as u16
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the lowest byte is what is meant"
)]
const fn low_byte(word: usize) -> u8 {
    word as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload(stamp: Stamp, len: usize) -> Vec<u8> {
        let mut bytes = stamp.to_bytes(filler_sum(len)).to_vec();
        bytes.extend(filler(len));
        bytes
    }

    fn stamps() -> impl Strategy<Value = Stamp> {
        (
            any::<u32>(),
            any::<u64>(),
            any::<u32>(),
            0..2u16,
            any::<u16>(),
        )
            .prop_map(|(flow, due, sequence, direction, run)| Stamp {
                flow,
                due,
                sequence,
                direction,
                run,
            })
    }

    #[test]
    fn the_bytes_stand_where_the_table_says() {
        let stamp = Stamp {
            flow: 0x0403_0201,
            due: 0x0C0B_0A09_0807_0605,
            sequence: 0x100F_0E0D,
            direction: TO_CLIENT,
            run: 0x1413,
        };
        let bytes = stamp.to_bytes(filler_sum(172));
        assert_eq!(&bytes[..4], b"tBpr");
        assert_eq!(bytes[FLOW_AT..DUE_AT], [1, 2, 3, 4]);
        assert_eq!(bytes[DUE_AT..SEQUENCE_AT], [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(bytes[SEQUENCE_AT..DIRECTION_AT], [13, 14, 15, 16]);
        assert_eq!(bytes[DIRECTION_AT..CHECK_AT], [1, 0, 0x13, 0x14]);
    }

    /// The check by its definition, word by word over the whole payload.
    #[test]
    fn the_check_is_the_weighted_sum_of_all_other_words() {
        for len in [LEN, LEN + 1, 100, 172, 1_199, 1_200] {
            let stamp = Stamp {
                flow: 7,
                due: 1 << 40 | 99,
                sequence: 3,
                direction: TO_PEER,
                run: 2,
            };
            let bytes = payload(stamp, len);
            let mut sum = 0u32;
            for (i, word) in bytes.chunks(4).enumerate() {
                let mut whole = [0; 4];
                whole[..word.len()].copy_from_slice(word);
                if i != CHECK_AT / 4 {
                    let weight = u32::try_from(2 * i + 1).unwrap();
                    sum = sum.wrapping_add(u32::from_le_bytes(whole).wrapping_mul(weight));
                }
            }
            assert_eq!(bytes[CHECK_AT..LEN], sum.to_le_bytes(), "{len}");
        }
    }

    #[test]
    fn a_payload_that_is_cut_is_corrupted() {
        let stamp = Stamp {
            flow: 1,
            due: 2,
            sequence: 3,
            direction: TO_PEER,
            run: 4,
        };
        let bytes = payload(stamp, 172);
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len]), Read::Corrupted, "{len}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(stamp in stamps(), len in LEN..1_400) {
            prop_assert_eq!(read(&payload(stamp, len)), Read::Whole(stamp));
        }

        #[test]
        fn one_wrong_byte_is_found(
            stamp in stamps(),
            len in LEN..400,
            at in any::<prop::sample::Index>(),
            flip in 1..=255u8,
        ) {
            let mut bytes = payload(stamp, len);
            let at = at.index(len);
            bytes[at] ^= flip;
            prop_assert_eq!(read(&bytes), Read::Corrupted);
        }
    }
}
