//! The tick at which an entry ends: one nanosecond before it lives, at it, it is gone.

use turnpike_types::{
    Action, AllocationEntry, ChannelNumber, DropReason, Entry, EntryKey, PermissionEntry,
    RelayedAddr, Timestamp,
};

use crate::world::*;

const LAST: Timestamp = Timestamp::from_nanos(END.as_nanos() - 1);

fn refresh(world: &mut World, key: EntryKey, expires_at: Timestamp) {
    world
        .forwarder
        .apply(world.now, &Action::Refresh { key, expires_at })
        .unwrap();
}

const fn channel_key() -> EntryKey {
    let Some(number) = ChannelNumber::new(NUMBER) else {
        panic!("in range")
    };
    EntryKey::Channel {
        allocation: ID,
        number,
    }
}

#[test]
fn channel_ends_at_its_tick_in_both_directions() {
    let mut world = World::new().bind(NUMBER, PEER);
    let far = Timestamp::from_secs(10_000);
    for relayed in [RELAYED, RELAYED_V6] {
        let relayed = RelayedAddr(addr(relayed));
        refresh(
            &mut world,
            EntryKey::Allocation {
                allocation: ID,
                relayed,
            },
            far,
        );
    }
    world.now = LAST;
    to_peer(world.client_sends(&channel_data(NUMBER, b"x")));
    to_client(world.peer_sends(RELAYED, PEER, 1));
    world.now = END;
    let verdict = world.client_sends(&channel_data(NUMBER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoChannel));
    let verdict = world.peer_sends(RELAYED, PEER, 1);
    assert_eq!(verdict, dropped(DropReason::NoPermission));
}

#[test]
fn permission_ends_at_its_tick_in_both_directions() {
    let mut world = World::new();
    let entry = PermissionEntry {
        expires_at: Timestamp::from_secs(300),
        ..permission(ID, "203.0.113.9")
    };
    world.install(Entry::Permission(entry)).unwrap();
    world.now = Timestamp::from_nanos(299_999_999_999);
    to_peer(world.client_sends(&send_indication(PEER, b"x")));
    to_client(world.peer_sends(RELAYED, PEER, 1));
    world.now = Timestamp::from_secs(300);
    let verdict = world.client_sends(&send_indication(PEER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoPermission));
    assert_eq!(
        world.peer_sends(RELAYED, PEER, 1),
        dropped(DropReason::NoPermission)
    );
}

#[test]
fn lapsed_channel_leaves_the_permission_to_data_indications() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    refresh(&mut world, channel_key(), Timestamp::from_secs(100));
    world.now = Timestamp::from_secs(100);
    let forward = to_client(world.peer_sends(RELAYED, PEER, 1));
    assert!(matches!(read(&forward, b"x"), Read::DataIndication(..)));
}

#[test]
fn allocation_that_has_ended_is_no_allocation() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    world.now = END;
    for packet in [channel_data(NUMBER, b"x"), send_indication(PEER, b"x")] {
        assert_eq!(
            world.client_sends(&packet),
            dropped(DropReason::NoAllocation)
        );
    }
    assert_eq!(
        world.peer_sends(RELAYED, PEER, 1),
        dropped(DropReason::NoAllocation)
    );
}

#[test]
fn dual_allocation_lives_as_long_as_one_of_its_addresses() {
    let mut world = World::new();
    let entry = AllocationEntry {
        expires_at: Timestamp::from_secs(900),
        ..allocation(ID, 1, RELAYED_V6)
    };
    world.install(Entry::Allocation(entry)).unwrap();
    world.now = END;
    let verdict = world.client_sends(&channel_data(NUMBER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoChannel));
    assert_eq!(
        world.peer_sends(RELAYED, PEER, 1),
        dropped(DropReason::NoAllocation)
    );
    assert_eq!(
        world.peer_sends(RELAYED_V6, PEER_V6, 1),
        dropped(DropReason::NoPermission)
    );
}

#[test]
fn refresh_moves_the_end_both_ways() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    refresh(&mut world, channel_key(), Timestamp::from_secs(700));
    world.now = Timestamp::from_secs(699);
    to_peer(world.client_sends(&channel_data(NUMBER, b"x")));
    refresh(&mut world, channel_key(), Timestamp::from_secs(650));
    let verdict = world.client_sends(&channel_data(NUMBER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoAllocation));
}

#[test]
fn lapsed_entry_can_still_be_refreshed() {
    let mut world = World::new().bind(NUMBER, PEER);
    world.now = END;
    refresh(&mut world, channel_key(), Timestamp::from_secs(700));
    to_peer(world.client_sends(&channel_data(NUMBER, b"x")));
}
