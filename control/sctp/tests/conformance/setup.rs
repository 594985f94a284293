//! Association set-up (RFC 9260 section 5).

use std::time::Duration;

use turnpike_sctp::wire::{Chunk, InitFields, InitKind, Parameter};
use turnpike_sctp::{CloseReason, Config, Event, State};

use crate::tester::{
    INIT, NOTHING, TESTER_TAG, Tester, cause_codes, config, header, is_reflected, look,
};

const COOKIE: Parameter<'static> = Parameter::StateCookie(b"cookie");

#[test]
fn a_caller_goes_through_cookie_wait_and_cookie_echoed() {
    let mut tester = Tester::new(config());
    tester.call();
    assert_eq!(tester.sut.state(), State::CookieWait);
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    assert_eq!(tester.sut.state(), State::CookieEchoed);
    let echo = tester.next_packet();
    assert_eq!(header(&echo).verification_tag, TESTER_TAG);
    look(&echo, 10, |chunk| {
        assert!(matches!(chunk, Chunk::CookieEcho(b"cookie")))
    });
    tester.inject(|w| w.cookie_ack());
    assert_eq!(tester.sut.state(), State::Established);
    assert_eq!(tester.take_events(), [Event::Connected]);
}

#[test]
fn whoever_is_called_keeps_nothing_of_an_init() {
    let mut tester = Tester::new(config());
    let cookie = tester.init(&INIT, NOTHING);
    assert_eq!(tester.sut.state(), State::Closed);
    assert_eq!(tester.sut.poll_timeout(), None);
    tester.inject(|w| w.cookie_echo(&cookie));
    tester.expect_kinds(&[11]);
    assert_eq!(tester.sut.state(), State::Established);
}

#[test]
fn an_unanswered_init_is_sent_again_and_given_up_at_last() {
    let attempts = Config {
        init_retransmissions_max: 3,
        ..config()
    };
    let mut tester = Tester::new(attempts);
    tester.call();
    tester.pass(Duration::from_secs(200));
    for _ in 0..3 {
        tester.expect_kinds(&[1]);
    }
    tester.expect_silence();
    assert_eq!(tester.closed(), Some(CloseReason::HandshakeTimedOut));
}

#[test]
fn a_late_answer_to_an_init_still_counts() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.pass(Duration::from_millis(1_500));
    tester.expect_kinds(&[1]);
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    tester.expect_kinds(&[10]);
}

#[test]
fn an_unanswered_cookie_echo_is_sent_again_and_given_up_at_last() {
    let attempts = Config {
        init_retransmissions_max: 3,
        ..config()
    };
    let mut tester = Tester::new(attempts);
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    tester.pass(Duration::from_secs(200));
    for _ in 0..4 {
        tester.expect_kinds(&[10]);
    }
    assert_eq!(tester.closed(), Some(CloseReason::HandshakeTimedOut));
}

#[test]
fn a_late_cookie_ack_still_counts() {
    let mut tester = Tester::new(config());
    tester.call();
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &[COOKIE]));
    tester.pass(Duration::from_millis(1_500));
    tester.inject(|w| w.cookie_ack());
    assert_eq!(tester.take_events(), [Event::Connected]);
}

#[test]
fn initiate_tags_are_not_zero_and_not_alike() {
    let mut tags = Vec::new();
    for _ in 0..20 {
        let mut tester = Tester::called();
        assert_ne!(tester.tag, 0);
        let first = tester.tag;
        tester.init(
            &InitFields {
                initiate_tag: 77,
                ..INIT
            },
            NOTHING,
        );
        assert_ne!(tester.tag, first, "the answer to another INIT");
        tags.push(tester.tag);
    }
    assert!(tags.iter().all(|tag| *tag != 0));
}

#[test]
fn addresses_and_a_cookie_preservative_do_not_hinder() {
    let parameters = [
        Parameter::CookiePreservative(12_345),
        Parameter::SupportedAddressTypes(&[0, 5, 0, 6]),
        Parameter::Ipv6Address(1_u128.into()),
        Parameter::Ipv4Address([192, 0, 2, 1].into()),
    ];
    Tester::called_with(config(), &parameters);
}

#[test]
fn no_more_streams_are_used_than_the_peer_takes() {
    let mut tester = Tester::new(config());
    let few = InitFields {
        inbound_streams: 1,
        outbound_streams: 100,
        ..INIT
    };
    let cookie = tester.init(&few, NOTHING);
    tester.inject(|w| w.cookie_echo(&cookie));
    let negotiated = tester.sut.negotiated().unwrap();
    assert_eq!(
        (negotiated.outgoing_streams, negotiated.incoming_streams),
        (1, 10)
    );
}

#[test]
fn no_more_streams_are_used_than_the_answer_takes() {
    let mut tester = Tester::new(config());
    tester.call();
    let few = InitFields {
        inbound_streams: 2,
        outbound_streams: 3,
        ..INIT
    };
    tester.inject(|w| w.init(InitKind::InitAck, &few, &[COOKIE]));
    tester.inject(|w| w.cookie_ack());
    let negotiated = tester.sut.negotiated().unwrap();
    assert_eq!(
        (negotiated.outgoing_streams, negotiated.incoming_streams),
        (2, 3)
    );
}

#[test]
fn an_init_without_streams_or_tag_is_aborted() {
    let impossible = [
        InitFields {
            outbound_streams: 0,
            ..INIT
        },
        InitFields {
            inbound_streams: 0,
            ..INIT
        },
    ];
    for fields in impossible {
        let mut tester = Tester::new(config());
        tester.inject_with_tag(0, |w| w.init(InitKind::Init, &fields, NOTHING));
        let abort = tester.next_packet();
        assert_eq!(header(&abort).verification_tag, TESTER_TAG);
        assert_eq!(cause_codes(&abort), [7]);
    }
    let mut tester = Tester::new(config());
    let untagged = InitFields {
        initiate_tag: 0,
        ..INIT
    };
    tester.inject_with_tag(0, |w| w.init(InitKind::Init, &untagged, NOTHING));
    // RFC 9260 section 3.3.2 wants silence where older standards wanted an ABORT.
    tester.expect_silence();
}

#[test]
fn an_init_ack_without_streams_or_tag_ends_the_attempt() {
    let impossible = [
        InitFields {
            outbound_streams: 0,
            ..INIT
        },
        InitFields {
            inbound_streams: 0,
            ..INIT
        },
        InitFields {
            initiate_tag: 0,
            ..INIT
        },
    ];
    for fields in impossible {
        let mut tester = Tester::new(config());
        tester.call();
        tester.inject(|w| w.init(InitKind::InitAck, &fields, &[COOKIE]));
        assert_eq!(tester.sut.state(), State::Closed);
        assert!(tester.closed().is_some());
        if fields.initiate_tag != 0 {
            assert_eq!(cause_codes(&tester.next_packet()), [7]);
        }
    }
}

/// Sends an INIT with an unknown parameter before Forward TSN Supported; what the INIT ACK reports,
/// and whether it saw what followed.
fn init_with_unknown(kind: u16) -> (Vec<Vec<u8>>, bool) {
    let [high, low] = kind.to_be_bytes();
    let unknown = [high, low, 0, 8, 1, 2, 3, 4];
    let parameters = [
        Parameter::Unknown {
            kind,
            bytes: &unknown,
        },
        Parameter::ForwardTsnSupported,
    ];
    let mut tester = Tester::new(config());
    tester.inject_with_tag(0, |w| w.init(InitKind::Init, &INIT, &parameters));
    let answer = tester.next_packet();
    let mut reported = Vec::new();
    let mut cookie = Vec::new();
    look(&answer, 2, |chunk| {
        let Chunk::InitAck(init) = chunk else {
            panic!()
        };
        for parameter in init.parameters() {
            match parameter.unwrap() {
                Parameter::UnrecognizedParameter(bytes) => reported.push(bytes.to_vec()),
                Parameter::StateCookie(bytes) => cookie = bytes.to_vec(),
                _ => {}
            }
        }
        tester.tag = init.fields.initiate_tag;
    });
    tester.inject(|w| w.cookie_echo(&cookie));
    let negotiated = tester.sut.negotiated().unwrap();
    (reported, negotiated.has_partial_reliability)
}

#[test]
fn unknown_parameters_are_treated_as_their_high_bits_say() {
    let bytes = |high| vec![vec![high, 0x3F, 0, 8, 1, 2, 3, 4]];
    assert_eq!(init_with_unknown(0x3F3F), (vec![], false));
    assert_eq!(init_with_unknown(0x7F3F), (bytes(0x7F), false));
    assert_eq!(init_with_unknown(0xBF3F), (vec![], true));
    assert_eq!(init_with_unknown(0xFF3F), (bytes(0xFF), true));
}

#[test]
fn a_host_name_in_an_init_is_refused() {
    let mut tester = Tester::new(config());
    let name = [Parameter::HostNameAddress(b"example.org\0")];
    tester.inject_with_tag(0, |w| w.init(InitKind::Init, &INIT, &name));
    let abort = tester.next_packet();
    assert_eq!(cause_codes(&abort), [5]);
    assert!(!is_reflected(&abort));
}

#[test]
fn a_host_name_in_an_init_ack_ends_the_attempt() {
    let mut tester = Tester::new(config());
    tester.call();
    let parameters = [COOKIE, Parameter::HostNameAddress(b"a.b\0")];
    tester.inject(|w| w.init(InitKind::InitAck, &INIT, &parameters));
    assert_eq!(cause_codes(&tester.next_packet()), [5]);
    assert!(tester.closed().is_some());
}

#[test]
fn supported_address_types_do_not_hinder() {
    for types in [[0, 5, 0, 6].as_slice(), &[0, 6]] {
        Tester::called_with(config(), &[Parameter::SupportedAddressTypes(types)]);
    }
}

#[test]
fn a_restart_of_the_peer_is_noticed() {
    let mut tester = Tester::called();
    let anew = InitFields {
        initiate_tag: 0x5555_6666,
        ..INIT
    };
    let cookie = tester.init(&anew, NOTHING);
    tester.inject(|w| w.cookie_echo(&cookie));
    tester.expect_kinds(&[11]);
    assert_eq!(tester.take_events(), [Event::Restarted]);
    tester.send_data(0);
    assert_eq!(tester.received.len(), 1);
}
