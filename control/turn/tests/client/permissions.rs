//! RFC 8656 sections 9 and 10.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnpike_stun::{Attribute, AttributeType, Message, Method};
use turnpike_turn::attribute::XorPeerAddress;
use turnpike_turn::client::{Event, Failure, PEERS_PER_REQUEST_MAX, RequestError, SendError};

use crate::support_client::{Stage, config, peer, refreshed, refused, success};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 50));

fn peers_of(request: &[u8]) -> Vec<IpAddr> {
    let message = Message::parse(request).unwrap();
    message
        .attributes()
        .filter(|attribute| attribute.kind == AttributeType::XOR_PEER_ADDRESS)
        .map(|attribute| {
            let decoded = XorPeerAddress::decode(attribute.value, &message.transaction_id());
            SocketAddr::ip(&decoded.unwrap().0)
        })
        .collect()
}

fn some_peers(count: u8) -> Vec<IpAddr> {
    (1..=count)
        .map(|last| IpAddr::from([192, 0, 2, last]))
        .collect()
}

#[test]
fn several_peers_share_one_request() {
    let mut stage = Stage::allocated();
    let peers = some_peers(5);
    stage.client.create_permission(stage.now, &peers).unwrap();
    stage.drain();
    let request = stage.request(Method::CREATE_PERMISSION);
    assert_eq!(peers_of(&request), peers);
    assert!(stage.sent.is_empty());
    stage.answer(&success(&request));
    for peer in peers {
        assert_eq!(stage.event(), Event::PermissionCreated(peer));
    }
}

#[test]
fn more_peers_than_fit_are_spread_over_requests() {
    let mut stage = Stage::allocated();
    let peers = some_peers(40);
    stage.client.create_permission(stage.now, &peers).unwrap();
    stage.drain();
    let mut asked = Vec::new();
    for request in &stage.sent {
        let some = peers_of(request);
        assert!(some.len() <= PEERS_PER_REQUEST_MAX);
        asked.extend(some);
    }
    assert_eq!(asked, peers);
}

#[test]
fn permission_is_refreshed_after_four_minutes() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    assert_eq!(stage.due_in_ms(), 240_000);
    for _ in 0..2 {
        stage.pass(Duration::from_millis(239_999));
        stage.assert_silent();
        stage.pass(Duration::from_millis(1));
        let request = stage.request(Method::CREATE_PERMISSION);
        assert_eq!(peers_of(&request), [PEER]);
        stage.answer(&success(&request));
        stage.assert_silent();
    }
}

#[test]
fn permissions_due_together_are_refreshed_together() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    stage.pass_secs(5);
    stage
        .client
        .create_permission(stage.now, &some_peers(2))
        .unwrap();
    stage.drain();
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&success(&request));
    stage.events.clear();
    stage.pass_secs(235);
    let request = stage.request(Method::CREATE_PERMISSION);
    assert_eq!(peers_of(&request).len(), 3);
    stage.answer(&success(&request));
    stage.pass_secs(230);
    stage.assert_silent();
}

#[test]
fn refusal_of_several_is_no_verdict_on_each() {
    let mut stage = Stage::allocated();
    let peers = some_peers(3);
    stage.client.create_permission(stage.now, &peers).unwrap();
    stage.drain();
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&refused(&request, 403));
    for peer in peers {
        let request = stage.request(Method::CREATE_PERMISSION);
        assert_eq!(peers_of(&request), [peer]);
        if peer == IpAddr::from([192, 0, 2, 2]) {
            stage.answer(&refused(&request, 403));
            let failure = Failure::Refused(403);
            assert_eq!(stage.event(), Event::PermissionFailed { peer, failure });
        } else {
            stage.answer(&success(&request));
            assert_eq!(stage.event(), Event::PermissionCreated(peer));
        }
    }
    stage.assert_silent();
}

#[test]
fn permission_that_nobody_grants_is_given_up() {
    let mut stage = Stage::allocated();
    stage.client.create_permission(stage.now, &[PEER]).unwrap();
    stage.drain();
    stage.pass_secs(40);
    let failure = Failure::TimedOut;
    assert_eq!(
        stage.event(),
        Event::PermissionFailed {
            peer: PEER,
            failure
        }
    );
    assert_eq!(stage.sent.len(), 7);
    stage.sent.clear();
    stage.pass_secs(240);
    stage.assert_silent();
}

#[test]
fn permission_that_cannot_be_refreshed_lapses_after_five_minutes() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    let mut buf = [0; 128];
    stage.pass(Duration::from_millis(299_999));
    assert!(
        stage
            .client
            .send(peer("192.0.2.50:9"), b"x", &mut buf)
            .is_ok()
    );
    stage.pass(Duration::from_millis(1));
    let sent = stage.client.send(peer("192.0.2.50:9"), b"x", &mut buf);
    assert_eq!(sent, Err(SendError::NoPermission));
    stage.pass_secs(60);
    let failure = Failure::TimedOut;
    assert_eq!(
        stage.event(),
        Event::PermissionFailed {
            peer: PEER,
            failure
        }
    );
}

#[test]
fn released_permission_is_no_longer_refreshed() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    stage.client.release_permission(stage.now, &PEER);
    stage.pass_secs(300);
    stage.assert_silent();
    let mut buf = [0; 128];
    let sent = stage.client.send(peer("192.0.2.50:9"), b"x", &mut buf);
    assert_eq!(sent, Err(SendError::NoPermission));
}

#[test]
fn permission_asked_for_again_is_confirmed_again() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    stage.pass_secs(100);
    stage.client.create_permission(stage.now, &[PEER]).unwrap();
    stage.drain();
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&success(&request));
    assert_eq!(stage.event(), Event::PermissionCreated(PEER));
    assert_eq!(stage.due_in_ms(), 240_000);
}

#[test]
fn peer_of_another_family_is_refused_at_once() {
    let mut stage = Stage::allocated();
    let refused = stage
        .client
        .create_permission(stage.now, &["2001:db8::1".parse().unwrap()]);
    assert_eq!(refused, Err(RequestError::WrongFamily));
}

#[test]
fn permissions_are_bounded() {
    let mut config = config();
    config.limits.permissions = 3;
    let mut stage = Stage::allocated_with(config);
    stage
        .client
        .create_permission(stage.now, &some_peers(3))
        .unwrap();
    assert_eq!(
        stage.client.create_permission(stage.now, &[PEER]),
        Err(RequestError::TableFull)
    );
    assert_eq!(
        stage.client.create_permission(stage.now, &some_peers(2)),
        Ok(())
    );
}

#[test]
fn permissions_outlive_an_allocation_refresh() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    for _ in 0..10 {
        stage.pass_secs(60);
        while let Some(request) = stage.sent.pop_front() {
            let method = Message::parse(&request).unwrap().method();
            let answer = if method == Method::REFRESH {
                refreshed(&request, 600)
            } else {
                success(&request)
            };
            stage.answer(&answer);
        }
    }
    assert!(stage.events.iter().all(|event| *event == Event::Refreshed));
    let mut buf = [0; 128];
    assert!(
        stage
            .client
            .send(peer("192.0.2.50:9"), b"x", &mut buf)
            .is_ok()
    );
}
