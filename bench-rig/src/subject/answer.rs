//! Waits until a relay answers, by asking it for a Binding (RFC 8489), which needs no credential.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{Running, SubjectError};
use crate::netns::NetnsError;
use crate::netns::bench::BenchHosts;

/// Asks from the client host until an answer comes, the relay dies, or the time is over.
pub(super) fn wait_for_answer(
    hosts: &BenchHosts,
    running: &Running,
    server: SocketAddr,
) -> Result<(), SubjectError> {
    let asked = hosts.hosts.client.enter(|| ask(running, server));
    match asked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(SubjectError::Silent {
            name: running.name().to_owned(),
            why: format!("{server}: {why}"),
            output: running.output(),
        }),
        Err(error) => Err(NetnsError::into(error)),
    }
}

fn ask(running: &Running, server: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ASKED_EVERY))?;
    let deadline = Instant::now() + ANSWERED_WITHIN;
    let mut answer = [0; 512];
    while Instant::now() < deadline {
        if !running.is_alive() {
            return Err(io::Error::other("it has ended"));
        }
        // Until it listens, the host refuses: then the next send or receive fails at once.
        let asked = socket.send(&BINDING_REQUEST);
        match asked.and_then(|_| socket.recv(&mut answer)) {
            Ok(_) if answer.starts_with(&BINDING_SUCCESS) => return Ok(()),
            Ok(_) => {}
            Err(_) => std::thread::sleep(REFUSED_PAUSE),
        }
    }
    Err(io::Error::other("no answer in time"))
}

/// A Binding request without attributes, with any transaction id.
const BINDING_REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42bench-rigask";

/// The type of its success response.
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];

/// A coturn of 2026 takes 4 seconds to list its relayed ports.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

const ASKED_EVERY: Duration = Duration::from_millis(100);

const REFUSED_PAUSE: Duration = Duration::from_millis(10);
