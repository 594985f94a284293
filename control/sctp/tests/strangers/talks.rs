//! What every stranger must be able to do with us, as client and as server, in fair weather and
//! foul.

use std::time::Duration;

use turnpike_sctp::{CloseReason, Config, Event, Outgoing, Reliability, StreamId};

use crate::conversation::{Conversation, Weather, message};
use crate::dcsctp::DCSCTP;
use crate::pair::endpoint::Sort;
use crate::pair::ours::OURS;
use crate::sctp_proto::SCTP_PROTO;

/// One fair path and eight foul ones.
fn weathers() -> impl Iterator<Item = Weather> {
    std::iter::once(Weather::Clear).chain((1..=8).map(Weather::Foul))
}

/// What all of them are given: nothing that only one of them can.
fn config() -> Config {
    Config {
        has_interleaving: false,
        streams_max: 16,
        association_retransmissions_max: 100,
        path_retransmissions_max: 50,
        init_retransmissions_max: 100,
        ..Config::default()
    }
}

/// Sizes from a byte to many packets, each message with its own bytes.
fn letters(stream: u16, count: u8) -> Vec<Outgoing> {
    let sizes = [1, 100, 1_100, 1_200, 5_000, 30_000];
    (0..count)
        .map(|n| message(stream, n, sizes[usize::from(n) % sizes.len()]))
        .collect()
}

fn payloads(messages: &[Outgoing]) -> Vec<Vec<u8>> {
    messages
        .iter()
        .map(|message| message.payload.to_vec())
        .collect()
}

fn handshake(sorts: [Sort; 2]) {
    for weather in weathers() {
        let conversation = Conversation::connected(sorts, weather, &config());
        for end in &conversation.ends {
            let times = end
                .events
                .iter()
                .filter(|it| **it == Event::Connected)
                .count();
            assert_eq!(times, 1, "{}", end.name);
            assert_eq!(end.closed(), None);
        }
    }
}

/// Ordered messages on three streams, both ways at once.
fn ordered(sorts: [Sort; 2]) {
    for weather in weathers() {
        let mut conversation = Conversation::connected(sorts, weather, &config());
        let streams: Vec<Vec<Outgoing>> = (0..3).map(|stream| letters(stream, 30)).collect();
        for from in [0, 1] {
            for message in streams.iter().flatten() {
                conversation.send(from, message.clone());
            }
        }
        conversation.run_until("all 90 have come both ways", |it| {
            it.ends
                .iter()
                .all(|end| (0..3).map(|s| end.messages(s).len()).sum::<usize>() == 90)
        });
        for end in &conversation.ends {
            for (stream, sent) in (0..3).zip(&streams) {
                assert_eq!(
                    end.messages(stream),
                    payloads(sent),
                    "{}, {weather:?}",
                    end.name
                );
            }
            assert!(end.got.iter().all(|incoming| incoming.ppid.0 == 53));
        }
    }
}

/// Unordered messages: each once, in any order.
fn unordered(sorts: [Sort; 2]) {
    for weather in weathers() {
        let mut conversation = Conversation::connected(sorts, weather, &config());
        let sent = letters(1, 60);
        for from in [0, 1] {
            for message in &sent {
                let message = Outgoing {
                    is_unordered: true,
                    ..message.clone()
                };
                conversation.send(from, message);
            }
        }
        conversation.run_until("all 60 have come both ways", |it| {
            it.ends.iter().all(|end| end.messages(1).len() == 60)
        });
        for end in &conversation.ends {
            let mut got = end.messages(1);
            got.sort_by_key(|payload| payload[0]);
            assert_eq!(got, payloads(&sent), "{}, {weather:?}", end.name);
        }
    }
}

/// Messages that may be given up do not keep those behind them: what comes is in order, the
/// reliable ones among them all come, and in fair weather everything does.
fn partly_reliable(sorts: [Sort; 2]) {
    let policies = [
        Reliability::Retransmissions(0),
        Reliability::Lifetime(Duration::from_millis(300)),
    ];
    for (weather, policy) in weathers().flat_map(|it| policies.map(|policy| (it, policy))) {
        let mut conversation = Conversation::connected(sorts, weather, &config());
        let is_reliable = |n: u8| n % 5 == 4;
        for n in 0..100 {
            let reliability = if is_reliable(n) {
                Reliability::Reliable
            } else {
                policy
            };
            for from in [0, 1] {
                let message = Outgoing {
                    reliability,
                    ..message(1, n, 700)
                };
                conversation.send(from, message);
            }
            conversation.run_for(Duration::from_millis(5));
        }
        conversation.run_until("the last, reliable one has come both ways", |it| {
            it.ends
                .iter()
                .all(|end| end.messages(1).last().is_some_and(|last| last[0] == 99))
        });
        for end in &conversation.ends {
            let got: Vec<u8> = end.messages(1).iter().map(|payload| payload[0]).collect();
            assert!(got.is_sorted_by(|a, b| a < b), "{}: {got:?}", end.name);
            let reliable = (0..100)
                .filter(|n| is_reliable(*n))
                .all(|n| got.contains(&n));
            assert!(reliable, "{}, {weather:?}: {got:?}", end.name);
            if matches!(weather, Weather::Clear) {
                assert_eq!(got.len(), 100, "{}", end.name);
            }
        }
    }
}

/// A flood that nobody sends twice, through loss and a small buffer, does not jam what is reliable:
/// skipped messages give their room back.
fn flooded(sorts: [Sort; 2]) {
    for weather in weathers() {
        let config = Config {
            receive_buffer_bytes: 64_000,
            ..config()
        };
        let mut conversation = Conversation::connected(sorts, weather, &config);
        for n in 0..2_000_u32 {
            // What does not fit is not sent: nobody waits for room here.
            conversation.try_send(
                0,
                Outgoing {
                    is_unordered: n.is_multiple_of(2),
                    reliability: Reliability::Retransmissions(0),
                    ..message(1, 0, 2_500)
                },
            );
            if n.is_multiple_of(20) {
                conversation.run_for(Duration::from_millis(50));
            }
        }
        while !conversation.try_send(0, message(2, 9, 30_000)) {
            conversation.run_for(Duration::from_millis(50));
        }
        conversation.run_until("the reliable one has come", |it| {
            it.ends[1].messages(2).len() == 1
        });
        assert!(conversation.ends[1].messages(1).len() > 100);
    }
}

/// Many streams over a short way are done within round trips, not within timeouts.
fn many_streams(sorts: [Sort; 2]) {
    let mut conversation = Conversation::connected(sorts, Weather::Clear, &config());
    let began = conversation.now();
    for n in 0..160 {
        conversation.send(0, message(n % 16, 1, 5_000));
    }
    conversation.run_until("all have come", |it| {
        (0..16)
            .map(|stream| it.ends[1].messages(stream).len())
            .sum::<usize>()
            == 160
    });
    let took = conversation.now().since(began);
    assert!(took <= Duration::from_millis(300), "{took:?}");
}

/// One end resets a stream, the other hears of it and resets its own, as data channels are closed;
/// then the stream can be used again both ways. sctp-proto answers a reset by itself, and counts its
/// own as done when both are.
fn reset(sorts: [Sort; 2], by: usize) {
    let stream = StreamId(3);
    let heard = Event::IncomingStreamsReset(vec![stream]);
    let done = Event::OutgoingStreamsReset(vec![stream]);
    for weather in weathers() {
        let mut conversation = Conversation::connected(sorts, weather, &config());
        for from in [0, 1] {
            conversation.send(from, message(3, 7, 5_000));
        }
        conversation.run_until("one has come both ways", |it| {
            it.ends.iter().all(|end| end.messages(3).len() == 1)
        });
        conversation.reset(by, stream);
        conversation.run_until("the other end heard", |it| it.ends[1 - by].has(&heard));
        if conversation.ends[1 - by].name != SCTP_PROTO.name {
            conversation.reset(1 - by, stream);
        }
        conversation.run_until("both are done and heard", |it| {
            it.ends.iter().all(|end| end.has(&done) && end.has(&heard))
        });
        for from in [0, 1] {
            conversation.send(from, message(3, 8, 5_000));
        }
        conversation.run_until("one has come on the new stream both ways", |it| {
            it.ends.iter().all(|end| end.messages(3).len() == 2)
        });
    }
}

fn reset_by_client(sorts: [Sort; 2]) {
    reset(sorts, 0);
}

fn reset_by_server(sorts: [Sort; 2]) {
    reset(sorts, 1);
}

/// A shutdown lets everything arrive first.
fn shutdown(sorts: [Sort; 2], by: usize) {
    for weather in weathers() {
        let mut conversation = Conversation::connected(sorts, weather, &config());
        for n in 0..10 {
            conversation.send(by, message(0, n, 9_000));
        }
        // sctp-proto wants nothing queued when it begins to shut down.
        conversation.run_until("all have come", |it| {
            it.ends[1 - by].messages(0).len() == 10
        });
        let now = conversation.now();
        conversation.ends[by].endpoint.shutdown(now);
        conversation.run_until("both are closed", |it| {
            it.ends.iter().all(|end| end.closed().is_some())
        });
        for end in &conversation.ends {
            assert_eq!(end.closed(), Some(CloseReason::Shutdown), "{}", end.name);
        }
    }
}

fn shutdown_by_client(sorts: [Sort; 2]) {
    shutdown(sorts, 0);
}

fn shutdown_by_server(sorts: [Sort; 2]) {
    shutdown(sorts, 1);
}

/// Who of the two is ours aborts, and the stranger knows at once.
fn abort(sorts: [Sort; 2]) {
    let mut conversation = Conversation::connected(sorts, Weather::Clear, &config());
    let by = usize::from(conversation.ends[1].name == OURS.name);
    let now = conversation.now();
    conversation.ends[by].endpoint.abort(now);
    conversation.run_until("both are closed", |it| {
        it.ends.iter().all(|end| end.closed().is_some())
    });
    assert_eq!(conversation.ends[by].closed(), Some(CloseReason::Aborted));
    let theirs = conversation.ends[1 - by].closed();
    assert!(
        matches!(theirs, Some(CloseReason::AbortedByPeer(_))),
        "{theirs:?}"
    );
}

/// Who talks with whom, the caller first: everybody on the list with everybody, each a module with
/// its talks.
macro_rules! talks {
    ($($module:ident, [$caller:ident, $called:ident] => $($talk:ident)*;)*) => {
        $(talks!(@one $module, [$caller, $called] => $($talk)*);)*

        const PAIRINGS: &[[Sort; 2]] = &[$([$caller, $called]),*];
    };
    (@one $module:ident, $sorts:expr => $($talk:ident)*) => {
        mod $module {
            use super::*;

            $(
                #[test]
                fn $talk() {
                    super::$talk($sorts);
                }
            )*
        }
    };
}

talks! {
    we_call_ourselves, [OURS, OURS] =>
        handshake ordered unordered partly_reliable flooded many_streams reset_by_client
        reset_by_server shutdown_by_client shutdown_by_server;
    dcsctp_calls_us, [DCSCTP, OURS] =>
        handshake ordered unordered partly_reliable flooded many_streams reset_by_client
        reset_by_server shutdown_by_client shutdown_by_server abort;
    we_call_dcsctp, [OURS, DCSCTP] =>
        handshake ordered unordered partly_reliable flooded many_streams reset_by_client
        reset_by_server shutdown_by_client shutdown_by_server abort;
    sctp_proto_calls_us, [SCTP_PROTO, OURS] =>
        handshake ordered unordered partly_reliable flooded many_streams reset_by_client
        reset_by_server shutdown_by_client shutdown_by_server abort;
    we_call_sctp_proto, [OURS, SCTP_PROTO] =>
        handshake ordered unordered partly_reliable flooded many_streams reset_by_client
        reset_by_server shutdown_by_client shutdown_by_server abort;
    dcsctp_calls_itself, [DCSCTP, DCSCTP] =>
        handshake ordered unordered partly_reliable reset_by_client shutdown_by_client;
    sctp_proto_calls_itself, [SCTP_PROTO, SCTP_PROTO] =>
        handshake ordered unordered partly_reliable shutdown_by_client;
    // Not shutdown: dcsctp does not answer a SHUTDOWN ACK sent again when it is gone.
    dcsctp_calls_sctp_proto, [DCSCTP, SCTP_PROTO] =>
        handshake ordered unordered partly_reliable reset_by_client reset_by_server;
    sctp_proto_calls_dcsctp, [SCTP_PROTO, DCSCTP] =>
        handshake ordered unordered partly_reliable;
}

#[test]
fn everybody_on_the_list_meets_everybody() {
    let list = [OURS, DCSCTP, SCTP_PROTO].map(|sort| sort.name);
    let met: Vec<_> = PAIRINGS
        .iter()
        .map(|pairing| pairing.map(|sort| sort.name))
        .collect();
    for pairing in list.iter().flat_map(|one| list.map(|other| [*one, other])) {
        assert!(met.contains(&pairing), "{pairing:?} never meet");
    }
}
