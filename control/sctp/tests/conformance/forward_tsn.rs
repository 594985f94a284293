//! FORWARD TSN (RFC 3758) and I-FORWARD-TSN (RFC 8260 section 2.3), as nplab's suite has them.

use std::time::Duration;

use turnpike_sctp::wire::{Chunk, Data, Parameter};
use turnpike_sctp::{Outgoing, Ppid, Reliability, State, StreamId};

use crate::tester::{TSN, Tester, config, data, kinds, look};

const PARTIAL: &[Parameter<'static>] = &[Parameter::ForwardTsnSupported];
const INTERLEAVED: &[Parameter<'static>] = &[
    Parameter::ForwardTsnSupported,
    Parameter::SupportedExtensions(&[64, 192, 194]),
];

fn partial() -> Tester {
    Tester::called_with(config(), PARTIAL)
}

/// The cumulative TSN ack of the next SACK.
fn acknowledged(tester: &mut Tester) -> u32 {
    tester.pass(Duration::from_millis(300));
    let mut last = None;
    while let Some(packet) = tester.take_packet() {
        if kinds(&packet).contains(&3) {
            look(&packet, 3, |chunk| {
                let Chunk::Sack(sack) = chunk else { panic!() };
                last = Some(sack.cumulative_tsn_ack.offset_from(TSN));
            });
        }
    }
    last.unwrap()
}

fn forward(tester: &mut Tester, number: u32, streams: &[(StreamId, u16)]) {
    let streams = streams.to_vec();
    tester.inject(|w| w.forward_tsn(TSN.plus(number), streams.into_iter()));
}

#[test]
fn the_offer_is_made_and_taken() {
    let tester = partial();
    assert!(tester.sut.negotiated().unwrap().has_partial_reliability);
    let tester = Tester::called();
    assert!(!tester.sut.negotiated().unwrap().has_partial_reliability);
}

#[test]
fn what_is_skipped_need_not_come() {
    let mut tester = partial();
    tester.send_data(1);
    assert!(tester.received.is_empty());
    forward(&mut tester, 0, &[(StreamId(0), 0)]);
    assert_eq!(tester.received.len(), 1);
    assert_eq!(acknowledged(&mut tester), 1);
}

#[test]
fn what_has_come_whole_is_delivered_when_a_later_one_is_skipped() {
    let mut tester = partial();
    tester.send_data(1);
    tester.send_data(2);
    forward(&mut tester, 3, &[(StreamId(0), 3)]);
    assert_eq!(tester.received.len(), 2, "skipping is not dropping");
    tester.send_data(4);
    assert_eq!(tester.received.len(), 3);
}

#[test]
fn a_skipped_message_takes_its_fragments_with_it() {
    let mut tester = partial();
    tester.inject(|w| {
        w.data(&Data {
            is_end: false,
            ..data(0)
        })
    });
    tester.inject(|w| {
        w.data(&Data {
            is_begin: false,
            is_end: false,
            message: 0,
            ..data(1)
        })
    });
    forward(&mut tester, 2, &[(StreamId(0), 0)]);
    tester.inject(|w| {
        w.data(&Data {
            message: 1,
            ..data(3)
        })
    });
    assert_eq!(tester.received.len(), 1);
    assert!(tester.received[0].is_begin && tester.received[0].is_end);
}

#[test]
fn unordered_messages_are_skipped_without_a_stream() {
    let mut tester = partial();
    tester.inject(|w| {
        w.data(&Data {
            is_unordered: true,
            is_end: false,
            ..data(0)
        })
    });
    forward(&mut tester, 1, &[]);
    tester.inject(|w| {
        w.data(&Data {
            is_unordered: true,
            ..data(2)
        })
    });
    assert_eq!(tester.received.len(), 1);
    assert_eq!(acknowledged(&mut tester), 2);
}

#[test]
fn an_old_forward_tsn_is_only_acknowledged() {
    let mut tester = partial();
    tester.send_data(0);
    tester.send_data(1);
    tester.forget();
    forward(&mut tester, 0, &[(StreamId(0), 0)]);
    assert_eq!(acknowledged(&mut tester), 1);
    tester.send_data(2);
    assert_eq!(tester.received.len(), 3);
}

#[test]
fn data_that_was_skipped_and_comes_late_is_a_duplicate() {
    let mut tester = partial();
    forward(&mut tester, 1, &[(StreamId(0), 1)]);
    tester.send_data(0);
    tester.send_data(1);
    assert!(tester.received.is_empty());
    tester.send_data(2);
    assert_eq!(tester.received.len(), 1);
}

#[test]
fn a_giant_step_costs_no_more_than_a_small_one() {
    let mut tester = partial();
    forward(&mut tester, 0x7000_0000, &[]);
    // Nobody can have sent that much: it may be refused, as long as it is quick.
    assert!([u32::MAX, 0x7000_0000].contains(&acknowledged(&mut tester)));
    assert_eq!(tester.sut.state(), State::Established);
}

#[test]
fn streams_that_are_not_there_do_no_harm() {
    let mut tester = partial();
    forward(
        &mut tester,
        0,
        &[(StreamId(4_000), 7), (StreamId(0), 0), (StreamId(0), 0)],
    );
    tester.send_data(1);
    assert_eq!(tester.received.len(), 1);
}

#[test]
fn a_forward_tsn_of_a_wrong_length_is_no_step() {
    let mut tester = partial();
    tester.inject_chunks(&[192, 0, 0, 6, 0, 0, 0, 0]);
    tester.inject_chunks(&[192, 0, 0, 10, 0, 0, 3, 0xF0, 0, 0, 0, 0]);
    if tester.closed().is_none() {
        tester.send_data(0);
        assert_eq!(tester.received.len(), 1);
    }
}

#[test]
fn what_we_give_up_is_skipped_and_named() {
    let mut tester = partial();
    let message = Outgoing {
        reliability: Reliability::Retransmissions(0),
        ..Outgoing::new(StreamId(3), Ppid(53), vec![1; 100].into())
    };
    tester.sut.send(tester.now, message).unwrap();
    tester.settle();
    tester.expect_kinds(&[0]);
    tester.pass(Duration::from_secs(5));
    let packet = std::iter::from_fn(|| tester.take_packet())
        .find(|packet| kinds(packet).contains(&192))
        .unwrap();
    let tsn = tester.sut_tsn;
    look(&packet, 192, |chunk| {
        let Chunk::ForwardTsn(forward) = chunk else {
            panic!()
        };
        assert_eq!(forward.new_cumulative_tsn, tsn);
        assert!(forward.streams().eq([(StreamId(3), 0)]));
    });
}

#[test]
fn a_forward_tsn_is_sent_again_until_it_is_acknowledged() {
    let mut tester = partial();
    let message = Outgoing {
        reliability: Reliability::Retransmissions(0),
        ..Outgoing::new(StreamId(3), Ppid(53), vec![1; 100].into())
    };
    tester.sut.send(tester.now, message).unwrap();
    tester.settle();
    tester.pass(Duration::from_secs(15));
    let count = std::iter::from_fn(|| tester.next_kinds())
        .filter(|kinds| kinds.contains(&192))
        .count();
    assert!(count > 1, "sent {count} times");
    tester.sack(1, 100_000);
    tester.forget();
    tester.pass(Duration::from_secs(60));
    tester.expect_silence();
}

fn interleaved() -> Tester {
    let tester = Tester::called_with(config(), INTERLEAVED);
    assert!(tester.sut.negotiated().unwrap().has_interleaving);
    tester
}

#[test]
fn fragments_of_two_messages_may_alternate() {
    let mut tester = interleaved();
    for (number, stream, fragment) in [(0, 1, 0), (1, 2, 0), (2, 1, 1), (3, 2, 1)] {
        tester.inject(|w| {
            w.data(&Data {
                is_interleaved: true,
                stream: StreamId(stream),
                message: 0,
                fragment,
                ppid: Ppid(if fragment == 0 { 53 } else { 0 }),
                is_begin: fragment == 0,
                is_end: fragment == 1,
                payload: &[u8::try_from(stream).unwrap(); 10],
                ..data(number)
            })
        });
    }
    let payloads: Vec<_> = tester
        .received
        .iter()
        .map(|got| got.payload.to_vec())
        .collect();
    assert_eq!(payloads, [vec![1; 20], vec![2; 20]]);
}

#[test]
fn an_i_forward_tsn_skips_ordered_and_unordered_alike() {
    let mut tester = interleaved();
    for (number, is_unordered) in [(0, false), (1, true)] {
        tester.inject(|w| {
            let half = Data {
                is_interleaved: true,
                is_end: false,
                is_unordered,
                message: 0,
                ..data(number)
            };
            w.data(&half)
        });
    }
    let streams = [(StreamId(0), false, 0), (StreamId(0), true, 0)];
    tester.inject(|w| w.i_forward_tsn(TSN.plus(3), streams.into_iter()));
    for (number, is_unordered) in [(4, false), (5, true)] {
        tester.inject(|w| {
            w.data(&Data {
                is_interleaved: true,
                is_unordered,
                message: 1,
                ..data(number)
            })
        });
    }
    assert_eq!(tester.received.len(), 2);
    assert_eq!(acknowledged(&mut tester), 5);
}

#[test]
fn data_where_i_data_was_agreed_is_a_violation() {
    let mut tester = interleaved();
    tester.send_data(0);
    assert!(tester.received.is_empty());
    let mut tester = Tester::called();
    tester.inject(|w| {
        w.data(&Data {
            is_interleaved: true,
            ..data(0)
        })
    });
    assert!(tester.received.is_empty());
}

#[test]
fn we_send_i_data_where_it_was_agreed() {
    let mut tester = interleaved();
    tester.send(3_000);
    for fragment in 0..3 {
        look(&tester.next_packet(), 64, |chunk| {
            let Chunk::Data(data) = chunk else { panic!() };
            assert_eq!((data.message, data.fragment), (0, fragment));
            assert_eq!(data.ppid, Ppid(if fragment == 0 { 53 } else { 0 }));
        });
    }
}
