//! Same inputs and same seed, same outputs byte for byte; and an invariant over random lives.

use std::collections::BTreeMap;
use turnpike_sim::SeededEntropy;

use turnpike_types::{Action, CommandError, Entropy};

use crate::support::{Client, Seen, World, config};

/// A few clients that do whatever the dice say for a while.
fn life(seed: u64, failures: bool) -> (World, Vec<Seen>) {
    let mut config = config();
    config.ports = 50_000..=50_063;
    let mut world = World::new(config);
    let mut dice = SeededEntropy::new(seed);
    if failures {
        let mut luck = SeededEntropy::new(seed ^ 1);
        world.fails = Some(Box::new(move |command| {
            match (&command.action, luck.below(12)) {
                (Action::Revoke(_), _) => None,
                (_, 0) => Some(CommandError::TableFull),
                (_, 1) => Some(CommandError::PortInUse),
                (Action::Refresh { .. }, 2) => Some(CommandError::Absent),
                _ => None,
            }
        }));
    }
    let mut clients: Vec<_> = (0..12)
        .map(|number| Client::new(number, ["alice", "bob"][usize::from(number % 2)]))
        .collect();
    for _ in 0..400 {
        let client = &mut clients[dice.below(12) as usize];
        let peer = format!("93.184.216.{}:{}", 1 + dice.below(4), 4_000 + dice.below(3));
        let response = match dice.below(8) {
            0 | 1 => client.allocate(&mut world),
            2 => client.refresh(&mut world, Some(dice.below(3) * 600)),
            3 | 4 => client.permit(&mut world, &[&peer]),
            _ => client.bind(&mut world, 0x4000 + dice.below(3) as u16, &peer),
        };
        if response.code() == 438 {
            client.learn(&response);
        }
        world.pass_and_wake(u64::from(dice.below(120)));
    }
    world.fails = None;
    let seen = world.take_seen();
    (world, seen)
}

#[test]
fn same_inputs_and_same_seed_give_the_same_outputs_byte_for_byte() {
    for seed in 0..4 {
        let (_, first) = life(seed, true);
        let (_, second) = life(seed, true);
        assert!(first.len() > 400);
        assert_eq!(first, second);
    }
}

#[test]
fn what_was_installed_is_revoked_by_the_end_of_the_world() {
    for (seed, failures) in (0..40).map(|seed| (seed, seed % 2 == 1)) {
        let (mut world, mut seen) = life(seed, failures);
        world.pass_and_wake(4_000);
        seen.extend(world.take_seen());
        assert_eq!(
            (world.server.allocations(), world.server.users()),
            (0, 0),
            "seed {seed}"
        );
        assert_eq!(world.server.free_ports(), 128, "seed {seed}");
        let mut installed: BTreeMap<String, bool> = BTreeMap::new();
        for action in seen.iter().filter_map(|seen| match seen {
            Seen::Command(action) => Some(action),
            _ => None,
        }) {
            match action {
                Action::Install(entry) => {
                    installed.insert(format!("{:?}", entry.key()), true);
                }
                Action::Revoke(key) => {
                    installed.insert(format!("{key:?}"), false);
                }
                Action::Refresh { .. } => {}
            }
        }
        let failed_only = failures;
        let left: Vec<_> = installed.iter().filter(|(_, is_in)| **is_in).collect();
        // An installation that failed needs no revocation; without failures there is none left.
        assert!(failed_only || left.is_empty(), "seed {seed}: {left:?}");
    }
}
