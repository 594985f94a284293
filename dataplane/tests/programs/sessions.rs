//! What is not there, no longer there, refused, or a lane's.

use turnpike_abi::{Endpoint, Flow, FlowKey, NextHop, Reason, maps};

use crate::frame::{Frame, channel_data, stun, with_fingerprint, xor_address};
use crate::kernel::Kernel;
use crate::rows::{ID, from_client, from_peer, payload, send_indication};
use crate::trial::expect;
use crate::world::{CLIENT_4, CLIENT_6, PEER_4, PEER_6, SERVER_4, World, addr, world};

fn channel(number: u16) -> Vec<u8> {
    from_client(CLIENT_4, channel_data(number, &payload(20))).bytes()
}

fn send_to(peer: &str) -> Vec<u8> {
    from_client(CLIENT_4, send_indication(addr(peer), &payload(20))).bytes()
}

fn datagram(peer: &str, world: &World) -> Vec<u8> {
    from_peer(addr(peer), &world.allocations[0], payload(20)).bytes()
}

#[test]
fn expired_channel_falls_back_to_its_permission_and_then_to_nothing() {
    let mut world = world();
    world.allocations[0].channels[0].is_live = false;
    let kernel = Kernel::with(&world);
    expect(&kernel, &world, &channel(0x4000), Reason::NoChannel);
    expect(
        &kernel,
        &world,
        &datagram(PEER_4, &world),
        Reason::PeerToData,
    );
    expect(&kernel, &world, &send_to(PEER_4), Reason::SendToPeer);
    world.allocations[0].permissions[0].is_live = false;
    let kernel = Kernel::with(&world);
    expect(
        &kernel,
        &world,
        &datagram(PEER_4, &world),
        Reason::NoPermission,
    );
    expect(&kernel, &world, &send_to(PEER_4), Reason::NoPermission);
    expect(&kernel, &world, &channel(0x4001), Reason::ChannelToPeer);
}

#[test]
fn nothing_of_an_expired_allocation_is_forwarded() {
    let mut world = world();
    world.allocations[0].is_live = false;
    let kernel = Kernel::with(&world);
    expect(&kernel, &world, &channel(0x4000), Reason::NoAllocation);
    expect(&kernel, &world, &send_to(PEER_4), Reason::NoAllocation);
    expect(
        &kernel,
        &world,
        &datagram(PEER_4, &world),
        Reason::NoAllocation,
    );
    let to_the_other = from_client(CLIENT_6, channel_data(0x4ffd, &payload(20)));
    expect(&kernel, &world, &to_the_other.bytes(), Reason::NoAllocation);
}

#[test]
fn channel_numbers_at_the_edges_are_read_right() {
    let mut world = world();
    for number in [0x5000, 0x7fff] {
        let legacy = crate::world::Channel {
            number,
            peer: addr(&format!("203.0.113.9:{number}")),
            is_live: true,
            is_lane: false,
        };
        world.allocations[0].channels.push(legacy);
    }
    let kernel = Kernel::with(&world);
    for (number, reason) in [
        (0x3fff, Reason::Control),
        (0x4000, Reason::ChannelToPeer),
        (0x4004, Reason::NoChannel),
        (0x4fff, Reason::NoChannel),
        (0x5000, Reason::ChannelToPeer),
        (0x7fff, Reason::ChannelToPeer),
        (0x8000, Reason::Control),
        (0xffff, Reason::Control),
    ] {
        expect(&kernel, &world, &channel(number), reason);
    }
}

#[test]
fn channel_data_may_be_padded_to_four_bytes_and_its_length_must_be_true() {
    let world = world();
    let kernel = Kernel::with(&world);
    for length in [0, 1, 2, 3, 4, 21, 22, 23, 24] {
        for behind in 0..6 {
            let mut message = channel_data(0x4000, &payload(length));
            message.extend((0..behind).map(|index| 0xf0 | index as u8));
            let reason = if behind > 3 {
                Reason::Unusual
            } else {
                Reason::ChannelToPeer
            };
            expect(
                &kernel,
                &world,
                &from_client(CLIENT_4, message).bytes(),
                reason,
            );
        }
        for said in [length + 1, length + 4, 0xffff] {
            let mut message = channel_data(0x4000, &payload(length));
            message[2..4].copy_from_slice(&(said as u16).to_be_bytes());
            let frame = Frame {
                trailer: vec![0; 40],
                ..from_client(CLIENT_4, message)
            };
            expect(&kernel, &world, &frame.bytes(), Reason::Malformed);
        }
    }
}

#[test]
fn five_tuple_is_client_and_server_with_both_ports() {
    let world = world();
    let kernel = Kernel::with(&world);
    let message = channel_data(0x4000, &payload(20));
    for (from, to, reason) in [
        (CLIENT_4, SERVER_4, Reason::ChannelToPeer),
        ("198.51.100.1:40001", SERVER_4, Reason::NoAllocation),
        ("198.51.100.2:40000", SERVER_4, Reason::NoAllocation),
        (CLIENT_4, "192.0.2.2:3479", Reason::NotOurs),
        (CLIENT_4, "192.0.2.3:3478", Reason::NotOurs),
        (SERVER_4, CLIENT_4, Reason::NotOurs),
    ] {
        let frame = Frame::new(addr(from), addr(to), message.clone());
        expect(&kernel, &world, &frame.bytes(), reason);
    }
}

#[test]
fn relayed_ports_that_nobody_owns_are_silent_and_other_hosts_are_left_alone() {
    let world = world();
    let kernel = Kernel::with(&world);
    for (to, reason) in [
        ("192.0.2.2:50000", Reason::PeerToChannel),
        ("192.0.2.2:50001", Reason::NoAllocation),
        ("192.0.2.2:49152", Reason::NoAllocation),
        ("192.0.2.2:65535", Reason::NoAllocation),
        ("192.0.2.2:49151", Reason::NotOurs),
        ("192.0.2.3:50000", Reason::NotOurs),
    ] {
        let frame = Frame::new(addr(PEER_4), addr(to), payload(20));
        expect(&kernel, &world, &frame.bytes(), reason);
    }
    let stranger = Frame::new(
        addr("203.0.113.77:6000"),
        addr("192.0.2.2:50000"),
        payload(20),
    );
    expect(&kernel, &world, &stranger.bytes(), Reason::NoPermission);
}

#[test]
fn port_rule_and_own_services_bind_both_directions() {
    let mut world = world();
    let permission = &mut world.allocations[0].permissions[0];
    permission.ports = 1_024..=9_999;
    let mut guarded = permission.clone();
    guarded.ip = "203.0.113.10".parse().unwrap();
    guarded.is_guarded = true;
    world.allocations[0].permissions.push(guarded);
    let kernel = Kernel::with(&world);
    for (port, is_open) in [
        (1_023, false),
        (1_024, true),
        (9_999, true),
        (10_000, false),
    ] {
        let peer = format!("203.0.113.9:{port}");
        let send = if is_open {
            Reason::SendToPeer
        } else {
            Reason::ForbiddenPort
        };
        let receive = if is_open {
            Reason::PeerToData
        } else {
            Reason::ForbiddenPort
        };
        expect(&kernel, &world, &send_to(&peer), send);
        expect(&kernel, &world, &datagram(&peer, &world), receive);
    }
    expect(
        &kernel,
        &world,
        &send_to("203.0.113.10:5432"),
        Reason::ForbiddenPort,
    );
    expect(
        &kernel,
        &world,
        &datagram("203.0.113.10:5432", &world),
        Reason::ForbiddenPort,
    );
    expect(
        &kernel,
        &world,
        &send_to("203.0.113.10:5433"),
        Reason::SendToPeer,
    );
}

#[test]
fn what_a_lane_serves_is_left_to_it() {
    let mut world = world();
    world.allocations[0].channels[0].is_lane = true;
    world.allocations[0].permissions[1].is_lane = true;
    world.allocations[1].is_partly_lane = true;
    let kernel = Kernel::with(&world);
    expect(&kernel, &world, &channel(0x4000), Reason::Lane);
    expect(&kernel, &world, &datagram(PEER_4, &world), Reason::Lane);
    expect(&kernel, &world, &send_to("[2001:db8:9::9]:9"), Reason::Lane);
    expect(&kernel, &world, &channel(0x4444), Reason::NoChannel);
    let unknown = from_client(CLIENT_6, channel_data(0x4444, &payload(20)));
    expect(&kernel, &world, &unknown.bytes(), Reason::Lane);
    let unknown = from_client(
        CLIENT_6,
        send_indication(addr("203.0.113.99:9"), &payload(20)),
    );
    expect(&kernel, &world, &unknown.bytes(), Reason::Lane);
    let unknown = from_peer(addr("203.0.113.99:9"), &world.allocations[1], payload(20));
    expect(&kernel, &world, &unknown.bytes(), Reason::Lane);
}

#[test]
fn send_indications_of_real_clients_are_read_in_either_order() {
    let world = world();
    let kernel = Kernel::with(&world);
    for peer in ["203.0.113.9:7", "[2001:db8:9::9]:7"] {
        let to = (0x0012, xor_address(addr(peer), ID));
        for length in [0, 1, 2, 3, 160, 1_201] {
            let data = (0x0013, payload(length));
            for attributes in [[to.clone(), data.clone()], [data.clone(), to.clone()]] {
                let mut message = stun(0x0016, ID, &attributes);
                // What an attribute is padded with need not be zero.
                if attributes[1].0 == 0x0013 {
                    let end = message.len();
                    message[end - (length.wrapping_neg() & 3)..].fill(0xa5);
                }
                // Its CRC is not looked at.
                let mut wrong = with_fingerprint(message.clone());
                *wrong.last_mut().unwrap() ^= 1;
                for message in [with_fingerprint(message.clone()), wrong, message] {
                    let frame = from_client(CLIENT_4, message);
                    expect(&kernel, &world, &frame.bytes(), Reason::SendToPeer);
                }
            }
        }
    }
}

#[test]
fn send_indications_that_are_not_read_go_to_the_server_and_false_ones_end() {
    let world = world();
    let kernel = Kernel::with(&world);
    let to = (0x0012, xor_address(addr(PEER_4), ID));
    let data = (0x0013, payload(9));
    let run = |message: Vec<u8>, reason| {
        let frame = from_client(CLIENT_4, message);
        expect(&kernel, &world, &frame.bytes(), reason);
    };
    let plain = stun(0x0016, ID, &[to.clone(), data.clone()]);
    let mapped = (0x0012, xor_address(addr("[::ffff:203.0.113.9]:6000"), ID));
    let mut followed = with_fingerprint(plain.clone());
    followed[3] += 4;
    followed.extend([0x80, 0x22, 0, 0]);
    run(followed, Reason::Unusual);
    let twice = with_fingerprint(with_fingerprint(plain.clone()));
    run(twice, Reason::Unusual);
    let first = (0x8028, vec![0; 4]);
    let before = stun(0x0016, ID, &[first, to.clone(), data.clone()]);
    run(before, Reason::Unusual);
    let long = (0x8028, vec![0; 8]);
    let longer = stun(0x0016, ID, &[to.clone(), data.clone(), long]);
    run(longer, Reason::Unusual);
    run(stun(0x0016, ID, &[mapped, data.clone()]), Reason::Unusual);
    run(stun(0x0016, ID, std::slice::from_ref(&to)), Reason::Unusual);
    run(
        stun(0x0016, ID, std::slice::from_ref(&data)),
        Reason::Unusual,
    );
    run(
        stun(0x0016, ID, &[(0x0012, vec![0; 7]), data.clone()]),
        Reason::Unusual,
    );
    for more in [
        (0x0008, vec![0; 20]),
        (0x001a, vec![]),
        (0x8022, b"name".to_vec()),
    ] {
        run(
            stun(0x0016, ID, &[to.clone(), data.clone(), more.clone()]),
            Reason::Unusual,
        );
        run(
            stun(0x0016, ID, &[more, to.clone(), data.clone()]),
            Reason::Unusual,
        );
    }
    for (at, value) in [(3, 0xff), (4, 0), (2, 0xff)] {
        let mut message = plain.clone();
        message[at] = value;
        run(message, Reason::Malformed);
    }
}

#[test]
fn requests_go_to_the_server() {
    let world = world();
    let kernel = Kernel::with(&world);
    for kind in [0x0003, 0x0004, 0x0008, 0x0009, 0x0011, 0x0101, 0x0017] {
        for client in [CLIENT_4, "198.51.100.2:9"] {
            let message = stun(kind, ID, &[(0x0006, b"user".to_vec())]);
            let frame = Frame::new(addr(client), addr(SERVER_4), message);
            expect(&kernel, &world, &frame.bytes(), Reason::Control);
        }
    }
    // DTLS, and nothing at all.
    for message in [vec![22, 254, 253, 0], vec![], vec![0], vec![0x40, 0, 0]] {
        expect(
            &kernel,
            &world,
            &from_client(CLIENT_4, message).bytes(),
            Reason::Control,
        );
    }
}

#[test]
fn value_of_another_key_and_a_torn_one_are_left_to_a_lane() {
    let world = world();
    let mut kernel = Kernel::with(&world);
    let key = FlowKey {
        far: Endpoint::new(addr(CLIENT_4)),
        near: Endpoint::new(addr(SERVER_4)),
        channel: 0x4000_u16.to_be(),
    };
    let whole: [u64; 8] = kernel.read(maps::FLOWS, key.words());
    assert!(Flow::open(&key.words(), &whole).is_some());
    let other = FlowKey {
        channel: 0x4001_u16.to_be(),
        ..key
    };
    let foreign: [u64; 8] = kernel.read(maps::FLOWS, other.words());
    for word in 0..8 {
        let mut torn = whole;
        torn[word] = foreign[word] ^ 1;
        kernel.put(maps::FLOWS, key.words(), torn);
        let frame = channel(0x4000);
        let ran = kernel.run(&frame);
        assert_eq!(
            (ran.reasons, ran.frame),
            (vec![Reason::Torn], frame),
            "word {word}"
        );
    }
    kernel.put(maps::FLOWS, key.words(), foreign);
    assert_eq!(kernel.run(&channel(0x4000)).reasons, [Reason::Torn]);
    kernel.put(maps::FLOWS, key.words(), whole);
    assert_eq!(
        kernel.run(&channel(0x4000)).reasons,
        [Reason::ChannelToPeer]
    );
    let torn = NextHop {
        mtu: 9,
        device: 1,
        ..NextHop::default()
    }
    .sealed(99);
    kernel.set(maps::NEXT_HOPS, 2, torn);
    assert_eq!(kernel.run(&channel(0x4000)).reasons, [Reason::Torn]);
}

#[test]
fn flow_of_a_former_use_of_the_slot_carries_nothing() {
    let world = world();
    let mut kernel = Kernel::with(&world);
    let line: [u64; 8] = [1 << 31, 0, 0, 0, 0, 0, 0, 0];
    kernel.set(maps::ALLOCATIONS, 0, line);
    assert_eq!(kernel.run(&channel(0x4000)).reasons, [Reason::NoAllocation]);
    assert_eq!(
        kernel.run(&datagram(PEER_6, &world)).reasons,
        [Reason::NoAllocation]
    );
    assert_eq!(kernel.traffic(0).to_peer_packets, 0);
}
