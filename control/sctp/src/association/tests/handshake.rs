//! Setting up: from one side, from both, under loss, against forgeries, anew.

use super::*;
use crate::{CloseReason, Discard};

#[test]
fn four_packets_make_an_association() {
    let mut pair = Pair::new(&Config::default());
    pair.ends[0].connect(pair.now);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.sent, [2, 2]);
    for (end, events) in pair.ends.iter().zip(&pair.events) {
        assert_eq!(end.state(), State::Established);
        assert_eq!(*events, [Event::Connected]);
    }
    assert_eq!(pair.ends[0].negotiated(), pair.ends[1].negotiated());
    assert!(pair.ends[0].negotiated().unwrap().has_interleaving);
}

#[test]
fn both_sides_may_ask_at_once() {
    let mut pair = Pair::new(&Config::default());
    pair.ends[0].connect(pair.now);
    pair.ends[1].connect(pair.now);
    pair.run(Duration::from_millis(200));
    for (end, events) in pair.ends.iter().zip(&pair.events) {
        assert_eq!(end.state(), State::Established);
        assert_eq!(*events, [Event::Connected]);
    }
    pair.ends[0].send(pair.now, message(0, 5000, 1)).unwrap();
    pair.ends[1].send(pair.now, message(0, 5000, 2)).unwrap();
    pair.run(Duration::from_millis(200));
    assert_eq!(pair.receive_all(0)[0].payload, message(0, 5000, 2).payload);
    assert_eq!(pair.receive_all(1)[0].payload, message(0, 5000, 1).payload);
}

#[test]
fn any_packet_of_the_handshake_may_be_lost() {
    for lost in 0..4 {
        let mut pair = Pair::new(&Config::default());
        pair.lose = match lost {
            0 => |from, count, _| from == 0 && count == 1,
            1 => |from, count, _| from == 0 && count == 2,
            2 => |from, count, _| from == 1 && count == 1,
            _ => |from, count, _| from == 1 && count == 2,
        };
        pair.ends[0].connect(pair.now);
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.ends[0].state(), State::Established, "loss {lost}");
        assert_eq!(pair.ends[1].state(), State::Established, "loss {lost}");
    }
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    let mut pair = Pair::new(&Config::default());
    pair.lose = |_, _, _| true;
    pair.ends[0].connect(pair.now);
    pair.run(Duration::from_secs(600));
    assert_eq!(pair.sent[0], 9);
    assert_eq!(
        pair.events[0],
        [Event::Closed(CloseReason::HandshakeTimedOut)]
    );
    assert_eq!(pair.ends[0].poll_timeout(), None);
}

#[test]
fn a_message_sent_during_the_handshake_goes_with_the_cookie() {
    let mut pair = Pair::new(&Config::default());
    pair.ends[0].connect(pair.now);
    pair.ends[0].send(pair.now, message(0, 100, 1)).unwrap();
    pair.run(Duration::from_millis(31));
    assert_eq!(pair.receive_all(1).len(), 1);
}

#[test]
fn an_init_leaves_nothing_behind() {
    let mut pair = Pair::new(&Config::default());
    let mut buf = [0; 1500];
    pair.ends[0].connect(pair.now);
    let Some(Output::Transmit(init)) = pair.ends[0].poll_output(&mut buf) else {
        panic!("no INIT");
    };
    for _ in 0..100 {
        pair.ends[1]
            .handle_input(pair.now, &buf[..init.len])
            .unwrap();
        let mut answer = [0; 1500];
        assert!(pair.ends[1].poll_output(&mut answer).is_some());
        assert_eq!(pair.ends[1].poll_output(&mut answer), None);
    }
    assert_eq!(pair.ends[1].state(), State::Closed);
    assert_eq!(pair.ends[1].poll_timeout(), None);
}

#[test]
fn a_wrong_verification_tag_is_ignored() {
    let mut pair = Pair::connected(&Config::default());
    pair.ends[0].send(pair.now, message(0, 100, 1)).unwrap();
    let mut buf = [0; 1500];
    let Some(Output::Transmit(data)) = pair.ends[0].poll_output(&mut buf) else {
        panic!("no DATA");
    };
    let packet = &mut buf[..data.len];
    packet[7] ^= 1;
    packet[8..12].fill(0);
    let crc = crc32c::crc32c(packet);
    packet[8..12].copy_from_slice(&crc.to_le_bytes());
    let now = pair.now;
    assert_eq!(
        pair.ends[1].handle_input(now, packet),
        Err(Discard::VerificationTag)
    );
    packet[8] ^= 1;
    assert_eq!(
        pair.ends[1].handle_input(now, packet),
        Err(Discard::Checksum)
    );
    assert!(pair.receive_all(1).is_empty());
}

#[test]
fn a_peer_that_lost_its_state_starts_the_association_anew() {
    let mut pair = Pair::connected(&Config::default());
    pair.ends[1].send(pair.now, message(0, 100, 1)).unwrap();
    let mut entropy = SeededEntropy::new(77);
    pair.ends[0] = Association::new(Config::default(), &mut entropy, pair.now).unwrap();
    pair.ends[0].connect(pair.now);
    pair.run(Duration::from_secs(1));
    assert!(
        pair.events[1].contains(&Event::Restarted),
        "{:?}",
        pair.events[1]
    );
    assert_eq!(pair.events[0], [Event::Connected]);
    pair.ends[0].send(pair.now, message(0, 100, 2)).unwrap();
    pair.ends[1].send(pair.now, message(0, 100, 3)).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(
        pair.receive_all(1).last().unwrap().payload,
        message(0, 100, 2).payload
    );
    assert_eq!(
        pair.receive_all(0).last().unwrap().payload,
        message(0, 100, 3).payload
    );
}
