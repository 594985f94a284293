//! Server and reference lane side by side: what the server says, the lane can do, and what the
//! lane relays is what the server granted.

use turnpike_sim::SeededEntropy;
use turnpike_turn::forward::{Forwarder, ForwarderConfig, Verdict};
use turnpike_turn::server::Config;
use turnpike_types::{Action, CommandError, DropReason, Entropy, EntryKey};

use crate::support::{Client, Seen, World, channel, config};

const CLIENTS: u32 = 8;
const PEERS: [&str; 3] = [
    "93.184.216.1:4000",
    "93.184.216.1:4001",
    "93.184.216.2:4000",
];

fn lane(config: &Config, entries_max: usize) -> Forwarder {
    let settings = ForwarderConfig {
        entries_max,
        services: config.services.clone(),
        relay_map: config.relay_addresses.clone(),
        user_buckets: None,
    };
    Forwarder::new(settings, &mut SeededEntropy::new(5))
}

/// A life of some clients, with a lane that hears everything at once. Says how often it refused.
fn life(seed: u64, entries_max: usize) -> (World, std::rc::Rc<std::cell::RefCell<Forwarder>>, u32) {
    let config = config();
    let lane = std::rc::Rc::new(std::cell::RefCell::new(lane(&config, entries_max)));
    let mut world = World::new(config);
    let clock = std::rc::Rc::new(std::cell::Cell::new(world.now));
    let refused = std::rc::Rc::new(std::cell::Cell::new(0));
    let (its_lane, its_clock, its_refused) = (lane.clone(), clock.clone(), refused.clone());
    world.fails = Some(Box::new(move |command| {
        let error = its_lane
            .borrow_mut()
            .apply(its_clock.get(), &command.action)
            .err()?;
        assert_eq!(error, CommandError::TableFull, "{:?}", command.action);
        its_refused.set(its_refused.get() + 1);
        Some(error)
    }));
    let mut dice = SeededEntropy::new(seed);
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|number| Client::new(number as u16, "alice"))
        .collect();
    for _ in 0..300 {
        let client = &mut clients[dice.below(CLIENTS) as usize];
        let which = dice.below(3);
        let peer = PEERS[which as usize];
        let response = match dice.below(8) {
            0 | 1 => client.allocate(&mut world),
            2 => client.refresh(&mut world, Some(dice.below(2) * 600)),
            3 | 4 => client.permit(&mut world, &[peer]),
            _ => client.bind(&mut world, 0x4000 + which as u16, peer),
        };
        if response.code() == 438 {
            client.learn(&response);
        }
        let steps = dice.below(90);
        for _ in 0..steps {
            world.pass_and_wake(1);
            clock.set(world.now);
        }
    }
    let count = refused.get();
    (world, lane, count)
}

#[test]
fn lane_can_do_all_that_the_server_says() {
    for seed in 0..30 {
        let (mut world, _, refused) = life(seed, 1_000);
        assert_eq!(refused, 0);
        world.pass_and_wake(4_000);
        assert_eq!(world.server.allocations(), 0);
    }
}

#[test]
fn lane_that_is_full_now_and_then_never_disagrees() {
    let mut refusals = 0;
    for seed in 0..30 {
        let (mut world, lane, refused) = life(seed, 5);
        refusals += refused;
        world.pass_and_wake(4_000);
        let mut lane = lane.borrow_mut();
        for number in 0..CLIENTS {
            let five_tuple = Client::new(number as u16, "").five_tuple;
            let verdict = lane.from_client(world.now, &five_tuple, &[0x40, 0, 0, 0]);
            assert_eq!(verdict, Verdict::Drop(DropReason::NoAllocation));
        }
    }
    assert!(refusals > 100, "{refusals}");
}

#[test]
fn lane_relays_exactly_while_binding_and_permission_live() {
    let config = config();
    let mut lane = lane(&config, 100);
    let mut world = World::new(config);
    let mut client = Client::new(0, "alice");
    assert!(client.allocate(&mut world).is_success());
    assert!(client.bind(&mut world, 0x4000, PEERS[0]).is_success());
    let apply = |world: &mut World, lane: &mut Forwarder| {
        for seen in world.take_seen() {
            if let Seen::Command(action) = seen {
                lane.apply(world.now, &action).unwrap();
            }
        }
    };
    apply(&mut world, &mut lane);
    let packet = [0x40, 0, 0, 1, 7, 0, 0, 0];
    let relays = |world: &World, lane: &mut Forwarder| {
        matches!(
            lane.from_client(world.now, &client.five_tuple, &packet),
            Verdict::ToPeer(_)
        )
    };
    assert!(relays(&world, &mut lane));
    world.pass(299);
    assert!(relays(&world, &mut lane));
    world.pass(1);
    assert!(
        !relays(&world, &mut lane),
        "the permission has lapsed, though nobody woke"
    );
    let five_tuple = client.five_tuple;
    assert!(client.permit(&mut world, &[PEERS[0]]).is_success());
    let actions: Vec<_> = world
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Command(Action::Revoke(EntryKey::Channel { number, .. })) => Some(*number),
            _ => None,
        })
        .collect();
    assert_eq!(actions, [channel(0x4000)]);
    apply(&mut world, &mut lane);
    let verdict = lane.from_client(world.now, &five_tuple, &packet);
    assert!(
        matches!(verdict, Verdict::ToPeer(_)),
        "and is granted again"
    );
}
