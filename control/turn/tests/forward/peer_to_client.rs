//! Datagrams from peers (RFC 8656 sections 11.3 and 12.7).

use turnpike_stun::Message;
use turnpike_types::{
    AllocationEntry, AllocationId, DropReason, Entry, PermissionEntry, RelayedAddr, Transport,
};

use crate::world::*;

const TRANSPORTS: [Transport; 4] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Dtls,
];

#[test]
fn bound_peer_reaches_the_client_as_channel_data() {
    for transport in TRANSPORTS {
        let mut world = World::with_transport(transport)
            .permit("203.0.113.9")
            .bind(NUMBER, PEER);
        for payload in [b"".as_slice(), b"1", b"12", b"123", b"1234"] {
            let forward = to_client(world.peer_sends(RELAYED, PEER, payload.len()));
            assert_eq!((forward.allocation, forward.five_tuple), (ID, world.client));
            assert_eq!(
                read(&forward, payload),
                Read::ChannelData(NUMBER, payload.to_vec())
            );
        }
    }
}

#[test]
fn channel_data_is_padded_on_streams_only() {
    for transport in TRANSPORTS {
        let mut world = World::with_transport(transport).bind(NUMBER, PEER);
        let padding = [0, 1, 2, 3, 4]
            .map(|payload_len| to_client(world.peer_sends(RELAYED, PEER, payload_len)).padding);
        let expected = if transport.is_stream() {
            [0, 3, 2, 1, 0]
        } else {
            [0; 5]
        };
        assert_eq!(padding, expected, "{transport}");
    }
}

#[test]
fn permitted_peer_reaches_the_client_as_data_indication() {
    for transport in TRANSPORTS {
        let mut world = World::with_transport(transport)
            .permit("203.0.113.9")
            .permit("2001:db8:9::9");
        for (relayed, peer) in [(RELAYED, PEER), (RELAYED_V6, PEER_V6)] {
            for payload in [b"".as_slice(), b"1", b"12", b"123", b"1234"] {
                let forward = to_client(world.peer_sends(relayed, peer, payload.len()));
                assert_eq!((forward.allocation, forward.five_tuple), (ID, world.client));
                let expected = Read::DataIndication(addr(peer), payload.to_vec());
                assert_eq!(read(&forward, payload), expected);
            }
        }
    }
}

#[test]
fn another_port_of_a_bound_peer_comes_as_data_indication() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    let forward = to_client(world.peer_sends(RELAYED, "203.0.113.9:7001", 1));
    assert!(matches!(read(&forward, b"x"), Read::DataIndication(..)));
}

#[test]
fn data_indications_have_transaction_ids_of_their_own() {
    let mut world = World::new().permit("203.0.113.9");
    let mut ids: Vec<[u8; 12]> = (0..1_000)
        .map(|_| {
            let forward = to_client(world.peer_sends(RELAYED, PEER, 0));
            Message::parse(forward.prefix.as_slice())
                .unwrap()
                .transaction_id()
                .0
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_000);
}

#[test]
fn peer_without_permission_is_dropped() {
    let mut world = World::new().permit("203.0.113.9");
    for (relayed, peer) in [
        (RELAYED, "203.0.113.10:7000"),
        (RELAYED_V6, PEER_V6),
        (RELAYED_V6, PEER),
    ] {
        let verdict = world.peer_sends(relayed, peer, 10);
        assert_eq!(verdict, dropped(DropReason::NoPermission), "{peer}");
    }
}

#[test]
fn relayed_address_without_allocation_is_dropped() {
    let mut world = World::new().permit("203.0.113.9").bind(NUMBER, PEER);
    for relayed in ["10.0.0.5:50001", "10.0.0.6:50000", "198.51.100.5:50000"] {
        let verdict = world.peer_sends(relayed, PEER, 10);
        assert_eq!(verdict, dropped(DropReason::NoAllocation), "{relayed}");
    }
}

#[test]
fn source_port_outside_the_port_rule_or_of_a_service_is_forbidden() {
    let mut world = World::new().permit("203.0.113.9");
    for peer in ["203.0.113.9:53", "203.0.113.9:1023", SERVICE] {
        let verdict = world.peer_sends(RELAYED, peer, 10);
        assert_eq!(verdict, dropped(DropReason::ForbiddenPort), "{peer}");
    }
}

#[test]
fn payload_that_leaves_no_room_for_the_prefix_is_oversize() {
    let mut world = World::new()
        .permit("203.0.113.9")
        .bind(NUMBER, PEER)
        .permit("2001:db8:9::9");
    let largest = [
        (RELAYED, PEER, 65_503),
        (RELAYED, "203.0.113.9:7001", 65_468),
        (RELAYED_V6, PEER_V6, 65_456),
    ];
    for (relayed, peer, payload_len) in largest {
        let forward = to_client(world.peer_sends(relayed, peer, payload_len));
        assert!(forward.prefix.as_slice().len() + payload_len + forward.padding <= 65_507);
        for too_long in [payload_len + 1, 65_507, 65_508, 65_535, 65_536, 1 << 20] {
            let verdict = world.peer_sends(relayed, peer, too_long);
            assert_eq!(verdict, dropped(DropReason::Oversize), "{peer} {too_long}");
        }
    }
}

#[test]
fn call_between_two_clients_of_the_relay_stays_on_the_host() {
    let second = AllocationId {
        slot: 1,
        generation: 1,
    };
    let mut world = World::new().permit(EXTERNAL_IP);
    let other = "10.0.0.5:50001";
    world
        .install(Entry::Allocation(allocation(second, 2, other)))
        .unwrap();
    let back = PermissionEntry {
        relayed: RelayedAddr(addr(other)),
        ..permission(second, EXTERNAL_IP)
    };
    world.install(Entry::Permission(back)).unwrap();

    let packet = send_indication("198.51.100.5:50001", b"hi");
    let outward = to_peer(world.client_sends(&packet));
    assert_eq!(
        (outward.relayed.0, outward.peer.0),
        (addr(RELAYED), addr(other))
    );
    let inward = to_client(world.peer_sends(other, RELAYED, 2));
    assert_eq!(inward.allocation, second);
    // The client knows the caller by the address that the relay advertised to it.
    let expected = Read::DataIndication(addr("198.51.100.5:50000"), b"hi".to_vec());
    assert_eq!(read(&inward, b"hi"), expected);
}

#[test]
fn peer_permitted_by_its_inner_address_is_shown_by_it() {
    let mut world = World::new().permit("10.0.0.5");
    let forward = to_client(world.peer_sends(RELAYED, "10.0.0.5:50001", 2));
    assert_eq!(
        read(&forward, b"hi"),
        Read::DataIndication(addr("10.0.0.5:50001"), b"hi".to_vec())
    );
}

#[test]
fn ipv6_client_gets_data_of_an_ipv4_peer() {
    let mut world = World::empty(10);
    world.client.client.0 = addr("[2001:db8:1::1]:40000");
    world.client.server.0 = addr("[2001:db8::5]:3478");
    let entry = AllocationEntry {
        five_tuple: world.client,
        ..allocation(ID, 1, RELAYED)
    };
    world.install(Entry::Allocation(entry)).unwrap();
    let mut world = world.permit("203.0.113.9").bind(NUMBER, "203.0.113.9:7001");
    let forward = to_client(world.peer_sends(RELAYED, PEER, 2));
    assert_eq!(forward.five_tuple, world.client);
    assert_eq!(
        read(&forward, b"hi"),
        Read::DataIndication(addr(PEER), b"hi".to_vec())
    );
    let forward = to_peer(world.client_sends(&channel_data(NUMBER, b"hi")));
    assert_eq!(forward.peer.0, addr("203.0.113.9:7001"));
}

#[test]
fn same_seed_gives_the_same_bytes() {
    let run = || {
        let mut world = World::new().permit("203.0.113.9");
        [1, 2, 3].map(|payload_len| to_client(world.peer_sends(RELAYED, PEER, payload_len)))
    };
    assert_eq!(run(), run());
}
