//! How allocations begin and end between our client and our server.

use std::time::Duration;

use turnpike_stun::{AttributeType, IntegrityAlgorithm, Message};
use turnpike_turn::client::{Credential, Event, Failure, Families, Port};
use turnpike_turn::server::{self, Redirect};
use turnpike_types::{AddressFamily, ServerAddr, Transport};

use crate::meeting::{Meeting, client_config, server_addr};
use crate::relay::{address, relay_config};

fn with_server(change: impl FnOnce(&mut server::Config)) -> Meeting {
    let mut config = relay_config();
    change(&mut config);
    Meeting::new(config)
}

#[test]
fn sha256_and_userhash_are_agreed_on() {
    let meeting = Meeting::of_one(client_config(Transport::Udp));
    let [_, signed] = &meeting.participants[0].sent[..] else {
        panic!("one challenge, one answer");
    };
    let message = Message::parse(signed).unwrap();
    assert!(message.has_integrity(IntegrityAlgorithm::Sha256));
    assert!(!message.has_integrity(IntegrityAlgorithm::Sha1));
    assert!(message.raw(AttributeType::USERHASH).is_some());
    assert!(message.raw(AttributeType::USERNAME).is_none());
}

#[test]
fn wrong_password_is_told_from_a_lost_server() {
    let mut meeting = Meeting::new(relay_config());
    let mut config = client_config(Transport::Udp);
    config.credential = Some(Credential::new("alice", "looking-glass"));
    meeting.join(config);
    assert_eq!(
        meeting.event(0),
        Event::AllocationFailed(Failure::Unauthenticated)
    );
}

#[test]
fn anonymous_server_needs_no_credential() {
    let mut meeting = with_server(|config| config.anonymous = true);
    let mut config = client_config(Transport::Udp);
    config.credential = None;
    meeting.join(config);
    assert_eq!(meeting.event(0), Event::Allocated);
}

#[test]
fn reflexive_address_and_lifetime_are_the_servers() {
    let mut config = client_config(Transport::Udp);
    config.lifetime = Some(1_234);
    let meeting = Meeting::of_one(config);
    let participant = &meeting.participants[0];
    let allocation = participant.client.allocation().unwrap();
    assert_eq!(allocation.reflexive.0, participant.five_tuple.client.0);
    assert_eq!(allocation.lifetime, 1_234);
}

#[test]
fn even_port_is_even_and_its_reserved_neighbour_goes_to_the_token() {
    let mut config = client_config(Transport::Udp);
    config.port = Port::EvenWithNext;
    let mut meeting = Meeting::of_one(config);
    let even = meeting.relayed(0, AddressFamily::Ipv4);
    assert!(even.port().is_multiple_of(2));
    let token = meeting
        .client(0)
        .allocation()
        .unwrap()
        .reservation_token
        .unwrap();
    let mut config = client_config(Transport::Udp);
    config.port = Port::Reserved(token);
    meeting.join(config.clone());
    assert_eq!(meeting.event(1), Event::Allocated);
    let odd = meeting.relayed(1, AddressFamily::Ipv4);
    assert_eq!((odd.ip(), odd.port()), (even.ip(), even.port() + 1));
    meeting.join(config);
    assert_eq!(
        meeting.event(2),
        Event::AllocationFailed(Failure::Refused(508))
    );
}

#[test]
fn missing_family_of_a_dual_allocation_is_reported() {
    let mut meeting = with_server(|config| config.relay_addresses.truncate(1));
    let mut config = client_config(Transport::Udp);
    config.families = Families::Both;
    meeting.join(config);
    assert_eq!(meeting.event(0), Event::Allocated);
    let allocation = meeting.client(0).allocation().unwrap();
    assert_eq!(allocation.address_error, Some((AddressFamily::Ipv6, 440)));
}

#[test]
fn family_that_the_server_lacks_is_refused() {
    let mut meeting = with_server(|config| config.relay_addresses.truncate(1));
    let mut config = client_config(Transport::Udp);
    config.families = Families::Ipv6;
    meeting.join(config);
    assert_eq!(
        meeting.event(0),
        Event::AllocationFailed(Failure::Refused(440))
    );
}

#[test]
fn quota_is_told_by_its_code() {
    let mut meeting = with_server(|config| config.limits.allocations_per_user = 1);
    meeting.join(client_config(Transport::Udp));
    meeting.join(client_config(Transport::Udp));
    assert_eq!(meeting.event(0), Event::Allocated);
    assert_eq!(
        meeting.event(1),
        Event::AllocationFailed(Failure::Refused(486))
    );
}

#[test]
fn dont_fragment_is_left_out_where_the_server_cannot() {
    for can in [true, false] {
        let mut meeting = with_server(|config| config.dont_fragment = can);
        let mut config = client_config(Transport::Udp);
        config.dont_fragment = true;
        meeting.join(config);
        assert_eq!(meeting.event(0), Event::Allocated);
        assert_eq!(meeting.client(0).dont_fragment(), can);
    }
}

#[test]
fn redirect_leads_to_the_other_server() {
    let other = ServerAddr(address("192.0.2.2:3478"));
    let mut meeting = with_server(|config| {
        let domain = Some("other.example.org".into());
        config.redirect = Some(Redirect {
            ipv4: Some(other.0),
            ipv6: None,
            domain,
        });
    });
    meeting.join(client_config(Transport::Udp));
    let Event::Redirected(redirect) = meeting.event(0) else {
        panic!("not redirected");
    };
    assert_eq!(
        (redirect.server, redirect.domain.as_deref()),
        (other, Some("other.example.org"))
    );
    assert!(redirect.authenticated);

    let mut next = Meeting::new(relay_config());
    let mut participant = meeting.participants.remove(0);
    participant.five_tuple.server = redirect.server;
    participant.client.restart(next.now, redirect.server);
    next.participants.push(participant);
    next.settle();
    assert_eq!(next.event(0), Event::Allocated);
}

#[test]
fn five_tuple_in_use_takes_another_port() {
    let mut meeting = Meeting::of_one(client_config(Transport::Udp));
    let forgotten = meeting.participants.remove(0);
    // The same transport address, by another client that knows nothing of the first.
    meeting.join_from(
        forgotten.five_tuple.client.port(),
        client_config(Transport::Udp),
    );
    assert_eq!(meeting.event(0), Event::NewPortNeeded);
    meeting.participants[0].five_tuple.client.0.set_port(41_000);
    let now = meeting.now;
    meeting.client(0).restart(now, server_addr());
    meeting.settle();
    assert_eq!(meeting.event(0), Event::Allocated);
}

#[test]
fn close_frees_the_allocation_and_its_port() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut meeting = Meeting::new(relay_config());
        let free = meeting.relay.server.free_ports();
        meeting.join(client_config(transport));
        assert_eq!(meeting.event(0), Event::Allocated);
        assert_eq!(meeting.relay.server.free_ports(), free - 1);
        let now = meeting.now;
        meeting.client(0).close(now);
        meeting.settle();
        assert_eq!(meeting.event(0), Event::Closed);
        assert_eq!(meeting.relay.server.allocations(), 0);
        assert_eq!(meeting.relay.server.free_ports(), free);
    }
}

#[test]
fn allocation_ended_by_the_operator_is_noticed_at_the_next_refresh() {
    let mut meeting = Meeting::of_one(client_config(Transport::Udp));
    let id = meeting
        .relay
        .server
        .allocation(&meeting.participants[0].five_tuple)
        .unwrap();
    meeting.relay.server.end_allocation(meeting.now, id);
    meeting.relay.drain(meeting.now);
    meeting.pass(Duration::from_secs(540));
    assert_eq!(
        meeting.event(0),
        Event::AllocationLost(Failure::Refused(437))
    );
}
