//! REST (ephemeral) credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use turnpike_turn::server::{Config, Credentials, SECRETS_MAX};

use crate::support::{Client, PEER, REALM, World, config};

const NOW: u64 = 1_700_000_000;

fn sha1(secret: &str, username: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    STANDARD.encode(mac.chain_update(username).finalize().into_bytes())
}

fn sha256(secret: &str, username: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    STANDARD.encode(mac.chain_update(username).finalize().into_bytes())
}

fn rest_config() -> Config {
    let mut credentials = Credentials::new(REALM);
    credentials.add_secret(b"north").unwrap();
    credentials.add_secret(b"south").unwrap();
    Config {
        credentials,
        ..config()
    }
}

fn world(config: Config) -> World {
    let mut world = World::new(config);
    world.server.set_wall_clock(world.now, NOW);
    world
}

fn client(number: u16, username: &str) -> Client {
    Client {
        password: sha1("north", username),
        ..Client::new(number, username)
    }
}

#[test]
fn either_mac_under_any_secret_is_a_password() {
    let mut world = world(rest_config());
    let username = format!("{}:alice", NOW + 60);
    let passwords = [sha1("north", &username), sha1("south", &username)];
    let longer = [sha256("north", &username), sha256("south", &username)];
    for (number, password) in (0..).zip(passwords.into_iter().chain(longer)) {
        for is_modern in [false, true] {
            let number = number * 2 + u16::from(is_modern);
            let mut client = Client::new(number, &username);
            client.password.clone_from(&password);
            client.is_modern = is_modern;
            assert!(client.allocate(&mut world).is_success());
        }
    }
    let mut wrong = Client::new(99, &username);
    wrong.password = sha1("west", &username);
    assert_eq!(wrong.allocate(&mut world).code(), 401);
}

#[test]
fn credential_is_good_until_its_expiry() {
    let mut world = world(rest_config());
    let code = |world: &mut World, expiry: u64| {
        client(1, &format!("{expiry}:alice")).allocate(world).code()
    };
    assert_eq!(code(&mut world, 0), 401);
    assert_eq!(code(&mut world, NOW - 1), 401);
    assert_eq!(code(&mut world, NOW), 401);
    assert_eq!(code(&mut world, NOW + 1), 0);
    world.pass(1);
    let mut later = client(2, &format!("{}:alice", NOW + 1));
    assert_eq!(later.allocate(&mut world).code(), 401);
}

#[test]
fn far_future_up_to_63_bits_is_accepted_and_beyond_is_an_unknown_user() {
    let mut world = world(rest_config());
    for (number, username, code) in [
        (0, "9223372036854775807:alice", 0),
        (1, "9223372036854775808:alice", 401),
        (2, "18446744073709551616:alice", 401),
        (3, "-1:alice", 401),
        (4, "+9999999999:alice", 401),
        (5, "alice", 401),
        (6, "alice:9999999999", 401),
        (7, ":alice", 401),
        (8, "9999999999", 0),
        (9, "9999999999:", 0),
        (10, "0x7fffffff:alice", 401),
    ] {
        assert_eq!(
            client(number, username).allocate(&mut world).code(),
            code,
            "{username}"
        );
    }
}

#[test]
fn separator_can_be_another() {
    let mut config = rest_config();
    config.credentials.set_separator('~');
    let mut world = world(config);
    assert!(
        client(0, &format!("{}~alice", NOW + 60))
            .allocate(&mut world)
            .is_success()
    );
    assert_eq!(
        client(1, &format!("{}:alice", NOW + 60))
            .allocate(&mut world)
            .code(),
        401
    );
}

#[test]
fn without_a_wall_clock_no_rest_credential_is_live() {
    let mut world = World::new(rest_config());
    let mut client = client(0, &format!("{}:alice", NOW + 60));
    assert_eq!(client.allocate(&mut world).code(), 401);
    world.server.set_wall_clock(world.now, NOW);
    assert!(client.allocate(&mut world).is_success());
}

#[test]
fn clock_that_jumps_moves_rest_expiry_and_nothing_else() {
    const DAY: u64 = 24 * 60 * 60;
    let mut world = world(rest_config());
    let mut live = client(0, &format!("{}:alice", NOW + 60));
    assert!(live.allocate(&mut world).is_success());

    world.server.set_wall_clock(world.now, NOW + DAY);
    assert!(live.refresh(&mut world, None).is_success());
    let mut late = client(1, &format!("{}:bob", NOW + 60));
    assert_eq!(late.allocate(&mut world).code(), 401);

    world.server.set_wall_clock(world.now, NOW - DAY);
    assert!(live.refresh(&mut world, None).is_success());
    late.greet(&mut world);
    assert!(late.allocate(&mut world).is_success());
    assert_eq!(world.server.allocations(), 2);
}

#[test]
fn expiry_ends_new_work_but_not_a_live_call() {
    let mut world = world(rest_config());
    let mut client = client(0, &format!("{}:alice", NOW + 60));
    assert!(client.allocate(&mut world).is_success());
    world.pass(120);
    assert!(client.refresh(&mut world, None).is_success());
    assert!(client.permit(&mut world, &[PEER]).is_success());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    client.five_tuple = Client::new(1, "").five_tuple;
    client.greet(&mut world);
    assert_eq!(client.allocate(&mut world).code(), 401);
}

#[test]
fn live_call_goes_on_though_its_secret_is_gone() {
    let mut world = world(rest_config());
    let mut client = client(0, &format!("{}:alice", NOW + 60));
    assert!(client.allocate(&mut world).is_success());
    assert!(world.server.credentials_mut().remove_secret(b"north"));
    assert!(world.server.credentials_mut().remove_secret(b"south"));
    assert!(client.refresh(&mut world, None).is_success());
    assert!(client.refresh(&mut world, Some(0)).is_success());
    assert_eq!(client.allocate(&mut world).code(), 401);
}

#[test]
fn renewed_credential_of_the_same_user_refreshes_the_allocation() {
    let mut world = world(rest_config());
    let mut first = client(0, &format!("{}:alice", NOW + 60));
    assert!(first.allocate(&mut world).is_success());
    let mut renewed = client(0, &format!("{}:alice", NOW + 600));
    assert!(renewed.refresh(&mut world, None).is_success());
    let mut other = client(0, &format!("{}:bob", NOW + 600));
    assert_eq!(other.refresh(&mut world, None).code(), 441);
}

#[test]
fn strict_expiry_ends_live_calls_too_and_caps_their_lifetime() {
    let mut world = world(Config {
        strict_expiry: true,
        ..rest_config()
    });
    let mut client = client(0, &format!("{}:alice", NOW + 100));
    assert_eq!(client.allocate(&mut world).lifetime(), 100);
    world.pass(40);
    assert_eq!(client.refresh(&mut world, Some(3_600)).lifetime(), 60);
    assert!(client.permit(&mut world, &[PEER]).is_success());
    world.pass(59);
    assert_eq!(client.refresh(&mut world, None).lifetime(), 1);
    world.pass(1);
    assert_eq!(client.refresh(&mut world, None).code(), 401);
    assert_eq!(client.permit(&mut world, &[PEER]).code(), 401);
    assert_eq!(client.bind(&mut world, 0x4000, PEER).code(), 401);
}

#[test]
fn strict_expiry_cannot_be_stretched_with_the_old_key_and_a_new_name() {
    let mut world = world(Config {
        strict_expiry: true,
        ..rest_config()
    });
    let short = format!("{}:alice", NOW + 100);
    let mut client = client(0, &short);
    assert!(client.allocate(&mut world).is_success());
    let mut stretched = client.clone();
    stretched.username = format!("{}:alice", NOW + 9_000).into_bytes();
    assert_eq!(stretched.refresh(&mut world, None).code(), 401);
}

#[test]
fn quota_is_that_of_the_name_behind_the_separator() {
    let mut config = rest_config();
    config.limits.allocations_per_user = 2;
    let mut world = world(config);
    let mut code =
        |number: u16, username: String| client(number, &username).allocate(&mut world).code();
    assert_eq!(code(0, format!("{}:alice", NOW + 1)), 0);
    assert_eq!(code(1, format!("{}:alice", NOW + 2)), 0);
    assert_eq!(code(2, format!("{}:alice", NOW + 3)), 486);
    assert_eq!(code(3, format!("{}:bob", NOW + 3)), 0);
}

#[test]
fn user_by_name_comes_before_the_secrets() {
    let mut config = rest_config();
    let name = format!("{}:carol", NOW + 60);
    let keys = turnpike_turn::server::UserKeys::of_password(&name, REALM, "own").unwrap();
    config.credentials.add_user(&name, keys).unwrap();
    let mut world = world(config);
    assert_eq!(client(0, &name).allocate(&mut world).code(), 401);
    let mut own = Client::new(1, &name);
    own.password = "own".into();
    assert!(own.allocate(&mut world).is_success());
}

#[test]
fn every_one_of_the_most_secrets_opens() {
    let mut credentials = Credentials::new(REALM);
    for number in 0..SECRETS_MAX {
        credentials
            .add_secret(format!("secret{number}").as_bytes())
            .unwrap();
    }
    let mut world = world(Config {
        credentials,
        ..config()
    });
    let username = format!("{}:alice", NOW + 60);
    for number in 0..SECRETS_MAX {
        let mut client = Client::new(u16::try_from(number).unwrap(), &username);
        client.password = sha256(&format!("secret{number}"), &username);
        assert!(client.allocate(&mut world).is_success());
    }
}
