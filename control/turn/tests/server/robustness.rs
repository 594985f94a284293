//! Bytes of every kind: nothing panics, and nothing that has not authenticated changes anything.

use proptest::prelude::*;
use turnpike_stun::{AttributeType, Method};
use turnpike_turn::server::{IcmpError, PeerPolicy};
use turnpike_types::{CommandError, CommandId, PeerAddr, RelayedAddr, Timestamp};

use crate::support::{Client, PEER, World, addr, config};

fn busy() -> (World, Client) {
    let mut world = World::new(config());
    let mut client = Client::new(0, "alice");
    assert!(client.allocate(&mut world).is_success());
    assert!(client.bind(&mut world, 0x4000, PEER).is_success());
    world.take_seen();
    (world, client)
}

proptest! {
    #[test]
    fn random_bytes_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (mut world, client) = busy();
        world.server.handle_input(world.now, client.five_tuple, &bytes);
        world.drain();
        prop_assert!(world.take_actions().is_empty());
        prop_assert_eq!(world.server.allocations(), 1);
    }

    #[test]
    fn altered_request_changes_nothing(
        method in 0..16_u16,
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let (mut world, mut client) = busy();
        let transaction = client.transaction();
        let mut bytes = client.signed(Method::new(method), transaction, |message| {
            message.attribute(&turnpike_turn::attribute::Lifetime(0));
        });
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        world.server.handle_input(world.now, client.five_tuple, &bytes);
        world.drain();
        prop_assert!(world.take_actions().is_empty());
        prop_assert_eq!(world.server.allocations(), 1);
    }

    #[test]
    fn authenticated_client_with_random_attributes_gets_an_answer(
        method in prop::sample::select(vec![
            Method::ALLOCATE,
            Method::REFRESH,
            Method::CREATE_PERMISSION,
            Method::CHANNEL_BIND,
        ]),
        attributes in proptest::collection::vec(
            (0x0C..0x23_u16, proptest::collection::vec(any::<u8>(), 0..24)),
            0..20,
        ),
        number in 0..2_u16,
    ) {
        let (mut world, _) = busy();
        let mut client = Client::new(number, "alice");
        let is_own = |kind: u16| ![0x14, 0x15, 0x1C, 0x1D, 0x1E].contains(&kind);
        let response = client.request(&mut world, method, |message| {
            for (kind, value) in attributes.iter().filter(|(kind, _)| is_own(*kind)) {
                message.raw(AttributeType(*kind), value);
            }
        });
        let known =
            [0, 400, 403, 420, 437, 440, 442, 443, 508].contains(&response.code());
        prop_assert!(known, "{}", response.code());
    }

    #[test]
    fn callers_may_say_anything_at_any_time(
        steps in proptest::collection::vec((0..7_u8, any::<u64>()), 0..40),
    ) {
        let (mut world, mut client) = busy();
        for (step, number) in steps {
            let now = Timestamp::from_secs(number % 5_000);
            match step {
                0 => world.server.handle_timeout(now),
                1 => world.server.handle_disconnect(now, &client.five_tuple),
                2 => {
                    let id = CommandId(number % 50);
                    world.server.handle_command_failed(now, id, CommandError::TableFull);
                }
                3 => world.server.handle_icmp(now, IcmpError {
                    relayed: RelayedAddr(addr("77.88.55.1:50000")),
                    peer: PeerAddr(addr(PEER)),
                    kind: 3,
                    code: 0,
                    data: [0; 4],
                }),
                4 => world.server.set_peer_policy(now, PeerPolicy::default()),
                5 => world.server.set_wall_clock(now, number),
                _ => {
                    let response = client.allocate(&mut world);
                    if response.code() == 438 {
                        client.learn(&response);
                    }
                }
            }
            if number % 3 == 0 {
                world.drain();
            }
        }
        world.drain();
        world.pass_and_wake(10_000);
        prop_assert_eq!(world.server.allocations(), 0);
        prop_assert_eq!(world.server.free_ports(), 2 * 16_384);
    }
}
