//! What channels cost, and what a small message waits for.

use std::time::Duration;

use turnpike_datachannel::{Channel, ChannelId, Event, priority};

use crate::support::{pair, pair_with};

#[test]
fn all_65_535_channels_may_be_open_and_cost_only_what_they_are() {
    let mut net = pair();
    let before = net.a.association().memory_bytes();
    for id in 0..u16::MAX {
        for end in [&mut net.a, &mut net.b] {
            end.open_negotiated(net.now, ChannelId(id), Channel::named(""))
                .unwrap();
        }
    }
    assert_eq!(net.a.channel_count(), 65_535);
    assert_eq!(net.a.association().memory_bytes(), before);
    for id in [0, 1, 40_000, 65_534] {
        net.a.send(net.now, ChannelId(id), "x").unwrap();
    }
    net.run();
    assert_eq!(net.b_messages.len(), 4);
}

#[test]
fn three_thousand_channels_open_and_close_by_dcep_on_both_sides() {
    let mut net = pair();
    for _ in 0..1_500 {
        net.a.open(net.now, Channel::named("a")).unwrap();
        net.b.open(net.now, Channel::named("b")).unwrap();
    }
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.a.channel_count(), 3_000);
    assert_eq!(net.b.channel_count(), 3_000);
    let ids: Vec<ChannelId> = net.a.channels().map(|(id, _)| id).collect();
    for id in ids {
        net.a.close(net.now, id);
    }
    net.run_for(Duration::from_secs(30));
    assert_eq!((net.a.channel_count(), net.b.channel_count()), (0, 0));
    let closed = |event: &&Event| matches!(event, Event::Closed(_));
    assert_eq!(net.a_events.iter().filter(closed).count(), 3_000);
    assert_eq!(net.b_events.iter().filter(closed).count(), 3_000);
}

#[test]
fn small_message_is_not_stuck_behind_a_large_one() {
    let mut net = pair();
    let (bulk, chat) = (
        net.open(Channel::named("bulk")),
        net.open(Channel::named("chat")),
    );
    net.a.send(net.now, bulk, vec![0; 65_536]).unwrap();
    net.a.send(net.now, bulk, vec![0; 65_536]).unwrap();
    net.drain();
    net.a.send(net.now, chat, "quick").unwrap();
    net.run();
    let order: Vec<ChannelId> = net.b_messages.iter().map(|it| it.channel).collect();
    assert_eq!(order, [chat, bulk, bulk]);
}

#[test]
fn channels_share_by_their_priority() {
    let mut net = pair_with(|config| {
        config.association.send_buffer_bytes = 20_000_000;
        config.message_size_max = 10_000;
    });
    let mut open = |priority| {
        net.a
            .open(
                net.now,
                Channel {
                    priority,
                    ..Channel::named("")
                },
            )
            .unwrap()
    };
    let low = open(priority::BELOW_NORMAL);
    let high = open(priority::EXTRA_HIGH);
    net.run();
    for _ in 0..1_000 {
        net.a.send(net.now, low, vec![0; 1_000]).unwrap();
        net.a.send(net.now, high, vec![0; 1_000]).unwrap();
    }
    net.run_for(Duration::from_secs(10));
    let arrived = &net.b_messages;
    assert_eq!(arrived.len(), 2_000);
    let last_high = arrived.iter().rposition(|it| it.channel == high).unwrap();
    let low_before = arrived[..last_high].iter().filter(|it| it.channel == low);
    // One to eight, as 128 to 1,024.
    let share = low_before.count();
    assert!((90..170).contains(&share), "{share}");
}
