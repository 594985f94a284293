//! RE-CONFIG (RFC 6525).

use std::time::Duration;

use turnpike_sctp::wire::{ChecksumRule, Chunk, Data, Packet, Parameter, ReConfigParameter};
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

/// What the implementation's next request is, and its number.
fn next_request(tester: &mut Tester) -> (u32, String) {
    loop {
        let packet = tester.next_packet();
        let packet = Packet::parse(&packet, ChecksumRule::Required).unwrap();
        let mut parameters = Vec::new();
        for raw in packet.chunks() {
            if let Ok(Chunk::ReConfig(re_config)) = Chunk::parse(raw.unwrap()) {
                parameters.extend(re_config.parameters().map(Result::unwrap));
            }
        }
        let request = parameters.iter().find_map(|parameter| match parameter {
            ReConfigParameter::SsnTsnReset { request } => Some((*request, "anew".into())),
            ReConfigParameter::AddOutgoing { request, count } => {
                Some((*request, format!("{count} outgoing")))
            }
            ReConfigParameter::AddIncoming { request, count } => {
                Some((*request, format!("{count} incoming")))
            }
            _ => None,
        });
        if let Some(request) = request {
            return request;
        }
    }
}

fn answer(tester: &mut Tester, response: u32, result: u32, next_tsns: Option<(Tsn, Tsn)>) {
    let answer = [ReConfigParameter::Response {
        response,
        result,
        next_tsns,
    }];
    tester.inject(|w| w.re_config(&answer));
}

/// The TSN and SSN of the implementation's next DATA.
fn next_data(tester: &mut Tester) -> (Tsn, u32) {
    loop {
        let packet = tester.next_packet();
        if crate::tester::kinds(&packet).contains(&0) {
            return look(&packet, 0, |chunk| match chunk {
                Chunk::Data(data) => (data.tsn, data.message),
                other => panic!("{other:?}"),
            });
        }
    }
}

fn ask_to_start_anew(tester: &mut Tester) {
    tester.forget();
    tester.inject(|w| w.re_config(&[ReConfigParameter::SsnTsnReset { request: REQUEST }]));
}

/// What the implementation answers to a wish that everything start anew.
fn next_tsns(tester: &mut Tester) -> (u32, Option<(Tsn, Tsn)>) {
    let packet = tester.next_packet();
    look(&packet, 130, |chunk| {
        let Chunk::ReConfig(re_config) = chunk else {
            panic!()
        };
        match re_config.parameters().next() {
            Some(Ok(ReConfigParameter::Response {
                response,
                result,
                next_tsns,
            })) if response == REQUEST => (result, next_tsns),
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn everything_starts_anew_when_the_peer_asks() {
    let mut tester = resettable();
    tester.send_data(0);
    tester.inject(|w| {
        w.data(&Data {
            message: 7,
            ..data(2)
        })
    });
    tester.send(10);
    tester.sack(1, 100_000);
    ask_to_start_anew(&mut tester);
    let (result, tsns) = next_tsns(&mut tester);
    assert_eq!(result, ReConfigParameter::PERFORMED);
    let (sut_next, own_next) = tsns.unwrap();
    assert_eq!(own_next, TSN.plus(1).plus(1 << 31), "the first one missing");
    assert!(
        sut_next.is_before(tester.sut_tsn),
        "old to whoever has no answer"
    );
    let before: Vec<u32> = tester.received.iter().map(|it| it.ppid.0).collect();
    assert_eq!(before.len(), 2, "what is whole is delivered");
    assert_eq!(tester.take_events().last(), Some(&Event::AssociationReset));
    ask_to_start_anew(&mut tester);
    assert_eq!(next_tsns(&mut tester), (result, tsns), "asked again");
    tester.inject(|w| {
        w.data(&Data {
            tsn: own_next,
            ..data(0)
        })
    });
    assert_eq!(tester.received.len(), 3);
    tester.forget();
    tester.send(10);
    assert_eq!(next_data(&mut tester), (sut_next, 0));
    let told = tester.take_events().contains(&Event::AssociationReset);
    assert!(!told, "told twice");
}

#[test]
fn starting_anew_is_put_off_while_data_is_on_its_way_to_the_peer() {
    let mut tester = resettable();
    tester.send(10);
    ask_to_start_anew(&mut tester);
    tester.expect_silence();
    ask_to_start_anew(&mut tester);
    let put_off = (ReConfigParameter::IN_PROGRESS, None);
    assert_eq!(next_tsns(&mut tester), put_off);
    tester.sack(1, 100_000);
    assert_eq!(next_tsns(&mut tester).0, ReConfigParameter::PERFORMED);
}

#[test]
fn we_ask_that_everything_start_anew_once_all_is_acknowledged() {
    let mut tester = resettable();
    tester.send(10);
    tester.sut.reset_association(tester.now).unwrap();
    tester.settle();
    assert_eq!(tester.next_kinds(), Some(vec![0]));
    tester.expect_silence();
    tester.sack(1, 100_000);
    let (request, wish) = next_request(&mut tester);
    assert_eq!(wish, "anew");
    answer(&mut tester, request, ReConfigParameter::IN_PROGRESS, None);
    tester.pass(Duration::from_secs(3));
    assert_eq!(next_request(&mut tester), (request, wish), "asked again");
    tester.take_events();
    let tsns = Some((Tsn(70_000), Tsn(90_000)));
    answer(&mut tester, request, ReConfigParameter::PERFORMED, tsns);
    assert_eq!(tester.take_events(), [Event::AssociationReset]);
    tester.inject(|w| {
        w.data(&Data {
            tsn: Tsn(70_000),
            ..data(0)
        })
    });
    assert_eq!(tester.received.len(), 1);
    tester.forget();
    tester.send(10);
    assert_eq!(next_data(&mut tester), (Tsn(90_000), 0));
}

#[test]
fn a_peer_that_will_not_start_anew_is_left_as_it_is() {
    let mut tester = resettable();
    tester.sut.reset_association(tester.now).unwrap();
    tester.settle();
    let (request, _) = next_request(&mut tester);
    answer(&mut tester, request, ReConfigParameter::DENIED, None);
    assert_eq!(tester.take_events(), [Event::ResetRefused(vec![])]);
    tester.send(10);
    assert_eq!(next_data(&mut tester), (tester.sut_tsn, 0));
}

#[test]
fn having_started_anew_without_saying_where_is_a_violation() {
    let mut tester = resettable();
    tester.sut.reset_association(tester.now).unwrap();
    tester.settle();
    let (request, _) = next_request(&mut tester);
    answer(&mut tester, request, ReConfigParameter::PERFORMED, None);
    tester.expect(6);
}

#[test]
fn more_streams_are_asked_for_and_used_once_granted() {
    let mut tester = resettable();
    tester.sut.add_streams(tester.now, 3, 4).unwrap();
    tester.settle();
    let (request, wish) = next_request(&mut tester);
    assert_eq!(wish, "3 outgoing");
    answer(&mut tester, request, ReConfigParameter::PERFORMED, None);
    let more = Event::StreamsAdded {
        outgoing: 13,
        incoming: 10,
    };
    assert_eq!(tester.take_events(), [more]);
    let (request, wish) = next_request(&mut tester);
    assert_eq!(wish, "4 incoming");
    answer(&mut tester, request, ReConfigParameter::DENIED, None);
    assert_eq!(tester.take_events(), [Event::AddStreamsRefused]);
    assert_eq!(tester.sut.negotiated().unwrap().outgoing_streams, 13);
}

#[test]
fn a_peer_that_wants_us_to_send_on_more_streams_is_asked_for_them() {
    let mut tester = resettable();
    let more = [ReConfigParameter::AddIncoming {
        request: REQUEST,
        count: 2,
    }];
    tester.inject(|w| w.re_config(&more));
    let (request, wish) = next_request(&mut tester);
    assert_eq!(wish, "2 outgoing");
    answer(&mut tester, request, ReConfigParameter::PERFORMED, None);
    assert_eq!(tester.sut.negotiated().unwrap().outgoing_streams, 12);
}
