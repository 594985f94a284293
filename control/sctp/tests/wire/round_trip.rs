//! Whatever is written is read as it was, alone and in bundles.

use proptest::collection::vec;
use proptest::prelude::*;
use turnpike_sctp::wire::{
    Cause, ChecksumRule, Chunk, Data, InitFields, InitKind, Packet, PacketWriter, Parameter,
    ReConfigParameter,
};
use turnpike_sctp::{Ppid, StreamId, Tsn};

use crate::samples::packet;

/// A chunk that owns what it says.
#[derive(Clone, Debug)]
enum Any {
    Data(Data<'static>, Vec<u8>),
    Init(InitKind, InitFields, Vec<AnyParameter>),
    Sack(Tsn, u32, Vec<(u16, u16)>, Vec<Tsn>),
    Bytes(u8, Vec<u8>),
    Causes(Option<bool>, Vec<AnyCause>),
    Shutdown(Tsn),
    Bare(u8, bool),
    ForwardTsn(Tsn, Vec<(StreamId, u16)>),
    IForwardTsn(Tsn, Vec<(StreamId, bool, u32)>),
    Reset(u32, u32, Tsn, Vec<StreamId>),
    ReConfig(u8, u32, u32, u16),
}

#[derive(Clone, Debug)]
struct AnyParameter(u8, u32, Vec<u8>);

impl AnyParameter {
    fn get(&self) -> Parameter<'_> {
        let Self(kind, number, bytes) = self;
        match kind % 11 {
            0 => Parameter::Ipv4Address((*number).into()),
            1 => Parameter::Ipv6Address(u128::from(*number).into()),
            2 => Parameter::StateCookie(bytes),
            3 => Parameter::UnrecognizedParameter(bytes),
            4 => Parameter::CookiePreservative(*number),
            5 => Parameter::HostNameAddress(bytes),
            6 => Parameter::SupportedAddressTypes(bytes),
            7 => Parameter::ZeroChecksumAcceptable(*number),
            8 => Parameter::SupportedExtensions(bytes),
            9 => Parameter::ForwardTsnSupported,
            _ => Parameter::Unknown {
                kind: 0xC006,
                bytes: &[0xC0, 6, 0, 8, 1, 2, 3, 4],
            },
        }
    }
}

#[derive(Clone, Debug)]
struct AnyCause(u8, u32, Vec<u8>);

impl AnyCause {
    fn get(&self) -> Cause<'_> {
        let Self(code, number, bytes) = self;
        match code % 14 {
            0 => Cause::InvalidStream(StreamId(*number as u16)),
            1 => Cause::MissingParameter(*number as u16),
            2 => Cause::StaleCookie(*number),
            3 => Cause::OutOfResource,
            4 => Cause::UnresolvableAddress(bytes),
            5 => Cause::UnrecognizedChunk(bytes),
            6 => Cause::InvalidMandatoryParameter,
            7 => Cause::UnrecognizedParameters(bytes),
            8 => Cause::NoUserData(Tsn(*number)),
            9 => Cause::CookieWhileShuttingDown,
            10 => Cause::RestartWithNewAddresses(bytes),
            11 => Cause::UserAbort(bytes),
            12 => Cause::ProtocolViolation(bytes),
            _ => Cause::Other(*number as u16 | 0x100),
        }
    }
}

impl Any {
    fn write(&self, writer: &mut PacketWriter<'_>) -> bool {
        match self {
            Self::Data(data, payload) => writer.data(&Data { payload, ..*data }),
            Self::Init(kind, fields, parameters) => {
                let parameters: Vec<_> = parameters.iter().map(AnyParameter::get).collect();
                writer.init(*kind, fields, &parameters)
            }
            Self::Sack(tsn, a_rwnd, gaps, duplicates) => {
                writer.sack(*tsn, *a_rwnd, gaps.iter().copied(), duplicates)
            }
            Self::Bytes(0, bytes) => writer.heartbeat(bytes),
            Self::Bytes(1, bytes) => writer.heartbeat_ack(bytes),
            Self::Bytes(_, bytes) => writer.cookie_echo(bytes),
            Self::Causes(reflected, causes) => {
                let causes: Vec<_> = causes.iter().map(AnyCause::get).collect();
                match reflected {
                    Some(reflected) => writer.abort(*reflected, &causes),
                    None => writer.error(&causes),
                }
            }
            Self::Shutdown(tsn) => writer.shutdown(*tsn),
            Self::Bare(0, _) => writer.shutdown_ack(),
            Self::Bare(1, _) => writer.cookie_ack(),
            Self::Bare(_, reflected) => writer.shutdown_complete(*reflected),
            Self::ForwardTsn(tsn, streams) => writer.forward_tsn(*tsn, streams.iter().copied()),
            Self::IForwardTsn(tsn, streams) => writer.i_forward_tsn(*tsn, streams.iter().copied()),
            Self::Reset(..) | Self::ReConfig(..) => writer.re_config(&self.re_config()),
        }
    }

    fn re_config(&self) -> Vec<ReConfigParameter<'_>> {
        match self {
            Self::Reset(request, response, last_tsn, streams) => vec![
                ReConfigParameter::OutgoingReset {
                    request: *request,
                    response: *response,
                    last_tsn: *last_tsn,
                    streams: streams.as_slice().into(),
                },
                ReConfigParameter::IncomingReset {
                    request: *response,
                    streams: streams.as_slice().into(),
                },
            ],
            Self::ReConfig(which, request, other, count) => vec![match which % 5 {
                0 => ReConfigParameter::SsnTsnReset { request: *request },
                1 => ReConfigParameter::Response {
                    response: *request,
                    result: *other,
                    next_tsns: None,
                },
                2 => ReConfigParameter::Response {
                    response: *request,
                    result: ReConfigParameter::PERFORMED,
                    next_tsns: Some((Tsn(*other), Tsn(*request))),
                },
                3 => ReConfigParameter::AddOutgoing {
                    request: *request,
                    count: *count,
                },
                _ => ReConfigParameter::AddIncoming {
                    request: *request,
                    count: *count,
                },
            }],
            _ => vec![],
        }
    }

    /// Panics unless the chunk says what this says.
    fn assert_is(&self, chunk: &Chunk<'_>) {
        match (self, chunk) {
            (Self::Data(data, payload), Chunk::Data(read)) => {
                assert_eq!(*read, Data { payload, ..*data });
            }
            (Self::Init(InitKind::Init, fields, parameters), Chunk::Init(init))
            | (Self::Init(InitKind::InitAck, fields, parameters), Chunk::InitAck(init)) => {
                assert_eq!(init.fields, *fields);
                let read: Vec<_> = init.parameters().map(Result::unwrap).collect();
                let expected: Vec<_> = parameters.iter().map(AnyParameter::get).collect();
                assert_eq!(read, expected);
            }
            (Self::Sack(tsn, a_rwnd, gaps, duplicates), Chunk::Sack(sack)) => {
                assert_eq!((sack.cumulative_tsn_ack, sack.a_rwnd), (*tsn, *a_rwnd));
                assert!(sack.gap_blocks().eq(gaps.iter().copied()));
                assert!(sack.duplicates().eq(duplicates.iter().copied()));
            }
            (Self::Bytes(0, bytes), Chunk::Heartbeat(read))
            | (Self::Bytes(1, bytes), Chunk::HeartbeatAck(read))
            | (Self::Bytes(2, bytes), Chunk::CookieEcho(read)) => assert_eq!(bytes, read),
            (Self::Causes(None, causes), Chunk::Error(read)) => {
                assert!(read.clone().eq(causes.iter().map(AnyCause::get)));
            }
            (
                Self::Causes(Some(reflected), causes),
                Chunk::Abort {
                    is_tag_reflected,
                    causes: read,
                },
            ) => {
                assert_eq!(reflected, is_tag_reflected);
                assert!(read.clone().eq(causes.iter().map(AnyCause::get)));
            }
            (Self::Shutdown(tsn), Chunk::Shutdown(read)) => assert_eq!(tsn, read),
            (Self::Bare(0, _), Chunk::ShutdownAck) | (Self::Bare(1, _), Chunk::CookieAck) => {}
            (Self::Bare(2, reflected), Chunk::ShutdownComplete { is_tag_reflected }) => {
                assert_eq!(reflected, is_tag_reflected);
            }
            (Self::ForwardTsn(tsn, streams), Chunk::ForwardTsn(read)) => {
                assert_eq!(*tsn, read.new_cumulative_tsn);
                assert!(read.streams().eq(streams.iter().copied()));
            }
            (Self::IForwardTsn(tsn, streams), Chunk::IForwardTsn(read)) => {
                assert_eq!(*tsn, read.new_cumulative_tsn);
                assert!(read.streams().eq(streams.iter().copied()));
            }
            (Self::Reset(..) | Self::ReConfig(..), Chunk::ReConfig(read)) => {
                let read: Vec<_> = read.parameters().map(Result::unwrap).collect();
                assert_eq!(read, self.re_config());
            }
            _ => panic!("{self:?} was read as {chunk:?}"),
        }
    }
}

fn tsn() -> impl Strategy<Value = Tsn> {
    any::<u32>().prop_map(Tsn)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn any_data() -> impl Strategy<Value = Any> {
    let numbers = any::<(u32, u16, u32, u32, u32)>();
    let flags = any::<(bool, bool, bool, bool, bool)>();
    (numbers, flags, vec(any::<u8>(), 1..60)).prop_map(|(numbers, flags, payload)| {
        let (tsn, stream, message, fragment, ppid) = numbers;
        let (is_interleaved, is_begin, is_end, is_unordered, is_immediate) = flags;
        let data = Data {
            is_interleaved,
            tsn: Tsn(tsn),
            stream: StreamId(stream),
            message: if is_interleaved {
                message
            } else {
                message & 0xFFFF
            },
            fragment: if is_interleaved && !is_begin {
                fragment
            } else {
                0
            },
            ppid: Ppid(if is_interleaved && !is_begin { 0 } else { ppid }),
            is_begin,
            is_end,
            is_unordered,
            is_immediate,
            payload: &[],
        };
        Any::Data(data, payload)
    })
}

fn any_init() -> impl Strategy<Value = Any> {
    let parameter = (any::<u8>(), any::<u32>(), bytes())
        .prop_map(|(kind, number, bytes)| AnyParameter(kind, number, bytes));
    let kind = prop_oneof![Just(InitKind::Init), Just(InitKind::InitAck)];
    let fields = any::<(u32, u32, u16, u16, u32)>();
    (kind, fields, vec(parameter, 0..8)).prop_map(|(kind, fields, parameters)| {
        let (initiate_tag, a_rwnd, outbound_streams, inbound_streams, tsn) = fields;
        let fields = InitFields {
            initiate_tag,
            a_rwnd,
            outbound_streams,
            inbound_streams,
            initial_tsn: Tsn(tsn),
        };
        Any::Init(kind, fields, parameters)
    })
}

fn any_chunk() -> impl Strategy<Value = Any> {
    let cause = (any::<u8>(), any::<u32>(), bytes())
        .prop_map(|(code, number, bytes)| AnyCause(code, number, bytes));
    let stream = || any::<u16>().prop_map(StreamId);
    prop_oneof![
        any_data(),
        any_init(),
        (
            tsn(),
            any::<u32>(),
            vec(any::<(u16, u16)>(), 0..20),
            vec(tsn(), 0..9)
        )
            .prop_map(|(tsn, a_rwnd, gaps, again)| Any::Sack(tsn, a_rwnd, gaps, again)),
        (0..3_u8, bytes()).prop_map(|(which, bytes)| Any::Bytes(which, bytes)),
        (any::<Option<bool>>(), vec(cause, 0..6))
            .prop_map(|(reflected, causes)| Any::Causes(reflected, causes)),
        tsn().prop_map(Any::Shutdown),
        (0..3_u8, any::<bool>()).prop_map(|(which, reflected)| Any::Bare(which, reflected)),
        (tsn(), vec((stream(), any::<u16>()), 0..9))
            .prop_map(|(tsn, streams)| Any::ForwardTsn(tsn, streams)),
        (tsn(), vec((stream(), any::<bool>(), any::<u32>()), 0..9))
            .prop_map(|(tsn, streams)| Any::IForwardTsn(tsn, streams)),
        (any::<(u32, u32)>(), tsn(), vec(stream(), 0..9)).prop_map(
            |((request, response), tsn, streams)| { Any::Reset(request, response, tsn, streams) }
        ),
        any::<(u8, u32, u32, u16)>()
            .prop_map(|(which, request, other, count)| Any::ReConfig(which, request, other, count)),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(bundle in vec(any_chunk(), 1..8)) {
        let bytes = packet(|writer| {
            for chunk in &bundle {
                assert!(chunk.write(writer));
            }
        });
        let packet = Packet::parse(&bytes, ChecksumRule::Required).unwrap();
        prop_assert_eq!(packet.chunks().count(), bundle.len());
        for (chunk, raw) in bundle.iter().zip(packet.chunks()) {
            chunk.assert_is(&Chunk::parse(raw.unwrap()).unwrap());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in vec(any::<u8>(), 0..200)) {
        if let Some(checksum) = bytes.get_mut(8..12) {
            checksum.fill(0);
        }
        prop_assert!(crate::samples::read_all(&bytes) <= bytes.len() / 4);
    }
}
