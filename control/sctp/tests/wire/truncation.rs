//! Packets cut, and chunks shortened, at every byte: never a panic, never a byte from beyond.

use turnpike_sctp::wire::{ChecksumRule, Chunk, Packet, RawChunk};

use crate::samples::{every_chunk, read_all};

#[test]
fn a_packet_cut_anywhere_yields_no_more_chunks_than_it_holds() {
    for mut packet in every_chunk() {
        packet[8..12].fill(0);
        let whole = read_all(&packet);
        assert!(whole > 0);
        for len in 0..packet.len() {
            let understood = read_all(&packet[..len]);
            assert!(understood <= whole);
            for raw in Packet::parse(&packet[..len], ChecksumRule::MayBeZero)
                .into_iter()
                .flat_map(|packet| packet.chunks().flatten())
            {
                assert!(raw.bytes.len() <= len - 12);
            }
        }
    }
}

#[test]
fn a_chunk_shortened_anywhere_is_read_or_refused() {
    for packet in every_chunk() {
        let packet = Packet::parse(&packet, ChecksumRule::Required).unwrap();
        for raw in packet.chunks().map(Result::unwrap) {
            for len in 0..raw.bytes.len() {
                let short = RawChunk {
                    bytes: &raw.bytes[..len],
                    ..raw
                };
                if let Ok(Chunk::Data(data)) = Chunk::parse(short) {
                    assert!(!data.payload.is_empty());
                }
            }
        }
    }
}

#[test]
fn any_byte_set_to_an_extreme_is_survived() {
    for mut packet in every_chunk() {
        packet[8..12].fill(0);
        for at in 12..packet.len() {
            for extreme in [0x00, 0x01, 0x03, 0x7F, 0x80, 0xFF] {
                let mut bent = packet.clone();
                bent[at] = extreme;
                assert!(read_all(&bent) <= bent.len() / 4);
            }
        }
    }
}
