//! What a packet comes to when what it belongs to begins, lapses, is refreshed, ends.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use turnpike_abi::Reason;
use turnpike_types::{Action, Entry, RelayedAddr};

use crate::ground::{Ground, HOUR, PATIENCE, after, channel_data, hears};

const PEER: &str = "10.99.2.2:5000";

/// Long enough to see that it works before it lapses.
const SHORT: Duration = Duration::from_millis(1_500);

/// Waits until nothing is carried any more.
#[track_caller]
fn until_lapsed(ground: &mut Ground) {
    let until = Instant::now() + PATIENCE;
    while ground.carried() != [false; 2] {
        assert!(Instant::now() < until, "{:?}", ground.reasons());
    }
}

fn refreshed(ground: &Ground, entry: &Entry) {
    ground.carry_out(Action::Refresh {
        key: entry.key(),
        expires_at: after(HOUR),
    });
}

#[test]
fn channel_lapses_by_itself_and_flows_again_when_it_is_refreshed() {
    let mut ground = Ground::with_peer(PEER);
    let allocation = ground.allocation(1, HOUR);
    ground.install(Entry::Allocation(allocation));
    let channel = ground.channel(&allocation, SHORT);
    ground.install(channel);
    ground.until_carried();
    until_lapsed(&mut ground);
    let dropped = ground.plane.counters().reasons();
    assert!(dropped.of(Reason::NoChannel) > 0, "{:?}", ground.reasons());
    refreshed(&ground, &channel);
    assert_eq!(ground.carried(), [true; 2]);
}

#[test]
fn permission_lapses_by_itself_and_lets_in_again_when_it_is_refreshed() {
    let mut ground = Ground::with_peer(PEER);
    let allocation = ground.allocation(1, HOUR);
    ground.install(Entry::Allocation(allocation));
    let permission = ground.permission(&allocation, SHORT);
    ground.install(permission);
    let until = Instant::now() + PATIENCE;
    while ground.carried() != [false, true] {
        assert!(Instant::now() < until, "{:?}", ground.reasons());
    }
    until_lapsed(&mut ground);
    refreshed(&ground, &permission);
    assert_eq!(ground.carried(), [false, true], "there is no channel");
}

#[test]
fn new_allocation_of_a_five_tuple_has_nothing_of_the_old_one() {
    let mut ground = Ground::with_peer(PEER);
    let old = ground.call();
    ground.until_carried();
    ground.carry_out(Action::Revoke(Entry::Allocation(old).key()));
    let mut new = ground.allocation(2, HOUR);
    new.relayed = RelayedAddr("10.99.1.1:50002".parse().unwrap());
    ground.install(Entry::Allocation(new));
    assert_eq!(ground.carried(), [false; 2], "the old relayed address");
    let other = ground
        .peer
        .enter(|| UdpSocket::bind("10.99.2.2:5001").unwrap());
    other.connect(new.relayed.0).unwrap();
    let former = std::mem::replace(&mut ground.peer_end, other);
    ground.install(ground.channel(&new, HOUR));
    assert_eq!(ground.carried(), [true; 2]);
    let words = b"to the peer of old";
    ground.client_end.send(&channel_data(words)).unwrap();
    assert!(!hears(&former, words, Duration::from_millis(100)));
}

/// Both ends send as fast as they can. Nothing that was sent after the revoke arrives; each packet that
/// came by a wire is counted, once.
#[test]
fn end_under_traffic_lets_nothing_through_and_every_packet_is_counted() {
    let mut ground = Ground::with_peer(PEER);
    for neighbour in [&ground.client, &ground.peer] {
        // No packets that nobody sent.
        neighbour.run("sysctl", "-qw net.ipv6.conf.eth0.disable_ipv6=1");
    }
    let allocation = ground.call();
    ground.until_carried();
    let before = ground.seen();
    let wires = || ["wire0", "wire1"].map(came_by).iter().sum::<u64>();
    let came_before = wires();
    let (is_over, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let sent = AtomicU64::new(0);
    let late = thread::scope(|scope| {
        for (socket, is_client) in [(&ground.client_end, true), (&ground.peer_end, false)] {
            let (is_over, stop, sent) = (&is_over, &stop, &sent);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let words = if is_over.load(Ordering::SeqCst) {
                        LATE
                    } else {
                        b"in time"
                    };
                    let bytes = match is_client {
                        true => channel_data(words),
                        false => words.to_vec(),
                    };
                    let _refused = socket.send(&bytes);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let listeners = [&ground.client_end, &ground.peer_end].map(|socket| {
            let stop = &stop;
            scope.spawn(move || {
                let mut late = false;
                while !stop.load(Ordering::Relaxed) {
                    late |= hears(socket, LATE, Duration::from_millis(50));
                }
                late
            })
        });
        await_count(&sent, 20_000);
        ground.carry_out(Action::Revoke(Entry::Allocation(allocation).key()));
        is_over.store(true, Ordering::SeqCst);
        let at_the_end = sent.load(Ordering::Relaxed);
        await_count(&sent, at_the_end + 20_000);
        stop.store(true, Ordering::SeqCst);
        listeners.map(|listener| listener.join().unwrap())
    });
    assert_eq!(late, [false; 2], "{:?}", ground.reasons());
    let until = Instant::now() + PATIENCE;
    loop {
        let [seen, came] = [ground.seen() - before, wires() - came_before];
        if seen == came && seen >= 40_000 {
            break;
        }
        let reasons = ground.reasons();
        assert!(
            Instant::now() < until,
            "{came} came, {seen} counted: {reasons:?}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

fn await_count(count: &AtomicU64, wanted: u64) {
    let until = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < until);
        thread::yield_now();
    }
}

/// Packets that came by a device, as the kernel counts them.
fn came_by(device: &str) -> u64 {
    let shown = std::process::Command::new("ip")
        .args(["-s", "link", "show", device])
        .output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    let mut lines = shown.lines().skip_while(|line| !line.contains("RX:"));
    let numbers = lines.nth(1).unwrap();
    numbers.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const LATE: &[u8] = b"too late";
