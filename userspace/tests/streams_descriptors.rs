//! The relay when the process is out of descriptors. Alone in its program: the limit is the
//! process's.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod stream_support;
mod support;

use std::fs::File;
use std::net::TcpStream;
use std::time::Duration;
use turnpike::shard::ConnectionRefusal;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use turnpike_types::Transport::Tcp;

use stream_support::{Caller, Stage, Stream, wait_until};

const DESCRIPTORS: u64 = 100;

#[test]
fn clients_wait_while_there_are_no_descriptors_and_are_served_when_there_are() {
    // An accept keeps the limit that it was armed under.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, hard).unwrap();
    let stage = Stage::new();
    let (mut caller, peer) = stage.call(Tcp);
    let waiting: Vec<Socket> = (0..5)
        .map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap())
        .collect();
    let fillers: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!fillers.is_empty());
    let server = stage.server(Tcp);
    for socket in &waiting {
        socket.connect(&server.0.into()).unwrap();
    }
    let failed = || {
        stage
            .relay
            .fresh_snapshot()
            .refused_connections(ConnectionRefusal::Resources)
    };
    wait_until("an accept failed", || failed() > 0);
    caller.send(&peer, b"still here");
    assert_eq!(peer.receive(), b"still here");
    std::thread::sleep(Duration::from_millis(1_500));
    // Once a housekeeping, not once a turn.
    assert!(failed() <= 4, "{}", failed());
    assert_eq!(stage.relay.snapshot().accepted_connections(), 1);
    drop(fillers);
    for socket in waiting {
        let stream = Stream::Tcp(TcpStream::from(socket));
        drop(Caller::start(stream, Tcp, server));
    }
}
