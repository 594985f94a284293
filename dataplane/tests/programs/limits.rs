//! Packets and bytes a second of an allocation and of a user, and packets of those who have neither.
//!
//! Buckets hold one second. Time goes on between two runs, so rates are so low that it gives nothing
//! back meanwhile.

use turnpike_abi::Reason;

use crate::frame::{Frame, channel_data, stun};
use crate::kernel::Kernel;
use crate::rows::{ID, from_client, from_peer, payload};
use crate::world::{CLIENT_4, CLIENT_6, PEER_4, SERVER_4, SERVER_6, World, addr, world};

/// How many packets pass until one is refused, and why that is.
fn until_refused(kernel: &Kernel, frame: &[u8]) -> (usize, Reason) {
    for count in 0..1_000 {
        let reasons = kernel.run(frame).reasons;
        if let [reason @ (Reason::AllocationRate | Reason::UserRate | Reason::StrangerRate)] =
            reasons[..]
        {
            return (count, reason);
        }
    }
    panic!("nothing was refused");
}

fn to_peer(bytes: usize) -> Vec<u8> {
    from_client(CLIENT_4, channel_data(0x4000, &payload(bytes))).bytes()
}

#[test]
fn allocation_sends_so_many_packets_and_no_more() {
    let mut world = world();
    world.allocations[0].packets_per_second = Some(3);
    let kernel = Kernel::with(&world);
    assert_eq!(
        until_refused(&kernel, &to_peer(0)),
        (3, Reason::AllocationRate)
    );
    // Both directions pay into one bucket; another allocation has its own.
    let back = from_peer(addr(PEER_4), &world.allocations[0], payload(1)).bytes();
    assert_eq!(kernel.run(&back).reasons, [Reason::AllocationRate]);
    let other = from_client(CLIENT_6, channel_data(0x4fff, &payload(1))).bytes();
    assert_eq!(kernel.run(&other).reasons, [Reason::ChannelToPeer]);
    let traffic = kernel.traffic(0);
    assert_eq!((traffic.to_peer_packets, traffic.refused_packets), (3, 2));
}

#[test]
fn refused_packet_is_not_touched_and_bytes_count_payload_only() {
    let mut world = world();
    world.allocations[0].bytes_per_second = Some(1_000);
    let kernel = Kernel::with(&world);
    let large = to_peer(1_001);
    let ran = kernel.run(&large);
    assert_eq!(
        (ran.reasons, ran.frame),
        (vec![Reason::AllocationRate], large)
    );
    assert_eq!(
        until_refused(&kernel, &to_peer(200)),
        (5, Reason::AllocationRate)
    );
    assert_eq!(
        kernel.run(&to_peer(0)).reasons,
        [Reason::ChannelToPeer],
        "nothing costs nothing"
    );
    assert_eq!(kernel.traffic(0).to_peer_bytes, 1_000);
}

/// Both allocations are one user's.
fn of_one_user(packets: Option<u32>, bytes: Option<u64>) -> World {
    let mut world = world();
    for allocation in &mut world.allocations {
        allocation.user = Some((5, packets, bytes));
    }
    world
}

#[test]
fn allocations_of_one_user_share_its_bucket() {
    let mut world = of_one_user(Some(4), None);
    world.allocations[0].packets_per_second = Some(3);
    let kernel = Kernel::with(&world);
    let other = from_client(CLIENT_6, channel_data(0x4fff, &payload(1))).bytes();
    assert_eq!(kernel.run(&other).reasons, [Reason::ChannelToPeer]);
    assert_eq!(kernel.run(&other).reasons, [Reason::ChannelToPeer]);
    assert_eq!(until_refused(&kernel, &to_peer(1)), (2, Reason::UserRate));
    assert_eq!(kernel.run(&other).reasons, [Reason::UserRate]);
    // Who is refused by the user's limit keeps the allocation's.
    for _ in 0..10 {
        assert_eq!(kernel.run(&to_peer(1)).reasons, [Reason::UserRate]);
    }
    assert_eq!(kernel.traffic(1).to_peer_packets, 2);
    assert_eq!(kernel.traffic(0).refused_packets, 11);
}

#[test]
fn packets_and_bytes_are_taken_together_or_not_at_all() {
    let kernel = Kernel::with(&of_one_user(Some(5), Some(1_000)));
    for _ in 0..20 {
        assert_eq!(kernel.run(&to_peer(1_001)).reasons, [Reason::UserRate]);
    }
    assert_eq!(until_refused(&kernel, &to_peer(100)), (5, Reason::UserRate));
}

#[test]
fn one_allocation_to_another_is_charged_to_both() {
    let mut world = world();
    world.allocations[1].packets_per_second = Some(2);
    let kernel = Kernel::with(&world);
    let across = from_client(CLIENT_4, channel_data(0x4002, &payload(1))).bytes();
    assert_eq!(until_refused(&kernel, &across), (2, Reason::AllocationRate));
    assert_eq!(kernel.run(&to_peer(1)).reasons, [Reason::ChannelToPeer]);
}

#[test]
fn rate_of_zero_lets_nothing_through() {
    let mut world = world();
    world.allocations[0].packets_per_second = Some(0);
    let kernel = Kernel::with(&world);
    assert_eq!(
        until_refused(&kernel, &to_peer(1)),
        (0, Reason::AllocationRate)
    );
}

/// A second's worth of strangers' packets.
fn strangers(packets: u64) -> (u64, u64) {
    // An hour each, so that none comes back during the test.
    (3_600_000_000_000, packets * 3_600_000_000_000)
}

#[test]
fn strangers_of_one_prefix_share_a_bucket_and_clients_do_not_pay() {
    let world = world();
    let (cost, full) = strangers(6);
    let kernel = Kernel::with_strangers(&world, cost, full);
    let request = stun(0x0003, ID, &[]);
    let from = |client: &str, server: &str| {
        Frame::new(addr(client), addr(server), request.clone()).bytes()
    };
    let refused = Reason::StrangerRate;
    assert_eq!(
        until_refused(&kernel, &from("198.51.100.7:1", SERVER_4)),
        (6, refused)
    );
    assert_eq!(
        until_refused(&kernel, &from("198.51.100.7:2", SERVER_4)),
        (0, refused)
    );
    assert_eq!(
        until_refused(&kernel, &from("198.51.100.8:1", SERVER_4)),
        (6, refused)
    );
    assert_eq!(
        until_refused(&kernel, &from("[2001:db8:7::1]:1", SERVER_6)),
        (6, refused)
    );
    assert_eq!(
        until_refused(&kernel, &from("[2001:db8:7::2]:1", SERVER_6)),
        (0, refused)
    );
    assert_eq!(
        until_refused(&kernel, &from("[2001:db8:7:1::1]:1", SERVER_6)),
        (6, refused)
    );
    for _ in 0..20 {
        assert_eq!(
            kernel.run(&from(CLIENT_4, SERVER_4)).reasons,
            [Reason::Control]
        );
    }
}
