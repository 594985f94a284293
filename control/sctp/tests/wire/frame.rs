//! Packets cut into chunks and chunks into parameters: impossible lengths, missing padding, lists
//! too long.

use turnpike_sctp::wire::{
    CHUNK_HEADER_LEN, Cause, ChecksumRule, Chunk, HEADER_LEN, PARAMETERS_MAX, Packet, Parameter,
    ParseError, RawChunk,
};
use turnpike_sctp::{StreamId, Tsn};

use crate::samples::{crafted, with_only_chunk};

fn chunks(packet: &[u8]) -> Vec<Result<RawChunk<'_>, ParseError>> {
    let packet = Packet::parse(packet, ChecksumRule::Required).unwrap();
    // More than there can be would be an iterator that never ends.
    packet.chunks().take(packet.chunks().count() + 1).collect()
}

fn only(bytes: &[u8]) -> Result<Chunk<'_>, ParseError> {
    Chunk::parse(RawChunk {
        kind: bytes[0],
        flags: bytes[1],
        bytes,
    })
}

#[test]
fn fewer_bytes_than_a_header_are_no_packet() {
    for len in 0..HEADER_LEN {
        let result = Packet::parse(&[0; HEADER_LEN][..len], ChecksumRule::MayBeZero);
        assert_eq!(result.err(), Some(ParseError::TooShort));
    }
}

#[test]
fn a_length_below_the_chunk_header_ends_the_packet() {
    for len in 0..4 {
        let packet = crafted(&[11, 0, 0, 4, 11, 0, 0, len, 11, 0, 0, 4]);
        let chunks = chunks(&packet);
        assert_eq!(chunks.len(), 2);
        assert_eq!(chunks[0].unwrap().kind, 11);
        assert_eq!(chunks[1], Err(ParseError::ChunkLength));
    }
}

#[test]
fn a_length_past_the_end_ends_the_packet() {
    let packet = crafted(&[
        11, 0, 0, 4, 0, 3, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ]);
    assert_eq!(chunks(&packet)[1], Err(ParseError::ChunkLength));
}

#[test]
fn a_part_of_a_chunk_header_is_an_error() {
    for rest in 1..CHUNK_HEADER_LEN {
        let packet = crafted(&[11, 0, 0, 4, 11, 0, 0, 4][..4 + rest]);
        assert_eq!(chunks(&packet)[1], Err(ParseError::ChunkLength));
    }
}

#[test]
fn padding_is_skipped_whatever_it_holds_and_may_be_missing_at_the_end() {
    let whole = [10, 0, 0, 5, 9, 0xAA, 0xBB, 0xCC, 10, 0, 0, 6, 1, 2, 0, 0];
    for cut in 0..=2 {
        let packet = crafted(&whole[..whole.len() - cut]);
        let values: Vec<_> = chunks(&packet)
            .into_iter()
            .map(|chunk| chunk.unwrap().value())
            .collect();
        assert_eq!(values, [[9].as_slice(), &[1, 2]]);
    }
}

#[test]
fn data_without_user_data_says_its_tsn() {
    let data = [0, 3, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(only(&data).err(), Some(ParseError::NoUserData(Tsn(7))));
    let i_data = [64, 3, 0, 20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(only(&i_data).err(), Some(ParseError::NoUserData(Tsn(8))));
}

#[test]
fn a_sack_is_as_long_as_its_counts_say() {
    for (gaps, duplicates, is_right) in [
        (1, 1, true),
        (2, 0, true),
        (0, 2, true),
        (0, 0, false),
        (1, 0, false),
        (2, 1, false),
        (0xFFFF, 0xFFFF, false),
    ] {
        let [g0, g1] = u16::to_be_bytes(gaps);
        let [d0, d1] = u16::to_be_bytes(duplicates);
        let sack = [
            3, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0, 1, g0, g1, d0, d1, 0, 1, 0, 2, 0, 4, 0, 4,
        ];
        assert_eq!(only(&sack).is_ok(), is_right, "{gaps} and {duplicates}");
    }
}

#[test]
fn chunks_without_a_value_have_none() {
    for kind in [8, 11, 14] {
        assert!(only(&[kind, 0, 0, 4]).is_ok());
        assert_eq!(
            only(&[kind, 0, 0, 5, 1]).err(),
            Some(ParseError::ChunkValue)
        );
    }
}

#[test]
fn a_heartbeat_without_its_information_is_an_error() {
    assert_eq!(only(&[4, 0, 0, 4]).err(), Some(ParseError::ChunkValue));
    assert_eq!(
        only(&[4, 0, 0, 8, 0, 2, 0, 4]).err(),
        Some(ParseError::ChunkValue)
    );
    assert_eq!(
        only(&[4, 0, 0, 8, 0, 1, 0, 5]).err(),
        Some(ParseError::ParameterLength)
    );
}

#[test]
fn half_an_entry_of_a_forward_tsn_is_an_error() {
    for kind in [192, 194] {
        assert!(only(&[kind, 0, 0, 8, 0, 0, 0, 1]).is_ok());
        let half = [kind, 0, 0, 10, 0, 0, 0, 1, 0, 1];
        assert_eq!(only(&half).err(), Some(ParseError::ChunkValue));
    }
}

fn parameters(list: &[u8]) -> Vec<Result<Parameter<'_>, ParseError>> {
    let chunk = [&[1; 20], list].concat().leak();
    let Ok(Chunk::Init(init)) = only(chunk) else {
        panic!("not an INIT");
    };
    init.parameters().take(2 * PARAMETERS_MAX).collect()
}

#[test]
fn a_parameter_of_impossible_length_ends_the_list() {
    for len in [0, 1, 2, 3, 9, 255] {
        let list = [0xC0, 0, 0, 4, 0, 7, 0, len, 1, 2, 3, 4];
        assert_eq!(
            parameters(&list),
            [
                Ok(Parameter::ForwardTsnSupported),
                Err(ParseError::ParameterLength)
            ]
        );
    }
}

#[test]
fn a_known_parameter_of_a_wrong_length_is_an_error_and_the_list_goes_on() {
    for list in [
        [0, 5, 0, 5, 1, 0, 0, 0],
        [0, 9, 0, 6, 1, 2, 0, 0],
        [0x80, 1, 0, 7, 1, 2, 3, 0],
        [0xC0, 0, 0, 8, 1, 2, 3, 4],
    ] {
        let list = [list.as_slice(), &[0xC0, 0, 0, 4]].concat();
        assert_eq!(
            parameters(&list),
            [
                Err(ParseError::ParameterValue),
                Ok(Parameter::ForwardTsnSupported)
            ]
        );
    }
}

#[test]
fn more_parameters_than_the_bound_are_an_error() {
    let list = [0xC0, 0, 0, 4].repeat(PARAMETERS_MAX + 5);
    let read = parameters(&list);
    assert_eq!(read.len(), PARAMETERS_MAX + 1);
    assert_eq!(read[PARAMETERS_MAX], Err(ParseError::TooManyParameters));
}

#[test]
fn causes_before_a_broken_one_still_count() {
    let packet = crafted(&[6, 0, 0, 16, 0, 1, 0, 8, 0, 7, 0, 0, 0, 4, 0, 99]);
    with_only_chunk(&packet, |chunk| {
        let Chunk::Abort { causes, .. } = chunk else {
            panic!()
        };
        assert!(causes.eq([Cause::InvalidStream(StreamId(7))]));
    });
}

#[test]
fn causes_of_a_wrong_length_are_their_codes() {
    for code in [1, 2, 3, 9] {
        let packet = crafted(&[9, 0, 0, 10, 0, code, 0, 6, 1, 2, 0, 0]);
        with_only_chunk(&packet, |chunk| {
            let Chunk::Error(causes) = chunk else {
                panic!()
            };
            assert!(causes.eq([Cause::Other(code.into())]));
        });
    }
}

#[test]
fn a_chunk_of_no_known_type_is_unknown_and_keeps_its_bytes() {
    let packet = crafted(&[0xC5, 9, 0, 6, 1, 2, 0, 0]);
    let raw = chunks(&packet)[0].unwrap();
    assert_eq!((raw.kind, raw.flags), (0xC5, 9));
    assert_eq!(raw.bytes, [0xC5, 9, 0, 6, 1, 2]);
    assert!(matches!(Chunk::parse(raw), Ok(Chunk::Unknown)));
}
