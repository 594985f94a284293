//! RFC 8656 sections 7.1, 7.3 and 7.4.

use turnpike_sim::SeededEntropy;
use turnpike_stun::{
    AttributeType, Class, ErrorCode, Message, Method, Software, UnknownAttributes, XorMappedAddress,
};
use turnpike_turn::attribute::{
    AdditionalAddressFamily, AddressErrorCode, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorRelayedAddress,
};
use turnpike_turn::client::{Client, Config, ConfigError, Event, Failure, Families, Port};
use turnpike_types::{AddressFamily, ServerAddr, Timestamp};

use crate::support_client::{
    REFLEXIVE, RELAYED, Stage, address, allocated, config, granted, refused, server, signed,
    success,
};

const RELAYED_IPV6: &str = "[2001:db8::1]:50000";

fn first_request(change: impl FnOnce(&mut Config)) -> Vec<u8> {
    let mut config = config();
    change(&mut config);
    Stage::new(config).request(Method::ALLOCATE)
}

fn kinds(request: &[u8]) -> Vec<AttributeType> {
    Message::parse(request)
        .unwrap()
        .attributes()
        .map(|attribute| attribute.kind)
        .collect()
}

#[test]
fn first_allocate_asks_for_udp_and_carries_no_credential() {
    let request = first_request(|_| {});
    assert_eq!(kinds(&request), [AttributeType::REQUESTED_TRANSPORT]);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.get(), Ok(Some(RequestedTransport::UDP)));
}

#[test]
fn allocate_success_gives_addresses_and_lifetime() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&allocated(&request));
    assert_eq!(stage.event(), Event::Allocated);
    let allocation = stage.client.allocation().unwrap();
    assert_eq!(allocation.ipv4.unwrap().0, address(RELAYED));
    assert_eq!(allocation.ipv6, None);
    assert_eq!(allocation.reflexive.0, address(REFLEXIVE));
    assert_eq!(allocation.lifetime, 600);
    assert_eq!(allocation.expires_at, Timestamp::from_secs(1_600));
}

#[test]
fn server_that_asks_for_no_credential_is_served_without() {
    let mut config = config();
    config.credential = None;
    let mut stage = Stage::new(config);
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&crate::support_client::response(
        &request,
        Class::Success,
        granted,
    ));
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn challenge_without_credential_fails_as_unauthenticated() {
    let mut config = config();
    config.credential = None;
    let mut stage = Stage::new(config);
    stage.pass_challenge();
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::Unauthenticated)
    );
    stage.assert_silent();
}

#[test]
fn ipv6_is_asked_for_by_requested_address_family() {
    let request = first_request(|config| config.families = Families::Ipv6);
    let message = Message::parse(&request).unwrap();
    assert_eq!(
        message.get(),
        Ok(Some(RequestedAddressFamily(AddressFamily::Ipv6)))
    );
}

#[test]
fn ipv4_is_named_only_when_the_server_is_reached_over_ipv6() {
    let over_ipv4 = first_request(|_| {});
    assert!(!kinds(&over_ipv4).contains(&AttributeType::REQUESTED_ADDRESS_FAMILY));
    let over_ipv6 = first_request(|config| {
        config.server = ServerAddr(address("[2001:db8::53]:3478"));
    });
    let message = Message::parse(&over_ipv6).unwrap();
    assert_eq!(
        message.get(),
        Ok(Some(RequestedAddressFamily(AddressFamily::Ipv4)))
    );
}

#[test]
fn dual_allocation_is_asked_for_by_additional_address_family_alone() {
    let request = first_request(|config| config.families = Families::Both);
    let message = Message::parse(&request).unwrap();
    assert_eq!(
        message.get(),
        Ok(Some(AdditionalAddressFamily(AddressFamily::Ipv6)))
    );
    assert!(!kinds(&request).contains(&AttributeType::REQUESTED_ADDRESS_FAMILY));
}

#[test]
fn dual_allocation_has_two_relayed_addresses() {
    let mut config = config();
    config.families = Families::Both;
    let mut stage = Stage::new(config);
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        granted(builder);
        builder.attribute(&XorRelayedAddress(address(RELAYED_IPV6)));
    }));
    assert_eq!(stage.event(), Event::Allocated);
    let allocation = stage.client.allocation().unwrap();
    assert_eq!(allocation.ipv4.unwrap().0, address(RELAYED));
    assert_eq!(allocation.ipv6.unwrap().0, address(RELAYED_IPV6));
    assert_eq!(allocation.address_error, None);
}

#[test]
fn address_error_code_says_which_family_of_two_is_missing() {
    let mut config = config();
    config.families = Families::Both;
    let mut stage = Stage::new(config);
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        granted(builder);
        let family = AddressFamily::Ipv6;
        builder.attribute(&AddressErrorCode {
            family,
            code: 440,
            reason: "",
        });
    }));
    assert_eq!(stage.event(), Event::Allocated);
    let allocation = stage.client.allocation().unwrap();
    assert_eq!(allocation.address_error, Some((AddressFamily::Ipv6, 440)));
    assert_eq!(allocation.ipv6, None);
}

#[test]
fn even_port_with_reservation_yields_a_token() {
    let mut config = config();
    config.port = Port::EvenWithNext;
    let mut stage = Stage::new(config);
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.get(), Ok(Some(EvenPort { reserve_next: true })));
    let token = ReservationToken(*b"reserved");
    stage.answer(&signed(&request, Class::Success, |builder| {
        granted(builder);
        builder.attribute(&token);
    }));
    assert_eq!(
        stage.client.allocation().unwrap().reservation_token,
        Some(token)
    );
}

#[test]
fn reservation_token_goes_without_even_port_and_address_family() {
    let token = ReservationToken(*b"reserved");
    let request = first_request(|config| {
        config.port = Port::Reserved(token);
        config.families = Families::Ipv6;
    });
    let wanted = [
        AttributeType::REQUESTED_TRANSPORT,
        AttributeType::RESERVATION_TOKEN,
    ];
    assert_eq!(kinds(&request), wanted);
}

#[test]
fn wishes_that_exclude_each_other_are_refused_at_once() {
    let mut config = config();
    config.families = Families::Both;
    config.port = Port::EvenWithNext;
    let refused = Client::new(config.clone(), SeededEntropy::new(1), Timestamp::ZERO).unwrap_err();
    assert_eq!(refused, ConfigError::ReserveWithBoth);
    config.port = Port::Reserved(ReservationToken([0; 8]));
    let refused = Client::new(config, SeededEntropy::new(1), Timestamp::ZERO).unwrap_err();
    assert_eq!(refused, ConfigError::ReservedWithBoth);
}

#[test]
fn lifetime_and_software_are_sent_when_configured() {
    let request = first_request(|config| {
        config.lifetime = Some(1_200);
        config.software = Some("probe");
    });
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.get(), Ok(Some(Lifetime(1_200))));
    assert_eq!(message.get(), Ok(Some(Software("probe"))));
}

#[test]
fn dont_fragment_that_the_server_does_not_know_is_left_out_of_the_next_allocate() {
    let mut config = config();
    config.dont_fragment = true;
    let mut stage = Stage::new(config);
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    assert_eq!(
        Message::parse(&request).unwrap().get(),
        Ok(Some(DontFragment))
    );
    stage.answer(&signed(&request, Class::Error, |builder| {
        let mut unknown = UnknownAttributes::default();
        unknown.add(AttributeType::DONT_FRAGMENT);
        builder
            .attribute(&ErrorCode::UNKNOWN_ATTRIBUTE)
            .attribute(&unknown);
    }));
    let again = stage.request(Method::ALLOCATE);
    assert!(!kinds(&again).contains(&AttributeType::DONT_FRAGMENT));
    assert!(!stage.client.dont_fragment());
    stage.answer(&allocated(&again));
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn refusals_are_reported_with_their_code_and_not_retried() {
    for code in [400, 403, 420, 440, 441, 442, 486, 508, 500] {
        let mut stage = Stage::new(config());
        stage.pass_challenge();
        let request = stage.request(Method::ALLOCATE);
        stage.answer(&refused(&request, code));
        assert_eq!(
            stage.event(),
            Event::AllocationFailed(Failure::Refused(code))
        );
        stage.pass_secs(600);
        stage.assert_silent();
        assert!(stage.client.is_ended());
    }
}

#[test]
fn mismatch_asks_for_another_port_three_times_in_all() {
    let mut stage = Stage::new(config());
    for tried in 1..=3 {
        stage.pass_challenge();
        let request = stage.request(Method::ALLOCATE);
        stage.answer(&refused(&request, 437));
        if tried < 3 {
            assert_eq!(stage.event(), Event::NewPortNeeded);
            stage.pass_secs(60);
            stage.assert_silent();
            stage.client.restart(stage.now, server());
            stage.drain();
        }
    }
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::Refused(437))
    );
}

#[test]
fn family_that_was_not_asked_for_is_deleted_at_once() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        builder
            .attribute(&XorRelayedAddress(address(RELAYED_IPV6)))
            .attribute(&XorMappedAddress(address(REFLEXIVE)))
            .attribute(&Lifetime(600));
    }));
    assert_eq!(stage.event(), Event::AllocationFailed(Failure::WrongFamily));
    assert!(stage.client.allocation().is_none());
    let delete = stage.request(Method::REFRESH);
    assert_eq!(
        Message::parse(&delete).unwrap().get(),
        Ok(Some(Lifetime(0)))
    );
    stage.answer(&success(&delete));
    stage.assert_silent();
    assert!(stage.client.is_ended());
}

#[test]
fn success_without_relayed_address_is_malformed() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        builder
            .attribute(&XorMappedAddress(address(REFLEXIVE)))
            .attribute(&Lifetime(600));
    }));
    assert_eq!(stage.event(), Event::AllocationFailed(Failure::Malformed));
}

#[test]
fn success_with_unknown_comprehension_required_attribute_fails_the_allocation() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        granted(builder);
        builder.raw(AttributeType(0x7FFF), b"what");
    }));
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::UnknownAttribute)
    );
    stage.request(Method::REFRESH);
}

#[test]
fn success_with_unknown_comprehension_optional_attribute_is_accepted() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Success, |builder| {
        granted(builder);
        builder.raw(AttributeType(0xFFFE), b"what");
    }));
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn engine_is_small_enough_for_tens_of_thousands() {
    let size = size_of::<Client<SeededEntropy>>();
    assert!(size <= 1_024, "{size} bytes");
}
