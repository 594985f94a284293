//! What the relay counts agrees with what its clients and their peers sent, whichever lane it took.

use super::SAID_WITHIN;
use crate::certificates::Authority;
use crate::lane::Lane;
use crate::load::{CHANNELS, INDICATIONS, Load, Transport};
use crate::metrics::{DIRECTIONS, Metrics, RELAYED_BYTES, RELAYED_PACKETS};
use crate::relay::{Setup, USER};
use crate::uclient::all_arrive;

/// Clients over UDP are relayed in the kernel, the one over TCP through sockets.
#[test]
fn both_lanes_together_count_what_was_sent() {
    let authority = Authority::new();
    let ground = Lane::Kernel.start(Setup {
        tls: Some(authority.files()),
        shell: Some("export TURNPIKE_LOG=debug; exec \"$@\"".to_owned()),
        sections: "[log]\nclients = true\n".to_owned(),
        ..Setup::default()
    });
    let over_tcp = Load {
        transport: Transport::Tcp,
        length: 100,
        ..CHANNELS
    };
    let loads = [CHANNELS, INDICATIONS, over_tcp];
    let counts = |metrics: &Metrics| {
        DIRECTIONS.map(|direction| {
            [RELAYED_PACKETS, RELAYED_BYTES].map(|name| metrics.sum(name, &[direction]))
        })
    };
    // The relay's proof of itself is counted too, and published within a second.
    let proven = |it: &Metrics| {
        let ended = it.sum("turnpike_allocations_created_total", &[]);
        ended > 0 && it.sum("turnpike_allocations", &[]) == 0
    };
    let before = counts(&Metrics::when(&ground.hosts, "proven", proven));
    all_arrive(&ground.hosts, &ground.relay, &loads);
    let packets: u64 = loads.iter().map(|load| load.messages).sum();
    let bytes: u64 = loads
        .iter()
        .map(|load| load.messages * u64::from(load.length))
        .sum();
    let wanted = before.map(|[p, b]| [p + packets, b + bytes]);
    Metrics::when(&ground.hosts, "all counted", |it| counts(it) == wanted);
    each_allocation_is_told_its_own(&ground.relay.process, &loads);
}

/// The log's word on each allocation's end says whose it was and what it relayed, in both lanes.
#[track_caller]
fn each_allocation_is_told_its_own(relay: &turnpike_bench_rig::netns::Process, loads: &[Load]) {
    let user = format!("user=\"{USER}\"");
    let ends = || {
        let said = relay.output();
        let ends = said
            .lines()
            .filter(|line| line.contains("allocation ended") && line.contains(&user));
        ends.map(str::to_owned).collect::<Vec<_>>()
    };
    let is_end = |line: &str| line.contains("allocation ended") && line.contains(&user);
    relay
        .wait_for_line("an end", SAID_WITHIN, is_end)
        .unwrap_or_else(|error| panic!("{error}"));
    for load in loads {
        let [packets, bytes] = [load.messages, load.messages * u64::from(load.length)];
        let told = format!(
            "to_peer_packets={packets} to_peer_bytes={bytes} to_client_packets={packets} \
             to_client_bytes={bytes}"
        );
        assert!(
            ends().iter().any(|line| line.contains(&told)),
            "{told}: {:?}",
            ends()
        );
    }
}
