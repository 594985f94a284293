//! A client on a byte stream (RFC 8489 section 6.2.2, RFC 8656 section 12.5).

use turnpike_stun::{Class, Method};
use turnpike_turn::client::{Config, Event, Failure, Received, TRANSMIT_MAX};
use turnpike_types::Transport;

use crate::support_client::{
    NONCE, Stage, allocated, challenge, config, granted, peer, response, success,
};

const PEER: &str = "192.0.2.50:7000";

fn stream_config() -> Config {
    Config {
        transport: Transport::Tcp,
        ..config()
    }
}

/// Feeds the stream in pieces of `size` bytes.
fn feed(stage: &mut Stage, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() {
            let Received::Taken(taken) = stage.client.handle_input(stage.now, rest) else {
                panic!("a stream is taken");
            };
            assert!(taken > 0, "a drained client takes more");
            rest = &rest[taken..];
            stage.drain();
        }
    }
}

fn with_channel() -> (Stage, u16) {
    let mut stage = Stage::allocated_with(stream_config());
    let number = stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    stage.answer(&success(&request));
    stage.event();
    (stage, number.get())
}

fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn responses_may_arrive_in_pieces_of_any_size() {
    for size in [1, 3, 7, 20, 1_000] {
        let mut stage = Stage::new(stream_config());
        let request = stage.request(Method::ALLOCATE);
        feed(&mut stage, &challenge(&request, 401, NONCE), size);
        let request = stage.request(Method::ALLOCATE);
        feed(&mut stage, &allocated(&request), size);
        assert_eq!(stage.event(), Event::Allocated);
    }
}

#[test]
fn data_and_responses_come_out_in_order() {
    for size in [1, 5, 64, 100_000] {
        let (mut stage, number) = with_channel();
        stage
            .client
            .bind_channel(stage.now, peer("192.0.2.51:7000"))
            .unwrap();
        stage.drain();
        let request = stage.request(Method::CHANNEL_BIND);
        let mut bytes = channel_data(number, b"one");
        bytes.extend(success(&request));
        bytes.extend(channel_data(number + 1, b"two!"));
        bytes.extend(channel_data(number, b""));
        feed(&mut stage, &bytes, size);
        let payloads: Vec<_> = stage
            .data
            .iter()
            .map(|(_, payload)| payload.as_slice())
            .collect();
        assert_eq!(payloads, [&b"one"[..], b"two!", b""]);
        assert_eq!(stage.data[1].0, peer("192.0.2.51:7000"));
        assert!(matches!(stage.event(), Event::ChannelBound { .. }));
    }
}

#[test]
fn longest_channel_data_passes_however_it_is_cut() {
    let (mut stage, number) = with_channel();
    let payload = vec![0xAB; 65_535];
    let mut bytes = channel_data(number, &payload);
    bytes.extend(channel_data(number, &payload));
    feed(&mut stage, &bytes, 50_000);
    assert_eq!(stage.data.len(), 2);
    assert!(stage.data.iter().all(|(_, received)| *received == payload));
}

#[test]
fn channel_data_is_padded_to_four_bytes_on_a_stream() {
    let (mut stage, number) = with_channel();
    for payload in [&b""[..], b"a", b"ab", b"abc", b"abcd"] {
        let mut buf = [0xFF; 16];
        let len = stage.client.send(peer(PEER), payload, &mut buf).unwrap();
        assert_eq!(buf[..len], channel_data(number, payload));
    }
}

#[test]
fn stream_that_loses_its_place_ends_the_allocation() {
    let (mut stage, _) = with_channel();
    feed(&mut stage, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 2);
    stage.sent.clear();
    assert_eq!(stage.event(), Event::AllocationLost(Failure::StreamBroken));
    feed(&mut stage, &[0; 100_000], 10_000);
    stage.assert_silent();
    assert!(stage.client.is_ended());
}

#[test]
fn stream_that_is_broken_from_the_start_fails_the_allocation() {
    let mut stage = Stage::new(stream_config());
    stage.request(Method::ALLOCATE);
    feed(&mut stage, &[0x80; 20], 20);
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::StreamBroken)
    );
}

#[test]
fn restart_begins_with_an_empty_stream() {
    let mut stage = Stage::new(stream_config());
    let request = stage.request(Method::ALLOCATE);
    feed(&mut stage, &challenge(&request, 401, NONCE)[..30], 30);
    stage
        .client
        .restart(stage.now, crate::support_client::server());
    stage.drain();
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    feed(&mut stage, &allocated(&request), 1_000);
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn wrong_integrity_on_a_stream_ends_the_transaction_at_once() {
    let mut stage = Stage::new(stream_config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    feed(
        &mut stage,
        &response(&request, Class::Success, granted),
        1_000,
    );
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::IntegrityViolated)
    );
}

#[test]
fn wrong_integrity_on_a_stream_does_not_spin() {
    let mut stage = Stage::allocated_with(stream_config());
    stage.pass_secs(540);
    let request = stage.request(Method::REFRESH);
    feed(
        &mut stage,
        &response(&request, Class::Success, |_| {}),
        1_000,
    );
    assert_eq!(
        stage.event(),
        Event::RefreshFailed(Failure::IntegrityViolated)
    );
    stage.assert_silent();
    stage.pass_secs(5);
    stage.request(Method::REFRESH);
}

#[test]
fn stream_data_that_does_not_fit_the_buffer_is_lost_alone() {
    let (mut stage, number) = with_channel();
    let mut bytes = channel_data(number, &[1; TRANSMIT_MAX + 1]);
    bytes.extend(channel_data(number, b"next"));
    stage.client.handle_input(stage.now, &bytes);
    let mut buf = [0; TRANSMIT_MAX];
    let output = stage.client.poll_output(&mut buf);
    let expected = turnpike_turn::client::Output::Data {
        peer: peer(PEER),
        len: 4,
    };
    assert_eq!(output, Some(expected));
    assert_eq!(stage.client.poll_output(&mut buf), None);
}
