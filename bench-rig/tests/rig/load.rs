//! Load on a real relay: whatever the traffic, every packet comes through and is known again.

use std::time::Duration;

use turnpike_bench_rig::load::clients::churn::churn;
use turnpike_bench_rig::load::clients::{Established, establish};
use turnpike_bench_rig::load::packet::{PacketLoad, Wire};
use turnpike_bench_rig::load::profile::{self, Profile};
use turnpike_bench_rig::load::{Direction, Flow, Load, Shape, Tally};
use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};
use turnpike_bench_rig::subject::{Running, Settings, Subject, Turnpike};

use super::hosts;

/// Every kind of traffic at a rate that any machine can carry.
#[test]
fn every_profile_comes_through_whole() {
    for wires in [Wires::Two, Wires::One] {
        let hosts = hosts(wires);
        let relay = relay(&hosts);
        for profile in profile::ALL {
            let established = call(&hosts, &relay, &profile, 10);
            let mut load = load(&hosts, &established);
            let tally = best_of(3, || {
                load.run(&profile.shape, 2_000.0, Duration::from_millis(500))
                    .unwrap()
            });
            assert_clean(&tally, profile.name);
            assert!(tally.sent >= 990, "{}: {tally:?}", profile.name);
            established.close().unwrap();
        }
    }
}

#[test]
fn each_direction_alone_comes_through_whole() {
    let hosts = hosts(Wires::Two);
    let relay = relay(&hosts);
    let established = call(&hosts, &relay, &profile::VOICE, 3);
    let mut load = load(&hosts, &established);
    for direction in [Direction::ToPeer, Direction::ToClient] {
        let shape = Shape {
            direction,
            ..profile::VOICE.shape
        };
        let run = || {
            load.run(&shape, 1_000.0, Duration::from_millis(300))
                .unwrap()
        };
        let tally = best_of(3, run);
        assert_clean(&tally, &format!("{direction:?}"));
        assert_eq!(tally.sent, 300, "{direction:?}");
    }
}

#[test]
fn a_relay_that_gives_less_than_was_asked_for_has_a_ceiling() {
    let hosts = hosts(Wires::Two);
    let settings = Settings {
        allocations: 150,
        ..Settings::default()
    };
    let relay = Turnpike::find().unwrap().start(&hosts, &settings).unwrap();
    let mut established = call(&hosts, &relay, &profile::VOICE, 400);
    assert_eq!(established.flows.len(), 150);
    let ceiling = established.ceiling.clone().unwrap();
    assert!(ceiling.starts_with("150 of 400"), "{ceiling}");
    assert!(ceiling.contains("refused with 486"), "{ceiling}");
    established.keep_alive().unwrap();
    established.close().unwrap();
    // What was given back can be had again.
    let again = call(&hosts, &relay, &profile::VOICE, 150);
    assert_eq!(again.ceiling, None);
}

#[test]
fn churn_counts_whole_cycles_and_leaves_nothing_behind() {
    let hosts = hosts(Wires::Two);
    let settings = Settings {
        allocations: 20,
        ..Settings::default()
    };
    let relay = Turnpike::find().unwrap().start(&hosts, &settings).unwrap();
    let crowd = profile::VOICE.crowd(&[relay.server()], &[relay.credential()], 20);
    let churned = churn(
        &Wire::of_clients(&hosts),
        &crowd,
        0,
        Duration::from_millis(500),
    )
    .unwrap();
    assert!(churned.cycles >= 20, "{churned:?}");
    assert_eq!(churned.first_failure, None);
    for (step, histogram) in churned.steps.iter().enumerate() {
        assert!(
            histogram.len() >= churned.cycles,
            "step {step}: {}",
            histogram.len()
        );
    }
    // All places are free again.
    let established = call(&hosts, &relay, &profile::VOICE, 20);
    assert_eq!(established.ceiling, None);
}

#[test]
fn churn_on_a_relay_that_refuses_counts_failures_and_no_cycles() {
    let hosts = hosts(Wires::Two);
    let relay = relay(&hosts);
    let stranger = turnpike_turn::client::Credential::new("nobody", "wrong");
    let crowd = profile::VOICE.crowd(&[relay.server()], &[stranger], 5);
    let churned = churn(
        &Wire::of_clients(&hosts),
        &crowd,
        0,
        Duration::from_millis(300),
    )
    .unwrap();
    assert_eq!(churned.cycles, 0);
    assert!(churned.failures >= 5, "{churned:?}");
    let why = churned.first_failure.unwrap();
    assert!(why.contains("Allocate"), "{why}");
}

/// A relay with room for whatever a test asks for.
pub(super) fn relay(hosts: &BenchHosts) -> Running {
    let turnpike = Turnpike::find().unwrap_or_else(|error| panic!("{error}"));
    turnpike
        .start(hosts, &Settings::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn call(
    hosts: &BenchHosts,
    relay: &Running,
    profile: &Profile,
    count: u32,
) -> Established {
    let servers = [relay.server(), relay.server_v6()];
    let crowd = profile.crowd(&servers, &[relay.credential()], count);
    establish(&Wire::of_clients(hosts), &crowd).unwrap_or_else(|error| panic!("{error}"))
}

fn load(hosts: &BenchHosts, established: &Established) -> PacketLoad {
    packets(hosts, established.flows.clone())
}

pub(super) fn packets(hosts: &BenchHosts, flows: Vec<Flow>) -> PacketLoad {
    let (clients, peers) = (Wire::of_clients(hosts), Wire::of_peers(hosts));
    PacketLoad::new(&clients, &peers, flows).unwrap()
}

/// The first run of which nothing was lost or late, or else the last: a busy machine may cost a run
/// some packets, a broken rig costs every run some.
pub(super) fn best_of(tries: u32, mut run: impl FnMut() -> Tally) -> Tally {
    let mut tally = run();
    for _ in 1..tries {
        if tally.lost == 0 && tally.own_loss == 0 {
            break;
        }
        tally = run();
    }
    tally
}

#[track_caller]
pub(super) fn assert_clean(tally: &Tally, what: &str) {
    let Tally {
        sent,
        received,
        lost,
        reordered,
        duplicated,
        corrupted,
        misdirected,
        offloaded,
        own_loss,
        ..
    } = tally;
    let faults = [
        lost,
        reordered,
        duplicated,
        corrupted,
        misdirected,
        offloaded,
        own_loss,
    ];
    assert_eq!(faults, [&0; 7], "{what}: {tally:?}");
    assert_eq!(sent, received, "{what}");
}
