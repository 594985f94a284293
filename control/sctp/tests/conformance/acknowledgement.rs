//! Acknowledgement (RFC 9260 section 6.2, RFC 7053).

use std::time::Duration;

use turnpike_sctp::wire::{Chunk, Data};

use crate::tester::{TSN, Tester, config, data, look};

#[test]
fn every_second_packet_is_acknowledged_at_once() {
    let mut tester = Tester::called();
    // The first may be acknowledged at once; from then on every second one is.
    tester.send_data(0);
    tester.pass(Duration::from_millis(600));
    tester.forget();
    tester.send_data(1);
    tester.expect_silence();
    tester.send_data(2);
    tester.expect_kinds(&[3]);
}

#[test]
fn no_acknowledgement_waits_longer_than_its_delay() {
    let mut tester = Tester::called();
    tester.send_data(0);
    tester.pass(Duration::from_millis(600));
    tester.forget();
    tester.send_data(1);
    tester.expect_silence();
    tester.pass(config().sack_delay);
    let sack = tester.next_packet();
    look(&sack, 3, |chunk| {
        let Chunk::Sack(sack) = chunk else { panic!() };
        assert_eq!(sack.cumulative_tsn_ack, TSN.plus(1));
    });
}

#[test]
fn a_gap_is_reported_at_once() {
    let mut tester = Tester::called();
    tester.send_data(0);
    tester.pass(Duration::from_millis(600));
    tester.forget();
    tester.send_data(2);
    look(&tester.next_packet(), 3, |chunk| {
        let Chunk::Sack(sack) = chunk else { panic!() };
        assert_eq!(sack.cumulative_tsn_ack, TSN);
        assert!(sack.gap_blocks().eq([(2, 2)]));
    });
    tester.send_data(1);
    tester.pass(config().sack_delay);
    look(&tester.next_packet(), 3, |chunk| {
        let Chunk::Sack(sack) = chunk else { panic!() };
        assert_eq!(sack.cumulative_tsn_ack, TSN.plus(2));
        assert_eq!(sack.gap_blocks().len(), 0);
    });
}

#[test]
fn a_duplicate_is_acknowledged_at_once() {
    let mut tester = Tester::called();
    tester.send_data(0);
    tester.pass(Duration::from_millis(600));
    tester.forget();
    tester.send_data(0);
    tester.expect_kinds(&[3]);
}

#[test]
fn the_immediate_bit_wants_an_acknowledgement_at_once() {
    let mut tester = Tester::called();
    tester.send_data(0);
    tester.pass(Duration::from_millis(600));
    tester.forget();
    tester.inject(|w| {
        w.data(&Data {
            is_immediate: true,
            ..data(1)
        })
    });
    tester.expect_kinds(&[3]);
}
