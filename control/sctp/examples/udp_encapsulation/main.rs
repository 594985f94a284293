//! SCTP over UDP (RFC 6951) on loopback, to try against other people's programs.
//!
//! ```text
//! udp_encapsulation receive UDP_PORT [SCTP_PORT]
//! udp_encapsulation send REMOTE_UDP_PORT MESSAGE_LEN COUNT [SCTP_PORT]
//! ```
//!
//! The SCTP port is 5001 unless said, as `tsctp` has it: `tsctp -E 9899` receives,
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
    match words.as_slice() {
        ["receive", udp, rest @ ..] => receive(number(udp)?, sctp_port(rest)?),
        ["send", udp, len, count, rest @ ..] => {
            send(number(udp)?, number(len)?, number(count)?, sctp_port(rest)?)
        }
        _ => Err(bad(
            "say: receive UDP_PORT [SCTP_PORT], or: send UDP_PORT LEN COUNT [SCTP_PORT]",
        )),
    }
}

fn receive(udp_port: u16, sctp_port: u16) -> io::Result<()> {
    let mut driver = Driver::bind(config(sctp_port), udp_port, None)?;
    println!("listening on UDP port {}", driver.port()?);
    let (mut bytes, mut messages, mut first) = (0, 0, None);
    driver.run_until(FOR_EVER, |it| {
        for incoming in it.received.drain(..) {
            first.get_or_insert_with(Instant::now);
            bytes += incoming.payload.len();
            messages += usize::from(incoming.is_end);
        }
        is_closed(&it.events)
    })?;
    report(messages, bytes, first);
    Ok(())
}

fn send(udp_port: u16, len: usize, count: usize, sctp_port: u16) -> io::Result<()> {
    let remote = ([127, 0, 0, 1], udp_port).into();
    let mut driver = Driver::bind(config(sctp_port), 0, Some(remote))?;
    let payload = Bytes::from(vec![b'b'; len]);
    let now = driver.now();
    driver.association.connect(now);
    let (mut sent, started) = (0, Instant::now());
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
        if sent == count {
            it.association.shutdown(now);
            sent += 1;
        }
        is_closed(&it.events)
    })?;
    report(count, count * len, Some(started));
    Ok(())
}

fn is_closed(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Closed(_)))
}

fn report(messages: usize, bytes: usize, since: Option<Instant>) {
    let seconds = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let mbits = bytes as f64 * 8.0 / 1e6 / seconds;
    println!("{messages} messages, {bytes} bytes, {seconds:.3} s, {mbits:.0} Mbit/s");
}

fn config(sctp_port: u16) -> Config {
    Config {
        local_port: sctp_port,
        remote_port: sctp_port,
        ..Config::default()
    }
}

fn sctp_port(words: &[&str]) -> io::Result<u16> {
    words.first().map_or(Ok(5001), |word| number(word))
}

fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| bad("a number was expected"))
}

fn bad(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
