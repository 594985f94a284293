//! Every path that the program forwards by, in every pair of families, with every length that is
//! special.

use std::net::SocketAddr;

use turnpike_abi::Reason;

use crate::frame::{Checksum, Frame, channel_data, stun, with_fingerprint, xor_address};
use crate::kernel::Kernel;
use crate::trial::{agree, expect};
use crate::world::{
    Allocation, CLIENT_4, CLIENT_6, PEER_4, PEER_6, SERVER_4, SERVER_6, World, addr, world,
};

/// Odd and even lengths, none at all, and those around Ethernet's shortest frame.
const LENGTHS: [usize; 14] = [0, 1, 2, 3, 4, 5, 14, 17, 18, 19, 172, 173, 1_199, 1_200];

/// A payload in which no two neighbours are alike.
pub(crate) fn payload(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

/// A frame from a client of [`world`].
pub(crate) fn from_client(client: &str, message: Vec<u8>) -> Frame {
    let server = if client == CLIENT_4 {
        SERVER_4
    } else {
        SERVER_6
    };
    Frame::new(addr(client), addr(server), message)
}

/// A frame from a peer to an allocation of [`world`].
pub(crate) fn from_peer(peer: SocketAddr, allocation: &Allocation, payload: Vec<u8>) -> Frame {
    let relayed = allocation.relayed_for(peer.ip()).unwrap();
    Frame::new(peer, relayed, payload)
}

/// A Send indication for a peer.
pub(crate) fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let attributes = [(0x0012, xor_address(peer, ID)), (0x0013, data.to_vec())];
    stun(0x0016, ID, &attributes)
}

pub(crate) const ID: [u8; 12] = [0x11, 0x22, 0x33, 0x44, 5, 6, 7, 8, 9, 10, 11, 12];

/// Every kind of checksum, every marking of the IP header that has to go on.
fn variants(frame: &Frame) -> Vec<Frame> {
    let mut variants = Vec::new();
    for checksum in [
        Checksum::Right,
        Checksum::None,
        Checksum::Off(1),
        Checksum::Off(40_000),
    ] {
        for (traffic_class, time_to_live, dont_fragment) in [
            (0, 64, false),
            (0xb8 | 1, 2, true),
            (3, 255, false),
            (0xff, 1, true),
            (0, 0, false),
        ] {
            variants.push(Frame {
                checksum,
                traffic_class,
                time_to_live,
                dont_fragment,
                flow_label: 0xabcde,
                ..frame.clone()
            });
        }
    }
    variants
}

/// Each length, each variant, with and without the bytes that Ethernet pads short frames with.
fn in_all_forms(make: impl Fn(Vec<u8>) -> Frame) -> Vec<Frame> {
    let mut frames = Vec::new();
    for length in LENGTHS {
        let frame = make(payload(length));
        let short = 60_usize.saturating_sub(frame.bytes().len());
        for trailer in [vec![], vec![0xee; short], vec![0; 5]] {
            frames.extend(variants(&Frame {
                trailer,
                ..frame.clone()
            }));
        }
    }
    frames
}

/// Runs all of them; how often the reason came.
fn run(world: &World, frames: &[Frame], reason: Reason) -> usize {
    let kernel = Kernel::with(world);
    let reasons = frames
        .iter()
        .map(|frame| agree(&kernel, world, &frame.bytes()));
    let seen: Vec<Reason> = reasons.collect();
    let refused = [Reason::TimeToLive, Reason::NoChecksum];
    let strange = seen
        .iter()
        .find(|seen| **seen != reason && !refused.contains(seen));
    assert_eq!(strange, None);
    seen.iter().filter(|seen| **seen == reason).count()
}

#[test]
fn channel_data_reaches_its_peer_in_every_pair_of_families() {
    let world = world();
    for (client, number) in [
        (CLIENT_4, 0x4000),
        (CLIENT_4, 0x4001),
        (CLIENT_6, 0x4fff),
        (CLIENT_6, 0x4ffe),
    ] {
        let frames = in_all_forms(|payload| from_client(client, channel_data(number, &payload)));
        let forwarded = run(&world, &frames, Reason::ChannelToPeer);
        assert!(
            forwarded * 3 > frames.len(),
            "{client} {number:x}: {forwarded}"
        );
    }
}

#[test]
fn datagrams_of_a_bound_peer_reach_the_client_as_channel_data() {
    let world = world();
    for allocation in &world.allocations {
        for peer in [PEER_4, PEER_6] {
            let frames = in_all_forms(|payload| from_peer(addr(peer), allocation, payload));
            let forwarded = run(&world, &frames, Reason::PeerToChannel);
            assert!(forwarded * 3 > frames.len(), "{peer}: {forwarded}");
        }
    }
}

#[test]
fn datagrams_of_a_permitted_peer_reach_the_client_as_data_indications() {
    let world = world();
    for allocation in &world.allocations {
        for peer in ["203.0.113.9:7", "[2001:db8:9::9]:65535"] {
            let frames = in_all_forms(|payload| from_peer(addr(peer), allocation, payload));
            let forwarded = run(&world, &frames, Reason::PeerToData);
            assert!(forwarded * 3 > frames.len(), "{peer}: {forwarded}");
        }
    }
}

#[test]
fn data_of_send_indications_reaches_permitted_peers() {
    let world = world();
    for client in [CLIENT_4, CLIENT_6] {
        for peer in ["203.0.113.9:7", "[2001:db8:9::9]:65535"].map(addr) {
            let plain = in_all_forms(|data| from_client(client, send_indication(peer, &data)));
            let sealed = in_all_forms(|data| {
                from_client(client, with_fingerprint(send_indication(peer, &data)))
            });
            for frames in [plain, sealed] {
                let forwarded = run(&world, &frames, Reason::SendToPeer);
                assert!(forwarded * 3 > frames.len(), "{client} {peer}: {forwarded}");
            }
        }
    }
}

#[test]
fn one_allocation_reaches_another_in_one_step() {
    let world = world();
    let [a, b] = &world.allocations[..] else {
        panic!("two allocations")
    };
    for number in [0x4002, 0x4003] {
        let frames = in_all_forms(|payload| from_client(CLIENT_4, channel_data(number, &payload)));
        assert!(run(&world, &frames, Reason::AllocationToAllocation) * 3 > frames.len());
    }
    for number in [0x4ffd, 0x4ffc] {
        let frames = in_all_forms(|payload| from_client(CLIENT_6, channel_data(number, &payload)));
        assert!(run(&world, &frames, Reason::AllocationToAllocation) * 3 > frames.len());
    }
    for relayed in &b.relayed {
        let frames = in_all_forms(|data| from_client(CLIENT_4, send_indication(*relayed, &data)));
        assert!(run(&world, &frames, Reason::AllocationToAllocation) * 3 > frames.len());
    }
    assert_eq!(a.relayed.len(), 2);
}

#[test]
fn channel_reaches_an_allocation_without_a_channel_as_a_data_indication() {
    let mut world = world();
    world.allocations[1]
        .channels
        .retain(|channel| channel.number < 0x4ffd && channel.number > 0);
    for number in [0x4002, 0x4003] {
        let frames = in_all_forms(|payload| from_client(CLIENT_4, channel_data(number, &payload)));
        assert!(run(&world, &frames, Reason::AllocationToAllocation) * 3 > frames.len());
    }
}

#[test]
fn both_allocations_count_what_went_from_one_to_the_other() {
    let world = world();
    let kernel = Kernel::with(&world);
    for _ in 0..3 {
        let frame = from_client(CLIENT_4, channel_data(0x4002, &payload(10)));
        expect(
            &kernel,
            &world,
            &frame.bytes(),
            Reason::AllocationToAllocation,
        );
    }
    let frame = from_peer(addr(PEER_4), &world.allocations[0], payload(7));
    expect(&kernel, &world, &frame.bytes(), Reason::PeerToChannel);
    let (a, b) = (kernel.traffic(0), kernel.traffic(1));
    assert_eq!((a.to_peer_packets, a.to_peer_bytes), (3, 30));
    assert_eq!((a.to_client_packets, a.to_client_bytes), (1, 7));
    assert_eq!((b.to_client_packets, b.to_client_bytes), (3, 30));
    assert_eq!((b.to_peer_packets, b.to_peer_bytes), (0, 0));
}

#[test]
fn transaction_ids_and_identifications_differ_from_packet_to_packet() {
    let world = world();
    let kernel = Kernel::with(&world);
    let frame = from_peer(addr("203.0.113.9:7"), &world.allocations[0], payload(9)).bytes();
    let choices = (0..8).map(|_| kernel.run(&frame).frame);
    let mut ids: Vec<Vec<u8>> = choices
        .map(|frame| [&frame[18..20], &frame[50..62]].concat())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}
