//! CRC32c (RFC 9260 appendix A) and when it may be missing (RFC 9653).

use turnpike_sctp::wire::{Checksum, ChecksumRule, Packet, PacketWriter, ParseError};

use crate::samples::{DATA, HEADER, every_chunk, packet};

/// The polynomial, bit by bit, as appendix A has it.
fn bitwise(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 != 0 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}

/// RFC 3720 appendix B.4.
#[test]
fn the_bitwise_one_agrees_with_the_vectors_of_rfc_3720() {
    assert_eq!(bitwise(&[0; 32]), 0x8A91_36AA);
    assert_eq!(bitwise(&[0xFF; 32]), 0x62A8_AB43);
    let rising: Vec<u8> = (0..32).collect();
    assert_eq!(bitwise(&rising), 0x46DD_794E);
}

#[test]
fn every_packet_carries_the_bitwise_checksum_in_little_endian() {
    for packet in every_chunk() {
        let mut zeroed = packet.clone();
        zeroed[8..12].fill(0);
        assert_eq!(packet[8..12], bitwise(&zeroed).to_le_bytes());
        assert!(Packet::parse(&packet, ChecksumRule::Required).is_ok());
    }
}

#[test]
fn any_flipped_bit_is_noticed() {
    let packet = packet(|writer| assert!(writer.data(&DATA)));
    for bit in 0..packet.len() * 8 {
        let mut bent = packet.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        for rule in [ChecksumRule::Required, ChecksumRule::MayBeZero] {
            assert_eq!(Packet::parse(&bent, rule).err(), Some(ParseError::Checksum));
        }
    }
}

#[test]
fn a_zero_checksum_passes_only_where_it_may_be_zero() {
    let mut buf = [0xEE; 200];
    let mut writer = PacketWriter::new(&mut buf, 200, HEADER).unwrap();
    assert!(writer.data(&DATA));
    let len = writer.finish(Checksum::Zero);
    let packet = &buf[..len];
    assert_eq!(packet[8..12], [0; 4]);
    assert_eq!(
        Packet::parse(packet, ChecksumRule::Required).err(),
        Some(ParseError::Checksum)
    );
    let packet = Packet::parse(packet, ChecksumRule::MayBeZero).unwrap();
    assert!(packet.has_zero_checksum());
}
