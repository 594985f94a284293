//! Connections that say nothing, too little or nonsense, or leave at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use turnpike_bench_rig::netns::RELAY_V4;

use super::super::relay::{PORT, TLS_PORT};
use super::super::scene::Scene;
use super::{noise, paced};

/// Half-open streams for each way to be half open.
const EACH: usize = 100;

/// How long a relay may take to accept.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Opens streams that never get to the end of their first message, and holds them.
pub(super) fn half_open(scene: &Scene, over: &AtomicBool) -> u64 {
    let holding = || {
        let streams = open_halves();
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        streams.len() as u64
    };
    scene.hosts.peer.enter(holding).unwrap()
}

/// Connects to TCP and TLS listeners and leaves at once, a thousand times a second.
pub(super) fn come_and_go(scene: &Scene, over: &AtomicBool) -> u64 {
    let coming = || {
        paced(over, 1, |turn| {
            connect([PORT, TLS_PORT][turn as usize % 2]).is_ok()
        })
    };
    scene.hosts.peer.enter(coming).unwrap()
}

/// Says noise on TCP and TLS listeners and does not wait for what comes of it.
pub(super) fn garbage(scene: &Scene, over: &AtomicBool) -> u64 {
    let talking = || {
        paced(over, 1, |turn| {
            let said = connect([PORT, TLS_PORT][turn as usize % 2])
                .and_then(|mut stream| stream.write_all(&noise(turn, 1000)));
            said.is_ok()
        })
    };
    scene.hosts.peer.enter(talking).unwrap()
}

/// Opens half-open streams and waits until the relay has ended every one.
#[track_caller]
pub(super) fn all_are_closed(scene: &Scene, within: Duration) {
    let waiting = || {
        let deadline = Instant::now() + within;
        let mut open = 0;
        for mut stream in open_halves() {
            // What has ended says so at once.
            let left = deadline.saturating_duration_since(Instant::now());
            let patience = left.max(Duration::from_millis(1));
            stream.set_read_timeout(Some(patience)).unwrap();
            let ended = match stream.read(&mut [0; 64]) {
                Ok(read) => read == 0,
                Err(error) => error.kind() == ErrorKind::ConnectionReset,
            };
            open += usize::from(!ended);
        }
        open
    };
    let open = scene.hosts.peer.enter(waiting).unwrap();
    assert_eq!(open, 0, "still open:\n{}", scene.relay.process.output());
}

fn open_halves() -> Vec<TcpStream> {
    let tls_hello = [
        [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].as_slice(),
        &[0; 100],
    ]
    .concat();
    let stun_header = [
        0, 3, 2, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let halves: [(u16, &[u8]); 6] = [
        (PORT, &[]),
        (PORT, &stun_header[..10]),
        (PORT, &stun_header),
        (TLS_PORT, &[]),
        (TLS_PORT, &tls_hello[..3]),
        (TLS_PORT, &tls_hello),
    ];
    let open = |(port, said): (u16, &[u8])| {
        let mut stream = connect(port).unwrap();
        stream.write_all(said).unwrap();
        stream
    };
    (0..EACH).flat_map(|_| halves.map(open)).collect()
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(RELAY_V4, port), CONNECT_WITHIN)
}
