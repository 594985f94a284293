//! The SCTP codecs (RFC 9260 section 3) against a naive reader, and against our own writer: what is
//! understood must say the same after another trip over the wire.
//!
//! The input is what follows the common header, so that the fuzzer need not find checksums.

use turnpike_sctp::wire::{
    Cause, Causes, Checksum, ChecksumRule, Chunk, Data, Header, InitKind, PARAMETERS_MAX, Packet,
    PacketWriter, Parameter, ParseError, RawChunk, ReConfigParameter,
};
use turnpike_sctp::{StreamId, Tsn};

use crate::naive_sctp::{NaiveChunk, NaivePacket, be16, be32, tlvs};

const HEADER: Header = Header {
    source_port: 5000,
    destination_port: 5001,
    verification_tag: 0x0A0B_0C0D,
};

/// Reads the input both ways, then writes what was understood and reads it again.
pub fn sctp_packet(data: &[u8]) {
    whole_datagram(data);
    let packet = sealed(data);
    let naive = NaivePacket::parse(&packet).expect("it has a header");
    let ours = Packet::parse(&packet, ChecksumRule::Required).expect("our own checksum");
    assert_eq!(ours.header(), HEADER);
    agree_on_frame(&ours, &naive);
    for (raw, naive) in ours.chunks().flatten().zip(&naive.chunks) {
        let chunk = Chunk::parse(raw);
        agree_on_chunk(raw, &chunk, naive);
        if let Ok(chunk) = chunk {
            rewrite(raw, &chunk);
        }
    }
}

/// The input as a datagram of its own, header and checksum included.
fn whole_datagram(data: &[u8]) {
    let required = Packet::parse(data, ChecksumRule::Required);
    let lenient = Packet::parse(data, ChecksumRule::MayBeZero);
    let Some(naive) = NaivePacket::parse(data) else {
        assert_eq!(required.err(), Some(ParseError::TooShort));
        assert_eq!(lenient.err(), Some(ParseError::TooShort));
        return;
    };
    assert_eq!(required.is_ok(), naive.checksum_is_right);
    let is_lenient = naive.checksum_is_right || naive.checksum_is_zero;
    assert_eq!(lenient.is_ok(), is_lenient);
    if let Ok(packet) = lenient {
        let header = packet.header();
        assert_eq!((header.source_port, header.destination_port), naive.ports);
        assert_eq!(header.verification_tag, naive.tag);
        assert_eq!(packet.has_zero_checksum(), naive.checksum_is_zero);
        agree_on_frame(&packet, &naive);
    }
}

/// The input behind a header with a right checksum.
fn sealed(chunks: &[u8]) -> Vec<u8> {
    let mut header = [0; 12];
    let writer = PacketWriter::new(&mut header, 12, HEADER).expect("room for a header");
    assert_eq!(writer.finish(Checksum::Zero), 12);
    let mut packet = [&header, chunks].concat();
    let crc = crc32c::crc32c(&packet);
    packet[8..12].copy_from_slice(&crc.to_le_bytes());
    packet
}

fn agree_on_frame(packet: &Packet<'_>, naive: &NaivePacket) {
    let mut theirs = naive.chunks.iter();
    let mut is_broken = false;
    for raw in packet.chunks() {
        assert!(!is_broken, "a chunk after an error");
        let Ok(raw) = raw else {
            is_broken = true;
            continue;
        };
        let theirs = theirs.next().expect("a chunk that is not there");
        assert_eq!((raw.kind, raw.flags), (theirs.kind, theirs.flags));
        assert_eq!(raw.value(), theirs.value);
        assert_eq!(raw.bytes.len(), theirs.value.len() + 4);
    }
    assert!(theirs.next().is_none(), "a chunk was not seen");
    assert_eq!(is_broken, naive.is_broken);
}

fn agree_on_chunk(raw: RawChunk<'_>, chunk: &Result<Chunk<'_>, ParseError>, naive: &NaiveChunk) {
    match naive.has_right_length() {
        None => assert!(matches!(chunk, Ok(Chunk::Unknown))),
        Some(is_right) => assert_eq!(chunk.is_ok(), is_right, "{raw:?}"),
    }
    match chunk {
        Err(ParseError::NoUserData(tsn)) => {
            assert!(raw.kind == 0 || raw.kind == 64);
            assert_eq!(tsn.0, be32(&naive.value));
        }
        Err(_) => {}
        Ok(chunk) => agree_on_fields(chunk, naive),
    }
}

fn agree_on_fields(chunk: &Chunk<'_>, naive: &NaiveChunk) {
    let value = naive.value.as_slice();
    match chunk {
        Chunk::Data(data) => {
            assert_eq!(data.tsn.0, be32(value));
            assert_eq!(data.stream.0, be16(&value[4..]));
            let flags = [
                data.is_end,
                data.is_begin,
                data.is_unordered,
                data.is_immediate,
            ];
            for (bit, flag) in flags.into_iter().enumerate() {
                assert_eq!(flag, naive.flags >> bit & 1 == 1);
            }
            let header = if data.is_interleaved { 16 } else { 12 };
            assert_eq!(data.payload, &value[header..]);
        }
        Chunk::Sack(sack) => {
            assert_eq!(sack.cumulative_tsn_ack.0, be32(value));
            assert_eq!(sack.a_rwnd, be32(&value[4..]));
            assert_eq!(sack.gap_blocks().len(), usize::from(be16(&value[8..])));
            assert_eq!(sack.duplicates().len(), usize::from(be16(&value[10..])));
        }
        Chunk::Init(init) | Chunk::InitAck(init) => {
            assert_eq!(init.fields.initiate_tag, be32(value));
            assert_eq!(init.fields.initial_tsn.0, be32(&value[12..]));
            agree_on_parameters(init.parameters().collect(), &value[16..]);
        }
        Chunk::Abort { causes, .. } | Chunk::Error(causes) => agree_on_causes(causes, value),
        Chunk::ReConfig(re_config) => {
            let (theirs, is_broken) = tlvs(value);
            assert_eq!(
                re_config.parameters().count(),
                theirs.len() + usize::from(is_broken)
            );
        }
        Chunk::Heartbeat(info) | Chunk::HeartbeatAck(info) => {
            assert_eq!(*info, tlvs(value).0[0].1);
        }
        Chunk::CookieEcho(cookie) => assert_eq!(*cookie, value),
        _ => {}
    }
}

fn agree_on_parameters(ours: Vec<Result<Parameter<'_>, ParseError>>, list: &[u8]) {
    let (theirs, is_broken) = tlvs(list);
    assert_eq!(ours.len(), theirs.len() + usize::from(is_broken));
    assert!(ours.len() <= PARAMETERS_MAX + 1);
    for (ours, (kind, value)) in ours.iter().zip(&theirs) {
        match ours {
            Ok(Parameter::Unknown { kind: ours, bytes }) => {
                assert_eq!(ours, kind);
                assert_eq!(&bytes[4..], value);
            }
            Ok(Parameter::StateCookie(cookie)) => assert_eq!((7, *cookie), (*kind, &value[..])),
            Ok(Parameter::SupportedExtensions(list)) => {
                assert_eq!((0x8008, *list), (*kind, &value[..]));
            }
            Ok(_) => {}
            Err(error) => assert_eq!(*error, ParseError::ParameterValue),
        }
    }
}

fn agree_on_causes(causes: &Causes<'_>, list: &[u8]) {
    let (theirs, _) = tlvs(list);
    let codes: Vec<u16> = causes.clone().map(|cause| cause.code()).collect();
    let expected: Vec<u16> = theirs.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, expected);
}

/// Writes the chunk as it was understood; what is read of that must say the same.
fn rewrite(raw: RawChunk<'_>, chunk: &Chunk<'_>) {
    let mut buf = vec![0xEE; 12 + raw.bytes.len().next_multiple_of(4)];
    let limit = buf.len();
    let mut writer = PacketWriter::new(&mut buf, limit, HEADER).expect("room for a header");
    let Some(fitted) = write(&mut writer, chunk) else {
        return;
    };
    assert!(fitted, "longer than it came: {chunk:?}");
    let len = writer.finish(Checksum::Crc32c);
    let again = Packet::parse(&buf[..len], ChecksumRule::Required).expect("our own packet");
    let mut chunks = again.chunks();
    let again = chunks
        .next()
        .expect("our own chunk")
        .expect("our own length");
    assert!(chunks.next().is_none());
    assert_eq!(again.kind, raw.kind);
    let again = Chunk::parse(again).expect("our own chunk");
    assert_eq!(said(&again), said(chunk));
}

/// Everything that a chunk says, lists to their ends. Reserved fields and padding do not count.
fn said(chunk: &Chunk<'_>) -> String {
    match chunk {
        Chunk::Init(init) | Chunk::InitAck(init) => {
            let parameters: Vec<_> = init.parameters().collect();
            format!("{:?} {parameters:?}", init.fields)
        }
        Chunk::Sack(sack) => {
            let gaps: Vec<_> = sack.gap_blocks().collect();
            let duplicates: Vec<_> = sack.duplicates().collect();
            format!(
                "{:?} {} {gaps:?} {duplicates:?}",
                sack.cumulative_tsn_ack, sack.a_rwnd
            )
        }
        Chunk::Abort {
            is_tag_reflected,
            causes,
        } => {
            format!(
                "{is_tag_reflected} {:?}",
                causes.clone().collect::<Vec<_>>()
            )
        }
        Chunk::Error(causes) => format!("{:?}", causes.clone().collect::<Vec<_>>()),
        Chunk::ForwardTsn(forward) => {
            let streams: Vec<_> = forward.streams().collect();
            format!("{:?} {streams:?}", forward.new_cumulative_tsn)
        }
        Chunk::IForwardTsn(forward) => {
            let streams: Vec<_> = forward.streams().collect();
            format!("{:?} {streams:?}", forward.new_cumulative_tsn)
        }
        Chunk::ReConfig(re_config) => {
            let parameters = re_config.parameters().map(|parameter| match parameter {
                Ok(parameter) => said_of_reset(&parameter),
                Err(error) => format!("{error:?}"),
            });
            parameters.collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

fn said_of_reset(parameter: &ReConfigParameter<'_>) -> String {
    match parameter {
        ReConfigParameter::OutgoingReset {
            request,
            response,
            last_tsn,
            streams,
        } => {
            let streams: Vec<_> = streams.clone().collect();
            format!("out {request} {response} {last_tsn} {streams:?}")
        }
        ReConfigParameter::IncomingReset { request, streams } => {
            format!("in {request} {:?}", streams.clone().collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

/// `None` when the chunk cannot be written as it was understood: a list with an error in it, a
/// cause of an impossible length, a type without a writer.
fn write(writer: &mut PacketWriter<'_>, chunk: &Chunk<'_>) -> Option<bool> {
    Some(match chunk {
        Chunk::Data(data) => writer.data(&Data { ..*data }),
        Chunk::Init(init) | Chunk::InitAck(init) => {
            let parameters: Vec<_> = init.parameters().collect::<Result<_, _>>().ok()?;
            let kind = match chunk {
                Chunk::Init(_) => InitKind::Init,
                _ => InitKind::InitAck,
            };
            writer.init(kind, &init.fields, &parameters)
        }
        Chunk::Sack(sack) => {
            let duplicates: Vec<Tsn> = sack.duplicates().collect();
            let (tsn, a_rwnd) = (sack.cumulative_tsn_ack, sack.a_rwnd);
            writer.sack(tsn, a_rwnd, sack.gap_blocks(), &duplicates)
        }
        Chunk::Heartbeat(info) => writer.heartbeat(info),
        Chunk::HeartbeatAck(info) => writer.heartbeat_ack(info),
        Chunk::Abort {
            is_tag_reflected,
            causes,
        } => writer.abort(*is_tag_reflected, &writable(causes)?),
        Chunk::Error(causes) => writer.error(&writable(causes)?),
        Chunk::Shutdown(tsn) => writer.shutdown(*tsn),
        Chunk::ShutdownAck => writer.shutdown_ack(),
        Chunk::CookieEcho(cookie) => writer.cookie_echo(cookie),
        Chunk::CookieAck => writer.cookie_ack(),
        Chunk::ShutdownComplete { is_tag_reflected } => writer.shutdown_complete(*is_tag_reflected),
        Chunk::ForwardTsn(forward) => {
            writer.forward_tsn(forward.new_cumulative_tsn, forward.streams())
        }
        Chunk::IForwardTsn(forward) => {
            writer.i_forward_tsn(forward.new_cumulative_tsn, forward.streams())
        }
        Chunk::ReConfig(re_config) => {
            // Streams of our own, so that the list's other source is written too.
            let lists: Vec<Vec<StreamId>> = re_config
                .parameters()
                .map(|parameter| streams_of(parameter.ok()))
                .collect();
            let parameters: Result<Vec<_>, _> = re_config
                .parameters()
                .zip(&lists)
                .map(|(parameter, list)| Ok::<_, ParseError>(with_streams(parameter?, list)))
                .collect();
            writer.re_config(&parameters.ok()?)
        }
        Chunk::Pad | Chunk::Unknown => return None,
    })
}

/// Causes whose every byte has a place in the type.
fn writable<'a>(causes: &Causes<'a>) -> Option<Vec<Cause<'a>>> {
    let causes: Vec<_> = causes.clone().collect();
    let is_whole =
        |cause: &Cause<'_>| !matches!(cause, Cause::Other(_) | Cause::MissingParameter(_));
    causes.iter().all(is_whole).then_some(causes)
}

fn streams_of(parameter: Option<ReConfigParameter<'_>>) -> Vec<StreamId> {
    match parameter {
        Some(
            ReConfigParameter::OutgoingReset { streams, .. }
            | ReConfigParameter::IncomingReset { streams, .. },
        ) => streams.collect(),
        _ => Vec::new(),
    }
}

fn with_streams<'a>(
    parameter: ReConfigParameter<'a>,
    list: &'a [StreamId],
) -> ReConfigParameter<'a> {
    let streams = list.into();
    match parameter {
        ReConfigParameter::OutgoingReset {
            request,
            response,
            last_tsn,
            ..
        } => ReConfigParameter::OutgoingReset {
            request,
            response,
            last_tsn,
            streams,
        },
        ReConfigParameter::IncomingReset { request, .. } => {
            ReConfigParameter::IncomingReset { request, streams }
        }
        other => other,
    }
}
