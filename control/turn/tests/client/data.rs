//! Data in both directions (RFC 8656 sections 11 and 12.4 to 12.6).

use turnpike_stun::{AttributeType, Class, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{Data, DontFragment, Icmp, XorPeerAddress};
use turnpike_turn::client::{Event, Received, RequestError, SEND_OVERHEAD_MAX, SendError};
use turnpike_types::DropReason;

use crate::support_client::{Stage, address, allocated, config, peer, success};

const PEER: &str = "192.0.2.50:7000";

fn indication(method: Method, fill: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
    let mut buf = [0; 512];
    let id = TransactionId([9; 12]);
    let mut builder = MessageBuilder::new(&mut buf, Class::Indication, method, id);
    fill(&mut builder);
    let len = builder.finish().unwrap();
    buf[..len].into()
}

fn data_indication(from: &str, payload: &[u8]) -> Vec<u8> {
    indication(Method::DATA, |builder| {
        builder
            .attribute(&XorPeerAddress(address(from)))
            .attribute(&Data(payload));
    })
}

fn icmp_indication(from: &str, kind: u8) -> Vec<u8> {
    indication(Method::DATA, |builder| {
        let icmp = Icmp {
            kind,
            code: 1,
            data: [0; 4],
        };
        builder
            .attribute(&XorPeerAddress(address(from)))
            .attribute(&icmp);
    })
}

fn with_channel() -> (Stage, u16) {
    let mut stage = Stage::allocated();
    let number = stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    stage.answer(&success(&request));
    stage.event();
    (stage, number.get())
}

#[test]
fn send_indication_carries_peer_and_data() {
    let mut stage = Stage::with_permission(PEER);
    let mut buf = [0; 128];
    let len = stage.client.send(peer(PEER), b"hello", &mut buf).unwrap();
    assert!(len <= 5 + SEND_OVERHEAD_MAX);
    let message = Message::parse(&buf[..len]).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (Class::Indication, Method::SEND)
    );
    assert_eq!(message.get(), Ok(Some(XorPeerAddress(address(PEER)))));
    assert_eq!(message.get(), Ok(Some(Data(b"hello"))));
    assert_eq!(message.raw(AttributeType::DONT_FRAGMENT), None);
}

#[test]
fn send_indications_differ_in_their_transaction_ids() {
    let mut stage = Stage::with_permission(PEER);
    let mut buf = [0; 128];
    let mut next_id = || {
        let len = stage.client.send(peer(PEER), b"hello", &mut buf).unwrap();
        Message::parse(&buf[..len]).unwrap().transaction_id()
    };
    assert_ne!(next_id(), next_id());
}

#[test]
fn empty_payload_is_data_too() {
    let mut stage = Stage::with_permission(PEER);
    let mut buf = [0; 128];
    let len = stage.client.send(peer(PEER), b"", &mut buf).unwrap();
    assert_eq!(
        Message::parse(&buf[..len]).unwrap().get(),
        Ok(Some(Data(b"")))
    );
    let received = stage.answer(&data_indication(PEER, b""));
    assert!(matches!(received, Received::Data { payload, .. } if payload.is_empty()));
}

#[test]
fn dont_fragment_goes_with_send_indications_where_the_server_took_it() {
    let mut config = config();
    config.dont_fragment = true;
    let mut stage = Stage::new(config);
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&allocated(&request));
    stage
        .client
        .create_permission(stage.now, &[address(PEER).ip()])
        .unwrap();
    stage.drain();
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&success(&request));
    let mut buf = [0; 128];
    let len = stage.client.send(peer(PEER), b"hello", &mut buf).unwrap();
    assert_eq!(
        Message::parse(&buf[..len]).unwrap().get(),
        Ok(Some(DontFragment))
    );
}

#[test]
fn nothing_is_sent_without_allocation_permission_or_room() {
    let mut buf = [0; 128];
    let mut stage = Stage::new(config());
    let sent = stage.client.send(peer(PEER), b"hello", &mut buf);
    assert_eq!(sent, Err(SendError::NoAllocation));
    let mut stage = Stage::with_permission(PEER);
    let sent = stage
        .client
        .send(peer("192.0.2.51:7000"), b"hello", &mut buf);
    assert_eq!(sent, Err(SendError::NoPermission));
    let sent = stage.client.send(peer(PEER), &[0; 100], &mut buf);
    assert_eq!(sent, Err(SendError::NoRoom));
    let (mut stage, _) = with_channel();
    let sent = stage.client.send(peer(PEER), &[0; 125], &mut buf);
    assert_eq!(sent, Err(SendError::NoRoom));
    let mut buf = vec![0; 70_000];
    let sent = stage.client.send(peer(PEER), &vec![0; 65_536], &mut buf);
    assert_eq!(sent, Err(SendError::NoRoom));
    assert_eq!(
        stage.client.send(peer(PEER), &vec![0; 65_535], &mut buf),
        Ok(65_539)
    );
}

#[test]
fn bound_channel_sends_channel_data_without_padding_on_datagrams() {
    let (mut stage, number) = with_channel();
    let mut buf = [0xFF; 128];
    let len = stage.client.send(peer(PEER), b"hello", &mut buf).unwrap();
    let mut expected = number.to_be_bytes().to_vec();
    expected.extend([0, 5]);
    expected.extend(b"hello");
    assert_eq!(buf[..len], expected);
}

#[test]
fn data_travels_in_indications_until_the_channel_is_confirmed() {
    let mut stage = Stage::with_permission(PEER);
    stage.client.bind_channel(stage.now, peer(PEER)).unwrap();
    let mut buf = [0; 128];
    stage.client.send(peer(PEER), b"hello", &mut buf).unwrap();
    assert_eq!(buf[..2], [0x00, 0x16]);
}

#[test]
fn channel_data_may_overtake_the_channel_bind_success() {
    let mut stage = Stage::allocated();
    let number = stage
        .client
        .bind_channel(stage.now, peer(PEER))
        .unwrap()
        .get();
    stage.drain();
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend([0, 2, b'h', b'i']);
    let received = stage.answer(&bytes);
    assert_eq!(
        received,
        Received::Data {
            peer: peer(PEER),
            payload: 4..6
        }
    );
}

#[test]
fn channel_data_is_decoded_in_place() {
    let (stage, number) = with_channel();
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend([0, 2, b'h', b'i', 0, 0]);
    let received = stage.client.receive(&bytes);
    assert_eq!(
        received,
        Received::Data {
            peer: peer(PEER),
            payload: 4..6
        }
    );
}

#[test]
fn channel_data_on_an_unbound_number_is_dropped() {
    let (mut stage, number) = with_channel();
    let mut bytes = (number + 1).to_be_bytes().to_vec();
    bytes.extend([0, 0]);
    assert_eq!(
        stage.answer(&bytes),
        Received::Dropped(DropReason::NoChannel)
    );
}

#[test]
fn channel_data_without_permission_is_dropped() {
    let (mut stage, number) = with_channel();
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend([0, 0]);
    stage.client.release_channel(stage.now, &peer(PEER));
    stage.pass_secs(299);
    assert!(matches!(stage.answer(&bytes), Received::Data { .. }));
    stage.pass_secs(1);
    assert_eq!(
        stage.answer(&bytes),
        Received::Dropped(DropReason::NoPermission)
    );
}

#[test]
fn data_indication_is_decoded_in_place() {
    let stage = Stage::with_permission(PEER);
    let bytes = data_indication(PEER, b"hello");
    let Received::Data {
        peer: from,
        payload,
    } = stage.client.receive(&bytes)
    else {
        panic!("no data");
    };
    assert_eq!((from, &bytes[payload]), (peer(PEER), &b"hello"[..]));
}

#[test]
fn data_indication_from_another_port_of_a_permitted_peer_is_data() {
    let stage = Stage::with_permission(PEER);
    let bytes = data_indication("192.0.2.50:9", b"hello");
    assert!(matches!(
        stage.client.receive(&bytes),
        Received::Data { .. }
    ));
}

#[test]
fn data_indication_without_permission_is_dropped() {
    let mut stage = Stage::with_permission(PEER);
    let bytes = data_indication("192.0.2.51:7000", b"hello");
    assert_eq!(
        stage.answer(&bytes),
        Received::Dropped(DropReason::NoPermission)
    );
}

#[test]
fn data_indication_without_peer_or_data_is_dropped() {
    let mut stage = Stage::with_permission(PEER);
    let no_peer = indication(Method::DATA, |builder| {
        builder.attribute(&Data(b"hello"));
    });
    let no_data = indication(Method::DATA, |builder| {
        builder.attribute(&XorPeerAddress(address(PEER)));
    });
    let unknown = indication(Method::DATA, |builder| {
        builder
            .attribute(&XorPeerAddress(address(PEER)))
            .attribute(&Data(b"hello"))
            .raw(AttributeType(0x7FFF), b"what");
    });
    for bytes in [no_peer, no_data, unknown] {
        assert_eq!(
            stage.answer(&bytes),
            Received::Dropped(DropReason::Malformed)
        );
    }
}

#[test]
fn icmp_attribute_is_an_event() {
    let mut stage = Stage::with_permission(PEER);
    assert_eq!(stage.answer(&icmp_indication(PEER, 3)), Received::Control);
    let icmp = Icmp {
        kind: 3,
        code: 1,
        data: [0; 4],
    };
    assert_eq!(
        stage.event(),
        Event::Icmp {
            peer: peer(PEER),
            icmp
        }
    );
}

#[test]
fn icmp_attribute_without_permission_is_dropped() {
    let mut stage = Stage::with_permission(PEER);
    let received = stage.answer(&icmp_indication("192.0.2.51:7000", 3));
    assert_eq!(received, Received::Dropped(DropReason::NoPermission));
    stage.assert_silent();
}

#[test]
fn events_that_nobody_drains_are_bounded() {
    let mut stage = Stage::with_permission(PEER);
    let bytes = icmp_indication(PEER, 3);
    let taken = (0..10_000)
        .filter(|_| stage.client.handle_input(stage.now, &bytes) == Received::Control)
        .count();
    assert_eq!(taken, 256);
    let more = stage.client.handle_input(stage.now, &bytes);
    assert_eq!(more, Received::Dropped(DropReason::QueueFull));
    let asked = stage
        .client
        .create_permission(stage.now, &[address(PEER).ip()]);
    assert_eq!(asked, Err(RequestError::NotDrained));
    stage.drain();
    assert_eq!(
        stage
            .client
            .create_permission(stage.now, &[address(PEER).ip()]),
        Ok(())
    );
}

#[test]
fn bytes_of_other_protocols_and_requests_are_dropped() {
    let mut stage = Stage::with_permission(PEER);
    for bytes in [
        &[][..],
        &[20, 0, 0],
        &[0x50, 0, 0, 0],
        &[0x80; 40],
        &[0x40, 0],
        &[0x00, 0x17],
    ] {
        assert_eq!(
            stage.answer(bytes),
            Received::Dropped(DropReason::Malformed),
            "{bytes:?}"
        );
    }
    let binding = indication(Method::BINDING, |_| {});
    assert_eq!(
        stage.answer(&binding),
        Received::Dropped(DropReason::Unexpected)
    );
}

#[test]
fn no_prefix_and_no_single_bit_error_of_an_indication_panics() {
    let mut stage = Stage::with_permission(PEER);
    let bytes = data_indication(PEER, b"hello");
    for end in 0..bytes.len() {
        stage.client.handle_input(stage.now, &bytes[..end]);
    }
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Received::Data { payload, .. } = stage.client.handle_input(stage.now, &bytes) {
            assert!(payload.end <= bytes.len());
        }
    }
}
