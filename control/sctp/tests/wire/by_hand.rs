//! Bytes written by hand from the diagrams of the RFCs: both what is read from them and what writes
//! them. A field in the wrong place shows here, whatever the round trips say.

use turnpike_sctp::wire::{
    Cause, ChecksumRule, Chunk, Data, InitKind, Packet, PacketWriter, Parameter, ReConfigParameter,
    StreamList,
};
use turnpike_sctp::{Ppid, StreamId, Tsn};

use crate::samples::{DATA, HEADER, INIT, packet, with_only_chunk};

/// Writes a chunk, compares its bytes, and hands it back as read.
fn both_ways<T>(
    bytes: &[u8],
    write: impl FnOnce(&mut PacketWriter<'_>) -> bool,
    look: impl FnOnce(Chunk<'_>) -> T,
) -> T {
    let packet = packet(|writer| assert!(write(writer)));
    assert_eq!(packet[12..], *bytes);
    with_only_chunk(&packet, look)
}

#[test]
fn the_common_header_is_where_the_rfc_says() {
    let bytes = packet(|_| {});
    assert_eq!(bytes[..8], [0x13, 0x88, 0x13, 0x89, 0xDE, 0xAD, 0xBE, 0xEF]);
    let packet = Packet::parse(&bytes, ChecksumRule::Required).unwrap();
    assert_eq!(packet.header(), HEADER);
    assert!(packet.chunks().next().is_none());
}

#[test]
fn data_is_where_rfc_9260_section_3_3_1_says() {
    let bytes = [
        0, 0x02, 0, 21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, b'h', b'e', b'l', b'l', b'o', 0, 0,
        0,
    ];
    both_ways(
        &bytes,
        |w| w.data(&DATA),
        |chunk| {
            let Chunk::Data(read) = chunk else { panic!() };
            assert_eq!(read, DATA);
        },
    );
}

#[test]
fn i_data_has_the_ppid_in_the_first_fragment_and_the_fsn_in_the_others() {
    let first = Data {
        is_interleaved: true,
        message: 0x1112_1314,
        is_unordered: true,
        payload: b"abcd",
        ..DATA
    };
    let bytes = [
        64, 0x06, 0, 24, 1, 2, 3, 4, 5, 6, 0, 0, 0x11, 0x12, 0x13, 0x14, 9, 10, 11, 12, b'a', b'b',
        b'c', b'd',
    ];
    both_ways(
        &bytes,
        |w| w.data(&first),
        |chunk| {
            let Chunk::Data(read) = chunk else { panic!() };
            assert_eq!(read, first);
        },
    );
    let last = Data {
        is_begin: false,
        is_end: true,
        is_immediate: true,
        is_unordered: false,
        fragment: 0x2122_2324,
        ppid: Ppid(0),
        ..first
    };
    let bytes = [
        64, 0x09, 0, 24, 1, 2, 3, 4, 5, 6, 0, 0, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24,
        b'a', b'b', b'c', b'd',
    ];
    both_ways(
        &bytes,
        |w| w.data(&last),
        |chunk| {
            let Chunk::Data(read) = chunk else { panic!() };
            assert_eq!(read, last);
        },
    );
}

#[test]
fn init_and_its_parameters_are_where_the_rfcs_say() {
    let parameters = [
        Parameter::Ipv4Address([192, 0, 2, 1].into()),
        Parameter::CookiePreservative(1000),
        Parameter::SupportedAddressTypes(&[0, 5]),
        Parameter::ForwardTsnSupported,
        Parameter::SupportedExtensions(&[64, 130, 194]),
        Parameter::ZeroChecksumAcceptable(Parameter::DETECTED_BY_DTLS),
        Parameter::Unknown {
            kind: 0x8002,
            bytes: &[0x80, 0x02, 0, 5, 77],
        },
    ];
    let mut bytes = vec![
        1, 0, 0, 77, 0x11, 0x22, 0x33, 0x44, 0, 1, 0, 0, 1, 2, 3, 4, 0xA0, 0xA1, 0xA2, 0xA3,
    ];
    bytes.extend([0, 5, 0, 8, 192, 0, 2, 1]);
    bytes.extend([0, 9, 0, 8, 0, 0, 3, 0xE8]);
    bytes.extend([0, 12, 0, 6, 0, 5, 0, 0]);
    bytes.extend([0xC0, 0, 0, 4]);
    bytes.extend([0x80, 8, 0, 7, 64, 130, 194, 0]);
    bytes.extend([0x80, 1, 0, 8, 0, 0, 0, 1]);
    // The last parameter's padding is the chunk's and not in its length.
    bytes.extend([0x80, 2, 0, 5, 77, 0, 0, 0]);
    let len = bytes.len() - 3;
    bytes[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
    both_ways(
        &bytes,
        |w| w.init(InitKind::Init, &INIT, &parameters),
        |chunk| {
            let Chunk::Init(read) = chunk else { panic!() };
            assert_eq!(read.fields, INIT);
            let read: Vec<_> = read.parameters().map(Result::unwrap).collect();
            assert_eq!(read, parameters);
        },
    );
}

#[test]
fn init_ack_has_the_cookie_and_what_was_not_recognised() {
    let parameters = [
        Parameter::StateCookie(&[1, 2, 3]),
        Parameter::UnrecognizedParameter(&[0xC0, 6, 0, 4]),
    ];
    let mut bytes = vec![
        2, 0, 0, 36, 0x11, 0x22, 0x33, 0x44, 0, 1, 0, 0, 1, 2, 3, 4, 0xA0, 0xA1, 0xA2, 0xA3,
    ];
    bytes.extend([0, 7, 0, 7, 1, 2, 3, 0]);
    bytes.extend([0, 8, 0, 8, 0xC0, 6, 0, 4]);
    both_ways(
        &bytes,
        |w| w.init(InitKind::InitAck, &INIT, &parameters),
        |chunk| {
            let Chunk::InitAck(read) = chunk else {
                panic!()
            };
            let read: Vec<_> = read.parameters().map(Result::unwrap).collect();
            assert_eq!(read, parameters);
        },
    );
}

#[test]
fn sack_is_where_rfc_9260_section_3_3_4_says() {
    let gaps = [(2, 3), (0x0105, 0x0106)];
    let duplicates = [Tsn(0x0A0B_0C0D)];
    let bytes = [
        3, 0, 0, 28, 0, 0, 0, 7, 0, 1, 2, 3, 0, 2, 0, 1, 0, 2, 0, 3, 1, 5, 1, 6, 10, 11, 12, 13,
    ];
    let write =
        |w: &mut PacketWriter<'_>| w.sack(Tsn(7), 0x0001_0203, gaps.into_iter(), &duplicates);
    both_ways(&bytes, write, |chunk| {
        let Chunk::Sack(read) = chunk else { panic!() };
        assert_eq!(read.cumulative_tsn_ack, Tsn(7));
        assert_eq!(read.a_rwnd, 0x0001_0203);
        assert!(read.gap_blocks().eq(gaps));
        assert!(read.duplicates().eq(duplicates));
    });
}

#[test]
fn heartbeats_carry_one_parameter() {
    let bytes = [4, 0, 0, 11, 0, 1, 0, 7, 1, 2, 3, 0];
    both_ways(
        &bytes,
        |w| w.heartbeat(&[1, 2, 3]),
        |chunk| {
            assert!(matches!(chunk, Chunk::Heartbeat([1, 2, 3])));
        },
    );
    let bytes = [5, 0, 0, 8, 0, 1, 0, 4];
    both_ways(
        &bytes,
        |w| w.heartbeat_ack(&[]),
        |chunk| {
            assert!(matches!(chunk, Chunk::HeartbeatAck([])));
        },
    );
}

#[test]
fn abort_and_error_carry_causes() {
    let causes = [
        Cause::InvalidStream(StreamId(0x0102)),
        Cause::MissingParameter(7),
        Cause::StaleCookie(9),
        Cause::NoUserData(Tsn(10)),
        Cause::CookieWhileShuttingDown,
        Cause::ProtocolViolation(b"no"),
    ];
    let mut bytes = vec![6, 1, 0, 50];
    bytes.extend([0, 1, 0, 8, 1, 2, 0, 0]);
    bytes.extend([0, 2, 0, 10, 0, 0, 0, 1, 0, 7, 0, 0]);
    bytes.extend([0, 3, 0, 8, 0, 0, 0, 9]);
    bytes.extend([0, 9, 0, 8, 0, 0, 0, 10]);
    bytes.extend([0, 10, 0, 4]);
    bytes.extend([0, 13, 0, 6, b'n', b'o', 0, 0]);
    let len = bytes.len() - 2;
    bytes[3] = u8::try_from(len).unwrap();
    both_ways(
        &bytes,
        |w| w.abort(true, &causes),
        |chunk| {
            let Chunk::Abort {
                is_tag_reflected,
                causes: read,
            } = chunk
            else {
                panic!()
            };
            assert!(is_tag_reflected);
            assert!(read.eq(causes));
        },
    );
    bytes[..2].copy_from_slice(&[9, 0]);
    both_ways(
        &bytes,
        |w| w.error(&causes),
        |chunk| {
            let Chunk::Error(read) = chunk else { panic!() };
            assert!(read.eq(causes));
        },
    );
}

#[test]
fn the_chunks_of_set_up_and_shutdown_are_short() {
    both_ways(
        &[10, 0, 0, 7, 1, 2, 3, 0],
        |w| w.cookie_echo(&[1, 2, 3]),
        |chunk| {
            assert!(matches!(chunk, Chunk::CookieEcho([1, 2, 3])));
        },
    );
    both_ways(
        &[11, 0, 0, 4],
        |w| w.cookie_ack(),
        |chunk| {
            assert!(matches!(chunk, Chunk::CookieAck));
        },
    );
    both_ways(
        &[7, 0, 0, 8, 0, 0, 1, 2],
        |w| w.shutdown(Tsn(0x0102)),
        |chunk| {
            assert!(matches!(chunk, Chunk::Shutdown(Tsn(0x0102))));
        },
    );
    both_ways(
        &[8, 0, 0, 4],
        |w| w.shutdown_ack(),
        |chunk| {
            assert!(matches!(chunk, Chunk::ShutdownAck));
        },
    );
    both_ways(
        &[14, 0, 0, 4],
        |w| w.shutdown_complete(false),
        |chunk| {
            assert!(matches!(
                chunk,
                Chunk::ShutdownComplete {
                    is_tag_reflected: false
                }
            ));
        },
    );
    both_ways(
        &[14, 1, 0, 4],
        |w| w.shutdown_complete(true),
        |chunk| {
            assert!(matches!(
                chunk,
                Chunk::ShutdownComplete {
                    is_tag_reflected: true
                }
            ));
        },
    );
}

#[test]
fn forward_tsns_are_where_their_rfcs_say() {
    let streams = [(StreamId(3), 4), (StreamId(5), 0x0607)];
    let bytes = [192, 0, 0, 16, 0, 0, 0, 9, 0, 3, 0, 4, 0, 5, 6, 7];
    both_ways(
        &bytes,
        |w| w.forward_tsn(Tsn(9), streams.into_iter()),
        |chunk| {
            let Chunk::ForwardTsn(read) = chunk else {
                panic!()
            };
            assert_eq!(read.new_cumulative_tsn, Tsn(9));
            assert!(read.streams().eq(streams));
        },
    );
    let streams = [(StreamId(3), false, 4), (StreamId(5), true, 0x0607_0809)];
    let bytes = [
        194, 0, 0, 24, 0, 0, 0, 9, 0, 3, 0, 0, 0, 0, 0, 4, 0, 5, 0, 1, 6, 7, 8, 9,
    ];
    both_ways(
        &bytes,
        |w| w.i_forward_tsn(Tsn(9), streams.into_iter()),
        |chunk| {
            let Chunk::IForwardTsn(read) = chunk else {
                panic!()
            };
            assert_eq!(read.new_cumulative_tsn, Tsn(9));
            assert!(read.streams().eq(streams));
        },
    );
}

#[test]
fn every_request_of_re_config_is_where_rfc_6525_says() {
    let streams = [StreamId(3), StreamId(0x0405), StreamId(6)];
    let list = || StreamList::from(streams.as_slice());
    let (request, response) = (0x0102_0304, 0x0506_0708);
    let cases: [(&[u8], ReConfigParameter<'_>); 8] = [
        (
            &[
                0, 13, 0, 22, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 3, 4, 5, 0, 6, 0, 0,
            ],
            ReConfigParameter::OutgoingReset {
                request,
                response,
                last_tsn: Tsn(9),
                streams: list(),
            },
        ),
        (
            &[0, 14, 0, 14, 1, 2, 3, 4, 0, 3, 4, 5, 0, 6, 0, 0],
            ReConfigParameter::IncomingReset {
                request,
                streams: list(),
            },
        ),
        (
            &[0, 14, 0, 8, 1, 2, 3, 4],
            ReConfigParameter::IncomingReset {
                request,
                streams: [].as_slice().into(),
            },
        ),
        (
            &[0, 15, 0, 8, 1, 2, 3, 4],
            ReConfigParameter::SsnTsnReset { request },
        ),
        (
            &[0, 16, 0, 12, 5, 6, 7, 8, 0, 0, 0, 1],
            ReConfigParameter::Response {
                response,
                result: ReConfigParameter::PERFORMED,
                next_tsns: None,
            },
        ),
        (
            &[
                0, 16, 0, 20, 5, 6, 7, 8, 0, 0, 0, 1, 0, 0, 0, 10, 0, 0, 0, 11,
            ],
            ReConfigParameter::Response {
                response,
                result: ReConfigParameter::PERFORMED,
                next_tsns: Some((Tsn(10), Tsn(11))),
            },
        ),
        (
            &[0, 17, 0, 12, 1, 2, 3, 4, 0, 5, 0, 0],
            ReConfigParameter::AddOutgoing { request, count: 5 },
        ),
        (
            &[0, 18, 0, 12, 1, 2, 3, 4, 0, 5, 0, 0],
            ReConfigParameter::AddIncoming { request, count: 5 },
        ),
    ];
    for (bytes, parameter) in cases {
        let unpadded = 4 + u8::try_from(usize::from(bytes[3])).unwrap();
        let chunk = [&[130, 0, 0, unpadded], bytes].concat();
        let one = [parameter.clone()];
        both_ways(
            &chunk,
            |w| w.re_config(&one),
            |chunk| {
                let Chunk::ReConfig(read) = chunk else {
                    panic!()
                };
                let read: Vec<_> = read.parameters().map(Result::unwrap).collect();
                assert_eq!(read, one);
            },
        );
    }
}

#[test]
fn two_parameters_of_re_config_are_padded_between() {
    let streams = [StreamId(7)];
    let both = [
        ReConfigParameter::IncomingReset {
            request: 1,
            streams: streams.as_slice().into(),
        },
        ReConfigParameter::AddOutgoing {
            request: 2,
            count: 3,
        },
    ];
    let bytes = [
        130, 0, 0, 28, 0, 14, 0, 10, 0, 0, 0, 1, 0, 7, 0, 0, 0, 17, 0, 12, 0, 0, 0, 2, 0, 3, 0, 0,
    ];
    both_ways(
        &bytes,
        |w| w.re_config(&both),
        |chunk| {
            let Chunk::ReConfig(read) = chunk else {
                panic!()
            };
            assert!(read.parameters().map(Result::unwrap).eq(both.clone()));
        },
    );
}
