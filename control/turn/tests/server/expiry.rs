//! The end of things, on time and in order.

use std::time::Duration;

use turnpike_turn::server::{EndReason, Event, TICK};
use turnpike_types::{Action, DeadlineReason, EntryKey};

use crate::support::{Client, PEER, Seen, World, allocated, config};

#[test]
fn allocation_ends_on_time_and_not_before() {
    let (mut world, _) = allocated(config());
    world.pass_and_wake(599);
    assert_eq!(world.server.allocations(), 1);
    world.pass_and_wake(1);
    world.now = world.now + TICK;
    world.server.handle_timeout(world.now);
    world.drain();
    assert_eq!(world.server.allocations(), 0);
    let seen = world.take_seen();
    assert!(matches!(
        seen[..],
        [
            Seen::Event(Event::AllocationEnded {
                reason: EndReason::Expired,
                ..
            }),
            Seen::Command(Action::Revoke(EntryKey::Allocation { .. })),
        ]
    ));
    assert_eq!(world.server.counters().allocations_expired, 1);
    assert_eq!(world.server.users(), 0);
}

#[test]
fn expired_allocation_is_absent_before_any_timer_fired() {
    let (mut world, mut client) = allocated(config());
    world.pass(600);
    assert_eq!(
        world.server.allocation(&client.five_tuple),
        Some(id(&world, &client))
    );
    client.greet(&mut world);
    assert_eq!(client.refresh(&mut world, None).code(), 437);
    assert_eq!(world.server.allocations(), 0);
    assert!(client.allocate(&mut world).is_success());
}

fn id(world: &World, client: &Client) -> turnpike_types::AllocationId {
    world.server.allocation(&client.five_tuple).unwrap()
}

#[test]
fn everything_a_lane_was_told_is_revoked_at_the_end() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    assert!(client.permit(&mut world, &["93.184.216.35:1"]).is_success());
    world.take_seen();
    world.pass_and_wake(700);
    let mut revoked: Vec<_> = world
        .take_actions()
        .into_iter()
        .map(|action| match action {
            Action::Revoke(key) => key,
            other => panic!("{other:?}"),
        })
        .collect();
    let last = revoked.pop().unwrap();
    assert!(matches!(last, EntryKey::Allocation { .. }));
    let channels = revoked
        .iter()
        .filter(|key| matches!(key, EntryKey::Channel { .. }))
        .count();
    let permissions = revoked
        .iter()
        .filter(|key| matches!(key, EntryKey::Permission { .. }))
        .count();
    assert_eq!((channels, permissions), (1, 2));
}

#[test]
fn next_deadline_says_when_and_why() {
    let mut world = World::new(config());
    let due = world.server.poll_timeout().unwrap();
    assert_eq!(due.reason, DeadlineReason::NonceKey);
    let mut client = Client::new(0, "alice");
    client.allocate(&mut world);
    client.permit(&mut world, &[PEER]);
    let due = world.server.poll_timeout().unwrap();
    assert_eq!(due.reason, DeadlineReason::Expiry);
    assert!(due.at <= world.now + Duration::from_secs(300) + TICK);
}

#[test]
fn earlier_now_than_the_last_counts_as_the_last() {
    let (mut world, mut client) = allocated(config());
    let now = world.now;
    world.pass(601);
    world.server.handle_timeout(world.now);
    world.drain();
    world.now = now;
    client.greet(&mut world);
    assert_eq!(client.refresh(&mut world, None).code(), 437);
}

#[test]
fn refresh_does_not_wake_the_server_more_often_than_once_a_lifetime() {
    let (mut world, mut client) = allocated(config());
    let mut wakes = 0;
    for _ in 0..60 {
        for _ in 0..6 {
            world.pass(10);
            let refreshed = client.refresh(&mut world, None);
            if refreshed.code() == 438 {
                client.learn(&refreshed);
            }
        }
        while let Some(due) = world
            .server
            .poll_timeout()
            .filter(|due| due.at <= world.now)
        {
            wakes += usize::from(due.reason == DeadlineReason::Expiry);
            world.server.handle_timeout(world.now);
            world.drain();
        }
    }
    assert!(wakes <= 15, "{wakes} wakes in an hour");
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn crowd_that_ends_at_once_is_worked_off_in_bounded_calls() {
    use turnpike_turn::server::WORK_MAX;
    let mut config = config();
    config.limits.allocations_per_user = 10_000;
    let mut world = World::new(config);
    for number in 0..3_000 {
        assert!(
            Client::new(number, "alice")
                .allocate(&mut world)
                .is_success()
        );
    }
    world.pass(601);
    let mut calls = 0;
    while world.server.allocations() > 0 {
        world.take_seen();
        assert!(world.server.poll_timeout().unwrap().at <= world.now);
        world.server.handle_timeout(world.now);
        world.drain();
        assert!(world.seen.len() <= WORK_MAX + 8, "{}", world.seen.len());
        calls += 1;
        assert!(calls < 50);
    }
    assert_eq!(world.server.users(), 0);
}
