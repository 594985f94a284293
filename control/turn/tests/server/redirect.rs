//! 300 with ALTERNATE-SERVER and ALTERNATE-DOMAIN (RFC 8489 section 10).

use turnpike_stun::{
    AlternateDomain, AlternateServer, Attribute, AttributeType, IntegrityAlgorithm,
};
use turnpike_turn::server::{ConfigError, Redirect};

use crate::support::{Client, Response, World, addr, allocated, config};

fn redirect() -> Redirect {
    Redirect {
        ipv4: Some(addr("77.88.55.2:3478")),
        ipv6: Some(addr("[2a02:6b8::2]:3478")),
        domain: Some("other.example.org".into()),
    }
}

fn servers(response: &Response) -> Vec<std::net::SocketAddr> {
    let message = response.message();
    let tid = message.transaction_id();
    message
        .attributes()
        .filter(|attribute| attribute.kind == AttributeType::ALTERNATE_SERVER)
        .map(|found| AlternateServer::decode(found.value, &tid).unwrap().0)
        .collect()
}

#[test]
fn new_allocation_is_sent_to_the_server_of_the_client_s_family_first() {
    let mut world = World::new(config());
    world.server.set_redirect(Some(redirect())).unwrap();
    let mut client = Client::new(0, "alice");
    let response = client.allocate(&mut world);
    assert_eq!(response.code(), 300);
    assert_eq!(
        servers(&response),
        [addr("77.88.55.2:3478"), addr("[2a02:6b8::2]:3478")]
    );
    assert_eq!(
        response.get::<AlternateDomain<'_>>(),
        Some(AlternateDomain("other.example.org"))
    );
    assert!(
        response
            .message()
            .verify_integrity(IntegrityAlgorithm::Sha1, &client.key())
    );
    let six = Client::at(addr("[2001:4860::7]:7"), "alice").allocate(&mut world);
    assert_eq!(
        servers(&six),
        [addr("[2a02:6b8::2]:3478"), addr("77.88.55.2:3478")]
    );
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn strangers_are_challenged_and_not_redirected() {
    let mut world = World::new(config());
    world.server.set_redirect(Some(redirect())).unwrap();
    let mut stranger = Client::new(0, "mallory");
    assert_eq!(stranger.allocate(&mut world).code(), 401);
}

#[test]
fn live_allocations_are_not_redirected() {
    let (mut world, mut client) = allocated(config());
    world.server.set_redirect(Some(redirect())).unwrap();
    assert!(client.refresh(&mut world, None).is_success());
    assert!(
        client
            .bind(&mut world, 0x4000, crate::support::PEER)
            .is_success()
    );
    world.server.set_redirect(None).unwrap();
    assert!(Client::new(1, "alice").allocate(&mut world).is_success());
}

#[test]
fn client_without_a_server_of_its_family_is_not_redirected() {
    let mut world = World::new(config());
    let only_six = Redirect {
        ipv4: None,
        domain: None,
        ..redirect()
    };
    world.server.set_redirect(Some(only_six)).unwrap();
    assert!(Client::new(0, "alice").allocate(&mut world).is_success());
    let six = Client::at(addr("[2001:4860::7]:7"), "alice").allocate(&mut world);
    assert_eq!((six.code(), servers(&six).len()), (300, 1));
}

#[test]
fn redirect_that_could_not_be_written_is_refused() {
    let mut world = World::new(config());
    let long = Redirect {
        domain: Some("x".repeat(256)),
        ..redirect()
    };
    assert_eq!(
        world.server.set_redirect(Some(long)),
        Err(ConfigError::Redirect)
    );
    assert!(Client::new(0, "alice").allocate(&mut world).is_success());
}
