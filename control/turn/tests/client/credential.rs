//! The long-term credential mechanism as the client meets it (RFC 8489 section 9.2).

use turnpike_stun::{
    AttributeType, Class, ErrorCode, IntegrityAlgorithm, Message, Method, Nonce, PasswordAlgorithm,
    PasswordAlgorithms, Realm, Userhash, Username, userhash,
};
use turnpike_turn::client::Received;
use turnpike_turn::client::{Event, Failure};
use turnpike_types::DropReason;

use crate::support_client::{
    NONCE, REALM, Stage, USERNAME, allocated, challenge, config, granted, key, refused, response,
    sha256_key, signed, success,
};

const OFFERS_SHA256: &str = "obMatJos2AAABnonce";
const OFFERS_BOTH: &str = "obMatJos2AAADnonce";

fn offer(request: &[u8], nonce: &str, algorithms: Option<PasswordAlgorithms<'_>>) -> Vec<u8> {
    response(request, Class::Error, |builder| {
        builder
            .attribute(&ErrorCode::UNAUTHENTICATED)
            .attribute(&Realm(REALM.as_bytes()))
            .attribute(&Nonce(nonce.as_bytes()));
        if let Some(algorithms) = algorithms {
            builder.attribute(&algorithms);
        }
    })
}

#[test]
fn challenge_is_answered_with_username_realm_nonce_and_integrity() {
    let mut stage = Stage::new(config());
    let first = stage.request(Method::ALLOCATE);
    stage.answer(&challenge(&first, 401, NONCE));
    let second = stage.request(Method::ALLOCATE);
    let message = Message::parse(&second).unwrap();
    assert_eq!(message.get(), Ok(Some(Username(USERNAME.as_bytes()))));
    assert_eq!(message.get(), Ok(Some(Realm(REALM.as_bytes()))));
    assert_eq!(message.get(), Ok(Some(Nonce(NONCE.as_bytes()))));
    assert!(message.verify_integrity(IntegrityAlgorithm::Sha1, &key()));
    assert_eq!(message.raw(AttributeType::PASSWORD_ALGORITHMS), None);
    let first = Message::parse(&first).unwrap();
    assert_ne!(message.transaction_id(), first.transaction_id());
}

#[test]
fn rejected_credential_fails_without_another_try() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&challenge(&request, 401, "another nonce"));
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::Unauthenticated)
    );
    stage.pass_secs(100);
    stage.assert_silent();
}

#[test]
fn offered_sha256_is_taken_and_the_list_returned_unchanged() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&offer(
        &request,
        OFFERS_SHA256,
        Some(PasswordAlgorithms::SHA256_MD5),
    ));
    let request = stage.request(Method::ALLOCATE);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.get(), Ok(Some(PasswordAlgorithms::SHA256_MD5)));
    assert_eq!(message.get(), Ok(Some(PasswordAlgorithm::Sha256)));
    assert!(message.verify_integrity(IntegrityAlgorithm::Sha256, &sha256_key()));
    assert!(!message.has_integrity(IntegrityAlgorithm::Sha1));
    stage.answer(&response(&request, Class::Success, |builder| {
        granted(builder);
        builder.integrity(IntegrityAlgorithm::Sha256, &sha256_key());
    }));
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn userhash_stands_for_the_username_where_the_cookie_asks_for_it() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&offer(
        &request,
        OFFERS_BOTH,
        Some(PasswordAlgorithms::SHA256),
    ));
    let request = stage.request(Method::ALLOCATE);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.get(), Ok(Some(Userhash(userhash(USERNAME, REALM)))));
    assert_eq!(message.raw(AttributeType::USERNAME), None);
}

#[test]
fn challenge_stripped_of_password_algorithms_is_not_answered() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&offer(&request, OFFERS_SHA256, None));
    assert_eq!(stage.event(), Event::AllocationFailed(Failure::BidDown));
    stage.pass_secs(100);
    stage.assert_silent();
}

#[test]
fn success_that_repeats_the_cookie_without_the_list_is_ignored() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&offer(
        &request,
        OFFERS_SHA256,
        Some(PasswordAlgorithms::SHA256),
    ));
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Success, |builder| {
        granted(builder);
        builder.attribute(&Nonce(OFFERS_SHA256.as_bytes()));
        builder.integrity(IntegrityAlgorithm::Sha256, &sha256_key());
    }));
    stage.assert_silent();
}

#[test]
fn cookie_bits_taken_out_by_an_attacker_make_a_nonce_the_server_never_sent() {
    // The attacker clears the feature bits and the list. The client cannot tell, asks with MD5 and
    // the altered nonce, and the server's 438 brings the true offer back.
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&offer(&request, "obMatJos2AAAAnonce", None));
    let request = stage.request(Method::ALLOCATE);
    let message = Message::parse(&request).unwrap();
    assert!(message.verify_integrity(IntegrityAlgorithm::Sha1, &key()));
    stage.answer(&response(&request, Class::Error, |builder| {
        builder
            .attribute(&ErrorCode::STALE_NONCE)
            .attribute(&Realm(REALM.as_bytes()))
            .attribute(&Nonce(OFFERS_SHA256.as_bytes()))
            .attribute(&PasswordAlgorithms::SHA256_MD5);
    }));
    let request = stage.request(Method::ALLOCATE);
    let message = Message::parse(&request).unwrap();
    assert!(message.verify_integrity(IntegrityAlgorithm::Sha256, &sha256_key()));
}

#[test]
fn unknown_password_algorithms_alone_cannot_be_answered() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Error, |builder| {
        builder
            .attribute(&ErrorCode::UNAUTHENTICATED)
            .attribute(&Realm(REALM.as_bytes()))
            .attribute(&Nonce(OFFERS_SHA256.as_bytes()))
            .raw(AttributeType::PASSWORD_ALGORITHMS, &[0, 9, 0, 0]);
    }));
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::Unauthenticated)
    );
}

#[test]
fn stale_nonce_is_replaced_and_the_request_sent_again() {
    let mut stage = Stage::with_permission("192.0.2.50:0");
    stage.pass_secs(240);
    let request = stage.request(Method::CREATE_PERMISSION);
    stage.answer(&challenge(&request, 438, "fresh"));
    let again = stage.request(Method::CREATE_PERMISSION);
    let message = Message::parse(&again).unwrap();
    assert_eq!(message.get(), Ok(Some(Nonce(b"fresh"))));
    assert_eq!(
        message.raw(AttributeType::XOR_PEER_ADDRESS),
        Message::parse(&request)
            .unwrap()
            .raw(AttributeType::XOR_PEER_ADDRESS),
    );
    stage.answer(&success(&again));
    stage.assert_silent();
}

#[test]
fn stale_nonce_of_many_requests_at_once_is_taken_up_once() {
    let mut stage = Stage::allocated();
    for port in 1..=12 {
        let peer = turnpike_types::PeerAddr(([192, 0, 2, 60], port).into());
        stage.client.bind_channel(stage.now, peer).unwrap();
    }
    stage.drain();
    let requests: Vec<_> = (0..12)
        .map(|_| stage.request(Method::CHANNEL_BIND))
        .collect();
    for (index, request) in requests.iter().enumerate() {
        stage.answer(&challenge(request, 438, &format!("nonce {index}")));
    }
    for _ in 0..12 {
        let request = stage.request(Method::CHANNEL_BIND);
        assert_eq!(
            Message::parse(&request).unwrap().get(),
            Ok(Some(Nonce(b"nonce 0")))
        );
        stage.answer(&success(&request));
        assert!(matches!(stage.event(), Event::ChannelBound { .. }));
    }
    stage.assert_silent();
}

#[test]
fn server_that_finds_every_nonce_stale_is_given_up() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    for tries in 0..=10 {
        let Some(request) = stage.sent.pop_front() else {
            assert!((2..=5).contains(&tries));
            assert!(matches!(stage.event(), Event::AllocationFailed(_)));
            return;
        };
        stage.answer(&challenge(&request, 438, &format!("nonce {tries}")));
    }
    panic!("still trying");
}

#[test]
fn response_with_wrong_or_missing_integrity_is_as_if_it_had_never_come() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    let forged = response(&request, Class::Success, |builder| {
        granted(builder);
        builder.integrity(IntegrityAlgorithm::Sha1, &sha256_key());
    });
    for forged in [forged, response(&request, Class::Success, granted)] {
        assert_eq!(
            stage.answer(&forged),
            Received::Dropped(DropReason::Unexpected)
        );
        stage.assert_silent();
    }
    stage.answer(&response(&request, Class::Error, |builder| {
        builder.attribute(&ErrorCode::BAD_REQUEST);
    }));
    stage.assert_silent();
    stage.answer(&allocated(&request));
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn nothing_but_forged_responses_ends_as_an_integrity_violation() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Success, granted));
    stage.pass_secs(40);
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::IntegrityViolated)
    );
}

#[test]
fn response_with_wrong_fingerprint_is_dropped() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    let mut bytes = response(&request, Class::Success, |builder| {
        granted(builder);
        builder
            .integrity(IntegrityAlgorithm::Sha1, &key())
            .fingerprint();
    });
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(
        stage.answer(&bytes),
        Received::Dropped(DropReason::BadFingerprint)
    );
    *bytes.last_mut().unwrap() ^= 1;
    stage.answer(&bytes);
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn wrong_credentials_for_the_allocation_are_reported() {
    let mut stage = Stage::allocated();
    let peer = crate::support_client::peer("192.0.2.60:7000");
    let number = stage.client.bind_channel(stage.now, peer).unwrap();
    stage.drain();
    let request = stage.request(Method::CHANNEL_BIND);
    stage.answer(&refused(&request, 441));
    let failure = Failure::Refused(441);
    assert_eq!(
        stage.event(),
        Event::ChannelFailed {
            number,
            peer,
            failure
        }
    );
}

#[test]
fn success_of_another_method_with_our_transaction_id_is_unexpected() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    let mut bytes = signed(&request, Class::Success, granted);
    bytes[1] = 0x04;
    assert_eq!(
        stage.answer(&bytes),
        Received::Dropped(DropReason::Unexpected)
    );
}
