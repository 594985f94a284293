//! Packets of somebody hostile who knows the tag: chunks of the input, or bundled by our own writer
//! with numbers that may be near to the right ones.

use turnpike_sctp::wire::{
    Cause, Checksum, Data, Header, InitFields, InitKind, PacketWriter, Parameter, ReConfigParameter,
};
use turnpike_sctp::{Ppid, StreamId, Tsn};

use super::end::End;
use crate::choices::Choices;

/// A packet that pretends to come from `sender`.
pub(super) fn packet(sender: &End, kind: u8, choices: &mut Choices<'_>) -> Vec<u8> {
    let [s0, s1, d0, d1, t0, t1, t2, t3] = sender.sends_with;
    let header = Header {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        verification_tag: u32::from_be_bytes([t0, t1, t2, t3]),
    };
    if kind & 7 == 7 {
        let raw = choices.sized(64);
        let mut datagram = [sender.sends_with.as_slice(), &[0; 4], raw].concat();
        seal(&mut datagram);
        return datagram;
    }
    let mut buf = [0; 1_500];
    let mut writer = PacketWriter::new(&mut buf, 1_500, header).expect("room for a header");
    for _ in 0..=(kind >> 3 & 3) {
        chunk(&mut writer, choices);
    }
    let len = writer.finish(Checksum::Crc32c);
    buf[..len].to_vec()
}

/// Puts the right checksum in.
pub(super) fn seal(datagram: &mut [u8]) {
    if let Some(field) = datagram.get_mut(8..12) {
        field.fill(0);
        let crc = crc32c::crc32c(datagram);
        datagram[8..12].copy_from_slice(&crc.to_le_bytes());
    }
}

fn chunk(writer: &mut PacketWriter<'_>, choices: &mut Choices<'_>) -> bool {
    let (kind, near) = (choices.byte(), choices.byte());
    let tsn = Tsn(u32::from_be_bytes(choices.array()));
    let small = u16::from(near & 15);
    match kind % 16 {
        0 | 1 => writer.data(&Data {
            is_interleaved: kind & 16 != 0,
            tsn,
            stream: StreamId(small),
            message: u32::from(near >> 4),
            fragment: u32::from(near >> 6),
            ppid: Ppid(51),
            is_begin: kind & 32 != 0,
            is_end: kind & 64 != 0,
            is_unordered: kind & 128 != 0,
            is_immediate: near & 1 != 0,
            payload: &[0xAA; 40][..1 + usize::from(near) % 40],
        }),
        2 | 3 => {
            let gaps = [(choices.u16(), choices.u16()), (small, small + 1)];
            let gaps = gaps.into_iter().take(usize::from(near & 3));
            writer.sack(tsn, u32::from(near) << 10, gaps, &[tsn])
        }
        4 => writer.forward_tsn(tsn, [(StreamId(small), choices.u16())].into_iter()),
        5 => {
            let streams = [(StreamId(small), kind & 16 != 0, u32::from(near))];
            writer.i_forward_tsn(tsn, streams.into_iter())
        }
        6 => re_config(writer, near, tsn, choices),
        7 => writer.heartbeat(choices.sized(40)),
        8 => writer.heartbeat_ack(choices.sized(40)),
        9 => writer.cookie_echo(choices.sized(90)),
        10 => writer.error(&[
            Cause::StaleCookie(tsn.0),
            Cause::UnrecognizedChunk(&[194, 0, 0, 4]),
        ]),
        11 => init(writer, kind, near, tsn),
        12 => writer.shutdown(tsn),
        13 => writer.shutdown_ack() && writer.cookie_ack(),
        14 => writer.abort(near & 1 != 0, &[Cause::UserAbort(b"hostile")]),
        _ => writer.shutdown_complete(near & 1 != 0),
    }
}

fn re_config(writer: &mut PacketWriter<'_>, near: u8, tsn: Tsn, choices: &mut Choices<'_>) -> bool {
    let streams = [StreamId(u16::from(near & 7)), StreamId(choices.u16())];
    let streams = &streams[..usize::from(near >> 3 & 1) + 1];
    let request = u32::from_be_bytes(choices.array());
    writer.re_config(&[match near >> 5 {
        0 => ReConfigParameter::OutgoingReset {
            request,
            response: 0,
            last_tsn: tsn,
            streams: streams.into(),
        },
        1 => ReConfigParameter::IncomingReset {
            request,
            streams: streams.into(),
        },
        2 => ReConfigParameter::SsnTsnReset { request },
        3 => ReConfigParameter::AddOutgoing { request, count: 9 },
        4 => ReConfigParameter::AddIncoming {
            request,
            count: u16::MAX,
        },
        rest => ReConfigParameter::Response {
            response: request,
            result: u32::from(near & 7),
            next_tsns: (rest == 5).then_some((tsn, tsn)),
        },
    }])
}

/// An INIT or INIT ACK; the header's tag is the right one and so, mostly, wrong for it.
fn init(writer: &mut PacketWriter<'_>, kind: u8, near: u8, tsn: Tsn) -> bool {
    let fields = InitFields {
        initiate_tag: u32::from(near & 3) << 8,
        a_rwnd: u32::from(near) << 8,
        outbound_streams: u16::from(near & 8),
        inbound_streams: u16::from(near & 12),
        initial_tsn: tsn,
    };
    let kind = if kind & 16 == 0 {
        InitKind::Init
    } else {
        InitKind::InitAck
    };
    let parameters = [
        Parameter::StateCookie(&[7; 20]),
        Parameter::ForwardTsnSupported,
        Parameter::SupportedExtensions(&[64, 130, 192, 194]),
    ];
    writer.init(kind, &fields, &parameters[usize::from(near >> 7)..])
}
