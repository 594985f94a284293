//! CreatePermission (RFC 8656 section 10.2).

use turnpike_stun::{AttributeType, Method};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::XorPeerAddress;
use turnpike_turn::server::Config;
use turnpike_types::{Action, Entry, EntryKey, Timestamp};

use crate::support::{Client, PEER, addr, allocated, config};

#[test]
fn permission_is_installed_for_each_address_whatever_the_port() {
    let (mut world, mut client) = allocated(config());
    let peers = ["93.184.216.34:4000", "93.184.216.35:0", "93.184.216.34:5"];
    assert!(client.permit(&mut world, &peers).is_success());
    let installed: Vec<_> = world
        .take_actions()
        .into_iter()
        .map(|action| match action {
            Action::Install(Entry::Permission(entry)) => entry,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(installed.len(), 2, "one address, one permission");
    assert_eq!(installed[0].wire_ip, addr(peers[0]).ip());
    assert_eq!(installed[0].peer_ip, addr(peers[0]).ip());
    assert_eq!(installed[1].wire_ip, addr(peers[1]).ip());
    assert_eq!(installed[0].expires_at, Timestamp::from_secs(1_300));
    assert_eq!(
        (installed[0].ports.min, installed[0].ports.max),
        (1_024, 65_535)
    );
}

#[test]
fn permission_ends_with_its_allocation_if_that_is_earlier() {
    let (mut world, mut client) = allocated(config());
    world.pass(400);
    assert!(client.permit(&mut world, &[PEER]).is_success());
    let actions = world.take_actions();
    let [Action::Install(Entry::Permission(entry))] = &actions[..] else {
        panic!()
    };
    assert_eq!(entry.expires_at, Timestamp::from_secs(1_600));
}

#[test]
fn permission_is_refreshed_by_another_request() {
    let (mut world, mut client) = allocated(config());
    assert!(client.permit(&mut world, &[PEER]).is_success());
    world.take_seen();
    world.pass(299);
    assert!(client.permit(&mut world, &[PEER]).is_success());
    let actions = world.take_actions();
    let [
        Action::Refresh {
            key: EntryKey::Permission { .. },
            expires_at,
        },
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(*expires_at, Timestamp::from_secs(1_000 + 299 + 300));
}

#[test]
fn lapsed_permission_is_revoked_and_can_be_granted_again() {
    let (mut world, mut client) = allocated(config());
    assert!(client.permit(&mut world, &[PEER]).is_success());
    world.take_seen();
    world.pass_and_wake(301);
    let actions = world.take_actions();
    assert!(matches!(
        actions[..],
        [Action::Revoke(EntryKey::Permission { .. })]
    ));
    assert!(client.permit(&mut world, &[PEER]).is_success());
    assert!(matches!(
        world.take_actions()[..],
        [Action::Install(Entry::Permission(_))]
    ));
}

#[test]
fn request_without_a_valid_peer_address_is_a_bad_one() {
    let (mut world, mut client) = allocated(config());
    assert_eq!(client.permit(&mut world, &[]).code(), 400);
    for value in [
        &b""[..],
        &[0, 1, 0, 0],
        &[0, 3, 0, 0, 1, 2, 3, 4],
        &[0, 2, 0, 0, 1, 2, 3, 4],
    ] {
        let response = client.request(&mut world, Method::CREATE_PERMISSION, |message| {
            message.attribute(&XorPeerAddress(addr(PEER)));
            message.raw(AttributeType::XOR_PEER_ADDRESS, value);
        });
        assert_eq!(response.code(), 400);
    }
    assert!(world.take_actions().is_empty(), "nothing was permitted");
}

#[test]
fn peer_of_another_family_is_refused_with_443_and_nothing_is_permitted() {
    let (mut world, mut client) = allocated(config());
    assert_eq!(
        client
            .permit(&mut world, &[PEER, "[2001:4860::8]:1"])
            .code(),
        443
    );
    assert!(world.take_actions().is_empty());
}

#[test]
fn forbidden_peer_is_refused_with_403_and_nothing_is_permitted() {
    let (mut world, mut client) = allocated(config());
    for forbidden in [
        "127.0.0.1:5000",
        "10.1.2.3:5000",
        "169.254.169.254:80",
        "0.0.0.0:1",
    ] {
        assert_eq!(
            client.permit(&mut world, &[PEER, forbidden]).code(),
            403,
            "{forbidden}"
        );
    }
    assert!(world.take_actions().is_empty());
}

#[test]
fn permissions_end_at_the_quota_with_508() {
    let (mut world, mut client) = allocated(config());
    let peer = |number: u32| format!("93.{}.{}.1:1", 100 + number / 200, 1 + number % 200);
    for first in (0..256).step_by(32) {
        let peers: Vec<_> = (first..first + 32).map(peer).collect();
        let peers: Vec<_> = peers.iter().map(String::as_str).collect();
        assert!(client.permit(&mut world, &peers).is_success());
    }
    world.take_seen();
    for number in 256..1_100 {
        assert_eq!(client.permit(&mut world, &[&peer(number)]).code(), 508);
    }
    assert_eq!(
        client.permit(&mut world, &[&peer(3), &peer(900)]).code(),
        508
    );
    assert!(world.take_actions().is_empty());
    assert!(
        client.permit(&mut world, &[&peer(3)]).is_success(),
        "an old one is refreshed"
    );
    assert_eq!(
        client
            .bind(&mut world, 0x4000, &peer(900).replace(":1", ":4000"))
            .code(),
        508
    );
    world.pass_and_wake(301);
    assert!(client.permit(&mut world, &[&peer(900)]).is_success());
}

#[test]
fn own_external_address_becomes_the_one_behind_it_on_the_wire() {
    let natted = RelayAddress {
        ip: addr("10.0.0.5:0").ip(),
        external: Some(addr("77.88.55.9:0").ip()),
    };
    let mut config = Config {
        relay_addresses: vec![natted],
        ..config()
    };
    config.ports = 50_000..=60_000;
    let (mut world, mut client) = allocated(config);
    assert!(
        client
            .permit(&mut world, &["77.88.55.9:50000"])
            .is_success()
    );
    let actions = world.take_actions();
    let [Action::Install(Entry::Permission(entry))] = &actions[..] else {
        panic!()
    };
    assert_eq!(entry.wire_ip, addr("10.0.0.5:0").ip());
    assert_eq!(entry.peer_ip, addr("77.88.55.9:0").ip());
    assert_eq!(
        (entry.ports.min, entry.ports.max, entry.ports.guarded),
        (50_000, 60_000, true)
    );
}

#[test]
fn permissions_of_one_allocation_are_not_another_s() {
    let (mut world, mut client) = allocated(config());
    let mut other = Client::new(1, "alice");
    assert!(other.allocate(&mut world).is_success());
    world.take_seen();
    assert!(client.permit(&mut world, &[PEER]).is_success());
    assert!(other.permit(&mut world, &[PEER]).is_success());
    let allocations: Vec<_> = world
        .take_actions()
        .into_iter()
        .map(|action| match action {
            Action::Install(Entry::Permission(entry)) => entry.allocation,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_ne!(allocations[0], allocations[1]);
}
