//! What a peer may do wrong, and that each costs it the channel and nothing more.

use std::time::Duration;

use turnpike_datachannel::{
    Channel, ChannelId, DataChannels, DcepError, Event, Kind, Limits, Violation,
};
use turnpike_sctp::{Association, Event as Below, StreamId};

use crate::support::{Net, against_bare, whole};

const OPEN: &[u8] = b"\x03\x00\x01\x00\0\0\0\0\0\x01\0\0x";
const ACK: &[u8] = b"\x02";

/// Another channel goes on as before.
fn still_works(net: &mut Net<DataChannels, Association>) {
    net.a_messages.clear();
    net.say(101, 50, OPEN);
    net.say(101, 51, b"still here");
    net.run();
    assert_eq!(net.a_messages.len(), 1);
}

/// What the bare end sends on a stream nobody opened is answered by a reset of that stream.
fn is_reset(ppid: u32, payload: &[u8], stream: u16, violation: Violation) {
    let mut net = against_bare(|_| {});
    net.say(stream, ppid, payload);
    net.run();
    let id = ChannelId(stream);
    assert_eq!(
        net.a_events,
        [Event::Violation(id, violation)],
        "{payload:?}"
    );
    assert_eq!(net.a.channel_count(), 0);
    let reset = Below::IncomingStreamsReset(vec![StreamId(stream)]);
    assert!(net.b_events.contains(&reset), "{:?}", net.b_events);
    still_works(&mut net);
}

#[test]
fn truncated_open_is_answered_by_a_reset() {
    for length in 1..OPEN.len() {
        is_reset(50, &OPEN[..length], 1, DcepError::Truncated.into());
    }
}

#[test]
fn unknown_dcep_messages_are_answered_by_a_reset() {
    is_reset(50, b"\x00", 1, DcepError::UnknownMessageType(0).into());
    is_reset(
        50,
        b"\x7f\0\0",
        1,
        DcepError::UnknownMessageType(0x7f).into(),
    );
    let unknown = [&[3, 9], &OPEN[2..]].concat();
    is_reset(50, &unknown, 1, DcepError::UnknownChannelType(9).into());
}

#[test]
fn ack_or_data_before_the_open_is_answered_by_a_reset() {
    is_reset(50, ACK, 1, Violation::NoChannel);
    is_reset(51, b"hello", 1, Violation::NoChannel);
    is_reset(53, b"hello", 6, Violation::NoChannel);
    is_reset(99, b"hello", 1, Violation::NoChannel);
}

#[test]
fn open_on_an_id_that_is_ours_to_open_is_answered_by_a_reset() {
    is_reset(50, OPEN, 4, Violation::WrongParity);
}

#[test]
fn open_on_a_stream_in_use_closes_the_channel() {
    let mut net = against_bare(|_| {});
    net.say(1, 50, OPEN);
    net.say(1, 50, OPEN);
    net.run();
    let id = ChannelId(1);
    let events = [
        Event::OpenedByPeer(id),
        Event::Violation(id, Violation::OpenOnUsedStream),
    ];
    assert_eq!(net.a_events, events);
    assert_eq!(net.a.channel(id), None);
    // It is gone when the peer resets its stream too.
    net.b.reset_streams(net.now, &[StreamId(1)]).unwrap();
    net.run();
    assert_eq!(net.a_events.last(), Some(&Event::Closed(id)));
    still_works(&mut net);
}

#[test]
fn unknown_ppid_closes_the_channel() {
    let mut net = against_bare(|_| {});
    let id = net.open(Channel::named(""));
    net.say(id.0, 55, b"what is this");
    net.run();
    let violation = Event::Violation(id, Violation::UnknownPpid(55));
    assert_eq!(net.a_events.last(), Some(&violation));
    assert_eq!(net.a.channel(id), None);
    still_works(&mut net);
}

#[test]
fn message_above_the_announced_maximum_closes_the_channel() {
    let mut net = against_bare(|config| config.message_size_max = 1_000);
    let id = net.open(Channel::named(""));
    net.say(id.0, 53, &[1; 1_000]);
    net.say(id.0, 53, &[1; 1_001]);
    net.run();
    assert_eq!(net.a_messages.len(), 1);
    let violation = Event::Violation(id, Violation::MessageTooLarge);
    assert!(net.a_events.contains(&violation));
    still_works(&mut net);
}

#[test]
fn maximum_holds_for_the_parts_of_a_message_together() {
    let mut net = against_bare(|config| config.message_size_max = 1_000);
    let id = net.open(Channel::named(""));
    for _ in 0..10 {
        net.say(id.0, 52, &[1; 200]);
    }
    net.run();
    assert_eq!(net.a_messages.len(), 5);
    let violation = Event::Violation(id, Violation::MessageTooLarge);
    assert!(net.a_events.contains(&violation));
}

#[test]
fn rest_of_a_message_that_was_refused_does_not_reach_the_next_channel_of_its_id() {
    let mut net = against_bare(|config| config.association.partial_delivery_bytes = 3_000);
    let id = ChannelId(0);
    net.say(id.0, 51, &[b'x'; 200_000]);
    // Long enough for its first parts and for our reset.
    net.run_for(Duration::from_millis(45));
    assert_eq!(net.a_events, [Event::Violation(id, Violation::NoChannel)]);
    let opened = net.a.open(net.now, Channel::named("new"));
    assert_eq!(opened, Ok(id));
    net.say(id.0, 50, ACK);
    net.say(id.0, 51, b"new");
    net.run();
    assert_eq!(net.a_messages, [whole(id, Kind::Text, b"new")]);
    assert_eq!(net.a_events.len(), 2, "{:?}", net.a_events);
}

#[test]
fn channels_and_names_above_the_limits_are_answered_by_a_reset() {
    let limits = Limits {
        channels_max: 3,
        names_bytes_max: 100,
    };
    let mut net = against_bare(|config| config.limits = limits);
    for stream in [1, 3, 5, 7, 9] {
        net.say(stream, 50, OPEN);
    }
    net.run();
    assert_eq!(net.a.channel_count(), 3);
    let refused = net
        .a_events
        .iter()
        .filter(|it| matches!(it, Event::Violation(_, Violation::TooManyChannels)));
    assert_eq!(refused.count(), 2);
}

#[test]
fn second_ack_and_data_on_a_closing_channel_do_no_harm() {
    let mut net = against_bare(|_| {});
    let id = net.open(Channel::named(""));
    net.say(id.0, 50, ACK);
    net.say(id.0, 50, ACK);
    net.run();
    assert_eq!(net.a_events, [Event::Opened(id)]);
    net.a.close(net.now, id);
    net.run();
    net.say(id.0, 51, b"late");
    net.say(id.0, 50, OPEN);
    net.run();
    assert!(net.a_messages.is_empty());
    assert_eq!(net.a_events, [Event::Opened(id)]);
    net.b.reset_streams(net.now, &[StreamId(id.0)]).unwrap();
    net.run();
    assert_eq!(net.a_events.last(), Some(&Event::Closed(id)));
}

#[test]
fn stray_messages_on_every_stream_leave_nothing_behind() {
    let mut net = against_bare(|_| {});
    for stream in 0..2_000 {
        net.say(stream, 51, b"stray");
        if stream % 100 == 0 {
            net.run();
        }
    }
    net.run_for(Duration::from_secs(60));
    assert_eq!(net.a_events.len(), 2_000);
    assert_eq!(net.a.channel_count(), 0);
    assert_eq!(net.a.open(net.now, Channel::named("")), Ok(ChannelId(0)));
}
