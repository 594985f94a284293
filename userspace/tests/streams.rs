//! Clients on TCP and TLS, on loopback, driven by the client engine over real sockets.
#![expect(
    clippy::unwrap_used,
    reason = "test helpers: a panic is the failure report"
)]

mod stream_support;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use turnpike::shard::{ConnectionEnd, ConnectionRefusal};

use turnpike::uring::RingConfig;
use turnpike_stun::stream::FrameHeader;
use turnpike_types::DropReason;
use turnpike_types::Transport::{Tcp, Tls, Udp};

use stream_support::{Caller, PATIENCE, Peer, Stage, Stream, assert_closed, binding_request};

const PAYLOADS: [usize; 6] = [0, 1, 3, 172, 1_400, 9_000];

#[test]
fn indications_and_channels_relay_both_ways_over_tcp_and_tls() {
    let stage = Stage::new();
    for transport in [Tcp, Tls] {
        let mut caller = stage.allocate(transport);
        let peer = Peer::new();
        caller.permit(&peer);
        exchange(&mut caller, &peer);
        caller.bind_channel(&peer);
        exchange(&mut caller, &peer);
    }
    let last = stage.relay.stop().unwrap();
    assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
    assert_eq!(last.received, last.packets() + last.passed, "{last:?}");
    assert_eq!(last.packets(), 2 * 2 * 2 * PAYLOADS.len() as u64);
    assert_eq!(last.accepted_connections(), 2);
}

#[test]
fn message_may_be_cut_at_every_byte() {
    let stage = Stage::new();
    let (mut caller, peer) = stage.call(Tcp);
    let message = [
        caller.channel_data(b"first"),
        caller.channel_data(b"second!"),
    ]
    .concat();
    for cut in 0..=message.len() {
        let (head, tail) = message.split_at(cut);
        caller.write(head);
        // The first part is read before the second is sent: nothing else tells when.
        std::thread::sleep(Duration::from_millis(1));
        caller.write(tail);
        assert_eq!(peer.receive(), b"first");
        assert_eq!(peer.receive(), b"second!");
    }
}

#[test]
fn many_messages_in_one_segment_are_each_relayed_in_order() {
    const MESSAGES: u32 = 3_000;
    // More than there are spare buffers, fewer than the peer's queue holds.
    const CROWD: usize = 150;
    let ring = RingConfig {
        reply_buffers: 300,
        ..RingConfig::default()
    };
    for transport in [Tcp, Tls] {
        let stage = Stage::with(|options| options.ring = ring);
        let (mut caller, peer) = stage.call(transport);
        let numbers: Vec<u32> = (0..MESSAGES).collect();
        for crowd in numbers.chunks(CROWD) {
            let mut bytes = Vec::new();
            for number in crowd {
                bytes.extend(caller.channel_data(&number.to_be_bytes()));
            }
            caller.write(&bytes);
            for number in crowd {
                assert_eq!(peer.receive(), number.to_be_bytes());
            }
        }
        let last = stage.relay.stop().unwrap();
        assert_eq!(last.to_peer_packets, u64::from(MESSAGES));
        assert_eq!(last.dropped(), 0, "{last:?}");
    }
}

#[test]
fn run_from_a_peer_reaches_tcp_and_tls_clients_whole_and_in_order() {
    const COUNT: usize = 50;
    let stage = Stage::new();
    let mut sent = 0;
    for transport in [Tcp, Tls] {
        let mut caller = stage.allocate(transport);
        let peer = Peer::new();
        caller.permit(&peer);
        for by_channel in [false, true] {
            if by_channel {
                caller.bind_channel(&peer);
            }
            // Two of them need padding on a channel.
            for (segment, last) in [(172, 172), (171, 3), (1_200, 1_190)] {
                let mut run: Vec<Vec<u8>> = (0..COUNT).map(|it| vec![it as u8; segment]).collect();
                run.last_mut().unwrap().truncate(last);
                peer.send_run(&caller, &run);
                for payload in run {
                    assert!(caller.receive() == (peer.address(), payload));
                }
                sent += COUNT as u64;
            }
        }
    }
    let last = stage.relay.stop().unwrap();
    assert_eq!((last.to_client_packets, last.dropped()), (sent, 0));
    assert_eq!(last.received, last.packets() + last.passed, "{last:?}");
}

#[test]
fn run_longer_than_its_buffer_loses_its_end_on_the_way_to_a_stream_too() {
    let ring = RingConfig {
        buffer_bytes: 10_304,
        ..RingConfig::default()
    };
    let stage = Stage::with(|options| options.ring = ring);
    let (mut caller, peer) = stage.call(Tcp);
    let run: Vec<Vec<u8>> = (0..40).map(|it| vec![it; 1_000]).collect();
    peer.send_run(&caller, &run);
    for payload in run.into_iter().take(10) {
        assert!(caller.receive() == (peer.address(), payload));
    }
    stage.until("the rest is counted", |now| {
        now.drops[DropReason::Oversize as usize] == 30
    });
}

#[test]
fn longest_payload_that_a_datagram_carries_goes_through() {
    let stage = Stage::new();
    let (mut caller, peer) = stage.call(Tcp);
    let payload = vec![7; 65_507];
    let message = caller.channel_data(&payload);
    caller.write(&message);
    assert!(peer.receive() == payload);
    assert_eq!(stage.relay.fresh_snapshot().to_peer_packets, 1);
}

#[test]
fn each_message_comes_in_a_tls_record_of_its_own() {
    const MESSAGES: u8 = 50;
    let stage = Stage::new();
    let mut stream = stage.stream(Tls);
    // In one record, so that the answers are written together.
    let requests: Vec<u8> = (0..MESSAGES).flat_map(binding_request).collect();
    stream.write(&requests);
    let Stream::Tls(mut stream) = stream else {
        panic!("not TLS");
    };
    stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answered = 0;
    while answered < MESSAGES {
        let mut record = vec![0; 5];
        stream.sock.read_exact(&mut record).unwrap();
        let len = u16::from_be_bytes([record[3], record[4]]);
        record.resize(5 + usize::from(len), 0);
        stream.sock.read_exact(&mut record[5..]).unwrap();
        stream.conn.read_tls(&mut record.as_slice()).unwrap();
        let state = stream.conn.process_new_packets().unwrap();
        let mut message = vec![0; state.plaintext_bytes_to_read()];
        stream.conn.reader().read_exact(&mut message).unwrap();
        // What TLS says for itself is in records too.
        if !message.is_empty() {
            let header = FrameHeader::parse(&message).unwrap().unwrap();
            assert_eq!(header.wire_len, message.len());
            assert_eq!(message[8], answered);
            answered += 1;
        }
    }
}

#[test]
fn request_before_the_end_of_tls_or_before_garbage_is_answered() {
    let stage = Stage::new();
    for ends in [true, false] {
        let Stream::Tls(mut stream) = stage.stream(Tls) else {
            panic!("not TLS");
        };
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.conn.complete_io(&mut stream.sock).unwrap();
        let mut last = binding_request(1);
        if !ends {
            last.extend([0xFF; 8]);
        }
        stream.conn.writer().write_all(&last).unwrap();
        if ends {
            stream.conn.send_close_notify();
        }
        let mut bytes = Vec::new();
        stream.conn.write_tls(&mut bytes).unwrap();
        stream.sock.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        // An end that TLS did not announce is an error.
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.get(..2), Some(&[1, 1][..]), "{answer:?}");
    }
}

#[test]
fn client_that_goes_away_ends_its_allocation() {
    let stage = Stage::new();
    for transport in [Tcp, Tls] {
        let caller = stage.allocate(transport);
        stage.until("the allocation is there", |now| now.allocations == 1);
        drop(caller);
        stage.until("it ended", |now| now.allocations == 0);
        stage.until("its connection is closed", |now| {
            now.live_connections() == 0
        });
    }
    assert_eq!(
        stage
            .relay
            .snapshot()
            .closed_connections(ConnectionEnd::Client),
        2
    );
}

#[test]
fn connection_outlives_an_allocation_that_is_released_and_may_have_another() {
    let stage = Stage::new();
    let mut caller = stage.allocate(Tcp);
    caller.release();
    stage.until("it ended", |now| now.allocations == 0);
    assert_eq!(stage.relay.snapshot().live_connections(), 1);
    let caller = Caller::start(caller.into_stream(), Tcp, stage.server(Tcp));
    stage.until("there is another", |now| now.allocations == 1);
    assert_eq!(stage.relay.snapshot().accepted_connections(), 1);
    drop(caller);
}

#[test]
fn connection_without_an_allocation_is_closed_and_one_with_it_stays() {
    let stage = Stage::with_limits(|limits| limits.idle_timeout = Some(Duration::from_millis(300)));
    let mut callers = [stage.allocate(Tcp), stage.allocate(Tls)];
    let silent = stage.connect(Tcp);
    let begun = Instant::now();
    assert_closed(silent);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    stage.until("it is counted", |now| {
        now.closed_connections(ConnectionEnd::Idle) == 1
    });
    assert_eq!(stage.relay.snapshot().live_connections(), 2);
    for caller in &mut callers {
        caller.release();
    }
    stage.until("the others too", |now| {
        now.closed_connections(ConnectionEnd::Idle) == 3 && now.live_connections() == 0
    });
}

#[test]
fn garbage_closes_the_connection_and_nothing_else() {
    let stage = Stage::new();
    let (mut caller, peer) = stage.call(Tcp);
    let long_stun = [0, 1, 0x40, 0, 0x21, 0x12, 0xA4, 0x42];
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        &[0xFF; 64],
        &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0],
        &[0; 20],
        &[0x40, 0, 0xFF, 0xFF],
        &long_stun,
    ];
    for bytes in garbage {
        let mut stream = stage.connect(Tcp);
        stream.write_all(bytes).unwrap();
        assert_closed(stream);
    }
    let mut stream = stage.connect(Tls);
    stream.write_all(garbage[0]).unwrap();
    assert_closed(stream);
    stage.until("all are counted", |now| {
        (
            now.closed_connections(ConnectionEnd::Malformed),
            now.closed_connections(ConnectionEnd::HandshakeFailed),
        ) == (6, 1)
            && now.live_connections() == 1
    });
    exchange(&mut caller, &peer);
}

#[test]
fn client_that_breaks_tls_is_told_by_an_alert() {
    let stage = Stage::new();
    let mut stream = stage.connect(Tls);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The rest of what was sent is unread, so that the end may be a reset.
    let _reset = stream.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&0x15), "{answer:?}");
}

#[test]
fn connections_beyond_the_limits_are_refused_and_room_comes_back() {
    let stage = Stage::with_limits(|limits| limits.connections_per_address = Some(2));
    let mut held = vec![stage.allocate(Tcp), stage.allocate(Tls)];
    assert_closed(stage.connect(Tcp));
    stage.until("it is counted", |now| {
        now.refused_connections(ConnectionRefusal::AddressLimit) == 1
    });
    assert_eq!(stage.relay.snapshot().accepted_connections(), 2);
    held.pop();
    drop(stage.join(|| stage.stream(Tcp)));

    let stage = Stage::with_limits(|limits| limits.connections = Some(1));
    let held = stage.allocate(Tcp);
    assert_closed(stage.connect(Tcp));
    stage.until("it is counted", |now| {
        now.refused_connections(ConnectionRefusal::Limit) == 1
    });
    drop(held);
}

#[test]
fn slow_reader_loses_its_own_packets_and_no_one_elses() {
    const FLOOD: usize = 12_000;
    for transport in [Tcp, Tls] {
        let stage = Stage::new();
        let (slow, slow_peer) = stage.call(transport);
        let (mut other, other_peer) = stage.call(Tcp);
        let (mut on_udp, udp_peer) = stage.call(Udp);
        for round in 0..FLOOD {
            slow_peer.send(&slow, &[1; 1_200]);
            if round % 100 == 0 {
                exchange_one(&mut other, &other_peer, round);
                exchange_one(&mut on_udp, &udp_peer, round);
            }
        }
        stage.until("its packets are dropped", |now| now.write_queue_dropped > 0);
        exchange(&mut other, &other_peer);
        assert_eq!(stage.relay.snapshot().live_connections(), 2);
    }
}

#[test]
fn reader_that_never_reads_is_closed_in_time_and_its_allocation_ends() {
    let stage = Stage::with(|options| options.stream_stall = Some(Duration::from_millis(300)));
    let (slow, peer) = stage.call(Tcp);
    let until = Instant::now() + PATIENCE;
    while stage
        .relay
        .snapshot()
        .closed_connections(ConnectionEnd::SlowReader)
        == 0
    {
        peer.send(&slow, &[1; 1_200]);
        assert!(Instant::now() < until, "not closed in time");
    }
    stage.until("its allocation ended", |now| {
        (now.allocations, now.live_connections()) == (0, 0)
    });
}

#[test]
fn client_that_asks_and_never_reads_is_closed() {
    let stage = Stage::new();
    let mut stream = stage.connect(Tcp);
    // Each is answered.
    let crowd = binding_request(9).repeat(400);
    let until = Instant::now() + PATIENCE;
    while stream.write_all(&crowd).is_ok() {
        assert!(Instant::now() < until, "not closed in time");
    }
    stage.until("it is counted", |now| {
        now.closed_connections(ConnectionEnd::SlowReader) == 1
    });
}

#[test]
fn stranger_may_leave_less_unread_than_a_client_with_an_allocation() {
    const REQUESTS: usize = 400;
    let stage = Stage::new();
    // One segment, answered within one turn.
    let crowd = binding_request(9).repeat(REQUESTS);
    let mut stranger = stage.connect(Tcp);
    stranger.write_all(&crowd).unwrap();
    assert_closed(stranger);
    stage.until("it is counted", |now| {
        now.closed_connections(ConnectionEnd::SlowReader) == 1
    });
    // What came behind the request that was too much is not answered.
    assert_eq!(stage.relay.snapshot().replies_lost, 1);
    let mut client = stage.allocate(Tcp).into_stream();
    client.write(&crowd);
    let (mut buffer, mut taken) = (vec![0; 65_536], 0);
    while taken < REQUESTS * 32 {
        let len = client.read(&mut buffer).unwrap();
        assert!(len > 0, "closed");
        taken += len;
    }
}

#[test]
fn requests_behind_the_one_that_closes_its_connection_are_not_served() {
    let stage = Stage::new();
    let mut stranger = stage.connect(Tcp);
    let crowd = binding_request(9).repeat(600);
    let (head, tail) = crowd.split_at(10);
    stranger.write_all(head).unwrap();
    // The first part is read before the second is sent: nothing else tells when.
    std::thread::sleep(Duration::from_millis(20));
    stranger.write_all(tail).unwrap();
    assert_closed(stranger);
    stage.until("it is counted", |now| {
        now.closed_connections(ConnectionEnd::SlowReader) == 1
    });
    assert_eq!(stage.relay.snapshot().replies_lost, 1);
}

#[test]
fn many_clients_at_once_each_get_their_own() {
    const CLIENTS: usize = 60;
    let stage = Stage::new();
    let mut calls: Vec<_> = (0..CLIENTS)
        .map(|index| stage.call(if index % 2 == 0 { Tcp } else { Tls }))
        .collect();
    for round in 0..3 {
        for (index, (caller, peer)) in calls.iter_mut().enumerate() {
            exchange_one(caller, peer, round * 1_000 + index);
        }
    }
    drop(calls);
    stage.until("all are gone", |now| {
        (now.allocations, now.live_connections()) == (0, 0)
    });
}

#[test]
fn relay_that_stops_says_so_to_clients_and_waits_for_none_that_does_not_read() {
    let stage = Stage::new();
    let mut callers = [stage.allocate(Tcp), stage.allocate(Tls)];
    let (deaf, peer) = stage.call(Tcp);
    let until = Instant::now() + PATIENCE;
    while stage.relay.snapshot().write_queue_dropped == 0 {
        peer.send(&deaf, &[1; 1_200]);
        assert!(Instant::now() < until, "nothing was dropped");
    }
    let begun = Instant::now();
    let last = stage.relay.stop().unwrap();
    assert!(begun.elapsed() < PATIENCE / 2, "it waits for the deaf one");
    for caller in &mut callers {
        // TLS has an error for an end that was not announced, TCP for one that is a reset.
        assert_eq!(caller.stream().read(&mut [0; 64]).unwrap(), 0);
    }
    assert_eq!(last.closed_connections(ConnectionEnd::Server), 3);
    assert_eq!((last.live_connections(), last.allocations), (0, 0));
}

#[test]
fn ports_are_free_again_when_it_has_stopped_with_clients_connected() {
    for _ in 0..3 {
        let stage = Stage::new();
        let callers = [stage.allocate(Tcp), stage.allocate(Tls)];
        let servers = [stage.server(Tcp), stage.server(Tls)];
        stage.relay.stop().unwrap();
        for mut caller in callers {
            caller.expect_end();
        }
        for server in servers {
            assert!(TcpStream::connect(server.0).is_err(), "{server} is open");
            assert!(turnpike::shard::stream_listeners(server.0, 1).is_ok());
        }
    }
}

fn exchange_one(caller: &mut Caller, peer: &Peer, number: usize) {
    let payload = number.to_be_bytes();
    caller.send(peer, &payload);
    assert_eq!(peer.receive(), payload);
    peer.send(caller, &payload);
    assert_eq!(caller.receive(), (peer.address(), payload.to_vec()));
}

/// Sends payloads of several sizes each way and compares what arrives.
fn exchange(caller: &mut Caller, peer: &Peer) {
    for (index, len) in PAYLOADS.into_iter().enumerate() {
        let payload = vec![index as u8; len];
        caller.send(peer, &payload);
        assert!(peer.receive() == payload, "{len} bytes to the peer");
        peer.send(caller, &payload);
        let (from, bytes) = caller.receive();
        assert_eq!(from, peer.address());
        assert!(bytes == payload, "{len} bytes to the client");
    }
}
