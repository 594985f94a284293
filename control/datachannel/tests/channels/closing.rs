use std::time::Duration;

use turnpike_datachannel::{Channel, ChannelId, DataChannels, Event, Kind, SendError};
use turnpike_sctp::MessageId;
use turnpike_types::Timestamp;

use crate::support::{against_bare, pair, pair_with, whole};

#[test]
fn closed_channel_is_closed_at_both_ends_and_its_id_is_used_again() {
    let mut net = pair();
    let id = net.open(Channel::named("first"));
    net.a.close(net.now, id);
    net.run();
    assert_eq!(net.a_events, [Event::Closed(id)]);
    assert_eq!(net.b_events, [Event::Closing(id), Event::Closed(id)]);
    let again = net.open(Channel::named("second"));
    assert_eq!(again, id);
    net.a.send(net.now, again, "hello").unwrap();
    net.run();
    assert_eq!(net.b.channel(id).unwrap().label, "second");
    assert_eq!(net.b_messages, [whole(id, Kind::Text, b"hello")]);
}

#[test]
fn everything_sent_before_the_close_arrives_before_it() {
    let mut net = pair();
    let id = net.open(Channel::named(""));
    for _ in 0..50 {
        net.a.send(net.now, id, vec![1; 10_000]).unwrap();
    }
    net.a.close(net.now, id);
    let error = net.a.send(net.now, id, "too late");
    assert_eq!(error, Err(SendError::NoChannel(id)));
    net.is_idle = true;
    net.run();
    assert!(!net.b_events.contains(&Event::Closing(id)));
    net.is_idle = false;
    net.run_for(Duration::from_secs(5));
    assert_eq!(net.b_messages.len(), 50);
    assert_eq!(net.b_events, [Event::Closing(id), Event::Closed(id)]);
}

#[test]
fn close_is_not_told_before_the_message_that_came_just_before_it() {
    let mut net = pair();
    let id = net.open(Channel::named(""));
    net.is_idle = true;
    net.a.send(net.now, id, "the last").unwrap();
    net.a.close(net.now, id);
    net.run_for(Duration::from_secs(5));
    assert_eq!((&net.b_events[..], net.b.channel_count()), (&[][..], 1));
    assert_eq!(net.b.receive(), Some(whole(id, Kind::Text, b"the last")));
    net.run();
    assert_eq!(net.b_events, [Event::Closing(id), Event::Closed(id)]);
    assert_eq!(net.a_events, [Event::Closed(id)]);
}

#[test]
fn channel_that_both_ends_closed_is_gone_although_its_last_message_was_never_received() {
    type Close = fn(&mut DataChannels, Timestamp, ChannelId);
    let closes: [Close; 2] = [DataChannels::close, DataChannels::discard];
    for close in closes {
        let mut net = pair();
        let id = net.open(Channel::named(""));
        net.is_idle = true;
        net.a.send(net.now, id, "the last").unwrap();
        net.a.close(net.now, id);
        net.run_for(Duration::from_secs(5));
        close(&mut net.b, net.now, id);
        net.run();
        assert_eq!(net.b.receive(), None);
        assert_eq!(net.a_events, [Event::Closed(id)]);
        assert_eq!(net.b_events, [Event::Closed(id)]);
    }
}

#[test]
fn discarded_channel_drops_what_is_queued() {
    let mut net = pair_with(|config| config.association.send_buffer_bytes = 4_000_000);
    let id = net.open(Channel::named(""));
    for nth in 0..20 {
        let tracked = MessageId(nth);
        net.a
            .send_tracked(net.now, id, vec![1; 60_000], tracked)
            .unwrap();
    }
    net.a.discard(net.now, id);
    net.run();
    assert!(net.b_messages.len() < 5, "{}", net.b_messages.len());
    assert_eq!(net.a.buffered_amount(id), 0);
    assert_eq!(net.a_events.last(), Some(&Event::Closed(id)));
    let expired = |event: &&Event| {
        matches!(
            event,
            Event::Association(turnpike_sctp::Event::MessageExpired { .. })
        )
    };
    assert!(net.a_events.iter().filter(expired).count() >= 15);
}

#[test]
fn both_may_close_at_once() {
    let mut net = pair();
    let id = net.open(Channel::named(""));
    net.a.close(net.now, id);
    net.b.close(net.now, id);
    net.run();
    assert_eq!(net.a_events, [Event::Closed(id)]);
    assert_eq!(net.b_events, [Event::Closed(id)]);
    assert_eq!((net.a.channel_count(), net.b.channel_count()), (0, 0));
    assert_eq!(net.open(Channel::named("")), id);
}

#[test]
fn peers_close_drops_what_is_queued_here() {
    let mut net = pair();
    let id = net.open(Channel::named(""));
    for _ in 0..30 {
        net.b.send(net.now, id, vec![1; 60_000]).unwrap();
    }
    net.a.close(net.now, id);
    net.run();
    assert_eq!(net.b.buffered_amount(id), 0);
    assert_eq!(net.b_events, [Event::Closing(id), Event::Closed(id)]);
    assert_eq!(net.a_events, [Event::Closed(id)]);
}

#[test]
fn negotiated_channel_closes_alike() {
    let mut net = pair();
    let id = ChannelId(9);
    net.a
        .open_negotiated(net.now, id, Channel::named(""))
        .unwrap();
    net.b
        .open_negotiated(net.now, id, Channel::named(""))
        .unwrap();
    net.b.close(net.now, id);
    net.run();
    assert_eq!(net.a_events, [Event::Closing(id), Event::Closed(id)]);
    assert_eq!(net.b_events, [Event::Closed(id)]);
}

#[test]
fn channel_closed_before_it_was_known_never_opens_for_us() {
    let mut net = pair();
    let id = net.a.open(net.now, Channel::named("")).unwrap();
    net.a.close(net.now, id);
    net.run();
    assert_eq!(net.a_events, [Event::Closed(id)]);
    let seen = [
        Event::OpenedByPeer(id),
        Event::Closing(id),
        Event::Closed(id),
    ];
    assert_eq!(net.b_events, seen);
}

#[test]
fn channel_discarded_before_the_peer_heard_of_it_is_gone_at_once() {
    let mut net = pair();
    let id = net.a.open(net.now, Channel::named("")).unwrap();
    net.a.discard(net.now, id);
    net.run();
    assert_eq!(net.a_events, [Event::Closed(id)]);
    assert_eq!(net.b_events, []);
    assert_eq!(net.a.open(net.now, Channel::named("")), Ok(id));
}

#[test]
fn thousand_opens_and_closes_leave_nothing_behind() {
    let mut net = pair();
    net.open(Channel::named("stays"));
    let before = net.a.association().memory_bytes();
    for _ in 0..1_000 {
        let id = net
            .a
            .open(net.now, Channel::named("comes and goes"))
            .unwrap();
        assert_eq!(id, ChannelId(2));
        for _ in 0..5 {
            net.a.send(net.now, id, vec![0; 20_000]).unwrap();
        }
        net.run_for(Duration::from_millis(15));
        net.a.discard(net.now, id);
        net.run();
        net.b_messages.clear();
    }
    assert_eq!((net.a.channel_count(), net.b.channel_count()), (1, 1));
    let after = net.a.association().memory_bytes();
    assert!(after <= before + 1_000, "{before}, then {after}");
}

#[test]
fn every_channel_closes_when_the_association_does() {
    for is_graceful in [true, false] {
        let mut net = pair();
        let ids = [net.open(Channel::named("")), net.open(Channel::named(""))];
        if is_graceful {
            net.a.shutdown(net.now);
        } else {
            net.a.abort(net.now, b"enough");
        }
        net.run();
        for events in [&net.a_events, &net.b_events] {
            let closed = ids.map(Event::Closed);
            assert!(closed.iter().all(|it| events.contains(it)), "{events:?}");
            let last = events.last();
            let is_end = matches!(
                last,
                Some(Event::Association(turnpike_sctp::Event::Closed(_)))
            );
            assert!(is_end, "{events:?}");
        }
        assert_eq!(net.a.channel_count() + net.b.channel_count(), 0);
    }
}

#[test]
fn channel_closes_also_where_the_peer_cannot_reset_streams() {
    let mut net = pair_with(|config| config.association.has_stream_reset = false);
    let id = net.open(Channel::named(""));
    net.a.close(net.now, id);
    net.run();
    assert_eq!(net.a_events, [Event::Closed(id)]);
    // In the peer's eyes it is still open.
    assert_eq!(net.a.open(net.now, Channel::named("")), Ok(ChannelId(2)));
}

#[test]
fn reset_of_a_bare_end_closes_the_channel() {
    let mut net = against_bare(|_| {});
    let id = net.open(Channel::named(""));
    net.b
        .reset_streams(net.now, &[turnpike_sctp::StreamId(id.0)])
        .unwrap();
    net.run();
    // The bare end never used its stream before: even so it is a close.
    assert_eq!(net.a_events, [Event::Closing(id), Event::Closed(id)]);
}

#[test]
fn nothing_is_received_on_a_channel_that_we_have_closed() {
    let mut net = pair();
    let id = net.open(Channel::named(""));
    net.is_idle = true;
    net.a.send(net.now, id, "too late").unwrap();
    net.run();
    net.b.close(net.now, id);
    net.is_idle = false;
    net.run();
    assert!(net.b_messages.is_empty());
    assert_eq!(net.b.channel_count(), 0);
}
