use bytes::Bytes;
use turnpike_datachannel::{Channel, ChannelId, Event, Kind, Payload, SendError};
use turnpike_sctp::MessageId;

use crate::support::{against_bare, pair, pair_with, whole};

#[test]
fn text_binary_and_empty_messages_arrive_as_what_they_are() {
    let mut net = pair();
    let id = net.open(Channel::named(""));
    let cases: [(Payload, Kind, &[u8]); 4] = [
        ("héllo".into(), Kind::Text, "héllo".as_bytes()),
        (vec![0, 1, 255].into(), Kind::Binary, &[0, 1, 255]),
        ("".into(), Kind::Text, &[]),
        (Bytes::new().into(), Kind::Binary, &[]),
    ];
    for (payload, kind, bytes) in cases {
        net.a.send(net.now, id, payload.clone()).unwrap();
        net.run();
        assert_eq!(net.b_messages, [whole(id, kind, bytes)], "{payload:?}");
        net.b_messages.clear();
    }
}

#[test]
fn messages_go_out_under_the_ppids_of_rfc_8831() {
    let mut net = against_bare(|_| {});
    let id = net.open(Channel::named(""));
    let (text, empty_text) = (Payload::from("x"), Payload::from(""));
    let (binary, empty) = (Payload::from(vec![1]), Payload::from(Vec::new()));
    for payload in [text, binary, empty_text, empty] {
        net.a.send(net.now, id, payload).unwrap();
    }
    net.run();
    let ppids: Vec<u32> = net.b_messages.iter().map(|it| it.ppid.0).collect();
    assert_eq!(ppids, [50, 51, 53, 56, 57]);
    assert!(net.b_messages.iter().all(|it| !it.payload.is_empty()));
}

#[test]
fn old_style_parts_of_other_ppids_are_one_message() {
    let mut net = against_bare(|_| {});
    let id = net.open(Channel::named(""));
    for (part, last, kind) in [(52, 53, Kind::Binary), (54, 51, Kind::Text)] {
        for (ppid, bytes) in [(part, b"ab"), (part, b"cd"), (last, b"ef")] {
            net.say(id.0, ppid, bytes);
        }
        net.say(id.0, last, b"gh");
        net.run();
        let got: Vec<_> = net
            .a_messages
            .drain(..)
            .map(|it| (it.kind, it.is_begin, it.is_end, it.payload))
            .collect();
        let part = |is_begin, is_end, bytes: &'static [u8]| {
            (kind, is_begin, is_end, Bytes::from_static(bytes))
        };
        let parts = [
            part(true, false, b"ab"),
            part(false, false, b"cd"),
            part(false, true, b"ef"),
            part(true, true, b"gh"),
        ];
        assert_eq!(got, parts);
    }
}

#[test]
fn message_of_the_peers_maximum_passes_and_one_byte_more_is_refused() {
    let mut net = pair_with(|config| {
        config.message_size_max = 100_000;
        config.peer_message_size_max = 100_000;
    });
    let id = net.open(Channel::named(""));
    let error = net.a.send(net.now, id, vec![7; 100_001]);
    let too_large = SendError::MessageTooLarge {
        bytes: 100_001,
        max: 100_000,
    };
    assert_eq!(error, Err(too_large));
    net.a.send(net.now, id, vec![7; 100_000]).unwrap();
    net.run();
    assert_eq!(net.b_messages, [whole(id, Kind::Binary, &[7; 100_000])]);
}

#[test]
fn large_message_comes_in_parts_that_the_receiver_need_not_hold() {
    let mut net = pair_with(|config| {
        config.association.partial_delivery_bytes = 50_000;
        config.association.receive_buffer_bytes = 150_000;
        config.association.message_size_max = 2_000_000;
        config.association.send_buffer_bytes = 4_000_000;
        config.message_size_max = 2_000_000;
        config.peer_message_size_max = 0;
    });
    let id = net.open(Channel::named(""));
    let bytes: Vec<u8> = (0..1_500_000_u32).map(|it| it.to_le_bytes()[1]).collect();
    net.a.send(net.now, id, bytes.clone()).unwrap();
    net.run_for(std::time::Duration::from_secs(20));
    let parts = std::mem::take(&mut net.b_messages);
    assert!(parts.len() >= 10, "{} parts", parts.len());
    assert!(parts[0].is_begin && parts[parts.len() - 1].is_end);
    assert_eq!(parts.iter().filter(|it| it.is_begin).count(), 1);
    assert_eq!(parts.iter().filter(|it| it.is_end).count(), 1);
    let got: Vec<u8> = parts.iter().flat_map(|it| it.payload.to_vec()).collect();
    assert!(got == bytes);
}

#[test]
fn buffered_amount_rises_with_send_and_falls_to_its_event() {
    let mut net = pair_with(|config| config.association.send_buffer_bytes = 2_000_000);
    let id = net.open(Channel::named(""));
    net.a.set_buffered_amount_low_threshold(id, 50_000);
    for _ in 0..20 {
        net.a.send(net.now, id, vec![0; 20_000]).unwrap();
    }
    assert_eq!(net.a.buffered_amount(id), 400_000);
    assert_eq!(net.a.buffered_amount(ChannelId(4)), 0);
    net.run();
    assert_eq!(net.a.buffered_amount(id), 0);
    assert_eq!(net.a_events, [Event::BufferedAmountLow(id)]);
    assert_eq!(net.b_messages.len(), 20);
}

#[test]
fn life_of_a_message_is_told() {
    let mut net = pair();
    let id = net.open(Channel::named(""));
    net.a.send_tracked(net.now, id, "x", MessageId(7)).unwrap();
    net.run();
    let told = [
        Event::Association(turnpike_sctp::Event::MessageSent(MessageId(7))),
        Event::BufferedAmountLow(id),
        Event::Association(turnpike_sctp::Event::MessageAcknowledged(MessageId(7))),
    ];
    assert_eq!(net.a_events, told);
}

#[test]
fn reader_who_does_not_read_stops_the_sender_and_loses_nothing() {
    let mut net = pair_with(|config| {
        config.association.receive_buffer_bytes = 50_000;
        config.association.send_buffer_bytes = 100_000;
    });
    let id = net.open(Channel::named(""));
    net.is_idle = true;
    let mut sent = 0;
    for _ in 0..200 {
        while net.a.send(net.now, id, vec![3; 1_000]).is_ok() {
            sent += 1;
        }
        net.run_for(std::time::Duration::from_millis(50));
    }
    assert!((100..300).contains(&sent), "{sent}");
    net.is_idle = false;
    net.run_for(std::time::Duration::from_secs(10));
    assert_eq!(net.b_messages.len(), sent);
}

#[test]
fn sending_on_no_channel_is_refused() {
    let mut net = pair();
    let error = net.a.send(net.now, ChannelId(3), "x");
    assert_eq!(error, Err(SendError::NoChannel(ChannelId(3))));
}
