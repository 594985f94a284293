//! Packets that several tests start from.

use turnpike_sctp::wire::{
    Cause, Checksum, ChecksumRule, Chunk, Data, Header, InitFields, InitKind, Packet, PacketWriter,
    Parameter, ReConfigParameter,
};
use turnpike_sctp::{Ppid, StreamId, Tsn};

pub(crate) const HEADER: Header = Header {
    source_port: 0x1388,
    destination_port: 0x1389,
    verification_tag: 0xDEAD_BEEF,
};

/// What a writer writes with these chunks.
pub(crate) fn packet(fill: impl FnOnce(&mut PacketWriter<'_>)) -> Vec<u8> {
    let mut buf = vec![0xEE; 70_000];
    let mut writer = PacketWriter::new(&mut buf, 70_000, HEADER).unwrap();
    fill(&mut writer);
    let len = writer.finish(Checksum::Crc32c);
    buf.truncate(len);
    buf
}

/// A packet of raw bytes after the header, with a right checksum.
pub(crate) fn crafted(chunks: &[u8]) -> Vec<u8> {
    let mut bytes = packet(|_| {});
    bytes.extend(chunks);
    bytes[8..12].fill(0);
    let crc = crc32c::crc32c(&bytes);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Hands the only chunk of a packet to `look`.
pub(crate) fn with_only_chunk<T>(packet: &[u8], look: impl FnOnce(Chunk<'_>) -> T) -> T {
    let packet = Packet::parse(packet, ChecksumRule::Required).unwrap();
    let mut chunks = packet.chunks();
    let raw = chunks.next().unwrap().unwrap();
    assert!(chunks.next().is_none(), "more than one chunk");
    look(Chunk::parse(raw).unwrap())
}

/// The chunks of a packet looked into, or why not; never more than fit in it.
pub(crate) fn read_all(packet: &[u8]) -> usize {
    let Ok(packet) = Packet::parse(packet, ChecksumRule::MayBeZero) else {
        return 0;
    };
    let mut understood = 0;
    for raw in packet.chunks() {
        let Ok(raw) = raw else { break };
        if let Ok(chunk) = Chunk::parse(raw) {
            understood += 1;
            drain(&chunk);
        }
    }
    understood
}

/// Reads every list of a chunk to its end.
fn drain(chunk: &Chunk<'_>) {
    match chunk {
        Chunk::Init(init) | Chunk::InitAck(init) => drop(init.parameters().count()),
        Chunk::Sack(sack) => drop((sack.gap_blocks().count(), sack.duplicates().count())),
        Chunk::Abort { causes, .. } | Chunk::Error(causes) => drop(causes.clone().count()),
        Chunk::ForwardTsn(forward) => drop(forward.streams().count()),
        Chunk::IForwardTsn(forward) => drop(forward.streams().count()),
        Chunk::ReConfig(re_config) => drop(re_config.parameters().count()),
        _ => {}
    }
}

pub(crate) const DATA: Data<'static> = Data {
    is_interleaved: false,
    tsn: Tsn(0x0102_0304),
    stream: StreamId(0x0506),
    message: 0x0708,
    fragment: 0,
    ppid: Ppid(0x090A_0B0C),
    is_begin: true,
    is_end: false,
    is_unordered: false,
    is_immediate: false,
    payload: b"hello",
};

pub(crate) const INIT: InitFields = InitFields {
    initiate_tag: 0x1122_3344,
    a_rwnd: 0x0001_0000,
    outbound_streams: 0x0102,
    inbound_streams: 0x0304,
    initial_tsn: Tsn(0xA0A1_A2A3),
};

/// One packet of every kind of chunk, each alone, and a bundle.
pub(crate) fn every_chunk() -> Vec<Vec<u8>> {
    let streams = [StreamId(1), StreamId(9)];
    let fills: [fn(&mut PacketWriter<'_>) -> bool; 18] = [
        |w| w.data(&DATA),
        |w| {
            w.data(&Data {
                is_interleaved: true,
                ..DATA
            })
        },
        |w| w.init(InitKind::Init, &INIT, &[Parameter::ForwardTsnSupported]),
        |w| {
            w.init(
                InitKind::InitAck,
                &INIT,
                &[Parameter::StateCookie(b"cookie")],
            )
        },
        |w| w.sack(Tsn(7), 9, [(2, 3), (5, 5)].into_iter(), &[Tsn(4)]),
        |w| w.heartbeat(b"information"),
        |w| w.heartbeat_ack(b"information"),
        |w| w.abort(true, &[Cause::OutOfResource, Cause::UserAbort(b"bye")]),
        |w| w.shutdown(Tsn(8)),
        |w| w.shutdown_ack(),
        |w| w.error(&[Cause::StaleCookie(5), Cause::MissingParameter(7)]),
        |w| w.cookie_echo(b"cookie"),
        |w| w.cookie_ack(),
        |w| w.shutdown_complete(false),
        |w| w.forward_tsn(Tsn(9), [(StreamId(1), 2)].into_iter()),
        |w| w.i_forward_tsn(Tsn(9), [(StreamId(1), true, 2)].into_iter()),
        |w| w.re_config(&[ReConfigParameter::SsnTsnReset { request: 3 }]),
        |w| w.cookie_ack() && w.data(&DATA) && w.data(&DATA),
    ];
    let mut packets: Vec<_> = fills
        .into_iter()
        .map(|fill| packet(|writer| assert!(fill(writer))))
        .collect();
    packets.push(packet(|writer| {
        let reset = ReConfigParameter::OutgoingReset {
            request: 1,
            response: 2,
            last_tsn: Tsn(3),
            streams: streams.as_slice().into(),
        };
        assert!(writer.re_config(&[reset]));
    }));
    packets
}
