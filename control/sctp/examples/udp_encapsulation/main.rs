//! SCTP over UDP (RFC 6951) on loopback, to try against other people's programs.
//!
//! ```text
//! udp_encapsulation [--packet BYTES] receive UDP_PORT [SCTP_PORT]
//! udp_encapsulation [--packet BYTES] send REMOTE_UDP_PORT MESSAGE_LEN COUNT [SCTP_PORT]
//! ```
//!
//! Both say how many messages and bytes there were and how long it took, the receiver from the
//! first message to the last; the sender also its congestion window and round trip at the end. `--packet` is the largest SCTP packet (1,191). The SCTP port is 5001 unless said, as `tsctp` has it: `tsctp -E 9899` receives,
//! `tsctp -E 9898 -U UDP_PORT 127.0.0.1` sends.

#![expect(
    clippy::disallowed_types,
    reason = "an example that owns the clock and the socket which the engine does not"
)]

mod driver;

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use turnpike_sctp::{Config, Event, Outgoing, Ppid, SendError, StreamId};

use driver::Driver;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut config = Config::default();
    let words = match words.as_slice() {
        ["--packet", bytes, rest @ ..] => {
            config.packet_size_max = number(bytes)?;
            rest
        }
        all => all,
    };
    let (["receive", _, port @ ..] | ["send", _, _, _, port @ ..]) = words else {
        return Err(bad(USAGE));
    };
    config.local_port = port.first().map_or(Ok(5001), |word| number(word))?;
    config.remote_port = config.local_port;
    match words {
        ["receive", udp, ..] => receive(config, number(udp)?),
        ["send", udp, len, count, ..] => send(config, number(udp)?, number(len)?, number(count)?),
        _ => Err(bad(USAGE)),
    }
}

fn receive(config: Config, udp_port: u16) -> io::Result<()> {
    let mut driver = Driver::bind(config, udp_port, None)?;
    println!("listening on UDP port {}", driver.port()?);
    let (mut bytes, mut messages, mut first, mut last) = (0, 0, None, Duration::ZERO);
    driver.run_until(FOR_EVER, |it| {
        if !it.received.is_empty() {
            last = first.get_or_insert_with(Instant::now).elapsed();
        }
        for incoming in it.received.drain(..) {
            bytes += incoming.payload.len();
            messages += usize::from(incoming.is_end);
        }
        is_closed(&it.events)
    })?;
    report(messages, bytes, last);
    Ok(())
}

fn send(config: Config, udp_port: u16, len: usize, count: usize) -> io::Result<()> {
    let remote = ([127, 0, 0, 1], udp_port).into();
    let mut driver = Driver::bind(config, 0, Some(remote))?;
    let payload = Bytes::from(vec![b'b'; len]);
    let now = driver.now();
    driver.association.connect(now);
    let (mut sent, started) = (0, Instant::now());
    let mut statistics = None;
    driver.run_until(FOR_EVER, |it| {
        let now = it.now();
        while sent < count {
            let message = Outgoing::new(StreamId(0), Ppid(0), payload.clone());
            match it.association.send(now, message) {
                Ok(()) => sent += 1,
                Err(SendError::BufferFull) => break,
                Err(error) => {
                    println!("the message was refused: {error}");
                    return true;
                }
            }
        }
        if sent <= count {
            statistics = Some(it.association.statistics());
        }
        if sent == count {
            it.association.shutdown(now);
            sent += 1;
        }
        is_closed(&it.events)
    })?;
    report(count, count * len, started.elapsed());
    if let Some(last) = statistics {
        let round_trip = last.srtt.unwrap_or_default();
        println!(
            "window {} bytes, round trip {round_trip:?}",
            last.cwnd_bytes
        );
    }
    Ok(())
}

fn is_closed(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Closed(_)))
}

fn report(messages: usize, bytes: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let mbits = bytes as f64 * 8.0 / 1e6 / seconds;
    println!("{messages} messages, {bytes} bytes, {seconds:.3} s, {mbits:.0} Mbit/s");
}

fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| bad("a number was expected"))
}

fn bad(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

const USAGE: &str = "say: [--packet BYTES] receive UDP_PORT [SCTP_PORT], \
    or: [--packet BYTES] send REMOTE_UDP_PORT MESSAGE_LEN COUNT [SCTP_PORT]";

const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
