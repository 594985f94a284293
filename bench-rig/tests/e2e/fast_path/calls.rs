//! Calls whose allocation or room ends, and a relay that stands still.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use turnpike_bench_rig::netns::PEER_V4;

use super::{SAID_WITHIN, settle};
use crate::call::{Call, PATIENCE, hears};
use crate::lane::{Ground, Lane, SECTION};
use crate::metrics::Metrics;
use crate::relay::Setup;

#[test]
fn five_tuple_that_is_used_again_has_nothing_of_the_old_allocation() {
    let ground = Lane::Kernel.start(Setup::default());
    let mut call = Call::open(&ground.hosts);
    settle(&ground, &mut call);
    let message = call.message(WORDS);
    let (client, old_peer) = call.close();
    let bind = || UdpSocket::bind(SocketAddr::new(PEER_V4, 0)).unwrap();
    let mut call = Call::allocated(client, ground.hosts.peer.enter(bind).unwrap());
    let leads_nowhere = |call: &Call, to: &[&UdpSocket]| {
        let _refused = call.client.send(&message);
        let _refused = old_peer.send(WORDS);
        to.iter().all(|it| !hears(it, WORDS, SOON))
    };
    let before = ground.xdp("no_channel");
    assert!(leads_nowhere(&call, &[&old_peer, &call.peer, &call.client]));
    assert!(ground.xdp("no_channel") > before, "its number is not bound");
    call.bind_channel();
    call.until_carried(true);
    assert!(leads_nowhere(&call, &[&old_peer, &call.client]));
}

/// Client and peer send as fast as they can. What they send when the client has heard that its
/// allocation has ended does not arrive, and each packet that came by a wire is counted, once.
#[test]
fn end_under_traffic_lets_nothing_through_and_every_packet_is_counted() {
    let ground = Lane::Kernel.start(Setup::default());
    let before = balance(&ground);
    let mut call = Call::open(&ground.hosts);
    settle(&ground, &mut call);
    let [in_time, late] = [b"in time ".as_slice(), LATE].map(|words| call.message(words));
    let [client, peer] = [&call.client, &call.peer].map(|it| it.try_clone().unwrap());
    let (is_over, stop, sent) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    let flood = |socket: &UdpSocket, words: [&[u8]; 2]| {
        while !stop.load(Ordering::Relaxed) {
            let place = usize::from(is_over.load(Ordering::SeqCst));
            let _refused = socket.send(words[place]);
            sent.fetch_add(1, Ordering::Relaxed);
        }
    };
    let heard = thread::scope(|scope| {
        scope.spawn(|| flood(&client, [&in_time, &late]));
        scope.spawn(|| flood(&peer, [b"in time ", LATE]));
        await_count(&sent, 20_000);
        let ends = call.close();
        is_over.store(true, Ordering::SeqCst);
        let until = sent.load(Ordering::Relaxed) + 20_000;
        let listen = |socket: UdpSocket| {
            let mut heard = false;
            while !stop.load(Ordering::Relaxed) {
                heard |= hears(&socket, LATE, SOON);
            }
            heard
        };
        let listeners = [ends.0, ends.1].map(|socket| scope.spawn(move || listen(socket)));
        await_count(&sent, until);
        stop.store(true, Ordering::SeqCst);
        listeners.map(|listener| listener.join().unwrap())
    });
    assert_eq!(heard, [false; 2]);
    let until = Instant::now() + PATIENCE;
    let mut after = balance(&ground);
    while after.1 - before.1 < 40_000 && Instant::now() < until {
        after = balance(&ground);
    }
    assert_eq!(after.0, before.0, "that came and are not counted");
}

fn await_count(count: &AtomicU64, wanted: u64) {
    let until = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < until, "too slow");
        thread::yield_now();
    }
}

/// How many more packets the wires have brought than the programs have counted as forwarded, passed or
/// dropped, at a moment without any; and how many they counted.
#[track_caller]
fn balance(ground: &Ground) -> (u64, u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let counted = || ["forwarded", "passed", "dropped"].map(|fate| ground.xdp(fate));
        let before = counted();
        let came: u64 = ["client0", "peer0"]
            .map(|it| came_by(ground, it))
            .iter()
            .sum();
        if counted() == before {
            let counted = before.iter().sum();
            return (came - counted, counted);
        }
        assert!(Instant::now() < until, "packets without end");
    }
}

/// Packets that a device has brought, as its host's kernel counts them.
fn came_by(ground: &Ground, device: &str) -> u64 {
    let shown = ground.hosts.relay.run("ip", ["-s", "link", "show", device]);
    let shown = shown.unwrap();
    let mut lines = shown.lines().skip_while(|line| !line.contains("RX:"));
    let numbers = lines.nth(1).unwrap();
    numbers.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The kernel relays what lives, and ends it by itself.
#[test]
fn relay_that_stands_still_lets_calls_live_and_end() {
    let sections = "[limits]\nlifetime = \"6s\"\nallocations_per_user = 2000\n".to_owned();
    let ground = Lane::Kernel.start(Setup {
        sections,
        ..Setup::default()
    });
    let mut call = Call::open(&ground.hosts);
    let began = Instant::now();
    settle(&ground, &mut call);
    ground.relay.process.signal(Signal::STOP);
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_secs(2) {
        assert_eq!(call.carried(), [true; 2]);
    }
    call.until_carried(false);
    assert!(began.elapsed() > Duration::from_secs(4), "before its end");
    ground.relay.process.signal(Signal::CONT);
    Call::open(&ground.hosts).until_carried(true);
}

#[test]
fn channels_that_find_no_room_go_through_sockets_and_it_is_said() {
    let ground = Lane::Kernel.start(Setup {
        sections: format!("{SECTION}channels = 1\n"),
        ..Setup::default()
    });
    let mut first = Call::open(&ground.hosts);
    settle(&ground, &mut first);
    let mut calls = [first, Call::open(&ground.hosts)];
    let forwarded = || [ground.xdp("channel_to_peer"), ground.xdp("peer_to_channel")];
    let (before, by_lane) = (forwarded(), ground.xdp("lane"));
    assert!(calls.iter_mut().all(|call| call.carried() == [true; 2]));
    assert_eq!(forwarded(), before.map(|packets| packets + 1));
    assert_eq!(ground.xdp("lane"), by_lane + 2);
    assert_eq!(ground.xdp("peer_to_data"), 0, "a channel is bound");
    let said = |line: &str| {
        line.contains("the tables of the fast path are full") && line.contains("fast_path.channels")
    };
    ground
        .relay
        .process
        .wait_for_line("that tables are full", SAID_WITHIN, said)
        .unwrap_or_else(|error| panic!("{error}"));
    Metrics::when(&ground.hosts, "some left out", |metrics| {
        metrics.sum("turnpike_xdp_entries_left_out_total", &[]) > 0
    });
}

const WORDS: &[u8] = b"words of the old allocation";
const LATE: &[u8] = b"too late";
/// How long a packet is waited for that must not come.
const SOON: Duration = Duration::from_millis(100);
