//! A peer policy that changes at run time.

use turnpike_turn::server::{PeerPolicy, WORK_MAX};
use turnpike_types::{Action, DeadlineReason, Entry, EntryKey};

use crate::support::{Client, PEER, World, allocated, config};

fn denying(net: &str) -> PeerPolicy {
    PeerPolicy {
        deny: vec![net.parse().unwrap()],
        ..PeerPolicy::default()
    }
}

fn set(world: &mut World, policy: PeerPolicy) {
    world.server.set_peer_policy(world.now, policy);
    world.drain();
}

#[test]
fn policy_change_cuts_live_permissions_and_their_channels() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    assert!(client.permit(&mut world, &["93.184.217.1:1"]).is_success());
    world.take_seen();
    set(&mut world, denying("93.184.216.0/24"));
    let actions = world.take_actions();
    assert!(
        matches!(
            actions[..],
            [
                Action::Revoke(EntryKey::Channel { .. }),
                Action::Revoke(EntryKey::Permission { .. })
            ]
        ),
        "{actions:?}"
    );
    assert_eq!(client.permit(&mut world, &[PEER]).code(), 403);
    assert_eq!(client.bind(&mut world, 0x4000, PEER).code(), 403);
    assert!(client.permit(&mut world, &["93.184.217.1:1"]).is_success());
    assert!(
        client
            .bind(&mut world, 0x4000, "93.184.217.1:4000")
            .is_success(),
        "number is free"
    );
}

#[test]
fn policy_change_that_forbids_nothing_says_nothing() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    set(&mut world, denying("8.8.8.0/24"));
    assert!(world.take_seen().is_empty());
}

#[test]
fn policy_change_of_ports_alone_replaces_the_rule_and_cuts_channels_outside_it() {
    let (mut world, mut client) = allocated(config());
    assert!(
        client
            .bind(&mut world, 0x4000, "93.184.216.34:4000")
            .is_success()
    );
    assert!(
        client
            .bind(&mut world, 0x4001, "93.184.216.34:6000")
            .is_success()
    );
    world.take_seen();
    set(
        &mut world,
        PeerPolicy {
            min_port: 5_000,
            ..PeerPolicy::default()
        },
    );
    let actions = world.take_actions();
    let [
        Action::Install(Entry::Permission(entry)),
        Action::Revoke(EntryKey::Channel { number, .. }),
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(entry.ports.min, 5_000);
    assert_eq!(number.get(), 0x4000);
}

#[test]
fn policy_change_over_many_allocations_is_bounded_a_call_and_reaches_all() {
    let mut config = config();
    config.limits.allocations_per_user = 10_000;
    let mut world = World::new(config);
    let count = 1_500;
    for number in 0..count {
        let mut client = Client::new(number, "alice");
        assert!(client.allocate(&mut world).is_success());
        assert!(client.permit(&mut world, &[PEER]).is_success());
    }
    world.take_seen();
    set(&mut world, denying("93.184.216.0/24"));
    let mut cut = world.take_actions().len();
    assert!(cut <= WORK_MAX, "{cut}");
    let mut calls = 1;
    while cut < usize::from(count) {
        let due = world.server.poll_timeout().unwrap();
        assert_eq!(
            (due.at, due.reason),
            (world.now, DeadlineReason::Continuation)
        );
        world.server.handle_timeout(world.now);
        world.drain();
        cut += world.take_actions().len();
        calls += 1;
        assert!(calls < 10);
    }
    assert_eq!(cut, usize::from(count));
    world.server.handle_timeout(world.now);
    assert_ne!(
        world.server.poll_timeout().unwrap().reason,
        DeadlineReason::Continuation
    );
}

#[test]
fn new_policy_judges_new_requests_before_the_old_ones_are_cut() {
    let (mut world, mut client) = allocated(config());
    world
        .server
        .set_peer_policy(world.now, denying("93.184.216.0/24"));
    assert_eq!(client.permit(&mut world, &[PEER]).code(), 403);
}

#[test]
fn channel_whose_permission_has_lapsed_is_judged_by_the_new_policy_too() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    assert!(
        client
            .bind(&mut world, 0x4001, "93.184.216.34:6000")
            .is_success()
    );
    world.pass_and_wake(301);
    set(
        &mut world,
        PeerPolicy {
            min_port: 5_000,
            ..PeerPolicy::default()
        },
    );
    world.take_seen();
    assert!(client.permit(&mut world, &[PEER]).is_success());
    let installed: Vec<_> = world
        .take_actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Install(Entry::Channel(entry)) => Some(entry.number.get()),
            _ => None,
        })
        .collect();
    assert_eq!(installed, [0x4001], "port 4000 is no longer allowed");
}

#[test]
fn permission_refreshed_before_its_turn_does_not_save_a_channel_outside_the_new_rule() {
    let mut config = config();
    config.limits.allocations_per_user = 10_000;
    let mut world = World::new(config);
    for number in 0..WORK_MAX {
        let mut client = Client::new(u16::try_from(number).unwrap(), "alice");
        assert!(client.allocate(&mut world).is_success());
    }
    let mut client = Client::new(20_000, "alice");
    assert!(client.allocate(&mut world).is_success());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    set(
        &mut world,
        PeerPolicy {
            min_port: 5_000,
            ..PeerPolicy::default()
        },
    );
    assert!(client.permit(&mut world, &[PEER]).is_success());
    world.take_seen();
    world.server.handle_timeout(world.now);
    world.drain();
    let actions = world.take_actions();
    assert!(
        matches!(actions[..], [Action::Revoke(EntryKey::Channel { .. })]),
        "{actions:?}"
    );
}
