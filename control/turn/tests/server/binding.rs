//! Binding, and what a STUN server does with bytes of every kind (RFC 8489 sections 5 to 7).

use turnpike_stun::{AttributeType, Class, Message, Method, UnknownAttributes, XorMappedAddress};
use turnpike_turn::server::{Disposition, Procedure, Refusal};
use turnpike_types::DropReason;

use crate::support::{Client, Response, TID, World, addr, build, build_class, config};

fn binding(world: &mut World, bytes: &[u8]) -> Response {
    let five_tuple = Client::new(0, "").five_tuple;
    world.send(five_tuple, bytes).unwrap()
}

#[test]
fn binding_tells_the_client_its_reflexive_address_and_nothing_else() {
    let mut world = World::new(config());
    let response = binding(&mut world, &build(Method::BINDING, TID, |_| {}));
    let mapped = response.get::<XorMappedAddress>().unwrap();
    assert_eq!(mapped.0, addr("198.41.0.4:10000"));
    assert_eq!(response.message().attributes().count(), 1);
    assert_eq!(response.0.len(), 32, "1.6 times the barest request");
    assert_eq!(world.server.counters().granted(Procedure::Binding), 1);
}

#[test]
fn binding_over_ipv6_tells_an_ipv6_address() {
    let mut world = World::new(config());
    let client = Client::at(addr("[2001:4860::7]:7"), "");
    let bytes = build(Method::BINDING, TID, |_| {});
    let response = world.send(client.five_tuple, &bytes).unwrap();
    assert_eq!(
        response.get::<XorMappedAddress>().unwrap().0,
        addr("[2001:4860::7]:7")
    );
}

#[test]
fn response_has_a_fingerprint_only_when_the_request_had_one() {
    let mut world = World::new(config());
    let plain = binding(&mut world, &build(Method::BINDING, TID, |_| {}));
    assert!(!plain.has(AttributeType::FINGERPRINT));
    let bytes = build(Method::BINDING, TID, |message| {
        message.fingerprint();
    });
    let marked = binding(&mut world, &bytes);
    assert_eq!(
        marked.message().fingerprint(),
        turnpike_stun::Fingerprint::Valid
    );
}

#[test]
fn wrong_fingerprint_is_dropped_silently() {
    let mut world = World::new(config());
    let mut bytes = build(Method::BINDING, TID, |message| {
        message.fingerprint();
    });
    *bytes.last_mut().unwrap() ^= 1;
    let five_tuple = Client::new(0, "").five_tuple;
    assert_eq!(
        world.drop_reason(five_tuple, &bytes),
        DropReason::BadFingerprint
    );
    assert_eq!(
        world.server.counters().dropped(DropReason::BadFingerprint),
        1
    );
}

#[test]
fn unknown_comprehension_required_attributes_are_named_in_a_420() {
    let mut world = World::new(config());
    let bytes = build(Method::BINDING, TID, |message| {
        message
            .raw(AttributeType(0x7001), b"")
            .raw(AttributeType(0x8777), b"");
        message
            .raw(AttributeType(0x7002), b"x")
            .raw(AttributeType(0x7001), b"");
    });
    let response = binding(&mut world, &bytes);
    assert_eq!(response.code(), 420);
    let unknown = response.get::<UnknownAttributes>().unwrap();
    let named: Vec<_> = unknown.iter().map(|kind| kind.0).collect();
    assert_eq!(named, [0x7001, 0x7002]);
    let refused = world
        .server
        .counters()
        .refused(Procedure::Binding, Refusal::UnknownAttribute);
    assert_eq!(refused, 1);
}

#[test]
fn list_of_unknown_attributes_is_bounded() {
    let mut world = World::new(config());
    let bytes = build(Method::BINDING, TID, |message| {
        for number in 0..60 {
            message.raw(AttributeType(0x7000 + number), b"");
        }
    });
    let response = binding(&mut world, &bytes);
    assert_eq!(
        response.get::<UnknownAttributes>().unwrap().len(),
        UnknownAttributes::MAX
    );
    assert!(response.0.len() < bytes.len());
}

#[test]
fn binding_indication_keeps_a_nat_open_and_is_not_answered() {
    let mut world = World::new(config());
    let bytes = build_class(Class::Indication, Method::BINDING, TID, |_| {});
    assert_eq!(world.send(Client::new(0, "").five_tuple, &bytes), None);
    assert_eq!(world.server.counters().binding_indications, 1);
}

#[test]
fn responses_and_unknown_indications_are_dropped() {
    let mut world = World::new(config());
    let five_tuple = Client::new(0, "").five_tuple;
    for class in [Class::Success, Class::Error] {
        let bytes = build_class(class, Method::ALLOCATE, TID, |_| {});
        assert_eq!(
            world.drop_reason(five_tuple, &bytes),
            DropReason::Unexpected
        );
    }
    let bytes = build_class(Class::Indication, Method::DATA, TID, |_| {});
    assert_eq!(
        world.drop_reason(five_tuple, &bytes),
        DropReason::Unexpected
    );
}

#[test]
fn bare_request_of_each_of_4096_methods_gets_a_defined_answer() {
    let mut world = World::new(config());
    let five_tuple = Client::new(0, "").five_tuple;
    for number in 0..=0x0FFF {
        let method = Method::new(number);
        let bytes = build(method, TID, |_| {});
        assert_eq!(bytes.len(), 20);
        match method {
            Method::BINDING => assert!(world.send(five_tuple, &bytes).unwrap().is_success()),
            Method::ALLOCATE
            | Method::REFRESH
            | Method::CREATE_PERMISSION
            | Method::CHANNEL_BIND => {
                assert_eq!(world.send(five_tuple, &bytes).unwrap().code(), 401);
            }
            _ => assert_eq!(
                world.drop_reason(five_tuple, &bytes),
                DropReason::Unexpected
            ),
        }
    }
    assert_eq!(
        world.server.counters().dropped(DropReason::Unexpected),
        4_096 - 5
    );
}

#[test]
fn bytes_that_are_no_message_are_dropped() {
    let mut world = World::new(config());
    let five_tuple = Client::new(0, "").five_tuple;
    let good = build(Method::BINDING, TID, |message| {
        message.raw(AttributeType::SOFTWARE, b"test");
    });
    let mut broken: Vec<Vec<u8>> = vec![vec![], vec![0], good[..27].to_vec()];
    broken.push([&good[..], &[0, 0, 0, 0]].concat());
    for (at, value) in [
        (3, 9),
        (3, 0xFF),
        (2, 0xFF),
        (4, 0),
        (0, 0x80),
        (0, 0xC0),
        (22, 0xFF),
    ] {
        let mut bytes = good.clone();
        bytes[at] = value;
        broken.push(bytes);
    }
    for bytes in broken {
        assert_eq!(
            world.drop_reason(five_tuple, &bytes),
            DropReason::Malformed,
            "{bytes:x?}"
        );
    }
    assert!(Message::parse(&good).is_ok());
}

#[test]
fn channel_data_and_send_indications_without_an_allocation_are_dropped_by_reason() {
    use turnpike_turn::attribute::{Data, XorPeerAddress};
    let mut world = World::new(config());
    let five_tuple = Client::new(0, "").five_tuple;
    let channel_data = [0x40, 0x00, 0, 4, 1, 2, 3, 4];
    assert_eq!(
        world.drop_reason(five_tuple, &channel_data),
        DropReason::NoAllocation
    );
    assert_eq!(
        world.drop_reason(five_tuple, &channel_data[..7]),
        DropReason::Malformed
    );
    assert_eq!(
        world.drop_reason(five_tuple, &[0x50, 0, 0, 0]),
        DropReason::NoAllocation
    );
    let send = build_class(Class::Indication, Method::SEND, TID, |message| {
        message
            .attribute(&XorPeerAddress(addr("93.184.216.34:1")))
            .attribute(&Data(b"x"));
    });
    assert_eq!(
        world.drop_reason(five_tuple, &send),
        DropReason::NoAllocation
    );
    let no_data = build_class(Class::Indication, Method::SEND, TID, |message| {
        message.attribute(&XorPeerAddress(addr("93.184.216.34:1")));
    });
    assert_eq!(
        world.drop_reason(five_tuple, &no_data),
        DropReason::Malformed
    );
}

#[test]
fn server_that_is_never_polled_stops_taking_packets() {
    use turnpike_turn::server::OUTPUTS_MAX;
    let mut world = World::new(config());
    let five_tuple = Client::new(0, "").five_tuple;
    let bytes = build(Method::BINDING, TID, |_| {});
    for _ in 0..OUTPUTS_MAX {
        assert_eq!(
            world.server.handle_input(world.now, five_tuple, &bytes),
            Disposition::Consumed
        );
    }
    assert_eq!(
        world.server.handle_input(world.now, five_tuple, &bytes),
        Disposition::Dropped(DropReason::QueueFull)
    );
}
