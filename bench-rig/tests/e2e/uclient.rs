//! coturn's load client through the relay to coturn's echoing peer, in each lane: not one message may be
//! lost.

use turnpike_bench_rig::netns::{Hosts, PEER_V4, PEER_V6, Process};

use super::hosts;
use super::lane::{Lane, in_each_lane};
use super::load::{
    CHANNELS, CHANNELS_V6, INDICATIONS, INDICATIONS_V6, Load, MESSAGES, Report, SHORTEST, run_all,
};
use super::relay::{Relay, Setup};

in_each_lane! {
    channels_lose_nothing_over_ipv4,
    channels_lose_nothing_over_ipv6,
    indications_lose_nothing_over_ipv4,
    indications_lose_nothing_over_ipv6,
    an_ipv4_client_reaches_an_ipv6_peer,
    an_ipv6_client_reaches_an_ipv4_peer,
    pairs_of_allocations_lose_nothing,
    many_clients_at_once_lose_nothing,
    short_and_long_messages_lose_nothing,
    clients_reach_each_other_through_their_relayed_addresses,
}

fn channels_lose_nothing_over_ipv4(lane: Lane) {
    lose_nothing(lane, &[CHANNELS]);
}

fn channels_lose_nothing_over_ipv6(lane: Lane) {
    lose_nothing(lane, &[CHANNELS_V6]);
}

fn indications_lose_nothing_over_ipv4(lane: Lane) {
    lose_nothing(lane, &[INDICATIONS]);
}

fn indications_lose_nothing_over_ipv6(lane: Lane) {
    lose_nothing(lane, &[INDICATIONS_V6]);
}

fn an_ipv4_client_reaches_an_ipv6_peer(lane: Lane) {
    let peer = PEER_V6;
    lose_nothing(
        lane,
        &[CHANNELS, INDICATIONS].map(|load| Load { peer, ..load }),
    );
}

fn an_ipv6_client_reaches_an_ipv4_peer(lane: Lane) {
    let peer = PEER_V4;
    lose_nothing(
        lane,
        &[CHANNELS_V6, INDICATIONS_V6].map(|load| Load { peer, ..load }),
    );
}

fn pairs_of_allocations_lose_nothing(lane: Lane) {
    let pairs = true;
    lose_nothing(
        lane,
        &[CHANNELS, INDICATIONS_V6].map(|load| Load { pairs, ..load }),
    );
}

fn many_clients_at_once_lose_nothing(lane: Lane) {
    let indications = [INDICATIONS, INDICATIONS_V6].map(|load| Load {
        clients: 20,
        ..load
    });
    lose_nothing(
        lane,
        &[[CHANNELS; 8].as_slice(), &[CHANNELS_V6; 8], &indications].concat(),
    );
}

fn short_and_long_messages_lose_nothing(lane: Lane) {
    let channels = [SHORTEST, 101, 102, 103, 1200].map(|length| Load { length, ..CHANNELS });
    let indications = [SHORTEST, 103, 1200].map(|length| Load {
        length,
        ..INDICATIONS
    });
    lose_nothing(lane, &[channels.as_slice(), &indications].concat());
}

fn clients_reach_each_other_through_their_relayed_addresses(lane: Lane) {
    lose_nothing(
        lane,
        &[CHANNELS, CHANNELS_V6, INDICATIONS].map(|load| Load {
            between_clients: true,
            clients: 2,
            ..load
        }),
    );
}

/// The measure of the rig: coturn's own server in the relay's place.
#[test]
fn the_rig_itself_loses_nothing() {
    let hosts = hosts();
    let relay = Relay::start_coturn(&hosts);
    all_arrive(&hosts, &relay, &[CHANNELS, INDICATIONS_V6]);
}

#[test]
fn a_peer_that_does_not_answer_is_seen_as_loss() {
    let hosts = hosts();
    let _relay = Relay::start(&hosts);
    let report = CHANNELS.run(&hosts);
    assert_eq!(report.received, 0, "{report:?}");
    assert_eq!(report.lost, MESSAGES, "{report:?}");
}

#[track_caller]
fn lose_nothing(lane: Lane, loads: &[Load]) {
    let ground = lane.start(Setup::default());
    all_arrive(&ground.hosts, &ground.relay, loads);
    ground.took_its_lane();
}

#[track_caller]
pub(super) fn all_arrive(hosts: &Hosts, relay: &Relay, loads: &[Load]) {
    let _peer = echo(hosts);
    let whole: Vec<Report> = loads.iter().map(|load| load.whole()).collect();
    let reports = run_all(hosts, loads);
    assert_eq!(reports, whole, "{}", relay.process.output());
}

/// coturn's peer, which sends back what it receives.
pub(super) fn echo(hosts: &Hosts) -> Process {
    let [v4, v6] = [PEER_V4, PEER_V6].map(|ip| ip.to_string());
    hosts
        .peer
        .spawn("turnutils_peer", ["-L", &v4, "-L", &v6])
        .unwrap()
}
