//! Refresh (RFC 8656 section 8.2).

use turnpike_stun::{AttributeType, ErrorCode, Method};
use turnpike_turn::attribute::RequestedAddressFamily;
use turnpike_turn::server::{EndReason, Event};
use turnpike_types::{Action, AddressFamily, EntryKey, Timestamp};

use crate::support::{Client, PEER, Seen, World, allocated, config};

#[test]
fn refresh_moves_the_end_of_the_allocation() {
    let (mut world, mut client) = allocated(config());
    world.pass(500);
    assert_eq!(client.refresh(&mut world, None).lifetime(), 600);
    let seen = world.take_seen();
    let [
        Seen::Command(Action::Refresh { expires_at, .. }),
        Seen::Sent(..),
        Seen::Event(event),
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!(*expires_at, Timestamp::from_secs(1_000 + 500 + 600));
    assert!(matches!(event, Event::AllocationRefreshed { .. }));
    world.pass_and_wake(599);
    assert_eq!(world.server.allocations(), 1);
    world.pass_and_wake(2);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn refresh_lifetimes_lie_between_default_and_maximum() {
    let (mut world, mut client) = allocated(config());
    for (asked, granted) in [(1, 600), (600, 600), (1_800, 1_800), (u32::MAX, 3_600)] {
        assert_eq!(client.refresh(&mut world, Some(asked)).lifetime(), granted);
    }
}

#[test]
fn refusal_has_its_reason_phrase_for_whoever_has_authenticated() {
    let mut world = World::new(config());
    let mut client = Client::new(1, "alice");
    client.greet(&mut world);
    let refused = client.refresh(&mut world, None);
    let error: ErrorCode<'_> = refused.get().unwrap();
    assert_eq!((error.code, error.reason), (437, "Allocation Mismatch"));
}

#[test]
fn refresh_with_zero_lifetime_frees_allocation() {
    let (mut world, mut client) = allocated(config());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    let free = world.server.free_ports();
    assert_eq!(client.refresh(&mut world, Some(0)).lifetime(), 0);
    let seen = world.take_seen();
    assert!(
        matches!(
            seen[..],
            [
                Seen::Command(Action::Revoke(EntryKey::Channel { .. })),
                Seen::Command(Action::Revoke(EntryKey::Permission { .. })),
                Seen::Event(Event::AllocationEnded {
                    reason: EndReason::Released,
                    ..
                }),
                Seen::Command(Action::Revoke(EntryKey::Allocation { .. })),
                Seen::Sent(..),
            ]
        ),
        "{seen:?}"
    );
    assert_eq!(world.server.allocations(), 0);
    assert_eq!(world.server.users(), 0);
    assert_eq!(world.server.free_ports(), free + 1);
    assert_eq!(client.refresh(&mut world, Some(0)).code(), 437);
}

#[test]
fn freed_five_tuple_can_allocate_again() {
    let (mut world, mut client) = allocated(config());
    client.refresh(&mut world, Some(0));
    assert!(client.allocate(&mut world).is_success());
}

#[test]
fn port_is_free_only_once_its_revoke_has_been_polled() {
    use turnpike_stun::TransactionId;
    use turnpike_turn::attribute::Lifetime;
    use turnpike_turn::server::{Output, TRANSMIT_MAX};
    let (mut world, client) = allocated(config());
    let free = world.server.free_ports();
    let bytes = client.signed(Method::REFRESH, TransactionId([1; 12]), |message| {
        message.attribute(&Lifetime(0));
    });
    world
        .server
        .handle_input(world.now, client.five_tuple, &bytes);
    assert_eq!(world.server.free_ports(), free);
    let mut buf = [0; TRANSMIT_MAX];
    while let Some(output) = world.server.poll_output(&mut buf) {
        if let Output::Command(command) = output {
            assert!(matches!(
                command.action,
                Action::Revoke(EntryKey::Allocation { .. })
            ));
            break;
        }
        assert_eq!(world.server.free_ports(), free);
    }
    assert_eq!(world.server.free_ports(), free + 1);
}

#[test]
fn refresh_without_an_allocation_is_refused_with_437() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    assert_eq!(client.refresh(&mut world, None).code(), 437);
    assert_eq!(client.refresh(&mut world, Some(0)).code(), 437);
    assert_eq!(client.permit(&mut world, &[PEER]).code(), 437);
    assert_eq!(client.bind(&mut world, 0x4000, PEER).code(), 437);
}

#[test]
fn refresh_of_the_family_that_is_not_there_is_refused_with_443() {
    let (mut world, mut client) = allocated(config());
    let code = |world: &mut World, client: &mut Client, value: &[u8]| {
        let response = client.request(world, Method::REFRESH, |message| {
            message.raw(AttributeType::REQUESTED_ADDRESS_FAMILY, value);
        });
        response.code()
    };
    assert_eq!(code(&mut world, &mut client, &[2, 0, 0, 0]), 443);
    assert_eq!(code(&mut world, &mut client, &[9, 0, 0, 0]), 443);
    assert_eq!(code(&mut world, &mut client, &[1, 0, 0]), 400);
    assert_eq!(code(&mut world, &mut client, &[1, 0, 0, 0]), 0);
    let response = client.request(&mut world, Method::REFRESH, |message| {
        message.attribute(&RequestedAddressFamily(AddressFamily::Ipv4));
        message.raw(AttributeType::LIFETIME, &[0, 0]);
    });
    assert_eq!(response.code(), 400);
}

#[test]
fn refresh_lengthens_what_the_old_end_had_cut_short() {
    let (mut world, mut client) = allocated(config());
    world.pass(500);
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    assert!(client.refresh(&mut world, None).is_success());
    let moved: Vec<_> = world
        .take_actions()
        .into_iter()
        .map(|action| match action {
            Action::Refresh { key, expires_at } => (key, expires_at.as_secs()),
            other => panic!("{other:?}"),
        })
        .collect();
    // Until now all three ended with the allocation, at 1600.
    assert!(matches!(moved[0], (EntryKey::Allocation { .. }, 2_100)));
    assert!(matches!(moved[1], (EntryKey::Permission { .. }, 1_800)));
    assert!(matches!(moved[2], (EntryKey::Channel { .. }, 1_800)));
    assert_eq!(moved.len(), 3);
    world.pass(1);
    assert!(client.refresh(&mut world, None).is_success());
    assert_eq!(
        world.take_actions().len(),
        1,
        "permission and channel do not move"
    );
}

#[test]
fn retransmitted_refresh_refreshes_again() {
    use turnpike_stun::TransactionId;
    let (mut world, client) = allocated(config());
    let bytes = client.signed(Method::REFRESH, TransactionId([4; 12]), |_| {});
    let first = world.send(client.five_tuple, &bytes).unwrap();
    assert_eq!(world.send(client.five_tuple, &bytes).unwrap(), first);
}

#[test]
fn closed_stream_ends_its_allocation() {
    let (mut world, client) = allocated(config());
    world
        .server
        .handle_disconnect(world.now, &client.five_tuple);
    world.drain();
    let events = world.take_events();
    assert!(matches!(
        events[..],
        [Event::AllocationEnded {
            reason: EndReason::Disconnected,
            ..
        }]
    ));
    assert_eq!(world.server.allocations(), 0);
    world
        .server
        .handle_disconnect(world.now, &client.five_tuple);
    world.drain();
    assert!(world.take_seen().is_empty());
}

#[test]
fn operator_can_end_an_allocation_and_its_number_is_not_another_s() {
    let (mut world, mut client) = allocated(config());
    let id = world.server.allocation(&client.five_tuple).unwrap();
    world.server.end_allocation(world.now, id);
    world.drain();
    assert!(client.allocate(&mut world).is_success());
    let next = world.server.allocation(&client.five_tuple).unwrap();
    assert_eq!(next.slot, id.slot);
    world.server.end_allocation(world.now, id);
    world.drain();
    assert_eq!(world.server.allocation(&client.five_tuple), Some(next));
}

#[test]
fn user_s_name_can_be_asked_for_until_the_last_command() {
    use turnpike_turn::server::{Output, TRANSMIT_MAX};
    let (mut world, client) = allocated(config());
    world
        .server
        .handle_disconnect(world.now, &client.five_tuple);
    let mut buf = [0; TRANSMIT_MAX];
    let Some(Output::Event(Event::AllocationEnded { user, .. })) =
        world.server.poll_output(&mut buf)
    else {
        panic!();
    };
    assert_eq!(world.server.username(user), Some("alice"));
    world.drain();
    assert_eq!(world.server.username(user), None);
}
