//! Data through the relay, and what keeps it flowing or stops it.

use std::time::Duration;

use turnpike_turn::attribute::Icmp;
use turnpike_turn::client::{Event, Failure, Families};
use turnpike_turn::server::IcmpError;
use turnpike_types::{AddressFamily, PeerAddr, RelayedAddr, ServerAddr, Transport};

use crate::meeting::{Meeting, PEER, PEER_IPV6, client_config, peer};
use crate::relay::address;

const TRANSPORTS: [Transport; 4] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Dtls,
];

#[test]
fn data_passes_in_indications_over_every_transport() {
    for transport in TRANSPORTS {
        let mut meeting = Meeting::of_one(client_config(transport));
        meeting.create_permission(0, peer(PEER));
        meeting.assert_relays(0, peer(PEER));
    }
}

#[test]
fn data_passes_in_channel_data_over_every_transport() {
    for transport in TRANSPORTS {
        let mut meeting = Meeting::of_one(client_config(transport));
        meeting.bind_channel(0, peer(PEER));
        meeting.assert_relays(0, peer(PEER));
    }
}

#[test]
fn ipv6_client_reaches_an_ipv6_peer() {
    let mut config = client_config(Transport::Udp);
    config.server = ServerAddr(address("[2001:db8::53]:3478"));
    config.families = Families::Ipv6;
    let mut meeting = Meeting::of_one(config);
    meeting.create_permission(0, peer(PEER_IPV6));
    meeting.assert_relays(0, peer(PEER_IPV6));
    meeting.bind_channel(0, peer(PEER_IPV6));
    meeting.assert_relays(0, peer(PEER_IPV6));
}

#[test]
fn ipv6_client_reaches_an_ipv4_peer() {
    let mut config = client_config(Transport::Udp);
    config.server = ServerAddr(address("[2001:db8::53]:3478"));
    let mut meeting = Meeting::of_one(config);
    meeting.bind_channel(0, peer(PEER));
    meeting.assert_relays(0, peer(PEER));
}

#[test]
fn dual_allocation_reaches_peers_of_both_families() {
    for transport in TRANSPORTS {
        let mut config = client_config(transport);
        config.families = Families::Both;
        let mut meeting = Meeting::of_one(config);
        for to in [peer(PEER), peer(PEER_IPV6)] {
            meeting.create_permission(0, to);
            meeting.assert_relays(0, to);
            meeting.bind_channel(0, to);
            meeting.assert_relays(0, to);
        }
    }
}

#[test]
fn two_clients_of_one_relay_reach_each_other() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut meeting = Meeting::of_one(client_config(transport));
        meeting.join(client_config(Transport::Udp));
        assert_eq!(meeting.event(1), Event::Allocated);
        let as_peer = |relayed: RelayedAddr| PeerAddr(relayed.0);
        let first = as_peer(meeting.relayed(0, AddressFamily::Ipv4));
        let second = as_peer(meeting.relayed(1, AddressFamily::Ipv4));
        meeting.create_permission(0, second);
        meeting.bind_channel(1, first);
        meeting.send(0, second, b"to the second");
        let received = meeting.participants[1].data.pop_front();
        assert_eq!(received, Some((first, b"to the second".to_vec())));
        meeting.send(1, first, b"to the first");
        let received = meeting.participants[0].data.pop_front();
        assert_eq!(received, Some((second, b"to the first".to_vec())));
    }
}

#[test]
fn refreshes_keep_everything_alive_for_hours() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut config = client_config(transport);
        config.families = Families::Both;
        let mut meeting = Meeting::of_one(config);
        meeting.create_permission(0, peer(PEER));
        meeting.bind_channel(0, peer(PEER));
        meeting.bind_channel(0, peer(PEER_IPV6));
        meeting.pass(Duration::from_secs(3 * 3_600));
        let events = &meeting.participants[0].events;
        assert!(
            events.iter().all(|event| *event == Event::Refreshed),
            "{events:?}"
        );
        assert!(events.len() >= 18);
        meeting.assert_relays(0, peer(PEER));
        meeting.assert_relays(0, peer(PEER_IPV6));
    }
}

#[test]
fn released_permission_lapses_on_the_server_after_five_minutes() {
    let mut meeting = Meeting::of_one(client_config(Transport::Udp));
    meeting.create_permission(0, peer(PEER));
    let relayed = meeting.relayed(0, AddressFamily::Ipv4);
    let now = meeting.now;
    meeting.client(0).release_permission(now, &peer(PEER).ip());
    meeting.pass(Duration::from_millis(299_999));
    meeting.send_from_peer(peer(PEER), relayed, b"in time");
    assert_eq!(meeting.participants[0].data.len(), 1);
    meeting.pass(Duration::from_millis(1));
    meeting
        .relay
        .handle_peer(meeting.now, relayed, peer(PEER), b"late");
    assert!(meeting.relay.to_clients.is_empty());
}

#[test]
fn icmp_error_of_a_peer_reaches_the_client() {
    let mut meeting = Meeting::of_one(client_config(Transport::Udp));
    meeting.create_permission(0, peer(PEER));
    let relayed = meeting.relayed(0, AddressFamily::Ipv4);
    let (kind, code, data) = (3, 4, [0, 0, 5, 0]);
    let error = IcmpError {
        relayed,
        peer: peer(PEER),
        kind,
        code,
        data,
    };
    meeting.relay.server.handle_icmp(meeting.now, error);
    meeting.relay.drain(meeting.now);
    meeting.settle();
    let icmp = Icmp { kind, code, data };
    assert_eq!(
        meeting.event(0),
        Event::Icmp {
            peer: peer(PEER),
            icmp
        }
    );
}

#[test]
fn forbidden_peer_among_others_is_named_alone() {
    let mut meeting = Meeting::of_one(client_config(Transport::Udp));
    let forbidden = "127.0.0.1".parse().unwrap();
    let now = meeting.now;
    meeting
        .client(0)
        .create_permission(now, &[peer(PEER).ip(), forbidden])
        .unwrap();
    meeting.settle();
    let failure = Failure::Refused(403);
    let refused = Event::PermissionFailed {
        peer: forbidden,
        failure,
    };
    let created = Event::PermissionCreated(peer(PEER).ip());
    let events = [meeting.event(0), meeting.event(0)];
    assert!(
        events.contains(&refused) && events.contains(&created),
        "{events:?}"
    );
    meeting.assert_relays(0, peer(PEER));
}

#[test]
fn one_family_closed_leaves_the_other() {
    let mut config = client_config(Transport::Udp);
    config.families = Families::Both;
    let mut meeting = Meeting::of_one(config);
    meeting.bind_channel(0, peer(PEER));
    meeting.create_permission(0, peer(PEER_IPV6));
    let now = meeting.now;
    meeting
        .client(0)
        .close_family(now, AddressFamily::Ipv4)
        .unwrap();
    meeting.settle();
    let allocation = *meeting.client(0).allocation().unwrap();
    assert_eq!((allocation.ipv4, allocation.ipv6.is_some()), (None, true));
    meeting.assert_relays(0, peer(PEER_IPV6));
    meeting.pass(Duration::from_secs(1_000));
    meeting.assert_relays(0, peer(PEER_IPV6));
}
