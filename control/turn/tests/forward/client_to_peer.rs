//! ChannelData and Send indications (RFC 8656 sections 11.2 and 12.6).

use turnpike_stun::{AttributeType, Class, Method};
use turnpike_turn::attribute::{Data, DontFragment, XorPeerAddress};
use turnpike_turn::forward::Verdict;
use turnpike_types::{DropReason, Transport};

use crate::world::*;

#[test]
fn channel_data_goes_to_the_bound_peer() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    let packet = channel_data(NUMBER, b"hello");
    let forward = to_peer(world.client_sends(&packet));
    assert_eq!(forward.allocation, ID);
    assert_eq!(forward.relayed.0, addr(RELAYED));
    assert_eq!(forward.peer.0, addr(PEER));
    assert_eq!(&packet[forward.payload], b"hello");
    assert!(!forward.dont_fragment);
}

#[test]
fn channel_data_of_an_ipv4_client_reaches_an_ipv6_peer() {
    let mut world = World::new().bind(NUMBER, PEER_V6);
    let forward = to_peer(world.client_sends(&channel_data(NUMBER, b"six")));
    assert_eq!(
        (forward.relayed.0, forward.peer.0),
        (addr(RELAYED_V6), addr(PEER_V6))
    );
}

#[test]
fn empty_channel_data_relays_an_empty_datagram() {
    let mut world = World::new().bind(NUMBER, PEER);
    let forward = to_peer(world.client_sends(&channel_data(NUMBER, b"")));
    assert_eq!(forward.payload, 4..4);
}

#[test]
fn padding_after_channel_data_is_not_relayed() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::with_transport(transport).bind(NUMBER, PEER);
        let packet = [channel_data(NUMBER, b"hello"), vec![0; 3]].concat();
        assert_eq!(to_peer(world.client_sends(&packet)).payload, 4..9);
    }
}

#[test]
fn channel_data_longer_than_its_datagram_is_malformed() {
    let mut world = World::new().bind(NUMBER, PEER);
    let mut packet = channel_data(NUMBER, b"hello");
    packet.pop();
    assert_eq!(world.client_sends(&packet), dropped(DropReason::Malformed));
    for len in 0..4 {
        assert_eq!(
            world.client_sends(&packet[..len]),
            dropped(DropReason::Malformed),
            "{len}"
        );
    }
}

#[test]
fn channel_data_on_an_unbound_number_names_no_channel() {
    let mut world = World::new().bind(NUMBER, PEER);
    for number in [0x4000, NUMBER + 1, 0x4FFF, 0x5000, 0x7FFF] {
        let verdict = world.client_sends(&channel_data(number, b"hello"));
        assert_eq!(verdict, dropped(DropReason::NoChannel));
    }
}

#[test]
fn data_from_a_five_tuple_without_allocation_is_dropped() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    let home = world.client;
    let mut strangers = [home; 3];
    strangers[0].client.0.set_port(9);
    strangers[1].server.0.set_port(5349);
    strangers[2].transport = Transport::Dtls;
    for stranger in strangers {
        world.client = stranger;
        for packet in [
            channel_data(NUMBER, b"hello"),
            send_indication(PEER, b"hello"),
        ] {
            assert_eq!(
                world.client_sends(&packet),
                dropped(DropReason::NoAllocation)
            );
        }
    }
}

#[test]
fn send_indication_goes_to_the_peer_it_names() {
    let mut world = World::new().permit("203.0.113.9").permit("2001:db8:9::9");
    for (peer, relayed) in [(PEER, RELAYED), (PEER_V6, RELAYED_V6)] {
        let packet = send_indication(peer, b"hello");
        let forward = to_peer(world.client_sends(&packet));
        assert_eq!(
            (forward.relayed.0, forward.peer.0),
            (addr(relayed), addr(peer))
        );
        assert_eq!(&packet[forward.payload], b"hello");
        assert!(!forward.dont_fragment);
    }
}

#[test]
fn send_indication_may_name_any_admitted_port_of_a_permitted_address() {
    let mut world = World::new().permit("203.0.113.9");
    for port in [1_024, 5_431, 5_433, 65_535] {
        let peer = format!("203.0.113.9:{port}");
        let forward = to_peer(world.client_sends(&send_indication(&peer, b"hello")));
        assert_eq!(forward.peer.0, addr(&peer));
    }
}

#[test]
fn send_indication_to_a_low_port_or_a_service_is_forbidden() {
    let mut world = World::new().permit("203.0.113.9");
    for peer in [
        "203.0.113.9:0",
        "203.0.113.9:53",
        "203.0.113.9:1023",
        SERVICE,
    ] {
        let verdict = world.client_sends(&send_indication(peer, b"hello"));
        assert_eq!(verdict, dropped(DropReason::ForbiddenPort), "{peer}");
    }
}

#[test]
fn send_indication_without_permission_is_dropped() {
    let mut world = World::new().permit("203.0.113.9");
    for peer in [
        "203.0.113.10:7000",
        PEER_V6,
        "[::ffff:203.0.113.9]:7000",
        "[::203.0.113.9]:7000",
    ] {
        let verdict = world.client_sends(&send_indication(peer, b"hello"));
        assert_eq!(verdict, dropped(DropReason::NoPermission), "{peer}");
    }
}

#[test]
fn dont_fragment_is_handed_on() {
    let mut world = World::new().permit("203.0.113.9");
    let packet = indication(Method::SEND, |builder| {
        builder
            .attribute(&DontFragment)
            .attribute(&XorPeerAddress(addr(PEER)))
            .attribute(&Data(b"hello"));
    });
    assert!(to_peer(world.client_sends(&packet)).dont_fragment);
}

#[test]
fn send_indication_with_empty_data_relays_an_empty_datagram() {
    let mut world = World::new().permit("203.0.113.9");
    let forward = to_peer(world.client_sends(&send_indication(PEER, b"")));
    assert!(forward.payload.is_empty());
}

#[test]
fn send_indication_without_peer_or_data_is_malformed() {
    let mut world = World::new().permit("203.0.113.9");
    let without_data = indication(Method::SEND, |builder| {
        builder.attribute(&XorPeerAddress(addr(PEER)));
    });
    let without_peer = indication(Method::SEND, |builder| {
        builder.attribute(&Data(b"hello"));
    });
    let bare = indication(Method::SEND, |_| {});
    for packet in [without_data, without_peer, bare] {
        assert_eq!(world.client_sends(&packet), dropped(DropReason::Malformed));
    }
}

#[test]
fn send_indication_with_a_crippled_peer_address_is_malformed() {
    let mut world = World::new().permit("203.0.113.9");
    let values: [&[u8]; 6] = [
        &[],
        &[0, 1],
        &[0; 8],
        &[0, 3, 0, 0, 1, 2, 3, 4],
        &[0, 1, 0, 0, 1, 2, 3],
        &[0, 2, 0, 0, 1],
    ];
    for value in values {
        let packet = indication(Method::SEND, |builder| {
            builder
                .raw(AttributeType::XOR_PEER_ADDRESS, value)
                .attribute(&Data(b"hello"));
        });
        assert_eq!(
            world.client_sends(&packet),
            dropped(DropReason::Malformed),
            "{value:?}"
        );
    }
}

#[test]
fn first_of_duplicate_attributes_counts() {
    let mut world = World::new().permit("203.0.113.9");
    let packet = indication(Method::SEND, |builder| {
        builder
            .attribute(&XorPeerAddress(addr(PEER)))
            .attribute(&Data(b"first"))
            .attribute(&XorPeerAddress(addr("203.0.113.77:9999")))
            .attribute(&Data(b"second"));
    });
    let forward = to_peer(world.client_sends(&packet));
    assert_eq!(forward.peer.0, addr(PEER));
    assert_eq!(&packet[forward.payload], b"first");
}

#[test]
fn unknown_comprehension_required_attribute_discards_the_indication() {
    let mut world = World::new().permit("203.0.113.9");
    let with = |kind: u16| {
        indication(Method::SEND, |builder| {
            builder
                .attribute(&XorPeerAddress(addr(PEER)))
                .attribute(&Data(b"hello"))
                .raw(AttributeType(kind), &[1, 2, 3, 4]);
        })
    };
    assert_eq!(
        world.client_sends(&with(0x7ABC)),
        dropped(DropReason::Malformed)
    );
    to_peer(world.client_sends(&with(0xFABC)));
    to_peer(world.client_sends(&with(AttributeType::USERNAME.0)));
}

#[test]
fn fingerprint_must_be_right_where_it_is_present() {
    let mut world = World::new().permit("203.0.113.9");
    let mut packet = indication(Method::SEND, |builder| {
        builder
            .attribute(&XorPeerAddress(addr(PEER)))
            .attribute(&Data(b"hello"))
            .fingerprint();
    });
    let forward = to_peer(world.client_sends(&packet));
    assert_eq!(&packet[forward.payload], b"hello");
    *packet.last_mut().unwrap() ^= 1;
    assert_eq!(
        world.client_sends(&packet),
        dropped(DropReason::BadFingerprint)
    );
}

#[test]
fn truncated_or_padded_send_indication_is_malformed() {
    let mut world = World::new().permit("203.0.113.9");
    let packet = send_indication(PEER, b"hello");
    for len in 0..packet.len() {
        assert_eq!(
            world.client_sends(&packet[..len]),
            dropped(DropReason::Malformed),
            "{len}"
        );
    }
    let trailing = [packet, vec![0; 4]].concat();
    assert_eq!(
        world.client_sends(&trailing),
        dropped(DropReason::Malformed)
    );
}

#[test]
fn everything_else_that_is_stun_is_passed() {
    let mut world = World::new();
    let methods = [
        Method::BINDING,
        Method::ALLOCATE,
        Method::REFRESH,
        Method::SEND,
        Method::DATA,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
        Method::new(0xABC),
    ];
    for class in [
        Class::Request,
        Class::Indication,
        Class::Success,
        Class::Error,
    ] {
        for method in methods {
            if (class, method) != (Class::Indication, Method::SEND) {
                let packet = message(class, method, |_| {});
                assert_eq!(
                    world.client_sends(&packet),
                    Verdict::Pass,
                    "{class:?} {method:?}"
                );
            }
        }
    }
}

#[test]
fn neither_stun_nor_channel_data_is_malformed() {
    let mut world = World::new();
    let mut rfc_3489 = message(Class::Request, Method::BINDING, |_| {});
    rfc_3489[4] ^= 0xFF;
    let dtls = [vec![22, 254, 253], vec![0; 60]].concat();
    for packet in [
        vec![],
        vec![0],
        vec![0; 19],
        vec![0x80; 40],
        vec![0xFF; 40],
        rfc_3489,
        dtls,
    ] {
        assert_eq!(
            world.client_sends(&packet),
            dropped(DropReason::Malformed),
            "{packet:02x?}"
        );
    }
}

#[test]
fn payload_beyond_a_datagram_is_oversize() {
    let mut world = World::with_transport(Transport::Tcp).bind(NUMBER, PEER);
    to_peer(world.client_sends(&channel_data(NUMBER, &[0; 65_507])));
    let verdict = world.client_sends(&channel_data(NUMBER, &[0; 65_508]));
    assert_eq!(verdict, dropped(DropReason::Oversize));
}

#[test]
fn send_indication_to_an_own_external_address_stays_on_the_host() {
    let mut world = World::new().permit(EXTERNAL_IP);
    let forward = to_peer(world.client_sends(&send_indication("198.51.100.5:50001", b"hi")));
    assert_eq!(forward.peer.0, addr("10.0.0.5:50001"));
}

#[test]
fn services_of_the_relay_address_are_forbidden_by_either_name() {
    let mut world = World::new().permit(EXTERNAL_IP);
    for peer in ["198.51.100.5:50080", "10.0.0.5:50080"] {
        let verdict = world.client_sends(&send_indication(peer, b"hi"));
        assert_eq!(verdict, dropped(DropReason::ForbiddenPort), "{peer}");
    }
}
