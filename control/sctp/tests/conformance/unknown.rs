//! Unknown chunks (RFC 9260 section 3.2): their two highest bits say what to do.

use std::time::Duration;

use turnpike_sctp::wire::{Cause, Chunk};

use crate::tester::{Tester, kinds, look, packet};

/// An unknown chunk and a DATA chunk behind it; whether the data came, and what was reported.
fn unknown_then_data(kind: u8) -> (bool, Option<Vec<u8>>) {
    let mut tester = Tester::called();
    let data = packet(0, |w| w.data(&crate::tester::data(0)));
    let unknown = [kind, 0, 0, 6, 1, 2, 0, 0];
    tester.inject_chunks(&[&unknown, &data[12..]].concat());
    tester.pass(Duration::from_millis(300));
    let mut reported = None;
    while let Some(packet) = tester.take_packet() {
        if kinds(&packet).contains(&9) {
            look(&packet, 9, |chunk| {
                let Chunk::Error(mut causes) = chunk else {
                    panic!()
                };
                let Some(Cause::UnrecognizedChunk(bytes)) = causes.next() else {
                    panic!()
                };
                reported = Some(bytes.to_vec());
            });
        }
    }
    (!tester.received.is_empty(), reported)
}

#[test]
fn unknown_chunks_are_treated_as_their_high_bits_say() {
    let bytes = |kind| Some(vec![kind, 0, 0, 6, 1, 2]);
    assert_eq!(unknown_then_data(0xFE), (true, bytes(0xFE)));
    assert_eq!(unknown_then_data(0x3E), (false, None));
    assert_eq!(unknown_then_data(0x7E), (false, bytes(0x7E)));
    assert_eq!(unknown_then_data(0xBE), (true, None));
}
