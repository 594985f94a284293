use std::time::Duration;

use turnpike_datachannel::{Channel, Reliability};
use turnpike_sctp::MessageId;

use crate::support::{Net, pair};
use turnpike_datachannel::{ChannelId, DataChannels, Event};

fn channel(is_unordered: bool, reliability: Reliability) -> Channel {
    Channel {
        is_unordered,
        reliability,
        ..Channel::named("")
    }
}

/// Sends one message into nothing, then one that passes; what arrives.
fn after_a_loss(mode: Channel) -> (Net<DataChannels, DataChannels>, ChannelId) {
    let mut net = pair();
    let id = net.open(mode);
    net.is_down = true;
    net.a
        .send_tracked(net.now, id, "first", MessageId(1))
        .unwrap();
    net.drain();
    net.is_down = false;
    net.a.send(net.now, id, "second").unwrap();
    net.run_for(Duration::from_millis(25));
    (net, id)
}

fn texts(net: &Net<DataChannels, DataChannels>) -> Vec<&str> {
    let texts = net.b_messages.iter();
    texts
        .map(|it| std::str::from_utf8(&it.payload).unwrap())
        .collect()
}

#[test]
fn reliable_ordered_channel_holds_the_second_until_the_first_has_come() {
    let (mut net, _) = after_a_loss(channel(false, Reliability::Reliable));
    assert!(texts(&net).is_empty());
    net.run();
    assert_eq!(texts(&net), ["first", "second"]);
}

#[test]
fn reliable_unordered_channel_lets_the_second_pass() {
    let (mut net, _) = after_a_loss(channel(true, Reliability::Reliable));
    assert_eq!(texts(&net), ["second"]);
    net.run();
    assert_eq!(texts(&net), ["second", "first"]);
}

#[test]
fn without_retransmissions_a_lost_message_stays_lost() {
    for is_unordered in [false, true] {
        let (mut net, _) = after_a_loss(channel(is_unordered, Reliability::Retransmissions(0)));
        net.run();
        assert_eq!(texts(&net), ["second"]);
        let expired = turnpike_sctp::Event::MessageExpired {
            id: MessageId(1),
            was_sent: true,
        };
        assert!(net.a_events.contains(&Event::Association(expired)));
    }
}

#[test]
fn message_outlives_a_loss_as_long_as_its_lifetime() {
    for (lifetime_ms, expected) in [(5, vec!["second"]), (5_000, vec!["first", "second"])] {
        let (mut net, _) = after_a_loss(channel(false, Reliability::LifetimeMs(lifetime_ms)));
        net.run();
        assert_eq!(texts(&net), expected, "{lifetime_ms} ms");
    }
}

#[test]
fn message_without_retransmissions_is_sent_once_whatever_happens() {
    let mut net = pair();
    let id = net.open(channel(true, Reliability::Retransmissions(0)));
    for _ in 0..500 {
        net.a.send(net.now, id, vec![0; 5_000]).unwrap();
        net.run_for(Duration::from_millis(20));
    }
    assert_eq!(net.b_messages.len(), 500);
}

#[test]
fn unordered_channel_is_ordered_until_the_peer_knows_it() {
    let mut net = pair();
    let id = net
        .a
        .open(net.now, channel(true, Reliability::Reliable))
        .unwrap();
    net.is_down = true;
    net.drain();
    net.is_down = false;
    net.a.send(net.now, id, "overtakes the open").unwrap();
    net.run_for(Duration::from_millis(25));
    assert!(net.b_messages.is_empty() && net.b_events.is_empty());
    net.run();
    assert_eq!(net.b_events, [Event::OpenedByPeer(id)]);
    assert_eq!(texts(&net), ["overtakes the open"]);
}

#[test]
fn channel_without_retransmissions_opens_though_its_open_or_its_ack_is_lost() {
    for is_ack_lost in [false, true] {
        let mut net = pair();
        let mode = channel(true, Reliability::Retransmissions(0));
        let id = net.a.open(net.now, mode).unwrap();
        if is_ack_lost {
            net.drain();
            net.run_for(Duration::from_millis(10));
        }
        // What is said from here on is lost, for a while.
        net.is_down = true;
        net.run_for(Duration::from_millis(15));
        net.is_down = false;
        net.run();
        net.run();
        assert_eq!(net.b_events, [Event::OpenedByPeer(id)]);
        assert!(net.a_events.contains(&Event::Opened(id)), "{is_ack_lost}");
    }
}
