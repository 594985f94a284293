//! TLS handshakes that are many, long, broken or never end, on loopback over real sockets.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod stream_support;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use turnpike::shard::ConnectionEnd;
use turnpike_types::Transport::{Tls, Udp};

use stream_support::{PATIENCE, Stage, Stream, assert_closed, binding_request};

#[test]
fn handshake_that_does_not_end_is_cut_off() {
    let stage =
        Stage::with_limits(|limits| limits.handshake_timeout = Some(Duration::from_millis(200)));
    let silent = stage.connect(Tls);
    let mut half = stage.connect(Tls);
    // A record header that promises a ClientHello.
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    let caller = stage.allocate(Tls);
    assert_closed(silent);
    assert_closed(half);
    stage.until("both are counted", |now| {
        now.closed_connections(ConnectionEnd::HandshakeTimeout) == 2 && now.live_connections() == 1
    });
    drop(caller);
}

#[test]
fn handshake_gives_way_to_a_newer_one_when_there_are_too_many() {
    // The oldest of one shard.
    let stage = Stage::with_shards(1, |limits| limits.connections = Some(100));
    let silent: Vec<_> = (0..16).map(|_| stage.connect(Tls)).collect();
    stage.until("all are in", |now| now.live_connections() == 16);
    drop(stage.allocate(Tls));
    stage.until("one gave way", |now| {
        now.closed_connections(ConnectionEnd::HandshakeTimeout) == 1
    });
    assert_closed(silent.into_iter().next().unwrap());
}

#[test]
fn datagram_does_not_wait_behind_a_crowd_of_handshakes() {
    const CROWD: usize = 300;
    let stage =
        Stage::with_limits(|limits| limits.connections_per_address = Some(2 * CROWD as u32));
    let mut on_udp = stage.stream(Udp);
    // Whoever sends may be held up, and the crowd be served meanwhile; not each time.
    let is_soon = (0..5).any(|_| {
        let mut crowd: Vec<_> = (0..CROWD)
            .map(|_| match stage.stream(Tls) {
                Stream::Tls(stream) => stream,
                _ => panic!("not TLS"),
            })
            .collect();
        stage.until("all are in", |now| now.live_connections() == CROWD as u64);
        for stream in &mut crowd {
            stream.conn.write_tls(&mut stream.sock).unwrap();
        }
        on_udp.write(&binding_request(1));
        assert!(on_udp.read(&mut [0; 512]).unwrap() > 0);
        let answered = |stream: &TcpStream| {
            stream.set_nonblocking(true).unwrap();
            let peeked = stream.peek(&mut [0; 1]);
            stream.set_nonblocking(false).unwrap();
            !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        let ahead = crowd.iter().filter(|it| answered(&it.sock)).count();
        // All are served in the end.
        for stream in &mut crowd {
            stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        drop(crowd);
        stage.until("all are gone", |now| now.live_connections() == 0);
        ahead < CROWD / 2
    });
    assert!(is_soon, "the datagram came last");
}

#[test]
fn handshake_message_that_is_too_long_is_a_failed_handshake() {
    let stage = Stage::new();
    let mut stream = stage.connect(Tls);
    // A ClientHello of almost 16 MiB, by records of 16 KiB.
    let mut record = vec![0; 16_384];
    record[..4].copy_from_slice(&[1, 0xFF, 0xFF, 0xFF]);
    for _ in 0..5 {
        let _closed = stream.write_all(&[0x16, 3, 1, 0x40, 0]);
        let _closed = stream.write_all(&record);
        record.fill(0);
        std::thread::sleep(Duration::from_millis(5));
    }
    stage.until("it is counted", |now| {
        now.closed_connections(ConnectionEnd::HandshakeFailed) == 1
    });
}

#[test]
fn client_that_says_all_at_once_behind_its_handshake_is_answered_before_the_end() {
    let stage = Stage::new();
    let Stream::Tls(mut stream) = stage.stream(Tls) else {
        unreachable!("not TLS");
    };
    stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    while stream.conn.is_handshaking() {
        if stream.conn.wants_write() {
            stream.conn.write_tls(&mut stream.sock).unwrap();
        }
        stream.conn.read_tls(&mut stream.sock).unwrap();
        stream.conn.process_new_packets().unwrap();
    }
    stream.conn.writer().write_all(&binding_request(1)).unwrap();
    let mut bytes = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut bytes).unwrap();
    }
    stream.sock.write_all(&bytes).unwrap();
    stream.sock.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.get(..2), Some(&[1, 1][..]), "{answer:?}");
}

#[test]
fn stranger_that_sends_more_than_may_wait_in_a_crowd_is_closed_and_counted_so() {
    const CROWD: usize = 60;
    let stage = Stage::new();
    // The beginning of a ClientHello of 65,535 bytes, and more: by records of 16 KiB.
    let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0, 0xFF, 0xFF];
    record.resize(5 + 16_384, 0);
    let bytes = record.repeat(16);
    let mut crowd: Vec<_> = (0..CROWD).map(|_| stage.connect(Tls)).collect();
    for stream in &mut crowd {
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let _closed = stream.write_all(&bytes);
    }
    for stream in crowd {
        assert_closed(stream);
    }
    let last = stage.relay.stop().unwrap();
    let [crowded, failed] = [ConnectionEnd::Crowd, ConnectionEnd::HandshakeFailed]
        .map(|end| last.closed_connections(end));
    assert!(crowded > 0, "{last:?}");
    assert_eq!(crowded + failed, CROWD as u64, "{last:?}");
}
