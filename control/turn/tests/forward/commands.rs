//! Install, refresh and revoke; what hangs on what; counters.

use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, ChannelNumber, CommandError, DropReason,
    Entry, EntryKey, PermissionEntry, RelayedAddr, Timestamp, Transport,
};

use crate::world::*;

const NEXT: AllocationId = AllocationId {
    slot: 0,
    generation: 2,
};
const OTHER: AllocationId = AllocationId {
    slot: 1,
    generation: 1,
};

fn allocation_key(allocation: AllocationId, relayed: &str) -> EntryKey {
    EntryKey::Allocation {
        allocation,
        relayed: RelayedAddr(addr(relayed)),
    }
}

fn permission_key(allocation: AllocationId, wire_ip: &str) -> EntryKey {
    EntryKey::Permission {
        allocation,
        wire_ip: ip(wire_ip),
    }
}

fn channel_key(allocation: AllocationId, number: u16) -> EntryKey {
    EntryKey::Channel {
        allocation,
        number: ChannelNumber::new(number).unwrap(),
    }
}

fn revoke(world: &mut World, key: EntryKey) {
    assert_eq!(
        world.forwarder.apply(world.now, &Action::Revoke(key)),
        Ok(())
    );
}

fn refresh(world: &mut World, key: EntryKey) -> Result<(), CommandError> {
    world.forwarder.apply(
        world.now,
        &Action::Refresh {
            key,
            expires_at: END,
        },
    )
}

#[test]
fn refresh_of_what_is_not_there_is_absent() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    for key in [
        allocation_key(ID, "10.0.0.5:50001"),
        allocation_key(NEXT, RELAYED),
        allocation_key(OTHER, RELAYED),
        permission_key(ID, "203.0.113.10"),
        permission_key(NEXT, "203.0.113.9"),
        channel_key(ID, NUMBER + 1),
        channel_key(NEXT, NUMBER),
    ] {
        assert_eq!(
            refresh(&mut world, key),
            Err(CommandError::Absent),
            "{key:?}"
        );
    }
    for key in [
        allocation_key(ID, RELAYED),
        permission_key(ID, "203.0.113.9"),
        channel_key(ID, NUMBER),
    ] {
        assert_eq!(refresh(&mut world, key), Ok(()), "{key:?}");
    }
}

#[test]
fn entry_of_an_allocation_that_is_not_installed_is_absent() {
    let mut world = World::new();
    let elsewhere = RelayedAddr(addr("10.0.0.5:50009"));
    let of_others = PermissionEntry {
        relayed: elsewhere,
        ..permission(ID, "203.0.113.9")
    };
    for entry in [
        permission(NEXT, "203.0.113.9"),
        permission(OTHER, "203.0.113.9"),
        of_others,
    ] {
        assert_eq!(
            world.install(Entry::Permission(entry)),
            Err(CommandError::Absent)
        );
    }
    let elsewhere = ChannelEntry {
        relayed: elsewhere,
        ..channel(ID, NUMBER, PEER)
    };
    let five_tuple = five_tuple(2, Transport::Udp);
    let of_others = ChannelEntry {
        five_tuple,
        ..channel(ID, NUMBER, PEER)
    };
    for entry in [
        channel(NEXT, NUMBER, PEER),
        channel(OTHER, NUMBER, PEER),
        elsewhere,
        of_others,
    ] {
        assert_eq!(
            world.install(Entry::Channel(entry)),
            Err(CommandError::Absent)
        );
    }
}

#[test]
fn revoking_takes_effect_at_once_and_twice_does_no_harm() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    for _ in 0..2 {
        revoke(&mut world, channel_key(ID, NUMBER));
        let verdict = world.client_sends(&channel_data(NUMBER, b"x"));
        assert_eq!(verdict, dropped(DropReason::NoChannel));
    }
    assert!(matches!(
        read(&to_client(world.peer_sends(RELAYED, PEER, 1)), b"x"),
        Read::DataIndication(..)
    ));
    for _ in 0..2 {
        revoke(&mut world, permission_key(ID, "203.0.113.9"));
        let verdict = world.client_sends(&send_indication(PEER, b"x"));
        assert_eq!(verdict, dropped(DropReason::NoPermission));
        assert_eq!(
            world.peer_sends(RELAYED, PEER, 1),
            dropped(DropReason::NoPermission)
        );
    }
    for _ in 0..2 {
        revoke(&mut world, allocation_key(ID, RELAYED));
        assert_eq!(
            world.peer_sends(RELAYED, PEER, 1),
            dropped(DropReason::NoAllocation)
        );
    }
}

#[test]
fn revoking_a_relayed_address_ends_what_hangs_on_it_and_nothing_else() {
    let mut world = World::new()
        .permit("203.0.113.9")
        .permit("2001:db8:9::9")
        .bind(NUMBER, PEER)
        .bind(NUMBER + 1, PEER_V6);
    revoke(&mut world, allocation_key(ID, RELAYED));
    let verdict = world.client_sends(&channel_data(NUMBER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoChannel));
    let verdict = world.client_sends(&send_indication(PEER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoPermission));
    to_peer(world.client_sends(&channel_data(NUMBER + 1, b"x")));
    to_peer(world.client_sends(&send_indication(PEER_V6, b"x")));
    assert!(world.forwarder.traffic(ID).is_some());
    revoke(&mut world, allocation_key(ID, RELAYED_V6));
    let verdict = world.client_sends(&channel_data(NUMBER + 1, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoAllocation));
    assert_eq!(world.forwarder.traffic(ID), None);
}

#[test]
fn installing_a_channel_again_moves_it_to_its_new_peer() {
    let mut world = World::new()
        .bind(NUMBER, PEER)
        .bind(NUMBER, "203.0.113.9:7001");
    let forward = to_peer(world.client_sends(&channel_data(NUMBER, b"x")));
    assert_eq!(forward.peer.0, addr("203.0.113.9:7001"));
    assert_eq!(
        world.peer_sends(RELAYED, PEER, 1),
        dropped(DropReason::NoPermission)
    );
    to_client(world.peer_sends(RELAYED, "203.0.113.9:7001", 1));
}

#[test]
fn peer_has_one_channel_the_last_one_bound() {
    let mut world = World::new().bind(NUMBER, PEER).bind(NUMBER + 1, PEER);
    let verdict = world.client_sends(&channel_data(NUMBER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoChannel));
    let forward = to_client(world.peer_sends(RELAYED, PEER, 1));
    assert_eq!(
        read(&forward, b"x"),
        Read::ChannelData(NUMBER + 1, b"x".to_vec())
    );
}

#[test]
fn installing_a_permission_again_replaces_its_port_rule() {
    let mut world = World::new().permit("203.0.113.9");
    let mut entry = permission(ID, "203.0.113.9");
    (entry.ports.min, entry.ports.guarded) = (1, false);
    world.install(Entry::Permission(entry)).unwrap();
    to_peer(world.client_sends(&send_indication("203.0.113.9:53", b"x")));
    to_peer(world.client_sends(&send_indication(SERVICE, b"x")));
}

#[test]
fn next_generation_of_a_slot_inherits_nothing() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    to_peer(world.client_sends(&channel_data(NUMBER, b"x")));
    world
        .install(Entry::Allocation(allocation(NEXT, 1, RELAYED)))
        .unwrap();
    let verdict = world.client_sends(&channel_data(NUMBER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoChannel));
    let verdict = world.client_sends(&send_indication(PEER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoPermission));
    assert_eq!(
        world.peer_sends(RELAYED, PEER, 1),
        dropped(DropReason::NoPermission)
    );
    assert_eq!(
        world.peer_sends(RELAYED_V6, PEER, 1),
        dropped(DropReason::NoAllocation)
    );
    assert_eq!(world.forwarder.traffic(ID), None);
    assert_eq!(world.forwarder.traffic(NEXT), Some(Default::default()));
    // A late command about the old one must not touch the new one.
    revoke(&mut world, allocation_key(ID, RELAYED));
    assert_eq!(refresh(&mut world, allocation_key(NEXT, RELAYED)), Ok(()));
}

#[test]
fn five_tuple_and_relayed_address_belong_to_the_last_allocation_that_took_them() {
    let mut world = World::new().permit("203.0.113.9");
    world
        .install(Entry::Allocation(allocation(OTHER, 2, RELAYED)))
        .unwrap();
    let verdict = world.client_sends(&send_indication(PEER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoPermission));
    assert!(
        world.forwarder.traffic(ID).is_some(),
        "its IPv6 address is still open"
    );
    let third = AllocationId {
        slot: 2,
        generation: 1,
    };
    world
        .install(Entry::Allocation(allocation(third, 1, "10.0.0.5:50003")))
        .unwrap();
    assert_eq!(world.forwarder.traffic(ID), None);
    assert_eq!(
        world.peer_sends(RELAYED_V6, PEER_V6, 1),
        dropped(DropReason::NoAllocation)
    );
}

#[test]
fn full_table_refuses_new_entries_and_keeps_the_old() {
    let mut world = World::empty(3);
    world
        .install(Entry::Allocation(allocation(ID, 1, RELAYED)))
        .unwrap();
    let mut world = world.permit("203.0.113.9").bind(NUMBER, PEER);
    let more = [
        Entry::Allocation(allocation(OTHER, 2, "10.0.0.5:50001")),
        Entry::Allocation(allocation(ID, 1, RELAYED_V6)),
        Entry::Permission(permission(ID, "203.0.113.10")),
        Entry::Channel(channel(ID, NUMBER + 1, "203.0.113.9:7001")),
    ];
    for entry in more {
        assert_eq!(
            world.install(entry),
            Err(CommandError::TableFull),
            "{entry:?}"
        );
    }
    // What replaces an entry needs no room.
    world = world
        .permit("203.0.113.9")
        .bind(NUMBER, "203.0.113.9:7001")
        .bind(NUMBER + 1, PEER_OF);
    to_peer(world.client_sends(&send_indication(PEER, b"x")));
    to_peer(world.client_sends(&channel_data(NUMBER + 1, b"x")));
    revoke(&mut world, channel_key(ID, NUMBER + 1));
    assert_eq!(
        world.install(Entry::Allocation(allocation(ID, 1, RELAYED_V6))),
        Ok(())
    );
}

const PEER_OF: &str = "203.0.113.9:7001";

#[test]
fn slot_beyond_the_table_is_refused() {
    let mut world = World::empty(3);
    for slot in [3, u32::MAX] {
        let id = AllocationId {
            slot,
            generation: 1,
        };
        let verdict = world.install(Entry::Allocation(allocation(id, 1, RELAYED)));
        assert_eq!(verdict, Err(CommandError::TableFull));
    }
}

#[test]
fn room_comes_back_however_often_entries_come_and_go() {
    let mut world = World::empty(4);
    for round in 0..200 {
        let id = AllocationId {
            slot: round % 2,
            generation: round,
        };
        world
            .install(Entry::Allocation(allocation(id, 1, RELAYED)))
            .unwrap();
        world
            .install(Entry::Permission(permission(id, "203.0.113.9")))
            .unwrap();
        world
            .install(Entry::Channel(channel(id, NUMBER, PEER)))
            .unwrap();
        let other = permission(id, "203.0.113.10");
        world.install(Entry::Permission(other)).unwrap();
        to_peer(world.client_sends(&channel_data(NUMBER, b"x")));
        if round % 3 == 0 {
            revoke(&mut world, allocation_key(id, RELAYED));
        }
    }
}

#[test]
fn traffic_counts_relayed_payload_by_direction() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    world.client_sends(&channel_data(NUMBER, &[0; 100]));
    world.client_sends(&send_indication(PEER, &[0; 11]));
    world.client_sends(&send_indication("203.0.113.10:7000", &[0; 11]));
    world.peer_sends(RELAYED, PEER, 1_000);
    world.peer_sends(RELAYED, "203.0.113.9:7001", 7);
    world.peer_sends(RELAYED, "203.0.113.10:7000", 7);
    let traffic = world.forwarder.traffic(ID).unwrap();
    assert_eq!((traffic.to_peer_packets, traffic.to_peer_bytes), (2, 111));
    assert_eq!(
        (traffic.to_client_packets, traffic.to_client_bytes),
        (2, 1_007)
    );
}

#[test]
fn every_packet_is_counted_once() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    world.client_sends(&channel_data(NUMBER, b"x"));
    world.client_sends(&message(
        turnpike_stun::Class::Request,
        turnpike_stun::Method::BINDING,
        |_| {},
    ));
    world.client_sends(&[0xFF]);
    world.client_sends(&channel_data(NUMBER + 1, b"x"));
    world.peer_sends(RELAYED, PEER, 1);
    world.peer_sends(RELAYED, "203.0.113.10:1", 1);
    world.peer_sends("10.0.0.5:50001", PEER, 1);
    let counters = world.forwarder.counters();
    assert_eq!((counters.from_client, counters.from_peer), (4, 3));
    assert_eq!(
        (counters.to_peer, counters.to_client, counters.passed),
        (1, 1, 1)
    );
    for reason in [
        DropReason::Malformed,
        DropReason::NoChannel,
        DropReason::NoPermission,
        DropReason::NoAllocation,
    ] {
        assert_eq!(counters.dropped(reason), 1, "{reason}");
    }
    let accounted = counters.forwarded() + counters.passed + counters.dropped_total();
    assert_eq!(counters.received(), accounted);
}

#[test]
fn allocation_of_the_same_id_under_another_five_tuple_starts_afresh() {
    let mut world = World::new().permit("203.0.113.9");
    let moved = AllocationEntry {
        expires_at: Timestamp::from_secs(900),
        ..allocation(ID, 2, RELAYED)
    };
    world.install(Entry::Allocation(moved)).unwrap();
    let verdict = world.client_sends(&send_indication(PEER, b"x"));
    assert_eq!(verdict, dropped(DropReason::NoAllocation));
    assert_eq!(
        world.peer_sends(RELAYED, PEER, 1),
        dropped(DropReason::NoPermission)
    );
}
