//! Lives without end and logins that fail leave nothing behind. Floods of spoofed packets are
//! measured in `server_flood.rs`, a process of its own.

use crate::support::{Client, World, config};

#[test]
fn failed_logins_leave_no_state() {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    client.password = "wrong".into();
    for _ in 0..1_000 {
        assert_eq!(client.allocate(&mut world).code(), 401);
        client.username.push(b'x');
        client.username.truncate(100);
    }
    assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
}

#[test]
fn allocating_and_freeing_for_ever_leaves_no_state() {
    let mut world = World::new(config());
    let free = world.server.free_ports();
    for number in 0..20_000 {
        let mut client = Client::new(number % 50, if number % 3 == 0 { "alice" } else { "bob" });
        assert!(client.allocate(&mut world).is_success());
        assert!(
            client
                .bind(&mut world, 0x4000, crate::support::PEER)
                .is_success()
        );
        assert!(client.refresh(&mut world, Some(0)).is_success());
        world.seen.clear();
    }
    assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
    assert_eq!(world.server.free_ports(), free);
}
