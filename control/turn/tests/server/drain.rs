//! A server that takes no new allocations and keeps those it has.

use turnpike_turn::attribute::EvenPort;
use turnpike_turn::server::Redirect;

use crate::support::{Client, PEER, World, addr, allocated, config};

#[test]
fn allocation_during_a_drain_is_508_and_300_where_an_alternate_is_set() {
    let mut world = World::new(config());
    let ipv4_only = Redirect {
        ipv4: Some(addr("77.88.55.2:3478")),
        ..Redirect::default()
    };
    world.server.set_draining(true);
    assert_eq!(Client::new(0, "alice").allocate(&mut world).code(), 508);
    world.server.set_redirect(Some(ipv4_only)).unwrap();
    assert_eq!(Client::new(0, "alice").allocate(&mut world).code(), 300);
    let mut six = Client::at(addr("[2001:4860::7]:7"), "alice");
    assert_eq!(six.allocate(&mut world).code(), 508);
    world.server.set_draining(false);
    assert_eq!(six.allocate(&mut world).code(), 0);
}

#[test]
fn allocation_that_lives_goes_on_during_a_drain() {
    let (mut world, mut client) = allocated(config());
    world.server.set_draining(true);
    assert_eq!(client.permit(&mut world, &[PEER]).code(), 0);
    assert_eq!(client.bind(&mut world, 0x4000, PEER).code(), 0);
    assert_eq!(client.refresh(&mut world, None).code(), 0);
    assert_eq!(client.refresh(&mut world, Some(0)).code(), 0);
    assert_eq!(client.allocate(&mut world).code(), 508);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn refused_during_a_drain_holds_nothing() {
    let mut world = World::new(config());
    world.server.set_draining(true);
    let free = world.server.free_ports();
    let pair = Client::new(0, "alice").allocate_with(&mut world, |message| {
        message.attribute(&EvenPort { reserve_next: true });
    });
    assert_eq!(pair.code(), 508);
    assert_eq!((world.server.free_ports(), world.server.users()), (free, 0));
}
