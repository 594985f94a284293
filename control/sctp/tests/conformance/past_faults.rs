//! Faults that other stacks have had, as a peer would bring them about.
//! `docs/rfc/9260-past-faults.md` says which fault is which test.

use std::time::Duration;

use turnpike_sctp::wire::{Chunk, Data, Parameter, ReConfigParameter};
use turnpike_sctp::{CloseReason, Config, StreamId, Tsn};
use turnpike_types::Timestamp;

use crate::tester::{TSN, Tester, config, data, kinds, look};

/// Everything a peer may offer.
const EVERYTHING: &[Parameter<'static>] = &[
    Parameter::ForwardTsnSupported,
    Parameter::SupportedExtensions(&[64, 130, 192, 194]),
];

/// What an association may hold beside its buffers.
const SLACK: usize = 32 * 1024;

fn small() -> Config {
    Config {
        receive_buffer_bytes: 50_000,
        ..config()
    }
}

fn fragment(number: u32, message: u32, fragment: u32) -> Data<'static> {
    Data {
        is_interleaved: true,
        is_begin: false,
        is_end: false,
        message,
        fragment,
        payload: b"x",
        ..data(number)
    }
}

/// The window of the last SACK sent.
fn last_window(tester: &mut Tester) -> Option<u32> {
    let mut window = None;
    while let Some(packet) = tester.take_packet() {
        if kinds(&packet).contains(&3) {
            look(&packet, 3, |chunk| {
                let Chunk::Sack(sack) = chunk else { panic!() };
                window = Some(sack.a_rwnd);
            });
        }
    }
    window
}

#[test]
fn tiny_fragments_are_charged_with_what_they_cost() {
    let mut tester = Tester::called_with(small(), EVERYTHING);
    let before = tester.sut.memory_bytes();
    for number in 0..20_000 {
        tester.inject(|w| w.data(&fragment(number, 0, number + 1)));
        assert!(tester.sut.memory_bytes() <= before + 50_000 + SLACK);
    }
    let window = last_window(&mut tester).unwrap();
    assert!(
        window < 5_000,
        "20,000 bytes came, and {window} of 50,000 are left"
    );
}

#[test]
fn fragments_of_messages_far_apart_stay_bounded() {
    let mut tester = Tester::called_with(small(), EVERYTHING);
    for number in 0..20_000_u32 {
        let far = number.wrapping_mul(0x9E37_79B9);
        let mut odd = fragment(number, far, !far);
        odd.is_unordered = number % 3 == 0;
        odd.is_end = number % 5 == 0;
        tester.inject(|w| w.data(&odd));
        assert!(tester.sut.memory_bytes() <= 50_000 + SLACK);
    }
    for (number, message, last) in [(20_000, 0, u32::MAX), (20_001, u32::MAX, 0)] {
        tester.inject(|w| {
            w.data(&Data {
                is_begin: last == 0,
                is_end: true,
                ..fragment(number, message, last)
            })
        });
    }
    assert!(tester.received.iter().all(|it| it.payload.len() <= 1));
}

#[test]
fn a_deferred_reset_and_endless_forward_tsns_stay_bounded() {
    let mut tester = Tester::called_with(small(), EVERYTHING);
    let streams = [StreamId(0), StreamId(1)];
    let reset = ReConfigParameter::OutgoingReset {
        request: TSN.0,
        response: 0,
        last_tsn: TSN.plus(1_000_000),
        streams: (&streams[..]).into(),
    };
    for number in 0..20_000 {
        if number % 100 == 0 {
            tester.inject(|w| w.re_config(std::slice::from_ref(&reset)));
        }
        tester.inject(|w| w.data(&fragment(2 * number + 1, number, 1)));
        let skipped = (0..10).map(|stream| (StreamId(stream), stream % 2 == 0, number));
        tester.inject(|w| w.i_forward_tsn(TSN.plus(2 * number), skipped));
        assert!(tester.sut.memory_bytes() <= 50_000 + SLACK);
        tester.forget();
    }
    assert_eq!(tester.closed(), None);
}

#[test]
fn a_sack_of_what_was_never_sent_does_not_keep_a_shutdown_from_ending() {
    let mut tester = Tester::called();
    tester.send(100);
    tester.forget();
    let beyond = tester.sut_tsn.plus(500);
    tester.inject(|w| w.sack(beyond, 100_000, [(2, 90)].into_iter(), &[]));
    tester.sack(1, 100_000);
    let now = tester.now;
    tester.sut.shutdown(now);
    tester.settle();
    tester.expect(7);
    tester.inject(|w| w.shutdown_ack());
    tester.expect(14);
    assert_eq!(tester.closed(), Some(CloseReason::Shutdown));
}

/// When the TSN was sent again, up to then.
fn sendings(tester: &mut Tester, wanted: Tsn) -> usize {
    let mut count = 0;
    while let Some(packet) = tester.take_packet() {
        if kinds(&packet).contains(&0) {
            look(&packet, 0, |chunk| {
                let Chunk::Data(data) = chunk else { panic!() };
                count += usize::from(data.tsn == wanted);
            });
        }
    }
    count
}

#[test]
fn steady_traffic_does_not_starve_what_is_lost() {
    let mut tester = Tester::called();
    tester.send(1_000);
    let (lost, none) = (tester.sut_tsn, tester.sut_tsn.previous());
    tester.forget();
    for second in 0..20 {
        let mut times = 0;
        for tick in 1..=20_u16 {
            tester.send(1_000);
            tester.pass(Duration::from_millis(50));
            let last = second * 20 + tick + 1;
            tester.inject(|w| w.sack(none, 100_000, [(2, last)].into_iter(), &[]));
            times += sendings(&mut tester, lost);
        }
        assert!(times > 0, "not sent again in second {second}");
    }
}

#[test]
fn a_probe_sets_the_retransmission_timer_anew() {
    let mut tester = Tester::called();
    for count in 1..=10 {
        tester.send(100);
        tester.pass(Duration::from_millis(100));
        tester.sack(count, 100_000);
    }
    tester.forget();
    let (sent_at, tsn) = (tester.now, tester.sut_tsn.plus(10));
    tester.send(100);
    tester.forget();
    let rto = tester.sut.statistics().rto;
    let mut again: Vec<Timestamp> = Vec::new();
    while again.len() < 2 {
        tester.pass(Duration::from_millis(1));
        assert!(tester.now.since(sent_at) < Duration::from_secs(5));
        if sendings(&mut tester, tsn) > 0 {
            again.push(tester.now);
        }
    }
    let probe_after = again[0].since(sent_at);
    assert!(probe_after < rto, "a timeout, no probe: {probe_after:?}");
    let timeout_after = again[1].since(again[0]);
    let slack = Duration::from_millis(5);
    assert!(
        timeout_after <= rto + slack && timeout_after + slack >= rto,
        "{timeout_after:?}, and the timeout is {rto:?}"
    );
}
