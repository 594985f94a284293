//! The writer never leaves its buffer or its limit, and a chunk is there whole or not at all.

use turnpike_sctp::wire::{
    Cause, Checksum, ChecksumRule, Chunk, DATA_HEADER, Data, HEADER_LEN, I_DATA_HEADER, InitKind,
    Packet, PacketWriter, Parameter, ReConfigParameter,
};
use turnpike_sctp::{StreamId, Tsn};

use crate::samples::{DATA, HEADER, INIT};

type Write = fn(&mut PacketWriter<'_>) -> bool;

/// Every way to add a chunk that is there whole or not at all.
const WHOLE: [Write; 12] = [
    |w| w.data(&DATA),
    |w| {
        w.data(&Data {
            is_interleaved: true,
            ..DATA
        })
    },
    |w| {
        w.init(
            InitKind::Init,
            &INIT,
            &[Parameter::SupportedExtensions(&[1, 2, 3])],
        )
    },
    |w| {
        w.init(
            InitKind::InitAck,
            &INIT,
            &[Parameter::StateCookie(&[9; 77])],
        )
    },
    |w| w.heartbeat(b"information"),
    |w| w.heartbeat_ack(b"information"),
    |w| w.shutdown(Tsn(8)),
    |w| w.shutdown_ack(),
    |w| w.cookie_echo(&[7; 77]),
    |w| w.cookie_ack(),
    |w| w.shutdown_complete(true),
    |w| {
        w.re_config(&[ReConfigParameter::AddOutgoing {
            request: 1,
            count: 2,
        }])
    },
];

/// And those that leave out what does not fit.
const CUT: [Write; 5] = [
    |w| {
        w.sack(
            Tsn(1),
            2,
            (0..50).map(|n| (2 * n + 2, 2 * n + 2)),
            &[Tsn(3); 9],
        )
    },
    |w| {
        w.abort(
            false,
            &[Cause::StaleCookie(1), Cause::UserAbort(&[b'x'; 200])],
        )
    },
    |w| w.error(&[Cause::UnrecognizedChunk(&[0xC5; 61]), Cause::OutOfResource]),
    |w| w.forward_tsn(Tsn(1), (0..50).map(|n| (StreamId(n), n))),
    |w| w.i_forward_tsn(Tsn(1), (0..50).map(|n| (StreamId(n), false, u32::from(n)))),
];

/// Writes into so many bytes of a larger buffer; the packet, and whether the chunk was added.
fn written(limit: usize, write: Write) -> Option<(Vec<u8>, bool)> {
    let mut buf = vec![0xEE; 1024];
    let mut writer = PacketWriter::new(&mut buf, limit, HEADER)?;
    let room = writer.room();
    assert!(writer.is_empty());
    let fitted = write(&mut writer);
    assert_eq!(writer.is_empty(), !fitted);
    let left = writer.room();
    let len = writer.finish(Checksum::Crc32c);
    assert!(len <= limit, "{len} bytes where {limit} are allowed");
    assert_eq!(len, HEADER_LEN + room - left);
    assert!(len.is_multiple_of(4));
    assert!(
        buf[len..].iter().all(|byte| *byte == 0xEE),
        "wrote past the packet"
    );
    buf.truncate(len);
    Some((buf, fitted))
}

#[test]
fn no_packet_is_longer_than_its_limit_and_every_one_is_right() {
    for write in WHOLE.into_iter().chain(CUT) {
        for limit in 0..400 {
            let Some((packet, fitted)) = written(limit, write) else {
                assert!(limit < HEADER_LEN);
                continue;
            };
            let packet = Packet::parse(&packet, ChecksumRule::Required).unwrap();
            assert_eq!(packet.chunks().count(), usize::from(fitted));
            for raw in packet.chunks() {
                assert!(Chunk::parse(raw.unwrap()).is_ok());
            }
        }
    }
}

#[test]
fn a_whole_chunk_fits_exactly_when_there_is_room_for_its_padding() {
    for write in WHOLE {
        let (packet, _) = written(1024, write).unwrap();
        for limit in HEADER_LEN..1024 {
            let (_, fitted) = written(limit, write).unwrap();
            assert_eq!(fitted, limit >= packet.len(), "limit {limit}");
        }
    }
}

#[test]
fn lists_are_cut_to_the_room_there_is() {
    for write in CUT {
        let (whole, _) = written(1024, write).unwrap();
        let mut longest = 0;
        for limit in HEADER_LEN..1024 {
            let (packet, _) = written(limit, write).unwrap();
            assert!(packet.len() >= longest, "less with more room");
            // No more than one entry is left out for want of room.
            assert!(packet.len() == whole.len() || packet.len() + 16 >= limit);
            longest = packet.len();
        }
        assert_eq!(longest, whole.len());
    }
}

#[test]
fn a_sack_prefers_gaps_to_duplicates() {
    let (packet, _) = written(HEADER_LEN + 16 + 4 * 52, CUT[0]).unwrap();
    let packet = Packet::parse(&packet, ChecksumRule::Required).unwrap();
    let raw = packet.chunks().next().unwrap().unwrap();
    let Ok(Chunk::Sack(sack)) = Chunk::parse(raw) else {
        panic!()
    };
    assert_eq!(sack.gap_blocks().len(), 50);
    assert_eq!(sack.duplicates().len(), 2);
}

#[test]
fn what_does_not_fit_leaves_what_is_there_alone() {
    let mut buf = [0; 64];
    let mut writer = PacketWriter::new(&mut buf, 64, HEADER).unwrap();
    assert!(writer.data(&DATA));
    let room = writer.room();
    for write in [WHOLE[3], |w| w.cookie_echo(&[1; 60])] {
        assert!(!write(&mut writer));
        assert_eq!(writer.room(), room);
    }
    assert!(writer.data(&DATA));
    assert_eq!(writer.room(), 64 - 12 - 24 - 24);
}

#[test]
fn the_headers_are_as_long_as_their_constants_say() {
    for (is_interleaved, header) in [(false, DATA_HEADER), (true, I_DATA_HEADER)] {
        let payload = [7; 8];
        let data = Data {
            is_interleaved,
            payload: &payload,
            ..DATA
        };
        let mut buf = [0; 64];
        let mut writer = PacketWriter::new(&mut buf, 64, HEADER).unwrap();
        assert!(writer.data(&data));
        assert_eq!(writer.finish(Checksum::Crc32c), HEADER_LEN + header + 8);
    }
}

#[test]
fn nothing_is_longer_than_its_length_field_can_say() {
    let huge = vec![7; 70_000];
    let mut buf = vec![0; 80_000];
    let mut writer = PacketWriter::new(&mut buf, 80_000, HEADER).unwrap();
    assert!(!writer.cookie_echo(&huge));
    assert!(!writer.cookie_echo(&huge[..65_532]));
    assert!(!writer.heartbeat(&huge[..65_528]));
    assert!(!writer.data(&Data {
        payload: &huge[..65_520],
        ..DATA
    }));
    assert!(writer.is_empty());
    assert!(writer.cookie_echo(&huge[..65_531]));
}

#[test]
fn endless_lists_end_with_the_length_field() {
    let writes: [Write; 4] = [
        |w| w.sack(Tsn(1), 2, (0..=u16::MAX).map(|n| (n, n)), &[Tsn(3); 9]),
        |w| w.forward_tsn(Tsn(1), (0..=u16::MAX).map(|n| (StreamId(n), n))),
        |w| w.i_forward_tsn(Tsn(1), (0..=u16::MAX).map(|n| (StreamId(n), true, 0))),
        |w| w.abort(false, &[Cause::ProtocolViolation(&[b'x'; 70_000])]),
    ];
    for write in writes {
        let mut buf = vec![0; 80_000];
        let mut writer = PacketWriter::new(&mut buf, 80_000, HEADER).unwrap();
        assert!(write(&mut writer));
        let len = writer.finish(Checksum::Crc32c);
        let packet = Packet::parse(&buf[..len], ChecksumRule::Required).unwrap();
        let raw = packet.chunks().next().unwrap().unwrap();
        assert!(raw.bytes.len() > 65_500);
        assert!(Chunk::parse(raw).is_ok());
    }
}
