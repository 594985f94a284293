//! uclient over TCP and TLS: not one message may be lost.
//!
//! uclient takes each TLS record for one message. A relay that puts two into a record is right by
//! RFC 8656 section 3, and uclient sees loss all the same; Turnpike writes a record a message.

use turnpike_bench_rig::netns::{PEER_V4, PEER_V6};

use super::certificates::Authority;
use super::hosts;
use super::load::{
    CHANNELS, CHANNELS_V6, INDICATIONS, INDICATIONS_V6, Load, SHORTEST, Transport, run_all,
};
use super::relay::{Program, Relay, Setup};
use super::uclient::all_arrive;

use Transport::{Tcp, Tls};

#[test]
fn channels_lose_nothing_over_tcp() {
    lose_nothing(&[CHANNELS, CHANNELS_V6].map(over(Tcp)));
}

#[test]
fn channels_lose_nothing_over_tls() {
    lose_nothing(&[CHANNELS, CHANNELS_V6].map(over(Tls)));
}

#[test]
fn indications_lose_nothing_over_tcp() {
    lose_nothing(&[INDICATIONS, INDICATIONS_V6].map(over(Tcp)));
}

#[test]
fn indications_lose_nothing_over_tls() {
    lose_nothing(&[INDICATIONS, INDICATIONS_V6].map(over(Tls)));
}

#[test]
fn stream_clients_reach_peers_of_the_other_family() {
    let peer = PEER_V6;
    let to_v6 = [CHANNELS, INDICATIONS].map(|load| Load { peer, ..load });
    let peer = PEER_V4;
    let to_v4 = [CHANNELS_V6, INDICATIONS_V6].map(|load| Load { peer, ..load });
    lose_nothing(&[to_v6.map(over(Tcp)), to_v4.map(over(Tls))].concat());
}

#[test]
fn pairs_of_allocations_lose_nothing_over_streams() {
    let pairs = true;
    let loads = [CHANNELS, INDICATIONS_V6].map(|load| Load { pairs, ..load });
    lose_nothing(&[loads.map(over(Tcp)), loads.map(over(Tls))].concat());
}

/// ChannelData is padded on a stream: lengths of every remainder.
#[test]
fn messages_of_every_padding_lose_nothing_over_streams() {
    let lengths = [SHORTEST, 101, 102, 103, 1200].map(|length| Load { length, ..CHANNELS });
    let indications = Load {
        length: 103,
        ..INDICATIONS
    };
    lose_nothing(&lengths.map(over(Tcp)));
    lose_nothing(&[over(Tls)(indications), over(Tcp)(indications)]);
}

#[test]
fn clients_of_all_transports_at_once_lose_nothing() {
    let clients = 20;
    let many = [INDICATIONS, INDICATIONS_V6].map(|load| Load { clients, ..load });
    let udp = many.as_slice();
    lose_nothing(&[udp, &many.map(over(Tcp)), &many.map(over(Tls))].concat());
}

#[test]
fn stream_clients_reach_each_other_through_their_relayed_addresses() {
    let loads = [CHANNELS, INDICATIONS].map(|load| Load {
        between_clients: true,
        clients: 2,
        ..load
    });
    lose_nothing(&[loads.map(over(Tcp)), loads.map(over(Tls))].concat());
}

/// The measure of the rig: coturn's own server in the relay's place. Not over TLS: it joins messages
/// in a record when it is busy.
#[test]
fn the_rig_itself_loses_nothing_over_streams() {
    let hosts = hosts();
    let authority = Authority::new();
    let relay = Relay::run(&hosts, Program::Coturn, &with_streams(&authority));
    all_arrive(&hosts, &relay, &[CHANNELS, INDICATIONS_V6].map(over(Tcp)));
}

/// uclient says so when there is nobody: a success above is no accident of its own.
#[test]
fn a_silent_peer_is_seen_as_loss_over_streams() {
    let hosts = hosts();
    let authority = Authority::new();
    let _relay = Relay::start_with(&hosts, &with_streams(&authority));
    let loads = [over(Tcp)(INDICATIONS), over(Tls)(INDICATIONS)];
    for report in run_all(&hosts, &loads) {
        assert_eq!(report.received, 0, "{report:?}");
        assert_eq!(report.lost, INDICATIONS.messages, "{report:?}");
    }
}

fn over(transport: Transport) -> impl Fn(Load) -> Load {
    move |load| Load { transport, ..load }
}

/// Listeners of all transports.
fn with_streams(authority: &Authority) -> Setup {
    Setup {
        tls: Some(authority.files()),
        ..Setup::default()
    }
}

#[track_caller]
fn lose_nothing(loads: &[Load]) {
    let hosts = hosts();
    let authority = Authority::new();
    let relay = Relay::start_with(&hosts, &with_streams(&authority));
    all_arrive(&hosts, &relay, loads);
}
