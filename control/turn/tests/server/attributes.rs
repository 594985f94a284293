//! Attributes that a request should not have (RFC 8489 section 6.3.1).

use turnpike_stun::AttributeType;

use crate::support::{Client, World, config};

#[test]
fn access_token_is_unknown_whatever_its_lengths_claim() {
    let mut world = World::new(config());
    let lying_nonce_length = [0xFF, 0xFF, 1, 2, 3];
    for value in [&lying_nonce_length[..], &[], &[0; 700]] {
        let mut client = Client::new(0, "alice");
        let response = client.allocate_with(&mut world, |message| {
            message.raw(AttributeType::ACCESS_TOKEN, value);
        });
        assert_eq!(response.code(), 420);
    }
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn mobility_ticket_is_ignored() {
    let mut world = World::new(config());
    let mut alice = Client::new(0, "alice");
    let response = alice.allocate_with(&mut world, |message| {
        message.raw(AttributeType::MOBILITY_TICKET, b"");
    });
    assert!(response.is_success());
    assert!(!response.has(AttributeType::MOBILITY_TICKET));
}

#[test]
fn attributes_that_are_known_but_have_no_place_in_a_request_are_ignored() {
    let mut world = World::new(config());
    let response = Client::new(0, "alice").allocate_with(&mut world, |message| {
        message
            .raw(AttributeType::DATA, b"x")
            .raw(AttributeType::XOR_RELAYED_ADDRESS, &[0; 8]);
    });
    assert_eq!(response.code(), 0);
}
