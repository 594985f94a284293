//! EVEN-PORT with the R bit, and RESERVATION-TOKEN (RFC 8656 section 7.2).

use turnpike_stun::MessageBuilder;
use turnpike_turn::attribute::{EvenPort, ReservationToken};
use turnpike_turn::server::Config;
use turnpike_types::{Action, CommandError, Entry};

use crate::support::{Client, Response, World, config};

fn reserving(message: &mut MessageBuilder<'_>) {
    message.attribute(&EvenPort { reserve_next: true });
}

fn with_token(client: &mut Client, world: &mut World, token: ReservationToken) -> Response {
    client.allocate_with(world, |message| {
        message.attribute(&token);
    })
}

fn reserved(world: &mut World) -> (u16, ReservationToken) {
    let response = Client::new(0, "alice").allocate_with(world, reserving);
    (
        response.relayed()[0].port(),
        response.get::<ReservationToken>().unwrap(),
    )
}

#[test]
fn token_gives_the_odd_port_after_the_even_one() {
    let mut world = World::new(config());
    let (port, token) = reserved(&mut world);
    assert_eq!(port % 2, 0);
    world.pass(29);
    let response = with_token(&mut Client::new(1, "alice"), &mut world, token);
    assert_eq!(response.relayed()[0].port(), port + 1);
    assert_eq!(
        (world.server.allocations(), world.server.reservations()),
        (2, 0)
    );
}

#[test]
fn token_is_good_once() {
    let mut world = World::new(config());
    let (_, token) = reserved(&mut world);
    assert_eq!(
        with_token(&mut Client::new(1, "alice"), &mut world, token).code(),
        0
    );
    assert_eq!(
        with_token(&mut Client::new(2, "alice"), &mut world, token).code(),
        508
    );
}

#[test]
fn unknown_token_is_508() {
    let mut world = World::new(config());
    reserved(&mut world);
    let forged = ReservationToken([0; 8]);
    assert_eq!(
        with_token(&mut Client::new(1, "alice"), &mut world, forged).code(),
        508
    );
}

#[test]
fn token_of_another_user_is_508_and_stays_good_for_its_own() {
    let mut world = World::new(config());
    let (_, token) = reserved(&mut world);
    assert_eq!(
        with_token(&mut Client::new(1, "bob"), &mut world, token).code(),
        508
    );
    assert_eq!(
        with_token(&mut Client::new(1, "alice"), &mut world, token).code(),
        0
    );
}

#[test]
fn expired_token_is_508_even_before_anyone_woke() {
    let mut world = World::new(config());
    let (_, token) = reserved(&mut world);
    world.pass(30);
    assert_eq!(
        with_token(&mut Client::new(1, "alice"), &mut world, token).code(),
        508
    );
}

#[test]
fn expired_reservation_frees_its_port() {
    let mut world = World::new(config());
    let free = world.server.free_ports();
    reserved(&mut world);
    assert_eq!(world.server.free_ports(), free - 2);
    world.pass_and_wake(31);
    assert_eq!(world.server.reservations(), 0);
    assert_eq!(world.server.free_ports(), free - 1);
}

#[test]
fn reservation_outlives_the_allocation_it_was_made_with() {
    let mut world = World::new(config());
    let (port, token) = reserved(&mut world);
    assert!(
        Client::new(0, "alice")
            .refresh(&mut world, Some(0))
            .is_success()
    );
    let response = with_token(&mut Client::new(1, "alice"), &mut world, token);
    assert_eq!(response.relayed()[0].port(), port + 1);
}

#[test]
fn pairs_are_given_and_taken_without_leaking_a_port() {
    let mut world = World::new(Config {
        ports: 50_000..=50_015,
        ..config()
    });
    for round in 0..100 {
        let mut client = Client::new(round, "alice");
        let response = client.allocate_with(&mut world, reserving);
        assert!(response.is_success(), "round {round}");
        if round % 2 == 0 {
            let token = response.get::<ReservationToken>().unwrap();
            let mut second = Client::new(1_000 + round, "alice");
            assert!(with_token(&mut second, &mut world, token).is_success());
            assert!(second.refresh(&mut world, Some(0)).is_success());
        }
        assert!(client.refresh(&mut world, Some(0)).is_success());
        world.pass_and_wake(31);
    }
    assert_eq!(world.server.free_ports(), 32);
    assert_eq!(world.server.users(), 0);
}

#[test]
fn pair_that_no_lane_can_open_is_freed_whole() {
    let mut world = World::new(config());
    let free = world.server.free_ports();
    world.fails = Some(Box::new(|_| Some(CommandError::TableFull)));
    assert_eq!(
        Client::new(0, "alice")
            .allocate_with(&mut world, reserving)
            .code(),
        508
    );
    assert_eq!(world.server.free_ports(), free);
    assert_eq!((world.server.reservations(), world.server.users()), (0, 0));
}

#[test]
fn pair_whose_even_port_is_in_use_is_drawn_again_whole() {
    let mut world = World::new(config());
    let free = world.server.free_ports();
    let mut failures = 3;
    world.fails = Some(Box::new(move |command| {
        let is_install = matches!(command.action, Action::Install(Entry::Allocation(_)));
        (is_install && failures > 0).then(|| {
            failures -= 1;
            CommandError::PortInUse
        })
    }));
    let (port, token) = reserved(&mut world);
    assert_eq!(world.server.free_ports(), free - 2);
    assert_eq!(world.server.reservations(), 1);
    let response = with_token(&mut Client::new(1, "alice"), &mut world, token);
    assert_eq!(response.relayed()[0].port(), port + 1);
}

#[test]
fn reserved_port_in_use_is_508_since_no_other_will_do() {
    let mut world = World::new(config());
    let (_, token) = reserved(&mut world);
    let free = world.server.free_ports();
    world.fails = Some(Box::new(|_| Some(CommandError::PortInUse)));
    assert_eq!(
        with_token(&mut Client::new(1, "alice"), &mut world, token).code(),
        508
    );
    assert_eq!(world.server.free_ports(), free + 1);
    assert_eq!(
        (world.server.allocations(), world.server.reservations()),
        (1, 0)
    );
}
