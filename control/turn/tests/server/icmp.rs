//! ICMP errors to the client (RFC 8656 section 11.5).

use turnpike_stun::{Class, Method};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{Icmp, RequestedAddressFamily, XorPeerAddress};
use turnpike_turn::server::{Config, IcmpError};
use turnpike_types::{AddressFamily, PeerAddr, RelayedAddr};

use crate::support::{Client, PEER, Response, Seen, World, addr, config};

fn permitted(config: Config, peer: &str) -> (World, Client, RelayedAddr) {
    let mut world = World::new(config);
    let mut client = Client::new(0, "alice");
    let family = AddressFamily::of(&addr(peer).ip());
    let response = client.allocate_with(&mut world, |message| {
        message.attribute(&RequestedAddressFamily(family));
    });
    let relayed = RelayedAddr(response.relayed()[0]);
    assert!(client.permit(&mut world, &[peer]).is_success());
    world.take_seen();
    (world, client, relayed)
}

fn error(relayed: RelayedAddr, peer: &str, kind: u8) -> IcmpError {
    IcmpError {
        relayed,
        peer: PeerAddr(addr(peer)),
        kind,
        code: 3,
        data: [0, 0, 5, 0xDC],
    }
}

fn indication(world: &mut World, error: IcmpError) -> Option<Response> {
    world.server.handle_icmp(world.now, error);
    world.drain();
    match &world.take_seen()[..] {
        [] => None,
        [Seen::Sent(_, bytes)] => Some(Response(bytes.clone())),
        seen => panic!("{seen:?}"),
    }
}

#[test]
fn icmp_error_about_a_permitted_peer_becomes_a_data_indication() {
    let (mut world, _, relayed) = permitted(config(), PEER);
    let sent = indication(&mut world, error(relayed, PEER, 3)).unwrap();
    assert_eq!(
        (sent.message().class(), sent.message().method()),
        (Class::Indication, Method::DATA)
    );
    assert_eq!(sent.get::<XorPeerAddress>().unwrap().0, addr(PEER));
    let icmp = Icmp {
        kind: 3,
        code: 3,
        data: [0, 0, 5, 0xDC],
    };
    assert_eq!(sent.get::<Icmp>(), Some(icmp));
    assert_eq!(sent.message().attributes().count(), 2);
    assert_eq!(world.server.counters().icmp_relayed, 1);
}

#[test]
fn only_types_that_concern_the_client_are_passed_on() {
    let (mut world, _, relayed) = permitted(config(), PEER);
    let passed: Vec<_> = (0..=255)
        .filter(|kind| indication(&mut world, error(relayed, PEER, *kind)).is_some())
        .collect();
    assert_eq!(passed, [3, 11]);
    let six = "[2001:4860::8]:4000";
    let (mut world, _, relayed) = permitted(config(), six);
    let passed: Vec<_> = (0..=255)
        .filter(|kind| indication(&mut world, error(relayed, six, *kind)).is_some())
        .collect();
    assert_eq!(passed, [1, 2, 3]);
    assert_eq!(world.server.counters().icmp_dropped, 253);
}

#[test]
fn permission_is_by_address_and_must_be_live() {
    let (mut world, _, relayed) = permitted(config(), PEER);
    assert!(indication(&mut world, error(relayed, "93.184.216.34:0", 3)).is_some());
    assert!(indication(&mut world, error(relayed, "93.184.216.35:4000", 3)).is_none());
    world.pass(300);
    assert!(indication(&mut world, error(relayed, PEER, 3)).is_none());
}

#[test]
fn relayed_address_that_nobody_has_gets_nothing() {
    let (mut world, mut client, relayed) = permitted(config(), PEER);
    let other = RelayedAddr((relayed.ip(), relayed.port() ^ 1).into());
    assert!(indication(&mut world, error(other, PEER, 3)).is_none());
    let stranger = RelayedAddr(addr("77.88.55.77:50000"));
    assert!(indication(&mut world, error(stranger, PEER, 3)).is_none());
    assert!(client.refresh(&mut world, Some(0)).is_success());
    world.take_seen();
    assert!(indication(&mut world, error(relayed, PEER, 3)).is_none());
}

#[test]
fn peer_behind_our_nat_is_named_as_the_client_knows_it() {
    let natted = RelayAddress {
        ip: addr("10.0.0.5:0").ip(),
        external: Some(addr("77.88.55.9:0").ip()),
    };
    let config = Config {
        relay_addresses: vec![natted],
        ..config()
    };
    let (mut world, _, relayed) = permitted(config, "77.88.55.9:50000");
    let bound = RelayedAddr((addr("10.0.0.5:0").ip(), relayed.port()).into());
    let sent = indication(&mut world, error(bound, "10.0.0.5:50001", 3)).unwrap();
    assert_eq!(
        sent.get::<XorPeerAddress>().unwrap().0,
        addr("77.88.55.9:50001")
    );
}
