//! Clients on TCP and TLS of a relay with several shards: limits on the whole, and a connection that
//! goes to the shard that holds its reserved port.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers: a panic is the failure report"
)]

mod stream_support;
mod support;

use std::io::Read;
use std::time::Duration;

use turnpike::clock;
use turnpike::entropy::SystemEntropy;
use turnpike::shard::ConnectionRefusal;
use turnpike_stun::stream::{FRAME_MAX, Frame, Framer};
use turnpike_turn::attribute::ReservationToken;
use turnpike_turn::client::{self, Client, Output, Port, TRANSMIT_MAX};
use turnpike_types::Transport::{self, Tcp, Tls};

use stream_support::{Caller, Peer, Stage, Stream, wait_until};

const ALLOCATE_SUCCESS: u16 = 0x0103;
const BINDING_SUCCESS: u16 = 0x0101;

#[test]
fn limits_count_the_connections_of_all_shards() {
    const SHARDS: u16 = 2;
    let stage = Stage::with_shards(SHARDS, |limits| limits.connections_per_address = Some(2));
    let at = |shard| Caller::start(stage.stream_at(Tcp, shard, SHARDS), Tcp, stage.server(Tcp));
    let mut held = vec![at(0), at(1)];
    refused(&stage, ConnectionRefusal::AddressLimit);
    held.pop();
    let _joined = stage.join(|| stage.stream_at(Tcp, 0, SHARDS));
    refused(&stage, ConnectionRefusal::AddressLimit);

    // One shard may have all there are.
    let stage = Stage::with_shards(SHARDS, |limits| limits.connections = Some(3));
    let held = [(); 3].map(|()| stage.stream_at(Tcp, 1, SHARDS));
    wait_until("they are in", || {
        stage.relay.fresh_snapshot().live_connections() == 3
    });
    refused(&stage, ConnectionRefusal::Limit);
    drop(held);
}

#[test]
fn reserved_port_is_had_over_a_connection_of_another_shard() {
    for (shards, transport) in [(2, Tcp), (2, Tls), (3, Tcp), (3, Tls)] {
        let stage = Stage::with_shards(shards, |_| {});
        let server = stage.server(transport);
        for owner in 1..shards {
            let stream = stage.stream_at(transport, 0, shards);
            let rtp = Caller::with_port(stream, transport, server, Port::EvenWithNext);
            let token = Port::Reserved(rtp.reservation_token());
            let stream = stage.stream_at(transport, owner, shards);
            let mut rtcp = Caller::with_port(stream, transport, server, token);
            assert_eq!(rtcp.relayed().0.port(), rtp.relayed().0.port() + 1);
            let peer = Peer::new();
            rtcp.bind_channel(&peer);
            for len in [0, 1, 172, 1_400] {
                rtcp.send(&peer, &vec![1; len]);
                assert_eq!(peer.receive(), vec![1; len]);
                peer.send(&rtcp, &vec![2; len]);
                assert_eq!(rtcp.receive(), (peer.address(), vec![2; len]));
            }
            let now = stage.relay.fresh_snapshot();
            assert_eq!((now.allocations, now.live_connections()), (2, 2));
            assert_eq!(now.connections_moved, u64::from(owner));
            assert_eq!(stage.relay.numbers().per_shard()[0].live_connections(), 2);
            drop((rtp, rtcp));
            gone(&stage, 0);
        }
        let last = stage.relay.stop().unwrap();
        assert_eq!((last.dropped(), last.replies_lost), (0, 0), "{last:?}");
        assert_eq!(last.accepted_connections(), 2 * u64::from(shards - 1));
    }
}

#[test]
fn bytes_right_behind_a_request_that_moves_its_connection_are_answered_in_order() {
    const SHARDS: u16 = 3;
    const BEHIND: u8 = 20;
    for transport in [Tcp, Tls] {
        let stage = Stage::with_shards(SHARDS, |_| {});
        // In the middle of the Allocate, behind it, and in the middle of what follows.
        for cut in [0, 1, 19, 30, 60, 200, 333] {
            let stream = stage.stream_at(transport, 0, SHARDS);
            let server = stage.server(transport);
            let rtp = Caller::with_port(stream, transport, server, Port::EvenWithNext);
            let mut bytes = allocate(&stage, transport, rtp.reservation_token());
            bytes.extend((0..BEHIND).flat_map(|number| request(0x0001, number, &[])));
            let mut stream = stage.stream_at(transport, 1, SHARDS);
            let (head, tail) = bytes.split_at(cut);
            stream.write(head);
            // The first part is read before the second is sent: nothing else tells when.
            std::thread::sleep(Duration::from_millis(2));
            stream.write(tail);
            let answers = answers(&mut stream, usize::from(BEHIND) + 1);
            assert_eq!(answers[0].0, ALLOCATE_SUCCESS, "cut at {cut}");
            let expected: Vec<_> = (0..BEHIND).map(|it| (BINDING_SUCCESS, it)).collect();
            assert_eq!(answers[1..], expected, "cut at {cut}");
            drop((rtp, stream));
            gone(&stage, 0);
        }
        let last = stage.relay.stop().unwrap();
        assert_eq!(last.connections_moved, 7);
        assert_eq!(last.replies_lost, 0);
    }
}

#[test]
fn client_without_an_allocation_moves_its_connection_once() {
    const SHARDS: u16 = 3;
    let stage = Stage::with_shards(SHARDS, |_| {});
    let mut stream = stage.stream_at(Tcp, 0, SHARDS);
    let requests: Vec<u8> = (0..30)
        .flat_map(|number| {
            // REQUESTED-TRANSPORT: UDP; RESERVATION-TOKEN: of each shard in turn, and nobody's.
            let mut attributes = vec![0, 0x19, 0, 4, 17, 0, 0, 0, 0, 0x22, 0, 8, 0, number % 3];
            attributes.extend([number; 6]);
            request(0x0003, number, &attributes)
        })
        .collect();
    stream.write(&requests);
    let answers = answers(&mut stream, 30);
    let expected: Vec<_> = (0..30).map(|number| (0x0113, number)).collect();
    assert_eq!(answers, expected);
    assert_eq!(stage.relay.fresh_snapshot().connections_moved, 1);
    assert_eq!(stage.relay.snapshot().live_connections(), 1);
}

#[test]
fn client_that_goes_away_while_its_connection_moves_leaves_nothing_behind() {
    const SHARDS: u16 = 2;
    let stage = Stage::with_shards(SHARDS, |_| {});
    for transport in [Tcp, Tls] {
        for _ in 0..10 {
            let mut stream = stage.stream_at(transport, 0, SHARDS);
            let token = ReservationToken([0, 1, 2, 3, 4, 5, 6, 7]);
            let mut bytes = allocate(&stage, transport, token);
            bytes.extend((0..50_u8).flat_map(|number| request(0x0001, number, &[])));
            stream.write(&bytes);
        }
    }
    gone(&stage, 0);
}

/// An Allocate request of a client of its own.
fn allocate(stage: &Stage, transport: Transport, token: ReservationToken) -> Vec<u8> {
    let mut config = client::Config::new(stage.server(transport), transport);
    config.port = Port::Reserved(token);
    let mut client = Client::new(config, SystemEntropy::new().unwrap(), clock::now()).unwrap();
    let mut message = vec![0; TRANSMIT_MAX];
    match client.poll_output(&mut message) {
        Some(Output::Transmit(len)) => message[..len].to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A request whose transaction identifier is a number again and again.
fn request(kind: u16, number: u8, attributes: &[u8]) -> Vec<u8> {
    let mut request = kind.to_be_bytes().to_vec();
    request.extend((attributes.len() as u16).to_be_bytes());
    request.extend([0x21, 0x12, 0xA4, 0x42]);
    request.extend([number; 12]);
    request.extend(attributes);
    request
}

/// Types and numbers of the next messages.
fn answers(stream: &mut Stream, count: usize) -> Vec<(u16, u8)> {
    let mut framer = Framer::new(FRAME_MAX);
    let mut answers = Vec::new();
    let mut buffer = [0; 4_096];
    while answers.len() < count {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the server closed the connection");
        assert_eq!(framer.push(&buffer[..len]), len);
        while let Some(frame) = framer.next_frame() {
            let Frame::Stun(message) = frame.unwrap() else {
                panic!("no answer is ChannelData");
            };
            answers.push((u16::from_be_bytes([message[0], message[1]]), message[8]));
        }
    }
    answers
}

/// One more connection is closed, and counted so.
fn refused(stage: &Stage, refusal: ConnectionRefusal) {
    let count = || stage.relay.fresh_snapshot().refused_connections(refusal);
    let before = count();
    let mut stream = stage.connect(Tcp);
    stream
        .set_read_timeout(Some(stream_support::PATIENCE))
        .unwrap();
    let end = stream.read(&mut [0; 1]);
    assert!(!end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    wait_until("it is counted", || count() == before + 1);
}

/// Waits until so many connections are left.
fn gone(stage: &Stage, left: u64) {
    wait_until("connections are gone", || {
        stage.relay.fresh_snapshot().live_connections() == left
    });
}
