//! What the headers of a packet may be, and what they become: TTL, DSCP, ECN, DF, identification (RFC
//! 8656 sections 13 and 14), VLAN tags, MTUs; and what is left to the host because of them.

use turnpike_abi::Reason;

use crate::frame::{Frame, channel_data, ones};
use crate::kernel::Kernel;
use crate::rows::{from_client, from_peer, payload};
use crate::trial::{agree, expect};
use crate::world::{CLIENT_4, CLIENT_6, FORBIDDEN, PEER_4, PEER_6, World, addr, world};

fn to_peer(length: usize) -> Frame {
    from_client(CLIENT_4, channel_data(0x4000, &payload(length)))
}

/// Changes a frame's IPv4 header and makes its checksum right again.
fn with_ipv4(frame: &Frame, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = frame.bytes();
    change(&mut bytes);
    let length = usize::from(bytes[14] & 15) * 4;
    bytes[24..26].fill(0);
    let sum = !ones(&bytes[14..14 + length]);
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn marks_of_the_ip_header_go_on_and_the_ttl_is_one_less() {
    let world = world();
    let kernel = Kernel::with(&world);
    let frame = Frame {
        traffic_class: 0xb9,
        time_to_live: 9,
        dont_fragment: true,
        ..to_peer(100)
    };
    expect(&kernel, &world, &frame.bytes(), Reason::ChannelToPeer);
    let out = kernel.run(&frame.bytes()).frame;
    assert_eq!(out[15], 0xb9, "DSCP and ECN");
    assert_eq!(
        out[18..22],
        [0, 0, 0x40, 0],
        "DF, and no identification where none is needed"
    );
    assert_eq!(out[22], 8, "TTL");
    assert_eq!(out.len(), 14 + 28 + 100);
}

#[test]
fn a_golden_frame_comes_out_as_worked_out_by_hand() {
    let world = world();
    let kernel = Kernel::with(&world);
    let frame = Frame {
        dont_fragment: true,
        ..from_client(CLIENT_4, channel_data(0x4000, b"hi!"))
    };
    let out = kernel.run(&frame.bytes()).frame;
    let expected = [
        &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 1, 2, 8, 0][..],
        &[0x45, 0, 0, 31, 0, 0, 0x40, 0, 63, 17, 0x3d, 0xc2],
        &[192, 0, 2, 2, 203, 0, 113, 9],
        &[0xc3, 0x50, 0x17, 0x70, 0, 11, 0x9d, 0xa1],
        b"hi!",
    ]
    .concat();
    assert_eq!(out, expected);
}

#[test]
fn vlan_tags_follow_the_next_hop_and_keep_their_priority() {
    let mut world = world();
    for vlan in [0, 5, 0xfff] {
        world.hops.iter_mut().for_each(|hop| hop.vlan = vlan);
        let kernel = Kernel::with(&world);
        for tag in [None, Some(5), Some(0xe005), Some(0x1fff)] {
            let frames = [
                to_peer(30),
                from_client(CLIENT_6, channel_data(0x4fff, &payload(31))),
                from_peer(addr(PEER_6), &world.allocations[0], payload(32)),
                from_peer(addr("203.0.113.9:7"), &world.allocations[1], payload(33)),
            ];
            for frame in frames {
                let frame = Frame { tag, ..frame };
                let reason = agree(&kernel, &world, &frame.bytes());
                assert_eq!(reason.fate(), turnpike_abi::Fate::Forwarded);
            }
        }
    }
}

#[test]
fn two_vlan_tags_are_left_to_the_host() {
    let world = world();
    let kernel = Kernel::with(&world);
    let bytes = to_peer(30).bytes();
    for outer in [[0x81, 0x00], [0x88, 0xa8]] {
        let twice = [&bytes[..12], &outer, &[0, 5, 0x81, 0, 0, 6], &bytes[12..]].concat();
        expect(&kernel, &world, &twice, Reason::NotIp);
    }
}

#[test]
fn packets_that_outgrow_the_mtu_are_left_to_a_lane_with_and_without_df() {
    let mut world = world();
    world.hops.iter_mut().for_each(|hop| hop.mtu = 600);
    let kernel = Kernel::with(&world);
    let peers = [PEER_4, PEER_6, "203.0.113.9:7", "[2001:db8:9::9]:7"];
    let mut seen = Vec::new();
    for allocation in &world.allocations {
        for peer in peers {
            for length in 500..600 {
                for dont_fragment in [false, true] {
                    let frame = from_peer(addr(peer), allocation, payload(length));
                    let frame = Frame {
                        dont_fragment,
                        ..frame
                    };
                    seen.push(agree(&kernel, &world, &frame.bytes()));
                }
            }
        }
    }
    for reason in [Reason::TooBig, Reason::PeerToChannel, Reason::PeerToData] {
        assert!(
            seen.iter().filter(|seen| **seen == reason).count() > 50,
            "{reason:?}"
        );
    }
    assert_eq!(seen.len(), 1_600);
}

#[test]
fn ipv6_becomes_ipv4_that_may_be_fragmented_only_up_to_1260_bytes() {
    let world = world();
    let kernel = Kernel::with(&world);
    for length in 1_225..1_240 {
        let frame = from_client(CLIENT_6, channel_data(0x4fff, &payload(length)));
        expect(&kernel, &world, &frame.bytes(), Reason::ChannelToPeer);
        let out = kernel.run(&frame.bytes()).frame;
        assert_eq!(out[20] & 0x40 != 0, length + 28 > 1_260, "{length}");
    }
}

#[test]
fn fragments_are_left_to_the_host() {
    let world = world();
    let kernel = Kernel::with(&world);
    for (flags, offset) in [(0x20, 0), (0x20, 3), (0, 3), (0x60, 0), (0x1f, 0xff)] {
        let bytes = with_ipv4(&to_peer(100), |bytes| {
            bytes[20..22].copy_from_slice(&[flags, offset])
        });
        expect(&kernel, &world, &bytes, Reason::Fragment);
    }
    // A fragment of IPv6, and an atomic one (RFC 6946), both before a whole UDP datagram.
    for more in [1, 0] {
        let frame = from_client(CLIENT_6, channel_data(0x4fff, &payload(10)));
        let bytes = behind_extension(&frame, 44, &[17, 0, 0, more, 0, 0, 0, 1]);
        expect(&kernel, &world, &bytes, Reason::Fragment);
    }
}

/// An IPv6 frame with an extension header before UDP.
fn behind_extension(frame: &Frame, kind: u8, extension: &[u8]) -> Vec<u8> {
    let mut bytes = frame.bytes();
    let length = u16::from_be_bytes([bytes[18], bytes[19]]) + extension.len() as u16;
    bytes[18..20].copy_from_slice(&length.to_be_bytes());
    bytes[20] = kind;
    let rest = bytes.split_off(54);
    [&bytes, extension, &rest].concat()
}

#[test]
fn options_and_extension_headers_are_left_to_the_host() {
    let world = world();
    let kernel = Kernel::with(&world);
    for words in 6..=15_u8 {
        let bytes = with_ipv4(&to_peer(100), |bytes| {
            bytes[14] = 0x40 | words;
            let length = u16::from_be_bytes([bytes[16], bytes[17]]) + u16::from(words - 5) * 4;
            bytes[16..18].copy_from_slice(&length.to_be_bytes());
            let options = vec![1; usize::from(words - 5) * 4];
            bytes.splice(34..34, options);
        });
        expect(&kernel, &world, &bytes, Reason::Options);
    }
    let frame = from_client(CLIENT_6, channel_data(0x4fff, &payload(10)));
    for kind in [0, 43, 50, 51, 60, 135, 139, 140] {
        let bytes = behind_extension(&frame, kind, &[17, 0, 1, 4, 0, 0, 0, 0]);
        expect(&kernel, &world, &bytes, Reason::Options);
    }
}

#[test]
fn other_protocols_are_left_to_the_host() {
    let world = world();
    let kernel = Kernel::with(&world);
    for (protocol, reason) in [
        (1, Reason::Icmp),
        (6, Reason::NotUdp),
        (58, Reason::NotUdp),
        (136, Reason::NotUdp),
    ] {
        let bytes = with_ipv4(&to_peer(20), |bytes| bytes[23] = protocol);
        expect(&kernel, &world, &bytes, reason);
    }
    for (protocol, reason) in [
        (58, Reason::Icmp),
        (6, Reason::NotUdp),
        (1, Reason::NotUdp),
        (59, Reason::NotUdp),
    ] {
        let mut bytes = from_client(CLIENT_6, channel_data(0x4fff, &payload(10))).bytes();
        bytes[20] = protocol;
        expect(&kernel, &world, &bytes, reason);
    }
    let mut arp = to_peer(20).bytes();
    arp[12..14].copy_from_slice(&[8, 6]);
    expect(&kernel, &world, &arp, Reason::NotIp);
}

#[test]
fn lengths_that_contradict_each_other_are_left_to_the_host() {
    let world = world();
    let kernel = Kernel::with(&world);
    let frame = Frame {
        trailer: vec![0; 20],
        ..to_peer(40)
    };
    for length in [0_u16, 7, 8, 19, 20, 27, 28, 29, 71, 73, 92, 93, 0xffff] {
        let bytes = with_ipv4(&frame, |bytes| {
            bytes[16..18].copy_from_slice(&length.to_be_bytes())
        });
        expect(&kernel, &world, &bytes, Reason::BadHeader);
    }
    for length in [0_u16, 7, 8, 51, 53, 72, 0xffff] {
        let bytes = with_ipv4(&frame, |bytes| {
            bytes[38..40].copy_from_slice(&length.to_be_bytes())
        });
        expect(&kernel, &world, &bytes, Reason::BadHeader);
    }
    for first in [0x05, 0x35, 0x44, 0x40, 0x65] {
        let mut bytes = frame.bytes();
        bytes[14] = first;
        expect(&kernel, &world, &bytes, Reason::BadHeader);
    }
}

#[test]
fn ipv4_mapped_addresses_on_the_wire_are_not_taken_for_ipv4() {
    let world = world();
    let kernel = Kernel::with(&world);
    let (client, server) = ("[::ffff:198.51.100.1]:40000", "[::ffff:192.0.2.2]:3478");
    let frame = Frame::new(
        addr(client),
        addr(server),
        channel_data(0x4000, &payload(9)),
    );
    expect(&kernel, &world, &frame.bytes(), Reason::BadHeader);
}

/// A world whose way to the IPv4 peer leads to this device.
fn with_device(device: u32) -> World {
    let mut world = world();
    world.hops[1].device = device;
    world
}

#[test]
fn packets_without_a_way_out_are_left_to_a_lane_untouched() {
    for (device, reason) in [(0, Reason::NoNextHop), (FORBIDDEN, Reason::NoDevice)] {
        let world = with_device(device);
        let kernel = Kernel::with(&world);
        expect(&kernel, &world, &to_peer(50).bytes(), reason);
    }
}
