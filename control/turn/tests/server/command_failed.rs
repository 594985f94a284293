//! Lanes that cannot do what they are told: the client hears of it, and nothing is left behind.

use std::cell::Cell;
use std::rc::Rc;

use turnpike_turn::server::{EndReason, Event, PORT_ATTEMPTS_MAX};
use turnpike_types::{Action, CommandError, CommandId, Entry, EntryKey};

use crate::support::{Client, Fails, PEER, Seen, World, allocated, config};

/// Fails the first `count` commands that match.
fn failing(count: usize, error: CommandError, matches: fn(&Action) -> bool) -> Fails {
    let mut left = count;
    Box::new(move |command| {
        (matches(&command.action) && left > 0).then(|| {
            left -= 1;
            error
        })
    })
}

const fn is_allocation(action: &Action) -> bool {
    matches!(action, Action::Install(Entry::Allocation(_)))
}

const fn is_permission(action: &Action) -> bool {
    matches!(action, Action::Install(Entry::Permission(_)))
}

const fn is_channel(action: &Action) -> bool {
    matches!(action, Action::Install(Entry::Channel(_)))
}

const fn is_refresh(action: &Action) -> bool {
    matches!(action, Action::Refresh { .. })
}

#[test]
fn full_table_refuses_the_allocation_and_leaves_nothing() {
    for error in [
        CommandError::TableFull,
        CommandError::OutOfResources,
        CommandError::NotPermitted,
    ] {
        let mut world = World::new(config());
        let free = world.server.free_ports();
        world.fails = Some(failing(1, error, is_allocation));
        let mut client = Client::new(0, "alice");
        assert_eq!(client.allocate(&mut world).code(), 508);
        assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
        assert_eq!(world.server.free_ports(), free);
        assert!(world.take_events().is_empty());
        assert!(
            client.allocate(&mut world).is_success(),
            "the next one is not hurt"
        );
    }
}

#[test]
fn port_in_use_tries_another_and_the_client_never_knows() {
    let mut world = World::new(config());
    let tried = Rc::new(Cell::new(Vec::new()));
    let log = Rc::clone(&tried);
    world.fails = Some(Box::new(move |command| {
        let Action::Install(Entry::Allocation(entry)) = command.action else {
            return None;
        };
        let mut ports = log.take();
        ports.push(entry.relayed.port());
        let is_used = ports.len() < usize::from(PORT_ATTEMPTS_MAX);
        log.set(ports);
        is_used.then_some(CommandError::PortInUse)
    }));
    let free = world.server.free_ports();
    let response = Client::new(0, "alice").allocate(&mut world);
    assert!(response.is_success());
    let mut ports = tried.take();
    assert_eq!(response.relayed()[0].port(), *ports.last().unwrap());
    ports.sort_unstable();
    ports.dedup();
    assert!(
        ports.len() >= 7,
        "the same port is hardly tried twice: {ports:?}"
    );
    assert_eq!(world.server.free_ports(), free - 1);
}

#[test]
fn ports_in_use_without_end_are_refused_after_a_bounded_number() {
    let mut world = World::new(config());
    let free = world.server.free_ports();
    world.fails = Some(failing(usize::MAX, CommandError::PortInUse, is_allocation));
    assert_eq!(Client::new(0, "alice").allocate(&mut world).code(), 508);
    let tries = world.take_actions();
    assert_eq!(tries.len(), usize::from(PORT_ATTEMPTS_MAX));
    assert_eq!(world.server.free_ports(), free);
    assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
}

#[test]
fn full_table_takes_back_all_permissions_of_the_request() {
    let (mut world, mut client) = allocated(config());
    let peers = ["93.184.216.1:1", "93.184.216.2:1", "93.184.216.3:1"];
    assert!(client.permit(&mut world, &[peers[0]]).is_success());
    world.take_seen();
    world.pass(10);
    // The refresh of the first and the installation of the second succeed, the third fails.
    let mut count = 0;
    world.fails = Some(Box::new(move |command| {
        count += usize::from(is_permission(&command.action));
        (count == 2).then(|| {
            count += 1;
            CommandError::TableFull
        })
    }));
    assert_eq!(client.permit(&mut world, &peers).code(), 508);
    let seen = world.take_seen();
    let revoked: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Command(Action::Revoke(EntryKey::Permission { wire_ip, .. })) => Some(*wire_ip),
            _ => None,
        })
        .collect();
    assert!(revoked.contains(&"93.184.216.2".parse().unwrap()));
    assert!(!revoked.contains(&"93.184.216.1".parse().unwrap()));
    assert!(
        matches!(seen.last(), Some(Seen::Sent(..))),
        "taken back before it is told"
    );
    // The first ends when it would have.
    let ends: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Command(Action::Refresh { expires_at, .. }) => Some(expires_at.as_secs()),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [1_310, 1_300]);
    world.fails = None;
    assert!(client.permit(&mut world, &peers).is_success());
}

#[test]
fn full_channel_table_takes_back_channel_and_permission() {
    let (mut world, mut client) = allocated(config());
    world.fails = Some(failing(1, CommandError::TableFull, is_channel));
    assert_eq!(client.bind(&mut world, 0x4000, PEER).code(), 508);
    let actions = world.take_actions();
    assert!(
        actions
            .iter()
            .any(|it| matches!(it, Action::Revoke(EntryKey::Permission { .. }))),
        "{actions:?}"
    );
    world.fails = None;
    assert!(
        client.bind(&mut world, 0x4001, PEER).is_success(),
        "peer is not bound to 0x4000"
    );
    assert!(
        client
            .bind(&mut world, 0x4000, "93.184.216.34:9000")
            .is_success()
    );
}

#[test]
fn full_permission_table_refuses_the_channel() {
    let (mut world, mut client) = allocated(config());
    world.fails = Some(failing(1, CommandError::TableFull, is_permission));
    assert_eq!(client.bind(&mut world, 0x4000, PEER).code(), 508);
    let installed = world.take_actions().iter().any(is_channel);
    assert!(
        !installed,
        "what waited behind the failure is not carried out"
    );
}

#[test]
fn refresh_of_a_lost_entry_installs_it_again() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    world.pass(100);
    world.fails = Some(failing(usize::MAX, CommandError::Absent, is_refresh));
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    assert!(client.refresh(&mut world, None).is_success());
    let actions = world.take_actions();
    assert_eq!(
        actions
            .iter()
            .filter(|action| is_permission(action))
            .count(),
        1
    );
    assert_eq!(
        actions.iter().filter(|action| is_channel(action)).count(),
        1
    );
    assert_eq!(
        actions
            .iter()
            .filter(|action| is_allocation(action))
            .count(),
        1
    );
}

#[test]
fn allocation_that_a_lane_lost_and_cannot_open_again_is_ended() {
    let (mut world, mut client) = allocated(config());
    world.pass(100);
    world.fails = Some(Box::new(|command| match command.action {
        Action::Refresh { .. } => Some(CommandError::Absent),
        Action::Install(_) => Some(CommandError::PortInUse),
        Action::Revoke(_) => None,
    }));
    assert_eq!(client.refresh(&mut world, None).code(), 508);
    let events = world.take_events();
    assert!(matches!(
        events[..],
        [Event::AllocationEnded {
            reason: EndReason::Failed,
            ..
        }]
    ));
    assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
}

#[test]
fn permission_that_cannot_be_refreshed_keeps_its_old_end() {
    let (mut world, mut client) = allocated(config());
    assert!(client.permit(&mut world, &[PEER]).is_success());
    world.pass(100);
    world.fails = Some(failing(1, CommandError::OutOfResources, is_refresh));
    assert_eq!(client.permit(&mut world, &[PEER]).code(), 508);
    world.take_seen();
    world.pass_and_wake(201);
    let actions = world.take_actions();
    assert!(
        matches!(actions[..], [Action::Revoke(EntryKey::Permission { .. })]),
        "{actions:?}"
    );
}

#[test]
fn lane_that_fails_everything_always_gets_an_answer_and_keeps_nothing() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.pass(1);
    world.fails = Some(Box::new(|_| Some(CommandError::TableFull)));
    assert_eq!(client.bind(&mut world, 0x4000, PEER).code(), 508);
    assert_eq!(
        client.permit(&mut world, &[PEER, "93.184.216.1:1"]).code(),
        508
    );
    assert_eq!(Client::new(1, "alice").allocate(&mut world).code(), 508);
    assert_eq!(client.refresh(&mut world, None).code(), 508);
    assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
}

#[test]
fn failure_of_an_unknown_command_is_counted_and_harmless() {
    let (mut world, _) = allocated(config());
    world
        .server
        .handle_command_failed(world.now, CommandId(0), CommandError::TableFull);
    world
        .server
        .handle_command_failed(world.now, CommandId(9_999), CommandError::TableFull);
    world.drain();
    assert_eq!(world.server.counters().commands_failed_late, 2);
    assert_eq!(world.server.allocations(), 1);
    assert!(world.take_seen().is_empty());
}

#[test]
fn allocation_whose_refresh_no_lane_could_carry_out_keeps_its_old_end() {
    let (mut world, mut client) = allocated(config());
    assert!(client.permit(&mut world, &[PEER]).is_success());
    world.pass(100);
    world.fails = Some(failing(1, CommandError::OutOfResources, is_refresh));
    assert_eq!(client.refresh(&mut world, None).code(), 508);
    assert_eq!(world.server.allocations(), 1, "the lane holds it still");
    world.take_seen();
    world.pass_and_wake(499);
    assert_eq!(world.server.allocations(), 1);
    world.pass_and_wake(2);
    assert_eq!(world.server.allocations(), 0);
}
