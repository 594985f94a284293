//! What a packet costs: a full one of data both ways, with and without its checksum, and a SACK.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "benchmarks: a panic is the failure report"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use turnpike_sctp::wire::{Checksum, ChecksumRule, Chunk, Data, Header, Packet, PacketWriter};
use turnpike_sctp::{Ppid, StreamId, Tsn};

const PACKET: usize = 1191;

const HEADER: Header = Header {
    source_port: 5000,
    destination_port: 5000,
    verification_tag: 0x0102_0304,
};

fn full(buf: &mut [u8], payload: &[u8], checksum: Checksum) -> usize {
    let mut writer = PacketWriter::new(buf, PACKET, HEADER).unwrap();
    let is_whole = writer.data(&Data {
        tsn: Tsn(1),
        stream: StreamId(1),
        ppid: Ppid(53),
        is_begin: true,
        is_end: true,
        payload,
        ..Data::default()
    });
    assert!(is_whole);
    writer.finish(checksum)
}

fn sack(buf: &mut [u8]) -> usize {
    let mut writer = PacketWriter::new(buf, PACKET, HEADER).unwrap();
    let gaps = (0..20).map(|n| (3 * n + 2, 3 * n + 3));
    assert!(writer.sack(Tsn(9), 65_536, gaps, &[]));
    writer.finish(Checksum::Crc32c)
}

fn read(datagram: &[u8], rule: ChecksumRule) -> usize {
    let packet = Packet::parse(datagram, rule).unwrap();
    let mut seen = 0;
    for raw in packet.chunks() {
        match Chunk::parse(raw.unwrap()).unwrap() {
            Chunk::Data(data) => seen += data.payload.len(),
            Chunk::Sack(sack) => seen += sack.gap_blocks().count(),
            _ => {}
        }
    }
    seen
}

fn wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let payload = [7; 1160];
    let mut buf = [0; PACKET];
    for (name, checksum, rule) in [
        ("crc32c", Checksum::Crc32c, ChecksumRule::Required),
        ("zero checksum", Checksum::Zero, ChecksumRule::MayBeZero),
    ] {
        group.bench_function(format!("write a full packet, {name}"), |bench| {
            bench.iter(|| full(black_box(&mut buf), black_box(&payload), checksum));
        });
        let len = full(&mut buf, &payload, checksum);
        group.bench_function(format!("read a full packet, {name}"), |bench| {
            bench.iter(|| read(black_box(&buf[..len]), rule));
        });
    }
    group.bench_function("write a SACK of 20 gaps", |bench| {
        bench.iter(|| sack(black_box(&mut buf)));
    });
    let len = sack(&mut buf);
    group.bench_function("read a SACK of 20 gaps", |bench| {
        bench.iter(|| read(black_box(&buf[..len]), ChecksumRule::Required));
    });
    group.finish();
}

criterion_group!(benches, wire);
criterion_main!(benches);
