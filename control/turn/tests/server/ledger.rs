//! A user's quota over several engines: one ledger, two servers, every hold given back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use turnpike_turn::attribute::{EvenPort, ReservationToken};
use turnpike_turn::server::{Config, Identity, Refusal, ShardSlice, UserLedger, token_shard};
use turnpike_types::{Action, CommandError, Entry, UserId};

use crate::support::{Client, World, build, config};

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Holdings>);

#[derive(Debug, Default)]
struct Holdings {
    users: BTreeMap<String, (u32, UserId)>,
    /// How many numbers were ever given.
    numbers: u32,
}

impl Ledger {
    pub(crate) fn total(&self) -> u32 {
        let all = self.0.lock().unwrap();
        all.users.values().map(|(held, _)| held).sum()
    }
}

impl UserLedger for Ledger {
    fn try_hold(&self, user: &Identity<'_>, more: u32, most: u32) -> Result<UserId, Refusal> {
        let all = &mut *self.0.lock().unwrap();
        let next = UserId(7_000_000 + 1_000 * all.numbers);
        let (held, number) = all.users.get(&key(user)).copied().unwrap_or((0, next));
        if held + more > most {
            return Err(Refusal::AllocationQuotaReached);
        }
        all.numbers += u32::from(held == 0);
        all.users.insert(key(user), (held + more, number));
        Ok(number)
    }

    fn release(&self, user: &Identity<'_>) {
        let all = &mut *self.0.lock().unwrap();
        let (held, _) = all.users.get_mut(&key(user)).unwrap();
        *held = held.checked_sub(1).unwrap();
        if *held == 0 {
            all.users.remove(&key(user));
        }
    }
}

fn key(user: &Identity<'_>) -> String {
    format!("{:?} {}", user.kind, user.name)
}

fn shard_config(index: u16, ledger: &Arc<Ledger>) -> Config {
    let mut config = config();
    config.shard = ShardSlice { index, count: 2 };
    config.ledger = Some(Arc::<Ledger>::clone(ledger));
    config.limits.allocations_per_user = 3;
    config
}

fn two_shards() -> (Arc<Ledger>, [World; 2]) {
    let ledger = Arc::new(Ledger::default());
    let worlds = [0, 1].map(|index| World::new(shard_config(index, &ledger)));
    (ledger, worlds)
}

#[test]
fn quota_counts_over_both_engines_and_is_free_again_after_the_revoke() {
    let (ledger, [mut one, mut other]) = two_shards();
    let mut clients: Vec<_> = (0..4).map(|number| Client::new(number, "alice")).collect();
    assert_eq!(clients[0].allocate(&mut one).code(), 0);
    assert_eq!(clients[1].allocate(&mut one).code(), 0);
    assert_eq!(clients[2].allocate(&mut other).code(), 0);
    assert_eq!(clients[3].allocate(&mut other).code(), 486);
    assert_eq!(Client::new(9, "bob").allocate(&mut other).code(), 0);
    assert_eq!(clients[0].refresh(&mut one, Some(0)).code(), 0);
    assert_eq!(clients[3].allocate(&mut other).code(), 0);
    assert_eq!(ledger.total(), 4);
}

#[test]
fn lanes_of_both_engines_know_a_user_by_the_ledger_s_number() {
    let (_, [mut one, mut other]) = two_shards();
    let number_of = |world: &mut World, client, user| {
        let response = Client::new(client, user).allocate(world);
        assert!(response.is_success());
        let installed = world.take_actions().into_iter().find_map(|it| match it {
            Action::Install(Entry::Allocation(entry)) => Some(entry.user),
            _ => None,
        });
        let number = installed.unwrap();
        assert_eq!(world.server.username(number), Some(user));
        number
    };
    let alice = number_of(&mut one, 0, "alice");
    let bob = number_of(&mut other, 1, "bob");
    assert_eq!(number_of(&mut other, 2, "alice"), alice);
    assert_eq!(number_of(&mut one, 3, "bob"), bob);
    assert_ne!(alice, bob);
    assert_eq!(one.server.username(UserId(0)), None);
}

#[test]
fn pair_needs_room_for_two_and_its_token_for_none() {
    let (ledger, [mut one, mut other]) = two_shards();
    let pair = |client: &mut Client, world: &mut World| {
        client.allocate_with(world, |message| {
            message.attribute(&EvenPort { reserve_next: true });
        })
    };
    let first = pair(&mut Client::new(0, "alice"), &mut one);
    let token = first.get::<ReservationToken>().unwrap();
    assert_eq!(pair(&mut Client::new(1, "alice"), &mut other).code(), 486);
    assert_eq!(Client::new(2, "alice").allocate(&mut other).code(), 0);
    let with_token = Client::new(3, "alice").allocate_with(&mut one, |message| {
        message.attribute(&token);
    });
    assert_eq!((with_token.code(), ledger.total()), (0, 3));
}

#[test]
fn token_names_the_shard_that_holds_the_port() {
    let (_, [mut one, mut other]) = two_shards();
    let worlds = [(&mut one, "alice"), (&mut other, "bob")];
    for (index, (world, user)) in worlds.into_iter().enumerate() {
        let mut client = Client::new(0, user);
        let response = client.allocate_with(world, |message| {
            message.attribute(&EvenPort { reserve_next: true });
        });
        let token = response.get::<ReservationToken>().unwrap();
        let asking = |method| {
            build(method, client.transaction(), |message| {
                message.attribute(&token);
            })
        };
        let [allocate, refresh] = [
            turnpike_stun::Method::ALLOCATE,
            turnpike_stun::Method::REFRESH,
        ]
        .map(asking);
        assert_eq!(token_shard(&allocate, 2), Some(index as u16));
        assert_eq!(token_shard(&allocate, 1), None);
        assert_eq!(token_shard(&refresh, 2), None);
        assert_eq!(token_shard(&allocate[..8], 2), None);
    }
}

fn step(world: &mut World, tokens: &mut Vec<ReservationToken>, kind: u8, number: u16) {
    let mut client = Client::new(
        number % 6,
        if number.is_multiple_of(2) {
            "alice"
        } else {
            "bob"
        },
    );
    match kind {
        0 => drop(client.allocate(world)),
        1 => {
            let pair = client.allocate_with(world, |message| {
                message.attribute(&EvenPort { reserve_next: true });
            });
            tokens.extend(pair.get::<ReservationToken>());
        }
        2 => {
            let token = tokens.pop().unwrap_or(ReservationToken([0; 8]));
            client.allocate_with(world, |message| {
                message.attribute(&token);
            });
        }
        3 => drop(client.refresh(world, Some(0))),
        4 => world.pass_and_wake(u64::from(number)),
        5 => {
            let mut left = number % 12;
            world.fails = Some(Box::new(move |_| {
                left = left.saturating_sub(1);
                let error = [CommandError::PortInUse, CommandError::TableFull];
                (left > 0).then(|| error[usize::from(left.is_multiple_of(5))])
            }));
        }
        _ => world.fails = None,
    }
}

proptest! {
    #[test]
    fn every_hold_is_given_back(
        steps in proptest::collection::vec((0..2_usize, 0..7_u8, 0..400_u16), 0..80),
    ) {
        let (ledger, mut worlds) = two_shards();
        let mut tokens = Vec::new();
        for (shard, kind, number) in steps {
            step(&mut worlds[shard], &mut tokens, kind, number);
            let held: usize = worlds
                .iter()
                .map(|world| world.server.allocations() + world.server.reservations())
                .sum();
            prop_assert_eq!(ledger.total() as usize, held);
        }
        for world in &mut worlds {
            world.fails = None;
            world.pass_and_wake(4_000);
            prop_assert_eq!((world.server.allocations(), world.server.users()), (0, 0));
        }
        prop_assert_eq!(ledger.total(), 0);
    }
}
