//! Data transfer (RFC 9260 section 6).

use std::time::Duration;

use turnpike_sctp::wire::{Chunk, Data};
use turnpike_sctp::{Ppid, StreamId, Tsn};

use crate::tester::{TSN, Tester, data, kinds, look};

#[test]
fn a_message_that_fits_is_one_chunk() {
    let mut tester = Tester::called();
    tester.send(500);
    let packet = tester.next_packet();
    let tsn = tester.sut_tsn;
    look(&packet, 0, |chunk| {
        let Chunk::Data(data) = chunk else { panic!() };
        assert!(data.is_begin && data.is_end && data.tsn == tsn);
        assert_eq!(data.payload, [b'x'; 500]);
    });
}

#[test]
fn a_message_that_does_not_fit_is_fragments_in_order() {
    let mut tester = Tester::called();
    tester.send(3_000);
    let mut expected = tester.sut_tsn;
    let mut bytes = 0;
    for (is_begin, is_end) in [(true, false), (false, false), (false, true)] {
        let packet = tester.next_packet();
        look(&packet, 0, |chunk| {
            let Chunk::Data(data) = chunk else { panic!() };
            assert_eq!((data.is_begin, data.is_end), (is_begin, is_end));
            assert_eq!((data.tsn, data.message), (expected, 0));
            bytes += data.payload.len();
        });
        expected = expected.next();
    }
    assert_eq!(bytes, 3_000);
}

#[test]
fn fragments_become_the_message_in_any_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut tester = Tester::called();
        for number in order {
            let payload: &[u8] = [b"on".as_slice(), b"e me", b"ssage"][number as usize];
            tester.inject(|w| {
                w.data(&Data {
                    message: 0,
                    is_begin: number == 0,
                    is_end: number == 2,
                    payload,
                    ..data(number)
                })
            });
        }
        assert_eq!(tester.received.len(), 1);
        assert_eq!(tester.received[0].payload, b"one message".as_slice());
    }
}

#[test]
fn ordered_messages_wait_for_each_other_on_their_stream_alone() {
    let mut tester = Tester::called();
    tester.inject(|w| {
        w.data(&Data {
            message: 1,
            ..data(1)
        })
    });
    assert!(tester.received.is_empty());
    tester.inject(|w| {
        w.data(&Data {
            stream: StreamId(5),
            message: 0,
            ..data(2)
        })
    });
    assert_eq!(tester.received.len(), 1);
    tester.inject(|w| {
        w.data(&Data {
            is_unordered: true,
            ..data(3)
        })
    });
    assert_eq!(tester.received.len(), 2);
    tester.send_data(0);
    assert_eq!(tester.received.len(), 4);
}

#[test]
fn a_duplicate_is_reported_and_not_delivered() {
    let mut tester = Tester::called();
    tester.send_data(0);
    tester.send_data(1);
    tester.forget();
    tester.send_data(1);
    assert_eq!(tester.received.len(), 2);
    let sack = tester.next_packet();
    look(&sack, 3, |chunk| {
        let Chunk::Sack(sack) = chunk else { panic!() };
        assert_eq!(sack.cumulative_tsn_ack, TSN.plus(1));
        assert!(sack.duplicates().eq([TSN.plus(1)]));
    });
}

#[test]
fn a_closed_window_lets_one_chunk_out_and_no_more() {
    let mut tester = Tester::called();
    tester.send(1_000);
    tester.forget();
    tester.sack(1, 0);
    tester.send(1_000);
    tester.send(1_000);
    let probe = tester.next_packet();
    assert_eq!(kinds(&probe), [0]);
    tester.expect_silence();
    tester.sack(2, 100_000);
    tester.expect_kinds(&[0]);
}

#[test]
fn a_window_that_stays_closed_is_probed_and_the_peer_not_given_up() {
    let mut tester = Tester::called();
    tester.send(3_000);
    tester.forget();
    for _ in 0..30 {
        tester.sack(1, 0);
        tester.pass(Duration::from_secs(20));
    }
    assert_eq!(tester.closed(), None);
    tester.forget();
    tester.sack(1, 100_000);
    tester.pass(Duration::from_secs(100));
    tester.expect(0);
}

#[test]
fn an_old_sack_is_ignored() {
    let mut tester = Tester::called();
    tester.send(1_000);
    tester.sack(1, 100_000);
    tester.send(1_000);
    tester.forget();
    let old = tester.sut_tsn.previous();
    tester.inject(|w| w.sack(old, 100_000, [(2, 2)].into_iter(), &[]));
    tester.pass(Duration::from_secs(5));
    tester.expect(0);
}

#[test]
fn a_sack_of_what_was_never_sent_does_no_harm() {
    let mut tester = Tester::called();
    tester.send(1_000);
    tester.forget();
    let ahead = tester.sut_tsn.plus(1_000);
    tester.inject(|w| w.sack(ahead, 100_000, [].into_iter(), &[]));
    let tsn = tester.sut_tsn;
    tester.inject(|w| w.sack(tsn.previous(), 100_000, [(500, 0xFFFF)].into_iter(), &[]));
    tester.inject(|w| w.sack(tsn.previous(), 100_000, [(9, 2), (0, 0)].into_iter(), &[]));
    if tester.closed().is_none() {
        tester.pass(Duration::from_secs(5));
        tester.expect(0);
    }
}

#[test]
fn tsns_go_on_after_the_largest() {
    let mut tester = Tester::new(crate::tester::config());
    let last = turnpike_sctp::wire::InitFields {
        initial_tsn: Tsn(u32::MAX - 1),
        ..crate::tester::INIT
    };
    let cookie = tester.init(&last, &[]);
    tester.inject(|w| w.cookie_echo(&cookie));
    for number in 0..5 {
        tester.inject(|w| {
            w.data(&Data {
                tsn: Tsn(u32::MAX - 1).plus(number),
                message: number,
                ppid: Ppid(number),
                ..data(0)
            })
        });
    }
    let ppids: Vec<u32> = tester.received.iter().map(|got| got.ppid.0).collect();
    assert_eq!(ppids, [0, 1, 2, 3, 4]);
}

#[test]
fn ssns_go_on_after_the_largest() {
    let mut tester = Tester::called();
    for number in 0..66_000_u32 {
        tester.inject(|w| {
            w.data(&Data {
                message: number & 0xFFFF,
                ..data(number)
            })
        });
        tester.forget();
    }
    assert_eq!(tester.received.len(), 66_000);
}
