//! Our client and our server over a network that loses packets.

use std::time::Duration;

use turnpike_sim::SeededEntropy;
use turnpike_turn::client::{Event, Failure, Families};
use turnpike_types::{Entropy, Transport};

use crate::meeting::{Meeting, PEER, PEER_IPV6, client_config, peer};
use crate::relay::relay_config;

/// A meeting that loses `percent` of the packets in each direction.
fn losing(seed: u64, percent: u32) -> Meeting {
    let mut entropy = SeededEntropy::new(seed);
    let mut meeting = Meeting::new(relay_config());
    meeting.loses = Box::new(move || entropy.below(100) < percent);
    let mut config = client_config(Transport::Udp);
    config.families = Families::Both;
    meeting.join(config);
    meeting
}

/// Asks for a channel and a permission, and again where seven requests in a row were lost.
fn install(meeting: &mut Meeting) {
    for _ in 0..3 {
        let now = meeting.now;
        meeting.client(0).bind_channel(now, peer(PEER)).unwrap();
        meeting
            .client(0)
            .create_permission(now, &[peer(PEER_IPV6).ip()])
            .unwrap();
        meeting.settle();
        meeting.pass(Duration::from_secs(40));
        let events: Vec<_> = meeting.participants[0].events.drain(..).collect();
        let is_success = |event: &Event| {
            matches!(
                event,
                Event::ChannelBound { .. } | Event::PermissionCreated(_)
            )
        };
        if events.iter().all(is_success) {
            return;
        }
    }
    panic!("three times without luck");
}

#[test]
fn lost_packets_cost_time_and_nothing_else() {
    for seed in 0..100 {
        let mut meeting = losing(seed, 20);
        meeting.pass(Duration::from_secs(80));
        assert_eq!(meeting.event(0), Event::Allocated, "seed {seed}");
        install(&mut meeting);
        meeting.pass(Duration::from_secs(7_200));
        let events = &meeting.participants[0].events;
        let lost = events.iter().find(|event| {
            !matches!(
                event,
                Event::Refreshed | Event::RefreshFailed(Failure::TimedOut)
            )
        });
        assert_eq!(lost, None, "seed {seed} {events:?}");
        meeting.loses = Box::new(|| false);
        meeting.assert_relays(0, peer(PEER));
        meeting.assert_relays(0, peer(PEER_IPV6));
    }
}

#[test]
fn same_seed_gives_the_same_packets() {
    let run = || {
        let mut meeting = losing(3, 50);
        meeting.pass(Duration::from_secs(2_000));
        meeting.participants.remove(0).sent
    };
    assert_eq!(run(), run());
}
