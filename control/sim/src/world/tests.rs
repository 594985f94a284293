use super::*;
use crate::{Behaviour, Chance};
use core::time::Duration;
use turnpike_types::Entropy;

const ALICE: &str = "198.51.100.1:1000";
const BOB: &str = "198.51.100.2:2000";

#[test]
fn datagram_takes_the_delay_of_both_links() {
    let mut world = World::new(1);
    let [alice, bob] = [ALICE, BOB].map(|at| host(&mut world, at, slow(30)));
    let id = world.send(alice, addr(ALICE), addr(BOB), b"hello");
    assert_eq!(world.poll(Timestamp::from_millis(59)), None);
    assert_eq!(world.now(), Timestamp::from_millis(59));
    let delivery = world.poll(Timestamp::MAX).unwrap();
    assert_eq!(world.now(), Timestamp::from_millis(60));
    let payload = b"hello".to_vec();
    let (source, destination) = (addr(ALICE), addr(BOB));
    assert_eq!(
        delivery,
        Delivery {
            host: bob,
            id,
            source,
            destination,
            payload
        }
    );
}

#[test]
fn unknown_destination_is_a_named_drop() {
    let mut world = World::new(1);
    let alice = host(&mut world, ALICE, LinkConfig::PERFECT);
    world.send(alice, addr(ALICE), addr(BOB), b"x");
    assert_eq!(world.poll(Timestamp::from_secs(1)), None);
    assert_eq!(world.ledger().dropped_by(DropRule::NoRoute), 1);
    assert_eq!(world.check_conservation(), Ok(()));
}

#[test]
fn answer_comes_back_through_two_nats() {
    let mut world = World::new(1);
    let bob = host(&mut world, BOB, LinkConfig::PERFECT);
    let carrier = NatConfig {
        preserves_port: true,
        ..NatConfig::default()
    };
    let (_, shared) = world.add_nat(RealmId::PUBLIC, &[ip("203.0.113.1")], carrier);
    let (_, home) = world.add_nat(shared, &[ip("100.64.0.7")], NatConfig::default());
    let perfect = LinkConfig::PERFECT;
    let alice = world.add_host(home, &[ip("192.168.0.2")], perfect, perfect);
    world.send(alice, addr("192.168.0.2:5000"), addr(BOB), b"ask");
    let asked = world.poll(Timestamp::from_secs(1)).unwrap();
    assert_eq!((asked.host, asked.source.ip()), (bob, ip("203.0.113.1")));
    world.send(bob, addr(BOB), asked.source, b"answer");
    let answered = world.poll(Timestamp::from_secs(2)).unwrap();
    assert_eq!(
        (answered.host, answered.destination),
        (alice, addr("192.168.0.2:5000"))
    );
    assert_eq!(answered.source, addr(BOB));
}

#[test]
fn hairpin_passes_with_the_outside_source_or_is_dropped_by_name() {
    for hairpinning in [true, false] {
        let mut world = World::new(1);
        let bob = host(&mut world, BOB, LinkConfig::PERFECT);
        let filtering = Behaviour::EndpointIndependent;
        let config = NatConfig {
            hairpinning,
            filtering,
            ..NatConfig::default()
        };
        let (_, home) = world.add_nat(RealmId::PUBLIC, &[ip("203.0.113.1")], config);
        let perfect = LinkConfig::PERFECT;
        let alice = world.add_host(home, &[ip("10.0.0.2")], perfect, perfect);
        let carol = world.add_host(home, &[ip("10.0.0.3")], perfect, perfect);
        world.send(alice, addr("10.0.0.2:1"), addr(BOB), b"open");
        let outside = world.poll(Timestamp::MAX).unwrap();
        assert_eq!(outside.host, bob);
        world.send(carol, addr("10.0.0.3:1"), outside.source, b"hairpin");
        let arrived = world.poll(Timestamp::from_secs(1));
        let seen = arrived.map(|delivery| (delivery.host, delivery.source.ip()));
        assert_eq!(seen, hairpinning.then_some((alice, ip("203.0.113.1"))));
        let dropped = world.ledger().dropped_by(DropRule::NatNoHairpin);
        assert_eq!(dropped, u64::from(!hairpinning));
    }
}

#[test]
fn private_addresses_may_repeat_behind_two_nats() {
    let mut world = World::new(1);
    let bob = host(&mut world, BOB, LinkConfig::PERFECT);
    for outside in ["203.0.113.1", "203.0.113.2"] {
        let (_, home) = world.add_nat(RealmId::PUBLIC, &[ip(outside)], NatConfig::default());
        let perfect = LinkConfig::PERFECT;
        let inside = world.add_host(home, &[ip("10.0.0.2")], perfect, perfect);
        world.send(inside, addr("10.0.0.2:1"), addr(BOB), b"ask");
        let asked = world.poll(Timestamp::MAX).unwrap();
        assert_eq!((asked.host, asked.source.ip()), (bob, ip(outside)));
        world.send(bob, addr(BOB), asked.source, b"answer");
        assert_eq!(world.poll(Timestamp::MAX).unwrap().host, inside);
    }
}

#[test]
fn reset_nat_drops_what_comes_back() {
    let mut world = World::new(1);
    let bob = host(&mut world, BOB, LinkConfig::PERFECT);
    let outside = ip("203.0.113.1");
    let (nat, home) = world.add_nat(RealmId::PUBLIC, &[outside], NatConfig::default());
    let perfect = LinkConfig::PERFECT;
    let alice = world.add_host(home, &[ip("10.0.0.2")], perfect, perfect);
    world.send(alice, addr("10.0.0.2:1"), addr(BOB), b"ask");
    let asked = world.poll(Timestamp::MAX).unwrap();
    world.reset_nat(nat);
    world.send(bob, addr(BOB), asked.source, b"answer");
    assert_eq!(world.poll(Timestamp::from_secs(1)), None);
    assert_eq!(world.ledger().dropped_by(DropRule::NatNoMapping), 1);
}

#[test]
fn corrupted_datagram_arrives_with_one_bit_turned() {
    let mut world = World::new(1);
    let corrupting = LinkConfig {
        corruption: Chance::ALWAYS,
        ..LinkConfig::PERFECT
    };
    let alice = host(&mut world, ALICE, corrupting);
    host(&mut world, BOB, LinkConfig::PERFECT);
    for _ in 0..100 {
        world.send(alice, addr(ALICE), addr(BOB), &[0; 3]);
        let payload = world.poll(Timestamp::MAX).unwrap().payload;
        let turned: u32 = payload.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!((payload.len(), turned), (3, 1));
    }
    world.send(alice, addr(ALICE), addr(BOB), &[]);
    assert_eq!(world.poll(Timestamp::MAX).unwrap().payload, []);
}

#[test]
fn more_copies_than_the_world_holds_are_a_named_drop() {
    let mut world = World::new(1);
    let alice = host(&mut world, ALICE, slow(30));
    let most = u64::try_from(crate::event_queue::EVENTS_MAX).unwrap();
    for _ in 0..most + 5 {
        world.send(alice, addr(ALICE), addr(BOB), b"x");
    }
    assert_eq!(world.ledger().dropped_by(DropRule::WorldFull), 5);
    assert_eq!(world.ledger().in_flight(), most);
    assert_eq!(world.check_conservation(), Ok(()));
}

#[test]
fn same_seed_gives_same_trace_and_another_seed_another() {
    assert_eq!(chatter(11), chatter(11));
    assert_ne!(chatter(11), chatter(12));
}

#[test]
fn every_copy_is_accounted_for_on_bad_links() {
    for seed in 0..20 {
        let (_, ledger) = chatter(seed);
        assert!(ledger[1] > 0 && ledger[2] > 0, "{ledger:?}");
        assert_eq!(ledger[0], ledger[1] + ledger[2] + ledger[3], "{ledger:?}");
    }
}

/// Two hosts talk over bad links; the trace hash and the ledger's totals.
fn chatter(seed: u64) -> (u64, [u64; 4]) {
    let bad = LinkConfig {
        bits_per_second: Some(64_000),
        queue_bytes: 1_500,
        framing_bytes: 28,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(30),
        loss: Chance::percent(5),
        duplication: Chance::percent(5),
        reordering: Chance::percent(5),
        reordering_delay: Duration::from_millis(60),
        corruption: Chance::percent(5),
        mtu: 1_000,
    };
    let mut world = World::new(seed);
    let [alice, bob] = [ALICE, BOB].map(|at| host(&mut world, at, bad));
    let mut dice = world.fork_entropy();
    for round in 1..=300 {
        let size = usize::try_from(dice.below(1_100)).unwrap();
        world.send(alice, addr(ALICE), addr(BOB), &alloc::vec![0; size]);
        while let Some(delivery) = world.poll(Timestamp::from_millis(round * 20)) {
            if delivery.host == bob {
                world.send(bob, addr(BOB), delivery.source, &delivery.payload);
            }
            world.check_conservation().unwrap();
        }
    }
    let ledger = world.ledger();
    let totals = [
        ledger.copies(),
        ledger.delivered(),
        ledger.dropped(),
        ledger.in_flight(),
    ];
    (world.trace_hash(), totals)
}

fn host(world: &mut World, at: &str, link: LinkConfig) -> HostId {
    world.add_host(RealmId::PUBLIC, &[addr(at).ip()], link, link)
}

fn slow(delay_ms: u64) -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(delay_ms),
        ..LinkConfig::PERFECT
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
