//! The rig finds faults that were planted, and none where there are none.
//!
//! Between the load and a real relay stands a proxy that does one thing wrong, a known number of times.
//! Whatever sends and counts finds it: packet sockets and live frames.
//! Rates are low, so that a busy machine need not lose packets of its own; a run that it cost
//! packets nevertheless is taken again, a few times at most. A rig that is blind fails every time.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use turnpike_bench_rig::load::clients::{Established, establish};
use turnpike_bench_rig::load::live::LiveFrames;
use turnpike_bench_rig::load::packet::Wire;
use turnpike_bench_rig::load::profile::{self, Profile};
use turnpike_bench_rig::load::{Direction, Flow, Load, LoadError, Shape, Tally};
use turnpike_bench_rig::netns::bench::{BenchHosts, Wires};
use turnpike_bench_rig::subject::Running;

use super::crooked::{Crooked, Fault};
use super::hosts;
use super::load::{assert_clean, best_of, call, packets, relay};

#[test]
fn one_packet_in_ten_thousand_that_is_dropped_is_found() {
    for load in LOADS {
        let scene = Scene::new(load);
        let packets = (5_000.0, Duration::from_secs(4));
        scene.control(packets);
        scene.finds(Fault::Drop(10_000), packets, |tally, done| {
            assert_eq!(done, 2);
            (tally.lost, tally.sent - tally.received) == (done, done)
        });
    }
}

#[test]
fn a_packet_that_comes_twice_is_found() {
    for load in LOADS {
        let scene = Scene::new(load);
        let packets = (2_000.0, Duration::from_secs(1));
        scene.control(packets);
        scene.finds(Fault::Double(1_000), packets, |tally, done| {
            assert_eq!(done, 2);
            (tally.duplicated, tally.lost) == (done, 0)
        });
    }
}

#[test]
fn a_reordered_packet_is_found() {
    for load in LOADS {
        let scene = Scene::new(load);
        let packets = (2_000.0, Duration::from_secs(1));
        scene.control(packets);
        scene.finds(Fault::Reorder(1_000), packets, |tally, done| {
            // The last packet of the run waits for a next one that does not come.
            assert_eq!(done, 1);
            (tally.reordered, tally.lost) == (done, 1)
        });
    }
}

#[test]
fn a_corrupted_packet_is_found() {
    for load in LOADS {
        let scene = Scene::new(load);
        let packets = (2_000.0, Duration::from_secs(1));
        scene.control(packets);
        scene.finds(Fault::Corrupt(1_000), packets, |tally, done| {
            assert_eq!(done, 2);
            (tally.corrupted, tally.lost) == (done, done)
        });
    }
}

/// The proxy takes turns with itself: the machine's noise is in the medians of both.
#[test]
fn a_hundred_microseconds_of_delay_are_found() {
    for load in LOADS {
        let scene = Scene::new(load);
        let delay = Duration::from_micros(100);
        let median = |fault: Fault| {
            let (tally, _) = scene.run(fault, (500.0, Duration::from_millis(600)));
            tally.latency.value_at_quantile(0.5)
        };
        let mut differences: Vec<i64> = (0..5)
            .map(|_| {
                let [without, with] = [Fault::None, Fault::Delay(delay)].map(median);
                i64::try_from(with).unwrap() - i64::try_from(without).unwrap()
            })
            .collect();
        differences.sort_unstable();
        let [.., middle, _, _] = differences[..] else {
            panic!("five differences");
        };
        assert!((60_000..400_000).contains(&middle), "{differences:?} ns");
    }
}

#[test]
fn a_relay_that_dies_under_load_gives_a_tally_with_the_loss() {
    let hosts = hosts(Wires::Two);
    for load in LOADS {
        let relay = relay(&hosts);
        let established = call(&hosts, &relay, &profile::VOICE, 5);
        let mut load = load(&hosts, established.flows.clone());
        let shape = profile::VOICE.shape;
        let alive = best_of(3, || {
            load.run(&shape, 1_000.0, Duration::from_millis(300))
                .unwrap()
        });
        assert_clean(&alive, "alive");
        let began = Instant::now();
        let tally = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                kill(&relay);
            });
            load.run(&shape, 1_000.0, Duration::from_secs(2)).unwrap()
        });
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(tally.sent, 2_000);
        assert!(tally.received >= 100, "{tally:?}");
        assert!((0.5..0.95).contains(&tally.loss()), "{tally:?}");
        assert_eq!(tally.lost, tally.sent - tally.received);
    }
}

#[test]
fn a_dead_relay_gives_no_allocations_but_a_reason_in_bounded_time() {
    let hosts = hosts(Wires::Two);
    let relay = relay(&hosts);
    let mut established = call(&hosts, &relay, &profile::VOICE, 5);
    established.keep_alive().unwrap();
    kill(&relay);
    let began = Instant::now();
    let error = established.close().unwrap_err();
    assert!(matches!(&error, LoadError::Relay(_)), "{error}");
    let crowd = profile::VOICE.crowd(&[relay.server()], &[relay.credential()], 5);
    let error = establish(&Wire::of_clients(&hosts), &crowd).unwrap_err();
    assert!(matches!(&error, LoadError::Relay(_)), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
}

/// Makes a load of flows.
type MakesLoad = for<'h> fn(&'h BenchHosts, Vec<Flow>) -> Box<dyn Load + 'h>;

/// All that there are.
const LOADS: [MakesLoad; 2] = [
    |hosts, flows| Box::new(packets(hosts, flows)),
    |hosts, flows| Box::new(LiveFrames::new(hosts, flows).unwrap()),
];

/// A relay, and room for a proxy before it.
struct Scene {
    hosts: BenchHosts,
    relay: Running,
    load: MakesLoad,
}

impl Scene {
    fn new(load: MakesLoad) -> Self {
        let hosts = hosts(Wires::Two);
        let relay = relay(&hosts);
        Self { hosts, relay, load }
    }

    /// One run through a proxy with this fault, and to how many packets it did it.
    fn run(&self, fault: Fault, (rate, duration): (f64, Duration)) -> (Tally, u64) {
        let clients = 4;
        let proxy = Crooked::start(&self.hosts, self.relay.server(), 4, fault);
        let profile = Profile {
            shape: TO_PEER,
            ..profile::VOICE
        };
        let crowd = profile.crowd(&[proxy.address], &[self.relay.credential()], clients);
        let established: Established = establish(&Wire::of_clients(&self.hosts), &crowd).unwrap();
        assert_eq!(established.ceiling, None);
        let mut load = (self.load)(&self.hosts, established.flows.clone());
        let tally = load.run(&TO_PEER, rate, duration).unwrap();
        drop(load);
        established.close().unwrap();
        (tally, proxy.done())
    }

    /// An honest proxy does nothing that the rig could find.
    #[track_caller]
    fn control(&self, packets: (f64, Duration)) {
        let tally = best_of(TRIES, || self.run(Fault::None, packets).0);
        assert_clean(&tally, "an honest proxy");
    }

    /// The tally of a run says exactly what the proxy did.
    #[track_caller]
    fn finds(&self, fault: Fault, packets: (f64, Duration), says: impl Fn(&Tally, u64) -> bool) {
        let mut last = None;
        for _ in 0..TRIES {
            let (tally, done) = self.run(fault, packets);
            if says(&tally, done) {
                return;
            }
            last = Some(tally);
        }
        panic!("{fault:?} is not what the tally says: {last:?}");
    }
}

fn kill(relay: &Running) {
    for pid in relay.pids() {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
}

/// One direction: the proxy's faults are all on the way to the peer.
const TO_PEER: Shape = Shape {
    direction: Direction::ToPeer,
    ..profile::VOICE.shape
};

/// How often a run is taken again that a busy machine may have cost packets.
const TRIES: u32 = 4;
