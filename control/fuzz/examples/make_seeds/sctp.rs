//! Chunks as associations send them.

use turnpike_sctp::wire::{
    Cause, Checksum, Data, HEADER_LEN, Header, InitFields, InitKind, PacketWriter, Parameter,
    ReConfigParameter,
};
use turnpike_sctp::{Ppid, StreamId, Tsn};

type Fill = fn(&mut PacketWriter<'_>) -> bool;

/// What follows the common header, a packet each.
pub(crate) fn chunks() -> Vec<Vec<u8>> {
    SET_UP
        .iter()
        .chain(TRANSFER)
        .chain(THE_REST)
        .map(written)
        .collect()
}

/// A DATA_CHANNEL_OPEN of RFC 8832.
pub(crate) const OPEN: &[u8] = b"\x03\x81\x01\x00\0\0\0\x03\0\x04\0\x02chatv1";

/// Steps of `data_channel` after the byte that configures it.
pub(crate) const CHANNEL_STEPS: &[&[&[u8]]] = &[
    // The peer opens, speaks and closes.
    &[&[0], PEER_OPENS, PEER_SPEAKS, &[5, 0], &[15, 0]],
    // We close what the peer opened, and it speaks on.
    &[&[0], PEER_OPENS, &[8, 0], PEER_SPEAKS, &[15, 0]],
    // We open, the peer answers, we speak and discard.
    &[
        &[1],
        &[6, 0, 4, 4],
        &[0, 0, 0, 0],
        &[10, 0, 9],
        &[9, 0],
        &[15, 0],
    ],
    // A negotiated channel, parts of a message, one that is too large.
    &[
        &[8],
        &[7, 3, 4, 4],
        &[0, 3, 2, 20],
        &[0, 3, 3, 20],
        &[0, 0x83, 3, 20],
        &[15, 0],
    ],
    // Too many channels, and one without sense.
    &[
        &[16],
        PEER_OPENS,
        &[0, 2, 0, 2, 250],
        &[0, 4, 0, 2, 9],
        &[0, 6, 0, 1, 0, 2, 3, 9],
    ],
];

const PEER_OPENS: &[u8] = &[0, 0, 0, 2, 4];
const PEER_SPEAKS: &[u8] = &[0, 0, 1, 5];

fn written(fill: &Fill) -> Vec<u8> {
    let mut buf = [0; 512];
    let mut writer =
        PacketWriter::new(&mut buf, 512, Header::default()).expect("512 bytes hold a header");
    assert!(fill(&mut writer), "512 bytes hold it");
    let len = writer.finish(Checksum::Zero);
    buf.get(HEADER_LEN..len).unwrap_or_default().to_vec()
}

const SET_UP: &[Fill] = &[
    |w| {
        let offer = [
            Parameter::ForwardTsnSupported,
            Parameter::SupportedExtensions(&[64, 130, 192, 194]),
            Parameter::ZeroChecksumAcceptable(Parameter::DETECTED_BY_DTLS),
            Parameter::Unknown {
                kind: 0x8002,
                bytes: &[0x80, 2, 0, 8, 1, 2, 3, 4],
            },
            Parameter::Unknown {
                kind: 0xC006,
                bytes: &[0xC0, 6, 0, 8, 0, 0, 0, 0],
            },
        ];
        w.init(InitKind::Init, &INIT, &offer)
    },
    |w| {
        let offer = [
            Parameter::Ipv4Address([192, 0, 2, 1].into()),
            Parameter::Ipv6Address(1_u128.into()),
            Parameter::CookiePreservative(10_000),
            Parameter::SupportedAddressTypes(&[0, 5, 0, 6]),
            Parameter::HostNameAddress(b"example.org\0"),
        ];
        w.init(InitKind::Init, &INIT, &offer)
    },
    |w| {
        let answer = [
            Parameter::StateCookie(&[7; 77]),
            Parameter::UnrecognizedParameter(&[0xC0, 6, 0, 8, 0, 0, 0, 0]),
            Parameter::ForwardTsnSupported,
        ];
        w.init(InitKind::InitAck, &INIT, &answer)
    },
    |w| w.cookie_echo(&[7; 77]) && w.data(&DATA),
    |w| w.cookie_ack() && w.sack(Tsn(1), 65_536, [].into_iter(), &[]),
];

const TRANSFER: &[Fill] = &[
    |w| {
        w.data(&DATA)
            && w.data(&Data {
                is_end: true,
                is_immediate: true,
                ..DATA
            })
    },
    |w| {
        w.data(&Data {
            is_interleaved: true,
            ..DATA
        }) && w.data(&LATER)
    },
    |w| w.sack(Tsn(7), 9, [(2, 3), (5, 5)].into_iter(), &[Tsn(4), Tsn(4)]),
    |w| w.forward_tsn(Tsn(9), [(StreamId(1), 2), (StreamId(2), 3)].into_iter()),
    |w| {
        w.i_forward_tsn(
            Tsn(9),
            [(StreamId(1), true, 2), (StreamId(1), false, 1)].into_iter(),
        )
    },
    |w| w.heartbeat(b"information") && w.heartbeat_ack(b"information"),
];

const THE_REST: &[Fill] = &[
    |w| {
        let streams = [StreamId(1), StreamId(2), StreamId(3)];
        let reset = ReConfigParameter::OutgoingReset {
            request: 1,
            response: 2,
            last_tsn: Tsn(3),
            streams: streams.as_slice().into(),
        };
        let more = ReConfigParameter::AddOutgoing {
            request: 2,
            count: 3,
        };
        w.re_config(&[reset, more])
    },
    |w| {
        let streams = [StreamId(1)];
        let reset = ReConfigParameter::IncomingReset {
            request: 1,
            streams: streams.as_slice().into(),
        };
        let response = ReConfigParameter::Response {
            response: 1,
            result: ReConfigParameter::PERFORMED,
            next_tsns: Some((Tsn(1), Tsn(2))),
        };
        w.re_config(&[reset, response])
    },
    |w| w.re_config(&[ReConfigParameter::SsnTsnReset { request: 3 }]),
    |w| {
        w.error(&[
            Cause::StaleCookie(5),
            Cause::MissingParameter(7),
            Cause::NoUserData(Tsn(1)),
        ])
    },
    |w| {
        w.error(&[
            Cause::InvalidStream(StreamId(9)),
            Cause::UnrecognizedChunk(&[0xC5, 0, 0, 4]),
        ])
    },
    |w| w.abort(true, &[Cause::OutOfResource, Cause::UserAbort(b"bye")]),
    |w| {
        w.abort(
            false,
            &[Cause::RestartWithNewAddresses(&[0, 5, 0, 8, 192, 0, 2, 1])],
        )
    },
    |w| w.shutdown(Tsn(8)) && w.shutdown_ack() && w.shutdown_complete(true),
];

const INIT: InitFields = InitFields {
    initiate_tag: 0x1122_3344,
    a_rwnd: 0x0002_0000,
    outbound_streams: 10,
    inbound_streams: u16::MAX,
    initial_tsn: Tsn(1),
};

const DATA: Data<'static> = Data {
    is_interleaved: false,
    tsn: Tsn(1),
    stream: StreamId(0),
    message: 0,
    fragment: 0,
    ppid: Ppid(51),
    is_begin: true,
    is_end: false,
    is_unordered: false,
    is_immediate: false,
    payload: b"payload",
};

const LATER: Data<'static> = Data {
    is_interleaved: true,
    fragment: 1,
    is_begin: false,
    is_end: true,
    is_unordered: true,
    ..DATA
};
