use turnpike_datachannel::{
    Channel, ChannelId, Event, Kind, Limits, OpenError, Reliability, SendError, priority,
};

use crate::support::{pair, pair_with, unconnected_with, whole};

fn special() -> Channel {
    Channel {
        label: "dåta".into(),
        protocol: "v2".into(),
        is_unordered: true,
        reliability: Reliability::Retransmissions(2),
        priority: priority::HIGH,
    }
}

#[test]
fn channel_opened_by_dcep_is_the_same_at_both_ends() {
    let mut net = pair();
    let id = net.a.open(net.now, special()).unwrap();
    net.run();
    assert_eq!(net.a_events, [Event::Opened(id)]);
    assert_eq!(net.b_events, [Event::OpenedByPeer(id)]);
    assert_eq!(net.a.channel(id), Some(&special()));
    assert_eq!(net.b.channel(id), Some(&special()));
    assert_eq!(net.b.channels().count(), 1);
}

#[test]
fn dtls_client_takes_even_ids_and_server_odd_ones() {
    let mut net = pair();
    for expected in [0, 2, 4] {
        let id = net.a.open(net.now, Channel::named("a")).unwrap();
        assert_eq!(id, ChannelId(expected));
        let id = net.b.open(net.now, Channel::named("b")).unwrap();
        assert_eq!(id, ChannelId(expected + 1));
    }
    net.run();
    assert_eq!(net.a.channel_count(), 6);
    assert_eq!(net.b.channel_count(), 6);
}

#[test]
fn channel_may_be_opened_and_used_before_the_association_is_up() {
    let mut net = unconnected_with(|_| {});
    net.a.connect(net.now);
    let id = net.a.open(net.now, Channel::named("early")).unwrap();
    net.a.send(net.now, id, "bird").unwrap();
    net.run();
    assert_eq!(net.b_messages, [whole(id, Kind::Text, b"bird")]);
}

#[test]
fn without_an_association_no_channel_opens() {
    let mut net = unconnected_with(|_| {});
    let error = net.a.open(net.now, Channel::named("")).unwrap_err();
    assert_eq!(
        error,
        OpenError::Association(turnpike_sctp::SendError::NotConnected)
    );
    assert_eq!(net.a.channel_count(), 0);
}

#[test]
fn negotiated_channel_does_not_open_on_an_association_that_has_ended() {
    let mut net = pair();
    net.a.abort(net.now, b"over");
    net.run();
    let refused = net
        .a
        .open_negotiated(net.now, ChannelId(1), Channel::named(""));
    assert_eq!(
        refused.unwrap_err(),
        OpenError::Association(turnpike_sctp::SendError::NotConnected)
    );
    assert_eq!(net.a.channel_count(), 0);
}

#[test]
fn negotiated_channel_needs_no_message() {
    let mut net = pair();
    let id = ChannelId(17);
    net.a.open_negotiated(net.now, id, special()).unwrap();
    net.b.open_negotiated(net.now, id, special()).unwrap();
    let sent = net.sent;
    net.run();
    assert_eq!(net.sent, sent);
    net.a.send(net.now, id, vec![1, 2, 3]).unwrap();
    net.b.send(net.now, id, "back").unwrap();
    net.run();
    assert_eq!(net.b_messages, [whole(id, Kind::Binary, &[1, 2, 3])]);
    assert_eq!(net.a_messages, [whole(id, Kind::Text, b"back")]);
}

#[test]
fn id_in_use_or_65_535_cannot_be_negotiated() {
    let mut net = pair();
    let taken = net.open(Channel::named(""));
    for id in [taken, ChannelId(u16::MAX)] {
        let error = net.a.open_negotiated(net.now, id, Channel::named(""));
        assert_eq!(error, Err(OpenError::IdUnavailable), "{id:?}");
    }
}

#[test]
fn names_and_numbers_of_channels_have_their_limits() {
    let limits = Limits {
        channels_max: 2,
        names_bytes_max: 70_000,
    };
    let mut net = pair_with(|config| config.limits = limits);
    let named = |len: usize| Channel::named(&"x".repeat(len));
    let mut open = |len| net.a.open(net.now, named(len));
    assert_eq!(open(65_536), Err(OpenError::NameTooLong));
    assert!(open(65_535).is_ok());
    assert_eq!(open(10_000), Err(OpenError::TooManyChannels));
    assert!(open(4_000).is_ok());
    assert_eq!(open(0), Err(OpenError::TooManyChannels));
    net.run();
    assert_eq!(net.b.channel_count(), 2);
}

#[test]
fn ids_beyond_what_the_peer_takes_are_not_used() {
    let mut net = pair_with(|config| config.association.streams_max = 3);
    assert_eq!(net.a.open(net.now, Channel::named("")), Ok(ChannelId(0)));
    assert_eq!(net.a.open(net.now, Channel::named("")), Ok(ChannelId(2)));
    let error = net.a.open(net.now, Channel::named(""));
    assert_eq!(error, Err(OpenError::NoFreeId));
    let error = net
        .a
        .open_negotiated(net.now, ChannelId(3), Channel::named(""));
    assert_eq!(error, Err(OpenError::IdUnavailable));
}

#[test]
fn early_channels_beyond_what_the_peer_takes_are_closed_when_that_is_known() {
    let mut net = unconnected_with(|config| {
        config.association.streams_max = match config.role {
            turnpike_datachannel::DtlsRole::Client => 100,
            turnpike_datachannel::DtlsRole::Server => 3,
        };
    });
    net.a.connect(net.now);
    for _ in 0..3 {
        net.a.open(net.now, Channel::named("early")).unwrap();
    }
    net.run();
    assert!(net.a_events.contains(&Event::Closed(ChannelId(4))));
    assert_eq!(net.a.channel_count(), 2);
    let error = net.a.send(net.now, ChannelId(4), "x");
    assert_eq!(error, Err(SendError::NoChannel(ChannelId(4))));
}
