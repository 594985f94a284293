//! Frames against the definitions: checksums by the book, and what is written is read.

use proptest::prelude::*;
use turnpike_turn::attribute::{Data, XorPeerAddress};

use super::super::stamp::{Read, Stamp};
use super::*;

const LINK: Link = Link {
    source: [2, 0, 0, 0, 0, 1],
    destination: [2, 0, 0, 0, 0, 2],
};

const STAMP: Stamp = Stamp {
    flow: 3,
    due: 0x0123_4567_89AB_CDEF,
    sequence: 77,
    direction: stamp::TO_PEER,
    run: 9,
};

/// The sum of RFC 1071, word by word as the RFC has it.
fn by_the_book(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        let low = word.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([word[0], low]));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// The pseudo header and the datagram of a frame, which must sum to 0xFFFF.
fn covered(frame: &[u8]) -> Vec<u8> {
    let (addresses, udp) = if frame[12..14] == [0x08, 0x00] {
        (&frame[26..34], &frame[34..])
    } else {
        (&frame[22..54], &frame[54..])
    };
    let length = u16::try_from(udp.len()).unwrap().to_be_bytes();
    [addresses, &[0, 17], &length, udp].concat()
}

fn ends(v6: bool) -> (SocketAddr, SocketAddr) {
    let (from, to) = if v6 {
        ("[fd00:80::1]:20000", "[fd00:77:1::1]:3478")
    } else {
        ("10.80.0.1:20000", "10.77.1.1:3478")
    };
    (from.parse().unwrap(), to.parse().unwrap())
}

fn stamped(v6: bool, wrapping: Wrapping, payload: usize, stamp: Stamp) -> Vec<u8> {
    let (from, to) = ends(v6);
    let filler = stamp::filler(payload);
    let template = Template::new(LINK, from, to, wrapping, &filler).unwrap();
    let stamp = stamp.to_bytes(stamp::filler_sum(payload));
    let mut frame = [0xEE; FRAME_MAX];
    let len = template.write(&mut frame, &stamp, &filler).unwrap();
    frame[..len].to_vec()
}

fn wrappings() -> [Wrapping; 4] {
    [
        Wrapping::Plain,
        Wrapping::Channel(0x4001),
        Wrapping::Send("10.90.0.1:6000".parse().unwrap()),
        Wrapping::Send("[fd00:90::1]:6000".parse().unwrap()),
    ]
}

#[test]
fn a_frame_has_the_headers_that_the_standards_say() {
    let frame = stamped(false, Wrapping::Channel(0x4001), 100, STAMP);
    assert_eq!(frame.len(), 14 + 20 + 8 + 4 + 100);
    assert_eq!(
        frame[..14],
        [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]
    );
    let ip = &frame[14..34];
    assert_eq!(ip[..10], [0x45, 0, 0, 132, 0, 0, 0x40, 0, 64, 17]);
    assert_eq!(ip[12..], [10, 80, 0, 1, 10, 77, 1, 1]);
    assert_eq!(by_the_book(ip), 0xFFFF);
    assert_eq!(frame[34..40], [0x4E, 0x20, 0x0D, 0x96, 0, 112]);
    assert_eq!(frame[42..46], [0x40, 0x01, 0, 100]);
    let frame = stamped(true, Wrapping::Plain, 100, STAMP);
    assert_eq!(frame[12..22], [0x86, 0xDD, 0x60, 0, 0, 0, 0, 108, 17, 64]);
}

#[test]
fn every_checksum_is_right_by_the_book() {
    for v6 in [false, true] {
        for wrapping in wrappings() {
            for payload in [28, 29, 100, 171, 172, 1_199, 1_200] {
                let frame = stamped(v6, wrapping, payload, STAMP);
                let sum = by_the_book(&covered(&frame));
                assert_eq!(sum, 0xFFFF, "{v6} {wrapping:?} {payload}");
                assert!(parse(&frame).unwrap().is_whole());
            }
        }
    }
}

#[test]
fn a_send_indication_reads_as_one() {
    for (payload, peer) in [(100, "10.90.0.1:6000"), (101, "[fd00:90::1]:6000")] {
        let peer = peer.parse().unwrap();
        let frame = stamped(false, Wrapping::Send(peer), payload, STAMP);
        let message = Message::parse(parse(&frame).unwrap().payload).unwrap();
        assert_eq!(
            (message.class(), message.method()),
            (Class::Indication, Method::SEND)
        );
        assert_eq!(
            message.get::<XorPeerAddress>().unwrap(),
            Some(XorPeerAddress(peer))
        );
        let data = message.get::<Data<'_>>().unwrap().unwrap().0;
        assert_eq!(data.len(), payload);
        assert_eq!(stamp::read(data), Read::Whole(STAMP));
    }
}

#[test]
fn what_is_around_data_to_a_client_is_taken_off() {
    assert_eq!(
        unwrap(&[0x40, 0x01, 0, 2, 7, 8, 0, 0]),
        Unwrapped::Channel(0x4001, &[7, 8])
    );
    let peer: SocketAddr = "10.90.0.1:6000".parse().unwrap();
    let mut buf = [0; 100];
    let mut builder = MessageBuilder::new(
        &mut buf,
        Class::Indication,
        Method::DATA,
        TransactionId([5; 12]),
    );
    builder
        .attribute(&XorPeerAddress(peer))
        .attribute(&Data(&[7, 8, 9]));
    let len = builder.finish().unwrap();
    assert_eq!(unwrap(&buf[..len]), Unwrapped::Data(peer, &[7, 8, 9]));
    for other in [
        &[][..],
        &[0x01, 0x01],
        &[0x40, 0x01, 0, 9],
        &[0x50, 0, 0, 0],
        &buf[..len - 4],
    ] {
        assert_eq!(unwrap(other), Unwrapped::Other, "{other:?}");
    }
}

#[test]
fn a_datagram_of_any_bytes_is_written_whole_and_read_back() {
    for v6 in [false, true] {
        let (from, to) = ends(v6);
        let bytes: Vec<u8> = (0..=200).collect();
        let mut frame = [0; FRAME_MAX];
        let len = write(LINK, from, to, &bytes, &mut frame).unwrap();
        let datagram = parse(&frame[..len]).unwrap();
        assert_eq!(datagram.payload, bytes);
        assert_eq!(datagram.addresses(), Some((from, to)));
        assert!(datagram.is_whole());
        assert!(Ends::new(from, to).are_of(&datagram));
        assert!(!Ends::new(to, from).are_of(&datagram));
    }
}

#[test]
fn a_checksum_that_was_left_out_is_fine_over_ipv4_only() {
    for (v6, fine) in [(false, true), (true, false)] {
        let mut frame = stamped(v6, Wrapping::Plain, 100, STAMP);
        let at = if v6 { 60 } else { 40 };
        frame[at..at + 2].fill(0);
        assert_eq!(parse(&frame).unwrap().is_whole(), fine);
    }
}

#[test]
fn frames_that_are_no_datagrams_of_ours_are_not_read() {
    let whole = stamped(false, Wrapping::Plain, 100, STAMP);
    for len in 0..whole.len() {
        assert!(parse(&whole[..len]).is_none(), "{len}");
    }
    for (at, byte) in [(12, 0x09), (14, 0x46), (23, 6)] {
        let mut other = whole.clone();
        other[at] = byte;
        assert!(parse(&other).is_none(), "byte {at}");
    }
}

#[test]
fn a_frame_that_cannot_be_made_is_refused() {
    let (v4, _) = ends(false);
    let (v6, _) = ends(true);
    let filler = stamp::filler(100);
    assert!(Template::new(LINK, v4, v6, Wrapping::Plain, &filler).is_none());
    let filler = stamp::filler(1_473);
    assert!(Template::new(LINK, v4, v4, Wrapping::Plain, &filler).is_none());
    assert!(write(LINK, v4, v4, &[0; 1_473], &mut [0; FRAME_MAX]).is_none());
}

proptest! {
    /// The incremental sum is the whole sum, whatever the stamp.
    #[test]
    fn a_stamp_keeps_the_checksum_right(
        flow: u32, due: u64, sequence: u32, run: u16, payload in 28usize..300, v6: bool,
    ) {
        let stamp = Stamp { flow, due, sequence, run, direction: stamp::TO_CLIENT };
        let frame = stamped(v6, Wrapping::Channel(0x4001), payload, stamp);
        prop_assert_eq!(by_the_book(&covered(&frame)), 0xFFFF);
        prop_assert!(parse(&frame).unwrap().is_whole());
    }

    #[test]
    fn a_wrong_byte_in_the_datagram_is_found(at in 42usize..142, flip in 1..=255u8) {
        let mut frame = stamped(false, Wrapping::Plain, 100, STAMP);
        frame[at] ^= flip;
        prop_assert!(!parse(&frame).unwrap().is_whole());
    }
}
