//! Allocate (RFC 8656 section 7.2).

use std::num::NonZeroU16;

use turnpike_stun::{AttributeType, Method, UnknownAttributes, XorMappedAddress};
use turnpike_turn::RelayAddress;
use turnpike_turn::attribute::{
    AdditionalAddressFamily, DontFragment, EvenPort, Lifetime, RequestedAddressFamily,
    RequestedTransport,
};
use turnpike_turn::server::{Config, Event, Procedure, Refusal};
use turnpike_types::{Action, AddressFamily, Entry, RateLimit};

use crate::support::{Client, Seen, World, addr, allocated, config, relay};

#[test]
fn allocate_gives_an_ipv4_address_by_default_and_installs_it_first() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    client.greet(&mut world);
    world.take_seen();
    let response = client.allocate(&mut world);
    let relayed = response.relayed();
    assert_eq!(relayed.len(), 1);
    assert_eq!(relayed[0].ip(), addr("77.88.55.1:0").ip());
    assert!(relayed[0].port() >= 49_152);
    assert_eq!(response.lifetime(), 600);
    assert_eq!(
        response.get::<XorMappedAddress>().unwrap().0,
        client.five_tuple.client.0
    );
    let [
        Seen::Command(Action::Install(Entry::Allocation(entry))),
        Seen::Sent(..),
        event,
    ] = &world.take_seen()[..]
    else {
        panic!("install, then promise");
    };
    assert_eq!(entry.relayed.0, relayed[0]);
    assert_eq!(entry.five_tuple, client.five_tuple);
    assert_eq!(world.server.username(entry.user), Some("alice"));
    let Seen::Event(Event::AllocationCreated { allocation, .. }) = event else {
        panic!()
    };
    assert_eq!(*allocation, entry.allocation);
}

#[test]
fn both_families_can_be_asked_for() {
    let mut world = World::new(config());
    for (number, family, ip) in [
        (0, AddressFamily::Ipv4, "77.88.55.1:0"),
        (1, AddressFamily::Ipv6, "[2a02:6b8::1]:0"),
    ] {
        let response = Client::new(number, "alice").allocate_with(&mut world, |message| {
            message.attribute(&RequestedAddressFamily(family));
        });
        assert_eq!(response.relayed()[0].ip(), addr(ip).ip());
    }
}

#[test]
fn ipv6_client_gets_an_ipv4_address_and_the_other_way_round() {
    let mut world = World::new(config());
    let mut six = Client::at(addr("[2001:4860::7]:7"), "alice");
    assert!(six.allocate(&mut world).relayed()[0].is_ipv4());
    let four = Client::new(0, "alice").allocate_with(&mut world, |message| {
        message.attribute(&RequestedAddressFamily(AddressFamily::Ipv6));
    });
    assert!(four.relayed()[0].is_ipv6());
}

#[test]
fn family_without_a_relay_address_is_refused_with_440() {
    let ipv6_only = Config {
        relay_addresses: vec![relay("2a02:6b8::1")],
        ..config()
    };
    let mut world = World::new(ipv6_only);
    assert_eq!(Client::new(0, "alice").allocate(&mut world).code(), 440);
    let mut world = World::new(config());
    let odd = Client::new(0, "alice").allocate_with(&mut world, |message| {
        message.raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[7, 0, 0, 0]);
    });
    assert_eq!(odd.code(), 440);
}

#[test]
fn retransmission_is_told_the_same_again_byte_for_byte() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    client.greet(&mut world);
    let transaction = client.transaction();
    let bytes = client.signed(Method::ALLOCATE, transaction, |message| {
        message
            .attribute(&RequestedTransport::UDP)
            .attribute(&EvenPort { reserve_next: true });
    });
    let first = world.send(client.five_tuple, &bytes).unwrap();
    assert!(first.is_success());
    world.take_seen();
    world.pass(3);
    assert_eq!(world.send(client.five_tuple, &bytes).unwrap(), first);
    assert_eq!(world.take_seen().len(), 1, "no command, no event");
    assert_eq!(
        (world.server.allocations(), world.server.reservations()),
        (1, 1)
    );
}

#[test]
fn second_allocate_on_the_five_tuple_is_refused_with_437() {
    let (mut world, mut client) = allocated(config());
    assert_eq!(client.allocate(&mut world).code(), 437);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn requested_transport_must_be_there_and_be_udp() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    assert_eq!(
        client.request(&mut world, Method::ALLOCATE, |_| {}).code(),
        400
    );
    for (protocol, code) in [(6, 442), (0, 442), (255, 442), (17, 0)] {
        let response = client.request(&mut world, Method::ALLOCATE, |message| {
            message.attribute(&RequestedTransport(protocol));
        });
        assert_eq!(response.code(), code, "protocol {protocol}");
    }
    let counters = world.server.counters();
    assert_eq!(
        counters.refused(Procedure::Allocate, Refusal::UnsupportedTransport),
        3
    );
    assert_eq!(counters.granted(Procedure::Allocate), 1);
}

#[test]
fn malformed_attributes_are_a_bad_request() {
    let kinds = [
        AttributeType::REQUESTED_TRANSPORT,
        AttributeType::EVEN_PORT,
        AttributeType::RESERVATION_TOKEN,
        AttributeType::REQUESTED_ADDRESS_FAMILY,
        AttributeType::ADDITIONAL_ADDRESS_FAMILY,
        AttributeType::LIFETIME,
    ];
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    for kind in kinds {
        for value in [&b""[..], &[0; 3], &[0; 5]] {
            let response = client.request(&mut world, Method::ALLOCATE, |message| {
                message.raw(kind, value).attribute(&RequestedTransport::UDP);
            });
            assert_eq!(response.code(), 400, "{kind} {value:?}");
        }
    }
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn lifetime_lies_between_default_and_maximum() {
    let mut world = World::new(config());
    let asked = [
        (0, 600),
        (1, 600),
        (599, 600),
        (601, 601),
        (3_600, 3_600),
        (u32::MAX, 3_600),
    ];
    for (number, (asked, granted)) in (0..).zip(asked) {
        let response = Client::new(number, "alice").allocate_with(&mut world, |message| {
            message.attribute(&Lifetime(asked));
        });
        assert_eq!(response.lifetime(), granted);
    }
}

#[test]
fn even_port_is_even() {
    let mut world = World::new(config());
    for number in 0..20 {
        let response = Client::new(number, "alice").allocate_with(&mut world, |message| {
            message.attribute(&EvenPort {
                reserve_next: false,
            });
        });
        assert_eq!(response.relayed()[0].port() % 2, 0);
        assert!(!response.has(AttributeType::RESERVATION_TOKEN));
    }
}

#[test]
fn combinations_that_make_no_sense_are_a_bad_request() {
    use turnpike_turn::attribute::ReservationToken;
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    let token = ReservationToken([1; 8]);
    let v4 = AddressFamily::Ipv4;
    let v6 = AddressFamily::Ipv6;
    let mut code = |fill: &dyn Fn(&mut turnpike_stun::MessageBuilder<'_>)| {
        client
            .allocate_with(&mut world, |message| fill(message))
            .code()
    };
    let (r_set, r_clear) = (
        EvenPort { reserve_next: true },
        EvenPort {
            reserve_next: false,
        },
    );
    let (requested, additional) = (RequestedAddressFamily(v4), AdditionalAddressFamily(v6));
    let codes = [
        code(&|message| _ = message.attribute(&token).attribute(&r_clear)),
        code(&|message| _ = message.attribute(&token).attribute(&requested)),
        code(&|message| _ = message.attribute(&token).attribute(&additional)),
        code(&|message| _ = message.attribute(&r_set).attribute(&additional)),
        code(&|message| _ = message.attribute(&requested).attribute(&additional)),
        code(&|message| _ = message.attribute(&AdditionalAddressFamily(v4))),
    ];
    assert_eq!(codes, [400; 6]);
}

#[test]
fn dont_fragment_is_unknown_where_the_lanes_cannot() {
    let mut world = World::new(Config {
        dont_fragment: false,
        ..config()
    });
    let mut client = Client::new(0, "alice");
    let response = client.allocate_with(&mut world, |message| {
        message.attribute(&DontFragment);
    });
    assert_eq!(response.code(), 420);
    let unknown = response.get::<UnknownAttributes>().unwrap();
    assert_eq!(
        unknown.iter().collect::<Vec<_>>(),
        [AttributeType::DONT_FRAGMENT]
    );
    let (mut world, mut client) = (World::new(config()), Client::new(0, "alice"));
    let response = client.allocate_with(&mut world, |message| {
        message.attribute(&DontFragment);
    });
    assert!(response.is_success());
}

#[test]
fn user_quota_is_486_and_the_total_508() {
    let mut config = config();
    config.limits.allocations_per_user = 2;
    config.limits.allocations = 3;
    let mut world = World::new(config);
    let mut code = |number, user| Client::new(number, user).allocate(&mut world).code();
    assert_eq!(
        (code(0, "alice"), code(1, "alice"), code(2, "alice")),
        (0, 0, 486)
    );
    assert_eq!((code(3, "bob"), code(4, "bob")), (0, 508));
    let mut client = Client::new(0, "alice");
    assert!(client.refresh(&mut world, Some(0)).is_success());
    assert_eq!(Client::new(2, "alice").allocate(&mut world).code(), 0);
}

#[test]
fn reservation_counts_against_the_quota() {
    let mut config = config();
    config.limits.allocations_per_user = 2;
    let mut world = World::new(config);
    let reserve = |message: &mut turnpike_stun::MessageBuilder<'_>| {
        message.attribute(&EvenPort { reserve_next: true });
    };
    assert_eq!(
        Client::new(0, "alice")
            .allocate_with(&mut world, reserve)
            .code(),
        0
    );
    assert_eq!(Client::new(1, "alice").allocate(&mut world).code(), 486);
}

#[test]
fn ports_run_out_with_508_and_come_back() {
    let mut world = World::new(Config {
        ports: 50_000..=50_003,
        ..config()
    });
    let mut ports: Vec<_> = (0..4)
        .map(|number| Client::new(number, "alice").allocate(&mut world).relayed()[0].port())
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [50_000, 50_001, 50_002, 50_003]);
    assert_eq!(Client::new(9, "alice").allocate(&mut world).code(), 508);
    assert!(
        Client::new(2, "alice")
            .refresh(&mut world, Some(0))
            .is_success()
    );
    assert_eq!(Client::new(9, "alice").allocate(&mut world).code(), 0);
}

#[test]
fn ports_are_not_handed_out_in_order() {
    let mut world = World::new(config());
    let ports: Vec<_> = (0..16)
        .map(|number| Client::new(number, "alice").allocate(&mut world).relayed()[0].port())
        .collect();
    assert!(!ports.is_sorted() && !ports.iter().rev().is_sorted());
}

#[test]
fn relay_address_behind_nat_is_bound_inside_and_told_outside() {
    let inside = "10.0.0.5:0";
    let natted = RelayAddress {
        ip: addr(inside).ip(),
        external: Some(addr("77.88.55.9:0").ip()),
    };
    let mut world = World::new(Config {
        relay_addresses: vec![natted],
        ..config()
    });
    let response = Client::new(0, "alice").allocate(&mut world);
    assert_eq!(response.relayed()[0].ip(), addr("77.88.55.9:0").ip());
    let actions = world.take_actions();
    let [Action::Install(Entry::Allocation(entry))] = &actions[..] else {
        panic!()
    };
    assert_eq!(entry.relayed.ip(), addr(inside).ip());
    assert_eq!(entry.relayed.port(), response.relayed()[0].port());
}

#[test]
fn rate_limits_go_to_the_lanes_with_the_allocation() {
    let mut config = config();
    config.limits.allocation_rate.packets_per_second = Some(5);
    config.limits.user_rate.bytes_per_second = Some(7);
    let mut world = World::new(config);
    Client::new(0, "alice").allocate(&mut world);
    Client::new(1, "alice").allocate(&mut world);
    let actions = world.take_actions();
    let entry = |index: usize| match actions[index] {
        Action::Install(Entry::Allocation(entry)) => entry,
        _ => panic!(),
    };
    let packets = RateLimit {
        packets_per_second: Some(5),
        bytes_per_second: None,
    };
    let bytes = RateLimit {
        packets_per_second: None,
        bytes_per_second: Some(7),
    };
    assert_eq!(
        (entry(0).allocation_limit, entry(0).user_limit),
        (packets, bytes)
    );
    assert_eq!(entry(0).user, entry(1).user);
    assert_ne!(entry(0).allocation, entry(1).allocation);
}

#[test]
fn shards_hand_out_disjoint_ports() {
    use turnpike_turn::server::{ShardSlice, owner};
    let ports = 50_000..=50_009;
    let mut all = Vec::new();
    for index in 0..3 {
        let shard = ShardSlice { index, count: 3 };
        let mut world = World::new(Config {
            ports: ports.clone(),
            shard,
            ..config()
        });
        for number in 0..10 {
            let response = Client::new(number, "alice").allocate(&mut world);
            if response.is_success() {
                let port = response.relayed()[0].port();
                assert_eq!(owner(&ports, 3, port), Some(index));
                all.push(NonZeroU16::new(port).unwrap());
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 10);
}
