//! RE-CONFIG (RFC 6525).

use std::time::Duration;

use turnpike_sctp::wire::{Chunk, Data, Parameter, ReConfigParameter};
use turnpike_sctp::{Event, StreamId, Tsn};

use crate::tester::{TSN, Tester, config, data, look};

const EXTENSIONS: &[Parameter<'static>] = &[Parameter::SupportedExtensions(&[130])];

/// The tester's first request number is its initial TSN (section 4.1).
const REQUEST: u32 = TSN.0;

fn resettable() -> Tester {
    let tester = Tester::called_with(config(), EXTENSIONS);
    assert!(tester.sut.negotiated().unwrap().has_stream_reset);
    tester
}

/// What the implementation says in its next RE-CONFIG.
fn next_results(tester: &mut Tester) -> Vec<(u32, u32)> {
    while let Some(packet) = tester.take_packet() {
        if crate::tester::kinds(&packet).contains(&130) {
            return look(&packet, 130, |chunk| {
                let Chunk::ReConfig(re_config) = chunk else {
                    panic!()
                };
                let results = re_config
                    .parameters()
                    .map(|parameter| match parameter.unwrap() {
                        ReConfigParameter::Response {
                            response, result, ..
                        } => (response, result),
                        other => panic!("{other:?}"),
                    });
                results.collect()
            });
        }
    }
    panic!("no RE-CONFIG was sent")
}

fn outgoing_reset(request: u32, last_tsn: Tsn, streams: &[StreamId]) -> ReConfigParameter<'_> {
    ReConfigParameter::OutgoingReset {
        request,
        response: 0,
        last_tsn,
        streams: streams.into(),
    }
}

#[test]
fn an_outgoing_reset_starts_the_ssns_anew() {
    let mut tester = resettable();
    tester.send_data(0);
    tester.send_data(1);
    tester.forget();
    let streams = [StreamId(0)];
    tester.inject(|w| w.re_config(&[outgoing_reset(REQUEST, TSN.plus(1), &streams)]));
    assert_eq!(
        next_results(&mut tester),
        [(REQUEST, ReConfigParameter::PERFORMED)]
    );
    assert!(
        tester
            .take_events()
            .contains(&Event::IncomingStreamsReset(streams.to_vec()))
    );
    tester.inject(|w| {
        w.data(&Data {
            message: 0,
            ..data(2)
        })
    });
    assert_eq!(tester.received.len(), 3);
}

#[test]
fn a_reset_waits_for_what_was_sent_before_it() {
    let mut tester = resettable();
    let streams = [StreamId(0)];
    tester.inject(|w| w.re_config(&[outgoing_reset(REQUEST, TSN.plus(1), &streams)]));
    assert_eq!(
        next_results(&mut tester),
        [(REQUEST, ReConfigParameter::IN_PROGRESS)]
    );
    tester.send_data(0);
    tester.send_data(1);
    tester.forget();
    tester.inject(|w| w.re_config(&[outgoing_reset(REQUEST, TSN.plus(1), &streams)]));
    assert_eq!(
        next_results(&mut tester),
        [(REQUEST, ReConfigParameter::PERFORMED)]
    );
    assert_eq!(tester.received.len(), 2);
}

#[test]
fn a_request_that_comes_again_gets_the_same_answer_and_nothing_more() {
    let mut tester = resettable();
    let streams = [StreamId(0)];
    for _ in 0..3 {
        tester.inject(|w| w.re_config(&[outgoing_reset(REQUEST, TSN.previous(), &streams)]));
        assert_eq!(
            next_results(&mut tester),
            [(REQUEST, ReConfigParameter::PERFORMED)]
        );
    }
    let resets = tester
        .take_events()
        .into_iter()
        .filter(|event| matches!(event, Event::IncomingStreamsReset(_)))
        .count();
    assert_eq!(resets, 1);
}

#[test]
fn a_request_out_of_its_turn_is_refused() {
    let mut tester = resettable();
    let streams = [StreamId(0)];
    tester.inject(|w| w.re_config(&[outgoing_reset(REQUEST + 5, TSN.previous(), &streams)]));
    let refused = [(REQUEST + 5, ReConfigParameter::BAD_SEQUENCE_NUMBER)];
    assert_eq!(next_results(&mut tester), refused);
}

#[test]
fn a_reset_of_all_streams_names_none() {
    let mut tester = resettable();
    tester.inject(|w| w.re_config(&[outgoing_reset(REQUEST, TSN.previous(), &[])]));
    assert_eq!(
        next_results(&mut tester),
        [(REQUEST, ReConfigParameter::PERFORMED)]
    );
    assert!(
        tester
            .take_events()
            .contains(&Event::IncomingStreamsReset(vec![]))
    );
}

#[test]
fn a_reset_of_streams_that_are_not_there_is_refused() {
    let mut tester = resettable();
    let streams = [StreamId(4_000)];
    tester.inject(|w| w.re_config(&[outgoing_reset(REQUEST, TSN.previous(), &streams)]));
    let results = next_results(&mut tester);
    assert_eq!(results, [(REQUEST, ReConfigParameter::WRONG_SSN)]);
}

#[test]
fn more_streams_of_the_peer_are_taken() {
    let mut tester = resettable();
    let more = [ReConfigParameter::AddOutgoing {
        request: REQUEST,
        count: 5,
    }];
    tester.inject(|w| w.re_config(&more));
    let results = next_results(&mut tester);
    assert_eq!(results[0].0, REQUEST);
    if results[0].1 == ReConfigParameter::PERFORMED {
        tester.inject(|w| {
            w.data(&Data {
                stream: StreamId(14),
                message: 0,
                ..data(0)
            })
        });
        assert_eq!(tester.received.len(), 1);
    } else {
        assert_eq!(results[0].1, ReConfigParameter::DENIED);
    }
}

#[test]
fn our_reset_is_sent_again_until_it_is_answered() {
    let mut tester = resettable();
    let streams = [StreamId(2)];
    tester.sut.reset_streams(tester.now, &streams).unwrap();
    tester.settle();
    let request = look(&tester.next_packet(), 130, |chunk| {
        let Chunk::ReConfig(re_config) = chunk else {
            panic!()
        };
        match re_config.parameters().next() {
            Some(Ok(ReConfigParameter::OutgoingReset {
                request,
                streams: named,
                ..
            })) => {
                assert!(named.eq(streams));
                request
            }
            other => panic!("{other:?}"),
        }
    });
    tester.pass(Duration::from_secs(3));
    tester.expect(130);
    tester.forget();
    let performed = [ReConfigParameter::Response {
        response: request,
        result: ReConfigParameter::PERFORMED,
        next_tsns: None,
    }];
    tester.inject(|w| w.re_config(&performed));
    assert!(
        tester
            .take_events()
            .contains(&Event::OutgoingStreamsReset(streams.to_vec()))
    );
    tester.pass(Duration::from_secs(30));
    tester.expect_silence();
}

#[test]
fn an_answer_to_no_request_is_ignored() {
    let mut tester = resettable();
    let stray = [ReConfigParameter::Response {
        response: 12_345,
        result: ReConfigParameter::PERFORMED,
        next_tsns: Some((Tsn(1), Tsn(2))),
    }];
    tester.inject(|w| w.re_config(&stray));
    assert!(tester.take_events().is_empty());
    tester.send_data(0);
    assert_eq!(tester.received.len(), 1);
}
