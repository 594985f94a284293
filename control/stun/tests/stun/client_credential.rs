//! The client's half of the long-term mechanism against a server written here by hand.

use turnpike_stun::long_term::{
    ChallengeAnswer, ClientCredential, CredentialError, GiveUp, SecurityFeatures,
};
use turnpike_stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, Message, Method, Nonce, PasswordAlgorithm,
    PasswordAlgorithms, Realm, Userhash, Username, userhash,
};

use crate::samples::{SHA1, SHA256, built, kinds};

const OLD_NONCE: &[u8] = b"an RFC 5389 nonce";
const REALM: &[u8] = b"example.org";

fn credential() -> ClientCredential {
    ClientCredential::new("user", "pass").unwrap()
}

fn nonce(features: SecurityFeatures, tail: &str) -> Vec<u8> {
    let mut nonce = features.cookie().to_vec();
    nonce.extend(tail.as_bytes());
    nonce
}

fn challenge(
    error: ErrorCode<'_>,
    realm: &[u8],
    nonce: &[u8],
    list: Option<PasswordAlgorithms<'_>>,
) -> Vec<u8> {
    built(Class::Error, Method::ALLOCATE, |builder| {
        builder
            .attribute(&error)
            .attribute(&Realm(realm))
            .attribute(&Nonce(nonce));
        if let Some(list) = list {
            builder.attribute(&list);
        }
    })
}

fn unauthenticated(nonce: &[u8], list: Option<PasswordAlgorithms<'_>>) -> Vec<u8> {
    challenge(ErrorCode::UNAUTHENTICATED, REALM, nonce, list)
}

fn stale(nonce: &[u8], list: Option<PasswordAlgorithms<'_>>) -> Vec<u8> {
    challenge(ErrorCode::STALE_NONCE, REALM, nonce, list)
}

fn answer(credential: &mut ClientCredential, response: &[u8]) -> ChallengeAnswer {
    credential.handle_challenge(&Message::parse(response).unwrap())
}

fn request(credential: &ClientCredential) -> Vec<u8> {
    built(Class::Request, Method::ALLOCATE, |builder| {
        credential.apply(builder);
        builder.fingerprint();
    })
}

fn verify(credential: &mut ClientCredential, response: &[u8]) -> bool {
    credential.verify_response(&Message::parse(response).unwrap())
}

fn md5_key() -> IntegrityKey {
    IntegrityKey::long_term_md5("user", "example.org", "pass")
}

fn sha256_key() -> IntegrityKey {
    IntegrityKey::long_term_sha256("user", "example.org", "pass")
}

fn success_under_sha256() -> Vec<u8> {
    built(Class::Success, Method::ALLOCATE, |builder| {
        builder.integrity(SHA256, &sha256_key());
    })
}

#[test]
fn first_request_carries_no_credential() {
    let bytes = request(&credential());
    assert_eq!(
        kinds(&Message::parse(&bytes).unwrap()),
        [AttributeType::FINGERPRINT.0]
    );
}

#[test]
fn challenge_of_rfc5389_is_answered_with_md5_and_sha1() {
    let mut credential = credential();
    let retry = answer(&mut credential, &unauthenticated(OLD_NONCE, None));
    assert_eq!(retry, ChallengeAnswer::Retry);
    let bytes = request(&credential);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.get(), Ok(Some(Username(b"user"))));
    assert_eq!(message.get(), Ok(Some(Realm(REALM))));
    assert_eq!(message.get(), Ok(Some(Nonce(OLD_NONCE))));
    assert_eq!(message.get::<PasswordAlgorithm>(), Ok(None));
    assert!(message.verify_integrity(SHA1, &md5_key()));
    assert!(!message.has_integrity(SHA256));
}

#[test]
fn first_known_algorithm_is_chosen_and_the_list_sent_back_unchanged() {
    let list = [0, 9, 0, 1, 0xAA, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0];
    let nonce = nonce(SecurityFeatures::PASSWORD_ALGORITHMS, "x");
    let challenge = built(Class::Error, Method::ALLOCATE, |builder| {
        builder
            .attribute(&ErrorCode::UNAUTHENTICATED)
            .attribute(&Realm(REALM))
            .attribute(&Nonce(&nonce))
            .raw(AttributeType::PASSWORD_ALGORITHMS, &list);
    });
    let mut credential = credential();
    assert_eq!(answer(&mut credential, &challenge), ChallengeAnswer::Retry);
    let bytes = request(&credential);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.raw(AttributeType::PASSWORD_ALGORITHMS),
        Some(&list[..])
    );
    assert_eq!(message.get(), Ok(Some(PasswordAlgorithm::Sha256)));
    assert_eq!(message.get(), Ok(Some(Username(b"user"))));
    assert!(message.verify_integrity(SHA256, &sha256_key()));
    assert!(!message.has_integrity(SHA1));
}

#[test]
fn username_anonymity_asks_for_userhash() {
    let features =
        SecurityFeatures::PASSWORD_ALGORITHMS.union(SecurityFeatures::USERNAME_ANONYMITY);
    let challenge = unauthenticated(&nonce(features, ""), Some(PasswordAlgorithms::MD5));
    let mut credential = credential();
    assert_eq!(answer(&mut credential, &challenge), ChallengeAnswer::Retry);
    let bytes = request(&credential);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.get(),
        Ok(Some(Userhash(userhash("user", "example.org"))))
    );
    assert_eq!(message.raw(AttributeType::USERNAME), None);
    assert!(message.verify_integrity(SHA256, &md5_key()));
}

#[test]
fn announced_but_missing_algorithms_are_a_bid_down() {
    let nonce = nonce(SecurityFeatures::PASSWORD_ALGORITHMS, "x");
    for challenge in [unauthenticated(&nonce, None), stale(&nonce, None)] {
        let mut credential = credential();
        let given_up = answer(&mut credential, &challenge);
        assert_eq!(given_up, ChallengeAnswer::GiveUp(GiveUp::BidDown));
        assert!(!credential.is_challenged());
    }
}

#[test]
fn server_that_once_offered_algorithms_cannot_take_them_back() {
    let nonce = nonce(SecurityFeatures::PASSWORD_ALGORITHMS, "x");
    let mut credential = credential();
    answer(
        &mut credential,
        &unauthenticated(&nonce, Some(PasswordAlgorithms::SHA256_MD5)),
    );
    assert!(verify(&mut credential, &success_under_sha256()));
    let other_realm = challenge(ErrorCode::UNAUTHENTICATED, b"other", OLD_NONCE, None);
    let given_up = answer(&mut credential, &other_realm);
    assert_eq!(given_up, ChallengeAnswer::GiveUp(GiveUp::BidDown));
}

#[test]
fn unknown_algorithms_alone_are_not_answered() {
    let challenge = built(Class::Error, Method::ALLOCATE, |builder| {
        builder
            .attribute(&ErrorCode::UNAUTHENTICATED)
            .attribute(&Realm(REALM))
            .attribute(&Nonce(OLD_NONCE))
            .raw(AttributeType::PASSWORD_ALGORITHMS, &[0, 7, 0, 0]);
    });
    let given_up = answer(&mut credential(), &challenge);
    assert_eq!(given_up, ChallengeAnswer::GiveUp(GiveUp::NoCommonAlgorithm));
}

#[test]
fn second_401_of_the_same_realm_is_a_rejection() {
    let mut credential = credential();
    answer(&mut credential, &unauthenticated(OLD_NONCE, None));
    let given_up = answer(&mut credential, &unauthenticated(b"another nonce", None));
    assert_eq!(given_up, ChallengeAnswer::GiveUp(GiveUp::Rejected));
    let other_realm = challenge(ErrorCode::UNAUTHENTICATED, b"other", OLD_NONCE, None);
    assert_eq!(
        answer(&mut credential, &other_realm),
        ChallengeAnswer::Retry
    );
}

#[test]
fn stale_nonce_is_retried_with_the_new_nonce_and_the_agreed_algorithm() {
    let first = nonce(SecurityFeatures::PASSWORD_ALGORITHMS, "1");
    let mut credential = credential();
    answer(
        &mut credential,
        &unauthenticated(&first, Some(PasswordAlgorithms::SHA256_MD5)),
    );
    assert_eq!(
        answer(&mut credential, &stale(b"plain", None)),
        ChallengeAnswer::Retry
    );
    let bytes = request(&credential);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.get(), Ok(Some(Nonce(b"plain"))));
    assert_eq!(message.get(), Ok(Some(PasswordAlgorithm::Sha256)));
    assert!(message.verify_integrity(SHA256, &sha256_key()));
}

#[test]
fn challenges_without_end_are_given_up_and_a_verified_response_starts_anew() {
    let mut credential = credential();
    answer(&mut credential, &unauthenticated(OLD_NONCE, None));
    let success = built(Class::Success, Method::ALLOCATE, |builder| {
        builder.integrity(SHA1, &md5_key());
    });
    assert!(verify(&mut credential, &success));
    let answers: Vec<_> = (0..6)
        .map(|_| answer(&mut credential, &stale(b"n", None)))
        .collect();
    assert_eq!(answers[..4], [ChallengeAnswer::Retry; 4]);
    assert_eq!(
        answers[4..],
        [ChallengeAnswer::GiveUp(GiveUp::TooManyChallenges); 2]
    );
    assert!(verify(&mut credential, &success));
    assert_eq!(
        answer(&mut credential, &stale(b"n", None)),
        ChallengeAnswer::Retry
    );
}

#[test]
fn challenge_without_realm_or_nonce_is_malformed() {
    let malformed = ChallengeAnswer::GiveUp(GiveUp::Malformed);
    let without_realm = built(Class::Error, Method::ALLOCATE, |builder| {
        builder
            .attribute(&ErrorCode::UNAUTHENTICATED)
            .attribute(&Nonce(OLD_NONCE));
    });
    assert_eq!(answer(&mut credential(), &without_realm), malformed);
    let without_nonce = built(Class::Error, Method::ALLOCATE, |builder| {
        builder
            .attribute(&ErrorCode::UNAUTHENTICATED)
            .attribute(&Realm(REALM));
    });
    assert_eq!(answer(&mut credential(), &without_nonce), malformed);
}

#[test]
fn other_responses_are_no_challenges() {
    for class in [Class::Success, Class::Error] {
        let bytes = built(class, Method::ALLOCATE, |builder| {
            builder.attribute(&ErrorCode::BAD_REQUEST);
        });
        assert_eq!(
            answer(&mut credential(), &bytes),
            ChallengeAnswer::NotAChallenge
        );
    }
    let request_with_401 = built(Class::Request, Method::ALLOCATE, |builder| {
        builder.attribute(&ErrorCode::UNAUTHENTICATED);
    });
    assert_eq!(
        answer(&mut credential(), &request_with_401),
        ChallengeAnswer::NotAChallenge
    );
}

#[test]
fn responses_must_be_sealed_with_the_algorithm_and_key_of_the_request() {
    let nonce = nonce(SecurityFeatures::PASSWORD_ALGORITHMS, "1");
    let mut credential = credential();
    answer(
        &mut credential,
        &unauthenticated(&nonce, Some(PasswordAlgorithms::SHA256)),
    );
    let respond = |class, fill: &dyn Fn(&mut turnpike_stun::MessageBuilder<'_>)| {
        built(class, Method::ALLOCATE, |builder| fill(builder))
    };
    assert!(verify(&mut credential, &success_under_sha256()));
    let refused = [
        respond(Class::Success, &|_| {}),
        respond(Class::Success, &|b| {
            b.integrity(SHA1, &sha256_key());
        }),
        respond(Class::Success, &|b| {
            b.integrity(SHA256, &md5_key());
        }),
        respond(Class::Error, &|b| {
            b.attribute(&ErrorCode::BAD_REQUEST);
        }),
    ];
    for response in refused {
        assert!(!verify(&mut credential, &response), "{response:02x?}");
    }
    let sealed_error = respond(Class::Error, &|b| {
        b.attribute(&ErrorCode::SERVER_ERROR)
            .integrity(SHA256, &sha256_key());
    });
    assert!(verify(&mut credential, &sealed_error));
}

#[test]
fn response_whose_nonce_announces_missing_algorithms_is_ignored() {
    let nonce = nonce(SecurityFeatures::PASSWORD_ALGORITHMS, "1");
    let bytes = built(Class::Success, Method::ALLOCATE, |builder| {
        builder.attribute(&Nonce(&nonce));
    });
    assert!(!verify(&mut credential(), &bytes));
    assert!(verify(
        &mut credential(),
        &built(Class::Success, Method::ALLOCATE, |_| {})
    ));
}

#[test]
fn quotes_and_trailing_zeros_of_the_realm_are_not_in_the_key() {
    let mut credential = credential();
    let challenge = challenge(
        ErrorCode::UNAUTHENTICATED,
        b"\"example.org\"\0",
        OLD_NONCE,
        None,
    );
    answer(&mut credential, &challenge);
    let bytes = request(&credential);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.get(), Ok(Some(Realm(b"\"example.org\"\0"))));
    assert!(message.verify_integrity(SHA1, &md5_key()));
}

#[test]
fn credentials_are_prepared_and_never_printed() {
    assert_eq!(
        ClientCredential::new("", "x").err(),
        Some(CredentialError::Username)
    );
    let long = "u".repeat(513);
    assert_eq!(
        ClientCredential::new(&long, "x").err(),
        Some(CredentialError::Username)
    );
    assert_eq!(
        ClientCredential::new("u", "a\u{7}").err(),
        Some(CredentialError::Password)
    );
    let mut wide = ClientCredential::new("us\u{E9}r", "pa\u{A0}ss").unwrap();
    let shown = format!("{wide:?}");
    assert!(
        !shown.contains("pa") && !shown.contains("us\u{E9}r"),
        "{shown}"
    );
    answer(&mut wide, &unauthenticated(OLD_NONCE, None));
    let bytes = request(&wide);
    let key = IntegrityKey::long_term_md5("us\u{E9}r", "example.org", "pa ss");
    assert!(Message::parse(&bytes).unwrap().verify_integrity(SHA1, &key));
}
