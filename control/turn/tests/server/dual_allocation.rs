//! Dual allocations (RFC 8656 section 7, ADDITIONAL-ADDRESS-FAMILY).

use turnpike_stun::MessageBuilder;
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{
    AdditionalAddressFamily, AddressErrorCode, Lifetime, RequestedAddressFamily,
};
use turnpike_turn::server::{Config, EndReason, Event};
use turnpike_types::{Action, AddressFamily, CommandError, Entry, EntryKey};

use crate::support::{Client, PEER, Response, World, addr, config, relay};

fn both(message: &mut MessageBuilder<'_>) {
    message.attribute(&AdditionalAddressFamily(AddressFamily::Ipv6));
}

fn refresh(client: &mut Client, world: &mut World, family: AddressFamily, secs: u32) -> Response {
    client.request(world, turnpike_stun::Method::REFRESH, |message| {
        message
            .attribute(&RequestedAddressFamily(family))
            .attribute(&Lifetime(secs));
    })
}

fn dual() -> (World, Client) {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    assert!(client.allocate_with(&mut world, both).is_success());
    world.take_seen();
    (world, client)
}

#[test]
fn dual_allocation_has_an_address_of_each_family() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    let response = client.allocate_with(&mut world, both);
    let relayed = response.relayed();
    assert_eq!(relayed.len(), 2);
    assert!(relayed[0].is_ipv4() && relayed[1].is_ipv6());
    assert_eq!(response.get::<AddressErrorCode<'_>>(), None);
    let actions = world.take_actions();
    assert_eq!(actions.len(), 2);
    for (action, relayed) in actions.iter().zip(relayed) {
        let Action::Install(Entry::Allocation(entry)) = action else {
            panic!()
        };
        assert_eq!(entry.relayed.0, relayed);
    }
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn dual_allocation_works_behind_nat() {
    let natted = |ip: &str, external: &str| RelayAddress {
        ip: addr(ip).ip(),
        external: Some(addr(external).ip()),
    };
    let relay_addresses = vec![
        natted("10.0.0.5:0", "77.88.55.9:0"),
        natted("[fd00::5]:0", "[2a02:6b8::9]:0"),
    ];
    let mut world = World::new(Config {
        relay_addresses,
        ..config()
    });
    let response = Client::new(0, "alice").allocate_with(&mut world, both);
    let ips: Vec<_> = response
        .relayed()
        .iter()
        .map(std::net::SocketAddr::ip)
        .collect();
    assert_eq!(
        ips,
        [addr("77.88.55.9:0").ip(), addr("[2a02:6b8::9]:0").ip()]
    );
}

#[test]
fn family_that_cannot_be_had_is_named_in_address_error_code() {
    for (own, missing) in [
        ("77.88.55.1", AddressFamily::Ipv6),
        ("2a02:6b8::1", AddressFamily::Ipv4),
    ] {
        let mut world = World::new(Config {
            relay_addresses: vec![relay(own)],
            ..config()
        });
        let response = Client::new(0, "alice").allocate_with(&mut world, both);
        assert!(response.is_success());
        assert_eq!(response.relayed().len(), 1);
        let error = response.get::<AddressErrorCode<'_>>().unwrap();
        assert_eq!((error.family, error.code), (missing, 440));
    }
}

#[test]
fn family_without_a_free_port_is_named_with_508() {
    let mut world = World::new(Config {
        ports: 50_000..=50_000,
        ..config()
    });
    assert!(Client::new(0, "alice").allocate(&mut world).is_success());
    let response = Client::new(1, "alice").allocate_with(&mut world, both);
    assert!(response.relayed()[0].is_ipv6());
    let error = response.get::<AddressErrorCode<'_>>().unwrap();
    assert_eq!((error.family, error.code), (AddressFamily::Ipv4, 508));
    assert_eq!(
        Client::new(2, "alice")
            .allocate_with(&mut world, both)
            .code(),
        508
    );
}

#[test]
fn family_that_no_lane_can_open_is_named_with_508() {
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        let mut world = World::new(config());
        world.fails = Some(Box::new(move |command| match command.action {
            Action::Install(Entry::Allocation(entry)) if entry.relayed.family() == family => {
                Some(CommandError::TableFull)
            }
            _ => None,
        }));
        let free = world.server.free_ports();
        let response = Client::new(0, "alice").allocate_with(&mut world, both);
        assert_eq!(response.relayed().len(), 1);
        let error = response.get::<AddressErrorCode<'_>>().unwrap();
        assert_eq!((error.family, error.code), (family, 508));
        assert_eq!(world.server.free_ports(), free - 1);
    }
}

#[test]
fn refresh_of_one_family_leaves_the_other_as_it_was() {
    let (mut world, mut client) = dual();
    world.pass(300);
    assert_eq!(
        refresh(&mut client, &mut world, AddressFamily::Ipv6, 900).lifetime(),
        900
    );
    let actions = world.take_actions();
    let [
        Action::Refresh {
            key: EntryKey::Allocation { relayed, .. },
            ..
        },
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(relayed.family(), AddressFamily::Ipv6);
    world.pass_and_wake(301);
    client.greet(&mut world);
    assert_eq!(client.permit(&mut world, &[PEER]).code(), 443);
    assert_eq!(client.permit(&mut world, &["[2001:4860::8]:1"]).code(), 0);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn zero_lifetime_of_one_family_frees_that_address_alone() {
    let (mut world, mut client) = dual();
    assert!(
        client
            .permit(&mut world, &[PEER, "[2001:4860::8]:1"])
            .is_success()
    );
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    let free = world.server.free_ports();
    assert_eq!(
        refresh(&mut client, &mut world, AddressFamily::Ipv4, 0).lifetime(),
        0
    );
    let actions = world.take_actions();
    assert!(matches!(
        actions[..],
        [
            Action::Revoke(EntryKey::Channel { .. }),
            Action::Revoke(EntryKey::Permission { .. }),
            Action::Revoke(EntryKey::Allocation { .. }),
        ]
    ));
    assert_eq!(world.server.free_ports(), free + 1);
    assert_eq!(world.server.allocations(), 1);
    assert_eq!(
        refresh(&mut client, &mut world, AddressFamily::Ipv4, 600).code(),
        443
    );
    assert_eq!(client.permit(&mut world, &["[2001:4860::8]:1"]).code(), 0);
}

#[test]
fn zero_lifetime_of_the_last_family_ends_the_allocation() {
    let (mut world, mut client) = dual();
    assert!(refresh(&mut client, &mut world, AddressFamily::Ipv4, 0).is_success());
    world.take_seen();
    assert!(refresh(&mut client, &mut world, AddressFamily::Ipv6, 0).is_success());
    let events = world.take_events();
    let [
        Event::AllocationEnded {
            reason: EndReason::Released,
            ..
        },
    ] = events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
}

#[test]
fn whole_dual_allocation_is_refreshed_and_freed_without_a_family() {
    let (mut world, mut client) = dual();
    world.pass(100);
    assert_eq!(client.refresh(&mut world, None).lifetime(), 600);
    assert_eq!(world.take_actions().len(), 2);
    let free = world.server.free_ports();
    assert!(client.refresh(&mut world, Some(0)).is_success());
    assert_eq!(world.server.free_ports(), free + 2);
    assert_eq!(world.server.allocations(), 0);
}
