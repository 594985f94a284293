//! Packets and bytes a second, of an allocation and of a user.

use core::time::Duration;

use turnpike_turn::forward::Verdict;
use turnpike_types::{
    Action, AllocationEntry, AllocationId, ChannelEntry, DropReason, Entry, EntryKey, FiveTuple,
    RateLimit, RelayedAddr, Timestamp, Transport, UserId,
};

use crate::world::*;

const SECOND_ID: AllocationId = AllocationId {
    slot: 1,
    generation: 1,
};
const SECOND_RELAYED: &str = "10.0.0.5:50001";

/// Buckets start empty; those made then are full at [`NOW`].
const A_SECOND_AGO: Timestamp = Timestamp::from_nanos(NOW.as_nanos() - 1_000_000_000);

const fn packets(count: u32) -> RateLimit {
    RateLimit {
        packets_per_second: Some(count),
        bytes_per_second: None,
    }
}

const fn bytes(count: u64) -> RateLimit {
    RateLimit {
        packets_per_second: None,
        bytes_per_second: Some(count),
    }
}

fn limited(allocation_limit: RateLimit, user_limit: RateLimit) -> World {
    let mut world = World::empty(100);
    world.now = A_SECOND_AGO;
    for (id, client, relayed) in [(ID, 1, RELAYED), (SECOND_ID, 2, SECOND_RELAYED)] {
        let entry = allocation(id, client, relayed);
        let entry = AllocationEntry {
            allocation_limit,
            user_limit,
            ..entry
        };
        world.install(Entry::Allocation(entry)).unwrap();
        let five_tuple = five_tuple(client, Transport::Udp);
        let relayed = RelayedAddr(addr(relayed));
        let entry = channel(id, NUMBER, PEER);
        let entry = ChannelEntry {
            five_tuple,
            relayed,
            ..entry
        };
        world.install(Entry::Channel(entry)).unwrap();
    }
    world.now = NOW;
    world
}

fn send(world: &mut World, payload_len: usize) -> Verdict {
    world.client_sends(&channel_data(NUMBER, &vec![0; payload_len]))
}

fn is_relayed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::ToPeer(_) | Verdict::ToClient(_))
}

fn second_client() -> FiveTuple {
    five_tuple(2, Transport::Udp)
}

#[test]
fn budget_starts_empty_so_that_a_new_allocation_brings_no_burst() {
    let mut world = limited(packets(4), packets(4));
    world.now = A_SECOND_AGO;
    assert_eq!(send(&mut world, 1), dropped(DropReason::AllocationRate));
    world.now = A_SECOND_AGO + Duration::from_millis(250);
    assert!(is_relayed(&send(&mut world, 1)));
}

#[test]
fn both_directions_draw_on_the_allocation() {
    let mut world = limited(packets(4), RateLimit::UNLIMITED);
    for _ in 0..2 {
        assert!(is_relayed(&send(&mut world, 1)));
        assert!(is_relayed(&world.peer_sends(RELAYED, PEER, 1)));
    }
    assert_eq!(send(&mut world, 1), dropped(DropReason::AllocationRate));
    assert_eq!(
        world.peer_sends(RELAYED, PEER, 1),
        dropped(DropReason::AllocationRate)
    );
    assert!(is_relayed(&world.peer_sends(SECOND_RELAYED, PEER, 1)));
}

#[test]
fn budget_fills_up_by_time() {
    let mut world = limited(packets(4), RateLimit::UNLIMITED);
    while is_relayed(&send(&mut world, 1)) {}
    world.now = NOW + Duration::from_millis(250);
    assert!(is_relayed(&send(&mut world, 1)));
    assert_eq!(send(&mut world, 1), dropped(DropReason::AllocationRate));
}

#[test]
fn bytes_are_counted_by_payload() {
    let mut world = limited(bytes(1_000), RateLimit::UNLIMITED);
    assert!(is_relayed(&send(&mut world, 600)));
    assert_eq!(send(&mut world, 401), dropped(DropReason::AllocationRate));
    assert!(is_relayed(&world.peer_sends(RELAYED, PEER, 400)));
    assert!(is_relayed(&send(&mut world, 0)));
    assert_eq!(send(&mut world, 1), dropped(DropReason::AllocationRate));
}

#[test]
fn allocations_of_one_user_share_the_users_budget() {
    let mut world = limited(RateLimit::UNLIMITED, packets(3));
    assert!(is_relayed(&send(&mut world, 1)));
    assert!(is_relayed(&world.peer_sends(SECOND_RELAYED, PEER, 1)));
    assert!(is_relayed(&send(&mut world, 1)));
    world.client = second_client();
    assert_eq!(send(&mut world, 1), dropped(DropReason::UserRate));
}

#[test]
fn packet_refused_for_the_user_costs_the_allocation_nothing() {
    let mut world = limited(packets(10), bytes(100));
    for _ in 0..100 {
        assert_eq!(send(&mut world, 101), dropped(DropReason::UserRate));
    }
    for _ in 0..10 {
        assert!(is_relayed(&send(&mut world, 0)));
    }
}

#[test]
fn packet_without_permission_costs_nothing() {
    let mut world = limited(packets(2), packets(2));
    for _ in 0..10 {
        world.client_sends(&send_indication("203.0.113.10:7000", b"x"));
        world.peer_sends(RELAYED, "203.0.113.10:7000", 1);
    }
    assert!(is_relayed(&send(&mut world, 1)));
    assert!(is_relayed(&send(&mut world, 1)));
}

#[test]
fn users_budget_outlives_an_allocation_but_not_the_last() {
    let mut world = limited(RateLimit::UNLIMITED, packets(1));
    assert!(is_relayed(&send(&mut world, 1)));
    let revoke = |world: &mut World, allocation, relayed| {
        let relayed = RelayedAddr(addr(relayed));
        let key = EntryKey::Allocation {
            allocation,
            relayed,
        };
        world.forwarder.apply(NOW, &Action::Revoke(key)).unwrap();
    };
    revoke(&mut world, ID, RELAYED);
    world.client = second_client();
    assert_eq!(send(&mut world, 1), dropped(DropReason::UserRate));
    revoke(&mut world, SECOND_ID, SECOND_RELAYED);
    world.client = five_tuple(1, Transport::Udp);
    let entry = AllocationEntry {
        user_limit: packets(1),
        ..allocation(ID, 1, RELAYED)
    };
    world.install(Entry::Allocation(entry)).unwrap();
    world = world.bind(NUMBER, PEER);
    assert_eq!(send(&mut world, 1), dropped(DropReason::UserRate));
    world.now = NOW + Duration::from_secs(1);
    assert!(is_relayed(&send(&mut world, 1)));
}

#[test]
fn users_do_not_share() {
    let mut world = limited(RateLimit::UNLIMITED, packets(1));
    let entry = allocation(SECOND_ID, 2, SECOND_RELAYED);
    let entry = AllocationEntry {
        user: UserId(2),
        user_limit: packets(1),
        ..entry
    };
    world.now = A_SECOND_AGO;
    world.install(Entry::Allocation(entry)).unwrap();
    world.now = NOW;
    assert!(is_relayed(&send(&mut world, 1)));
    assert!(is_relayed(&world.peer_sends(SECOND_RELAYED, PEER, 1)));
    assert_eq!(send(&mut world, 1), dropped(DropReason::UserRate));
}

#[test]
fn installing_again_with_the_same_limits_refills_nothing() {
    let mut world = limited(packets(1), packets(5));
    assert!(is_relayed(&send(&mut world, 1)));
    let entry = allocation(ID, 1, RELAYED);
    let entry = AllocationEntry {
        allocation_limit: packets(1),
        user_limit: packets(5),
        ..entry
    };
    world.install(Entry::Allocation(entry)).unwrap();
    assert_eq!(send(&mut world, 1), dropped(DropReason::AllocationRate));
    let entry = AllocationEntry {
        allocation_limit: packets(2),
        ..entry
    };
    world.install(Entry::Allocation(entry)).unwrap();
    assert_eq!(send(&mut world, 1), dropped(DropReason::AllocationRate));
    world.now = NOW + Duration::from_millis(500);
    assert!(is_relayed(&send(&mut world, 1)));
}

#[test]
fn time_going_backwards_gives_nothing() {
    let mut world = limited(packets(1), RateLimit::UNLIMITED);
    assert!(is_relayed(&send(&mut world, 1)));
    world.now = Timestamp::ZERO;
    assert_eq!(send(&mut world, 1), dropped(DropReason::AllocationRate));
}
