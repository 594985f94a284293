//! Abuse while calls live: floods, half-open streams, slow readers. The calls may not lose a message.
//!
//! The abuser works on the peer host until the calls are over, and says how much it did. Its rates
//! are well above what honest clients do, and well below what fills a queue of the kernel before the
//! relay sees it: loss there is not the relay's to prevent.

mod connections;
mod datagrams;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::load::{INDICATIONS, INDICATIONS_V6, Load, Transport, run_all};
use super::relay::Setup;
use super::scene::Scene;
use super::uclient::echo;

#[test]
fn garbage_datagrams_cost_live_calls_nothing() {
    costs_live_calls_nothing(20_000, datagrams::garbage);
}

/// Right in the header, wrong in what follows.
#[test]
fn broken_stun_messages_cost_live_calls_nothing() {
    costs_live_calls_nothing(20_000, datagrams::broken_stun);
}

#[test]
fn readers_that_never_read_cost_live_calls_nothing() {
    costs_live_calls_nothing(20_000, datagrams::to_slow_readers);
}

#[test]
fn half_open_streams_cost_live_calls_nothing() {
    costs_live_calls_nothing(600, connections::half_open);
}

#[test]
fn a_thousand_connections_a_second_cost_live_calls_nothing() {
    costs_live_calls_nothing(2_000, connections::come_and_go);
}

#[test]
fn garbage_on_streams_costs_live_calls_nothing() {
    costs_live_calls_nothing(500, connections::garbage);
}

#[test]
fn half_open_streams_are_closed_in_time() {
    let sections = "[limits]\nhandshake_timeout = \"1s\"\nidle_timeout = \"2s\"\n".to_owned();
    let scene = Scene::new(|setup| Setup { sections, ..setup });
    connections::all_are_closed(&scene, Duration::from_secs(10));
}

/// Runs calls of every transport beside an abuser, who must have done at least so much.
#[track_caller]
fn costs_live_calls_nothing(at_least: u64, abuser: fn(&Scene, &AtomicBool) -> u64) {
    let scene = Scene::new(|setup| setup);
    let _peer = echo(&scene.hosts);
    let calls = [
        call(INDICATIONS, Transport::Udp),
        call(INDICATIONS_V6, Transport::Udp),
        call(INDICATIONS, Transport::Tcp),
        call(INDICATIONS_V6, Transport::Tls),
    ];
    let over = AtomicBool::new(false);
    let (reports, done) = thread::scope(|scope| {
        let abuser = scope.spawn(|| abuser(&scene, &over));
        let reports = scope.spawn(|| run_all(&scene.hosts, &calls)).join();
        over.store(true, Ordering::Relaxed);
        (reports, abuser.join())
    });
    let (reports, done) = (reports.unwrap(), done.unwrap());
    let printed = scene.relay.process.output();
    assert_eq!(reports, calls.map(Load::whole), "beside {done}:\n{printed}");
    assert!(done >= at_least, "the abuser did only {done}:\n{printed}");
}

/// Five seconds of it.
fn call(load: Load, transport: Transport) -> Load {
    Load {
        transport,
        messages: 500,
        ..load
    }
}

/// Does something `in_a_tick` times each millisecond until the calls are over; how often it was done.
fn paced(over: &AtomicBool, in_a_tick: u64, mut work: impl FnMut(u64) -> bool) -> u64 {
    let mut next = Instant::now();
    let mut turn = 0;
    let mut done = 0;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..in_a_tick {
            done += u64::from(work(turn));
            turn += 1;
        }
        next += Duration::from_millis(1);
        // Behind time, it does not catch up: a burst is not what is asked for.
        next = next.max(Instant::now());
        thread::sleep(next - Instant::now());
    }
    done
}

/// Bytes that repeat with the seed, and mean nothing.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(length).collect()
}
