//! usrsctp, over UDP on loopback (RFC 6951), in processes of its own: its test program `tsctp`, and
//! `peer.c` beside this file, which also resets streams.
//!
//! Debian's packages libusrsctp-examples and libusrsctp-dev have them. Where they are missing the
//! tests fail; `TURNPIKE_NO_USRSCTP` may name the reason to go without.

mod process;
mod programs;

use std::collections::VecDeque;
use std::time::Duration;

use turnpike_sctp::{
    CloseReason, Config, Event, Outgoing, Reliability, SendError, State, StreamId,
};
use turnpike_sim::Chance;

use crate::conversation::message;
use crate::driver::Driver;
use process::Process;
use programs::{free_port, is_left_out, peer, tsctp};

/// Both sides' SCTP port.
const PORT: u16 = 5001;

/// Much longer than any of it takes.
const LIMIT: Duration = Duration::from_secs(60);

fn driver(remote: Option<u16>) -> Driver {
    let config = Config {
        local_port: PORT,
        remote_port: PORT,
        streams_max: 16,
        ..Config::default()
    };
    let remote = remote.map(|port| ([127, 0, 0, 1], port).into());
    Driver::bind(config, 0, remote).unwrap()
}

fn close_reason(driver: &Driver) -> Option<CloseReason> {
    driver.events.iter().find_map(|event| match event {
        Event::Closed(reason) => Some(*reason),
        _ => None,
    })
}

/// Calls until the other side listens: before, it aborts.
fn connected(port: u16) -> Driver {
    for _ in 0..100 {
        let mut driver = driver(Some(port));
        let now = driver.now();
        driver.association.connect(now);
        driver.run_until(LIMIT, |it| !it.events.is_empty()).unwrap();
        if driver.events == [Event::Connected] {
            return driver;
        }
        driver
            .run_until(Duration::from_millis(100), |_| false)
            .unwrap();
    }
    panic!("nobody listens on UDP port {port}");
}

/// Whether the association ended well on our side. Where the other program's last word was lost, it
/// is gone and will not say it again.
fn is_shut_down(driver: &Driver) -> bool {
    let is_left_waiting =
        driver.loss > Chance::NEVER && driver.association.state() == State::ShutdownAckSent;
    close_reason(driver) == Some(CloseReason::Shutdown) || is_left_waiting
}

/// `tsctp` sends so many messages to us; how many arrived, each as it was sent.
fn tsctp_sends(options: &[&str], count: usize, len: usize, loss: Chance) -> usize {
    let mut driver = driver(None);
    let (local, ours) = (free_port().to_string(), driver.port().unwrap().to_string());
    let (count, length) = (count.to_string(), len.to_string());
    let mut arguments = vec!["-L", "127.0.0.1", "-E", &local, "-U", &ours, "-D"];
    arguments.extend(["-n", &count, "-l", &length]);
    arguments.extend(options);
    arguments.push("127.0.0.1");
    let mut sender = Process::start(&tsctp(), &arguments);
    // Its timers are long: what it loses of the handshake may cost it a minute (see peer.c).
    let is_connected = driver.run_until(LIMIT, |it| it.events.contains(&Event::Connected));
    assert!(is_connected.unwrap(), "{}", sender.output());
    driver.loss = loss;
    let is_over = driver
        .run_until(LIMIT, |it| close_reason(it).is_some() || sender.has_ended())
        .unwrap();
    assert!(is_over, "{:?}; {}", driver.events, sender.output());
    assert!(is_shut_down(&driver), "{:?}", driver.events);
    for incoming in &driver.received {
        assert!(incoming.is_begin && incoming.is_end);
        assert_eq!(incoming.payload, vec![b'b'; len]);
    }
    driver.received.len()
}

#[test]
fn tsctp_sends_to_us() {
    if is_left_out() {
        return;
    }
    for (count, len) in [(1, 1), (500, 1_024), (20, 65_536)] {
        assert_eq!(tsctp_sends(&[], count, len, Chance::NEVER), count);
    }
}

#[test]
fn tsctp_sends_to_us_through_loss() {
    if is_left_out() {
        return;
    }
    let loss = Chance::percent(3);
    assert_eq!(tsctp_sends(&[], 200, 1_024, loss), 200);
    assert_eq!(tsctp_sends(&["-u"], 200, 3_000, loss), 200);
}

#[test]
fn tsctp_gives_up_what_is_lost() {
    if is_left_out() {
        return;
    }
    let arrived = tsctp_sends(&["-P", "2", "-t", "0"], 300, 1_024, Chance::percent(5));
    assert!((150..300).contains(&arrived), "{arrived} of 300");
}

/// We send so many messages to `tsctp`, which says how many it got.
fn we_send_to_tsctp(count: usize, len: usize, is_unordered: bool, loss: Chance) {
    let local = free_port();
    let receiver = Process::start(&tsctp(), &["-L", "127.0.0.1", "-E", &local.to_string()]);
    let mut driver = connected(local);
    driver.loss = loss;
    let mut left = count;
    let is_over = driver.run_until(LIMIT, |it| {
        let now = it.now();
        while left > 0 {
            let message = Outgoing {
                is_unordered,
                ..message(0, b'a', len)
            };
            if it.association.send(now, message).is_err() {
                break;
            }
            left -= 1;
            if left == 0 {
                it.association.shutdown(now);
            }
        }
        close_reason(it).is_some()
    });
    assert!(
        is_over.unwrap(),
        "{:?}; {}",
        driver.events,
        receiver.output()
    );
    assert_eq!(close_reason(&driver), Some(CloseReason::Shutdown));
    // If our last word was lost, theirs comes again and wants an answer before it reports.
    let report = |it: &Process| it.find(|line| line.split(", ").all(is_number));
    let has_reported = driver.run_until(LIMIT, |_| report(&receiver).is_some());
    assert!(has_reported.unwrap(), "{}", receiver.output());
    // First length, messages, calls, bytes, and how long it took.
    let line = report(&receiver).unwrap();
    let words: Vec<&str> = line.split(", ").collect();
    assert_eq!(words[1], count.to_string(), "{line}");
    assert_eq!(words[3], (count * len).to_string(), "{line}");
}

fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok()
}

#[test]
fn tsctp_receives_from_us() {
    if is_left_out() {
        return;
    }
    for (count, len) in [(1, 1), (500, 1_024), (20, 65_536)] {
        we_send_to_tsctp(count, len, false, Chance::NEVER);
    }
}

#[test]
fn tsctp_receives_from_us_through_loss() {
    if is_left_out() {
        return;
    }
    we_send_to_tsctp(200, 1_024, false, Chance::percent(3));
    we_send_to_tsctp(200, 3_000, true, Chance::percent(3));
}

/// usrsctp sends, resets its stream, sends again and shuts down; we echo and reset ours.
fn usrsctp_calls(retransmissions: i32, is_unordered: bool, loss: Chance) {
    const COUNT: usize = 100;
    let mut driver = driver(None);
    driver.loss = loss;
    let (count, ours) = (COUNT.to_string(), driver.port().unwrap().to_string());
    let (local, retransmissions) = (free_port().to_string(), retransmissions.to_string());
    let unordered = u8::from(is_unordered).to_string();
    let arguments = [
        "talk",
        &local,
        &ours,
        &count,
        "700",
        &retransmissions,
        &unordered,
    ];
    let mut caller = Process::start(&peer(), &arguments);
    let (mut echoes, mut echoed, mut heard) = (VecDeque::new(), 0, 0);
    let is_over = driver.run_until(LIMIT, |it| {
        let now = it.now();
        for incoming in std::mem::take(&mut it.received) {
            assert!(incoming.is_begin && incoming.is_end);
            assert_eq!(incoming.stream, StreamId(1));
            echoes.push_back(Outgoing {
                is_unordered: incoming.is_unordered,
                ..Outgoing::new(incoming.stream, incoming.ppid, incoming.payload)
            });
        }
        // While its answer to our reset is on the way, the stream takes nothing.
        while let Some(echo) = echoes.front().cloned() {
            match it.association.send(now, echo) {
                Err(SendError::StreamResetting) => break,
                sent => sent.unwrap(),
            }
            echoes.pop_front();
            echoed += 1;
        }
        let events = it.events.split_off(heard);
        for event in &events {
            if let Event::IncomingStreamsReset(streams) = event {
                it.association.reset_streams(now, streams).unwrap();
            }
        }
        heard += events.len();
        it.events.extend(events);
        close_reason(it).is_some() || caller.has_ended()
    });
    let events = &driver.events;
    assert!(is_over.unwrap(), "{events:?}; {}", caller.output());
    let output = caller.finish();
    assert!(is_shut_down(&driver), "{:?}; {output}", driver.events);
    assert!(
        output.contains("came again 5") && output.contains("done"),
        "{output}"
    );
    assert!(
        output.contains("reset incoming") && output.contains("reset outgoing"),
        "{output}"
    );
    let is_whole = retransmissions == "-1" || loss == Chance::NEVER;
    assert!(
        echoed <= COUNT + 5 && (!is_whole || echoed == COUNT + 5),
        "{echoed}; {output}"
    );
}

#[test]
fn usrsctp_calls_us() {
    if is_left_out() {
        return;
    }
    usrsctp_calls(-1, false, Chance::NEVER);
    usrsctp_calls(0, true, Chance::NEVER);
}

#[test]
fn usrsctp_calls_us_through_loss() {
    if is_left_out() {
        return;
    }
    usrsctp_calls(-1, false, Chance::percent(3));
    usrsctp_calls(0, false, Chance::percent(5));
    usrsctp_calls(0, true, Chance::percent(5));
}

/// We send, reset our stream, send again and shut down; usrsctp echoes and resets its own.
fn we_call_usrsctp(policy: Reliability, is_unordered: bool, loss: Chance) {
    let local = free_port();
    let mut echo = Process::start(&peer(), &["echo", &local.to_string()]);
    echo.wait_for("listening");
    let mut driver = connected(local);
    driver.loss = loss;
    for n in 0..100 {
        let is_reliable = n % 5 == 4;
        let reliability = if is_reliable {
            Reliability::Reliable
        } else {
            policy
        };
        let message = Outgoing {
            reliability,
            is_unordered,
            ..message(1, n, 700)
        };
        let now = driver.now();
        driver.association.send(now, message).unwrap();
    }
    let came = |it: &Driver, n: u8| it.received.iter().any(|got| got.payload == vec![n; 700]);
    let all_came = |it: &mut Driver| {
        (0..100).all(|n| came(it, n) || n % 5 != 4 && policy != Reliability::Reliable)
    };
    assert!(
        driver.run_until(LIMIT, all_came).unwrap(),
        "{:?}; {}",
        driver.events,
        echo.output()
    );

    let stream = vec![StreamId(1)];
    let now = driver.now();
    driver.association.reset_streams(now, &stream).unwrap();
    let both_reset = |it: &mut Driver| {
        it.events
            .contains(&Event::OutgoingStreamsReset(stream.clone()))
            && it
                .events
                .contains(&Event::IncomingStreamsReset(stream.clone()))
    };
    assert!(
        driver.run_until(LIMIT, both_reset).unwrap(),
        "{:?}; {}",
        driver.events,
        echo.output()
    );

    let now = driver.now();
    driver.association.send(now, message(1, 200, 700)).unwrap();
    assert!(
        driver.run_until(LIMIT, |it| came(it, 200)).unwrap(),
        "{:?}",
        driver.events
    );
    let now = driver.now();
    driver.association.shutdown(now);
    assert!(
        driver
            .run_until(LIMIT, |it| close_reason(it).is_some())
            .unwrap()
    );
    assert_eq!(close_reason(&driver), Some(CloseReason::Shutdown));
    // If our last word was lost, theirs comes again and wants an answer.
    assert!(
        driver.run_until(LIMIT, |_| echo.has_ended()).unwrap(),
        "{}",
        echo.output()
    );
    assert!(echo.finish().contains("reset outgoing"));
}

#[test]
fn usrsctp_is_called_by_us() {
    if is_left_out() {
        return;
    }
    we_call_usrsctp(Reliability::Reliable, false, Chance::NEVER);
    we_call_usrsctp(Reliability::Retransmissions(0), true, Chance::NEVER);
}

#[test]
fn usrsctp_is_called_by_us_through_loss() {
    if is_left_out() {
        return;
    }
    we_call_usrsctp(Reliability::Reliable, false, Chance::percent(3));
    we_call_usrsctp(Reliability::Retransmissions(0), false, Chance::percent(5));
    we_call_usrsctp(
        Reliability::Lifetime(Duration::from_millis(200)),
        true,
        Chance::percent(5),
    );
}

/// Runs until usrsctp, or we, have heard it.
fn wait(
    driver: &mut Driver,
    peer: &Process,
    what: &str,
    mut has_come: impl FnMut(&mut Driver) -> bool,
) {
    let is_here = driver.run_until(LIMIT, &mut has_come).unwrap();
    assert!(is_here, "no {what}: {:?}; {}", driver.events, peer.output());
}

/// Sends a message on a stream and waits for its echo.
fn ping(driver: &mut Driver, peer: &Process, stream: u16, text: &'static str) {
    let now = driver.now();
    let message = Outgoing::new(StreamId(stream), turnpike_sctp::Ppid(53), text.into());
    driver.association.send(now, message).unwrap();
    let before = driver.received.len();
    wait(driver, peer, text, |it| it.received.len() > before);
    let echo = &driver.received[before];
    assert_eq!(
        (echo.stream, &echo.payload[..]),
        (StreamId(stream), text.as_bytes())
    );
}

fn count(driver: &Driver, event: &Event) -> usize {
    driver.events.iter().filter(|it| *it == event).count()
}

#[test]
fn usrsctp_and_we_reset_the_association_and_add_streams() {
    if is_left_out() {
        return;
    }
    let local = free_port();
    let program = peer();
    let mut peer = Process::start(&program, &["anew", &local.to_string()]);
    peer.wait_for("listening");
    let mut driver = connected(local);
    ping(&mut driver, &peer, 1, "before");
    let now = driver.now();
    driver.association.reset_association(now).unwrap();
    wait(&mut driver, &peer, "our reset", |it| {
        count(it, &Event::AssociationReset) == 1
    });
    ping(&mut driver, &peer, 1, "after ours");
    ping(&mut driver, &peer, 1, "anew");
    wait(&mut driver, &peer, "its reset", |it| {
        count(it, &Event::AssociationReset) == 2
    });
    ping(&mut driver, &peer, 1, "after both");

    let now = driver.now();
    driver.association.add_streams(now, 4, 5).unwrap();
    let added = Event::StreamsAdded {
        outgoing: 20,
        incoming: 21,
    };
    wait(&mut driver, &peer, "our streams", |it| {
        count(it, &added) == 1
    });
    ping(&mut driver, &peer, 19, "on a new one");
    ping(&mut driver, &peer, 1, "more");
    let more = Event::StreamsAdded {
        outgoing: 22,
        incoming: 24,
    };
    wait(&mut driver, &peer, "its streams", |it| {
        count(it, &more) == 1
    });
    ping(&mut driver, &peer, 21, "on another");
    let now = driver.now();
    driver.association.shutdown(now);
    wait(&mut driver, &peer, "end", |it| close_reason(it).is_some());
    assert_eq!(close_reason(&driver), Some(CloseReason::Shutdown));
}
