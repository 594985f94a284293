//! Costs are charged to those who cause them.

use std::net::UdpSocket;
use std::process;
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use turnpike_bench_rig::account::{AccountError, Meter};
use turnpike_bench_rig::netns::RELAY_V4;
use turnpike_bench_rig::netns::bench::{GENERATOR_CORE, RELAY_CORE, Wires, pin_this_thread};

use super::hosts;

#[test]
fn work_of_known_size_on_the_relays_core_is_charged() {
    let hosts = hosts(Wires::Two);
    let meter = Meter::start(&hosts, &[process::id()]).unwrap();
    burn(RELAY_CORE, WORK);
    let cost = meter.stop().unwrap();
    assert!(cost.process >= WORK, "{cost:?}");
    assert!(cost.process <= WORK + TOLERANCE, "{cost:?}");
    assert!(cost.core_busy + cost.stolen + TOLERANCE >= WORK, "{cost:?}");
    assert!(cost.core_busy <= cost.wall, "{cost:?}");
    assert!(cost.charged() >= WORK, "{cost:?}");
}

#[test]
fn work_that_slips_off_the_relays_core_is_charged_nevertheless() {
    let hosts = hosts(Wires::Two);
    let meter = Meter::start(&hosts, &[process::id()]).unwrap();
    burn(GENERATOR_CORE, WORK);
    assert!(meter.stop().unwrap().charged() >= WORK);
}

#[test]
fn a_process_that_sleeps_and_a_wire_that_is_silent_cost_next_to_nothing() {
    let hosts = hosts(Wires::Two);
    let sleeper = hosts.hosts.relay.spawn("sleep", ["1000"]).unwrap();
    // What starting it cost is not measured.
    thread::sleep(Duration::from_millis(100));
    let meter = Meter::start(&hosts, &[sleeper.id()]).unwrap();
    thread::sleep(WORK);
    let cost = meter.stop().unwrap();
    assert!(cost.process <= Duration::from_millis(1), "{cost:?}");
    assert!(cost.napi <= Duration::from_millis(1), "{cost:?}");
}

#[test]
fn receiving_is_charged_to_the_relay_and_not_to_the_sender() {
    let hosts = hosts(Wires::Two);
    let flood = || {
        pin_this_thread(GENERATOR_CORE).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let before = thread_time();
        for _ in 0..PACKETS {
            // Nobody listens: the refusals of earlier packets come back as errors.
            socket.send_to(&[0; 172], (RELAY_V4, 9)).ok();
        }
        thread_time() - before
    };
    let meter = Meter::start(&hosts, &[]).unwrap();
    let sending = hosts.clients().enter(flood).unwrap();
    let cost = meter.stop().unwrap();
    // Far less than any kernel receives a packet in, and far more than silence costs.
    let least = Duration::from_nanos(200) * PACKETS;
    assert!(cost.napi > least, "{cost:?} beside {sending:?} of sending");
    assert!(cost.charged() >= cost.napi, "{cost:?}");
}

#[test]
fn what_ended_while_it_was_measured_has_no_cost() {
    let hosts = hosts(Wires::Two);
    let sleeper = hosts.hosts.relay.spawn("sleep", ["1000"]).unwrap();
    let pid = sleeper.id();
    let meter = Meter::start(&hosts, &[pid]).unwrap();
    drop(sleeper);
    let error = meter.stop().unwrap_err();
    assert!(
        matches!(error, AccountError::Gone { pid: gone } if gone == pid),
        "{error}"
    );
}

/// Uses so much CPU time on a core, by a thread's own clock.
fn burn(core: usize, time: Duration) {
    let work = || {
        pin_this_thread(core).unwrap();
        while thread_time() < time {
            std::hint::spin_loop();
        }
    };
    thread::scope(|scope| scope.spawn(work).join().unwrap());
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

const WORK: Duration = Duration::from_millis(400);

/// Looking at the clocks costs some, and a clock may be a tick behind.
const TOLERANCE: Duration = Duration::from_millis(40);

const PACKETS: u32 = 20_000;
