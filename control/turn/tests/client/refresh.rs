//! RFC 8656 section 8.

use std::time::Duration;

use turnpike_stun::{AttributeType, Class, Message, Method};
use turnpike_turn::attribute::{Lifetime, RequestedAddressFamily, XorRelayedAddress};
use turnpike_turn::client::{Event, Failure, Families, RequestError};
use turnpike_types::{AddressFamily, DeadlineReason};

use crate::support_client::{
    REFLEXIVE, Stage, address, allocated, config, granted, peer, refreshed, refused, signed,
    success,
};

#[test]
fn allocation_is_refreshed_a_minute_before_it_expires() {
    let mut stage = Stage::allocated();
    let due = stage.client.poll_timeout().unwrap();
    assert_eq!(
        (due.reason, stage.due_in_ms()),
        (DeadlineReason::Refresh, 540_000)
    );
    stage.pass(Duration::from_millis(539_999));
    stage.assert_silent();
    stage.pass(Duration::from_millis(1));
    let request = stage.request(Method::REFRESH);
    assert_eq!(
        Message::parse(&request)
            .unwrap()
            .raw(AttributeType::LIFETIME),
        None
    );
    stage.answer(&refreshed(&request, 1_800));
    assert_eq!(stage.event(), Event::Refreshed);
    assert_eq!(stage.client.allocation().unwrap().lifetime, 1_800);
    assert_eq!(stage.due_in_ms(), 1_740_000);
}

#[test]
fn short_lifetime_is_refreshed_half_way() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        builder
            .attribute(&XorRelayedAddress(address("198.51.100.1:50000")))
            .attribute(&turnpike_stun::XorMappedAddress(address(REFLEXIVE)))
            .attribute(&Lifetime(60));
    }));
    assert_eq!(stage.event(), Event::Allocated);
    assert_eq!(stage.due_in_ms(), 30_000);
}

#[test]
fn lifetime_counts_from_the_first_transmission() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let sent_at = stage.now;
    let request = stage.request(Method::ALLOCATE);
    stage.pass_secs(10);
    stage.answer(&allocated(&request));
    let expires_at = stage.client.allocation().unwrap().expires_at;
    assert_eq!(expires_at.since(sent_at), Duration::from_secs(600));
}

#[test]
fn wanted_lifetime_is_repeated_in_refresh() {
    let mut config = config();
    config.lifetime = Some(3_600);
    let mut stage = Stage::allocated_with(config);
    stage.pass_secs(540);
    let request = stage.request(Method::REFRESH);
    assert_eq!(
        Message::parse(&request).unwrap().get(),
        Ok(Some(Lifetime(3_600)))
    );
}

#[test]
fn lost_refresh_response_is_made_good_by_retransmission() {
    let mut stage = Stage::allocated();
    stage.pass_secs(540);
    let lost = stage.request(Method::REFRESH);
    stage.pass(Duration::from_millis(500));
    let again = stage.request(Method::REFRESH);
    assert_eq!(again, lost);
    stage.answer(&refreshed(&again, 600));
    assert_eq!(stage.event(), Event::Refreshed);
    let sent_at = stage.now.as_nanos() - 500_000_000;
    let expires_at = stage.client.allocation().unwrap().expires_at;
    assert_eq!(expires_at.as_nanos() - sent_at, 600_000_000_000);
}

#[test]
fn unanswered_refresh_is_repeated_until_the_allocation_expires() {
    let mut stage = Stage::allocated();
    stage.pass(Duration::from_millis(540_000 + 39_500));
    assert_eq!(stage.event(), Event::RefreshFailed(Failure::TimedOut));
    assert_eq!(stage.sent.len(), 8);
    stage.pass(Duration::from_millis(20_499));
    assert!(stage.client.allocation().is_some());
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.event(), Event::AllocationLost(Failure::Expired));
    assert!(stage.client.is_ended());
    stage.sent.clear();
    stage.pass_secs(100);
    stage.assert_silent();
}

#[test]
fn refresh_refused_for_want_of_capacity_is_tried_again_after_a_while() {
    let mut stage = Stage::allocated();
    stage.pass_secs(540);
    let request = stage.request(Method::REFRESH);
    stage.answer(&refused(&request, 508));
    assert_eq!(stage.event(), Event::RefreshFailed(Failure::Refused(508)));
    stage.assert_silent();
    stage.pass_secs(5);
    let request = stage.request(Method::REFRESH);
    stage.answer(&refreshed(&request, 600));
    assert_eq!(stage.event(), Event::Refreshed);
}

#[test]
fn refresh_with_wrong_credentials_is_not_repeated() {
    let mut stage = Stage::allocated();
    stage.pass_secs(540);
    let request = stage.request(Method::REFRESH);
    stage.answer(&refused(&request, 441));
    assert_eq!(stage.event(), Event::RefreshFailed(Failure::Refused(441)));
    stage.pass_secs(59);
    stage.assert_silent();
    stage.pass_secs(1);
    assert_eq!(stage.event(), Event::AllocationLost(Failure::Expired));
}

#[test]
fn mismatch_on_any_request_but_allocate_says_that_the_allocation_is_gone() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    stage.pass_secs(240);
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&refused(&request, 437));
    assert_eq!(stage.event(), Event::AllocationLost(Failure::Refused(437)));
    assert!(stage.client.allocation().is_none());
    assert_eq!(stage.client.poll_timeout(), None);
    let refused = stage.client.bind_channel(stage.now, peer("192.0.2.50:1"));
    assert_eq!(refused, Err(RequestError::NoAllocation));
}

fn dual() -> Stage {
    let mut config = config();
    config.families = Families::Both;
    let mut stage = Stage::new(config);
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        granted(builder);
        builder.attribute(&XorRelayedAddress(address("[2001:db8::1]:50000")));
    }));
    assert_eq!(stage.event(), Event::Allocated);
    stage
}

#[test]
fn one_family_of_a_dual_allocation_can_be_deleted() {
    let mut stage = dual();
    for peer in ["192.0.2.50", "2001:db8::50"] {
        stage
            .client
            .create_permission(stage.now, &[peer.parse().unwrap()])
            .unwrap();
        stage.drain();
        let request = stage.request(Method::CREATE_PERMISSION);
        stage.answer(&success(&request));
        stage.event();
    }

    stage
        .client
        .close_family(stage.now, AddressFamily::Ipv6)
        .unwrap();
    stage.drain();
    let request = stage.request(Method::REFRESH);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.get(), Ok(Some(Lifetime(0))));
    assert_eq!(
        message.get(),
        Ok(Some(RequestedAddressFamily(AddressFamily::Ipv6)))
    );
    stage.answer(&refreshed(&request, 0));

    let allocation = stage.client.allocation().unwrap();
    assert!(allocation.ipv4.is_some() && allocation.ipv6.is_none());
    let mut buf = [0; 128];
    assert!(
        stage
            .client
            .send(peer("192.0.2.50:1"), b"", &mut buf)
            .is_ok()
    );
    assert!(
        stage
            .client
            .send(peer("[2001:db8::50]:1"), b"", &mut buf)
            .is_err()
    );
    let last = stage.client.close_family(stage.now, AddressFamily::Ipv4);
    assert_eq!(last, Err(RequestError::WrongFamily));
}

#[test]
fn both_families_deleted_one_by_one_are_the_whole_allocation() {
    let mut stage = dual();
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        stage.client.close_family(stage.now, family).unwrap();
    }
    stage.drain();
    for _ in 0..2 {
        assert_eq!(stage.events.len(), 0);
        let request = stage.request(Method::REFRESH);
        stage.answer(&refreshed(&request, 0));
    }
    assert_eq!(stage.event(), Event::Closed);
    assert!(stage.client.is_ended());
}

#[test]
fn deletes_of_a_family_are_bounded() {
    let mut stage = dual();
    let taken = (0..100)
        .take_while(|_| {
            stage
                .client
                .close_family(stage.now, AddressFamily::Ipv6)
                .is_ok()
        })
        .count();
    assert_eq!(taken, 16);
}
