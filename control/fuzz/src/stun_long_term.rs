//! The long-term credential mechanism (RFC 8489 section 9.2): nonces and their cookies on the
//! server's side, challenges on the client's.
//!
//! The first byte picks the side. A nonce is judged as it came and as a spoilt copy of a real one; a
//! client meets a row of challenges made from a small grammar, or of raw bytes.

use std::time::Duration;

use turnpike_stun::long_term::{
    ChallengeAnswer, ClientCredential, NonceCheck, NonceMint, SecurityFeatures,
};
use turnpike_stun::{
    AttributeType, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder,
    Method, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, TransactionId, userhash,
};
use turnpike_types::{ClientAddr, Timestamp};

use crate::choices::Choices;
use crate::entropy::Seeded;

/// Judges one nonce, or answers a row of challenges.
pub fn stun_long_term(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.byte() % 3 {
        0 => check_foreign_nonce(&mut choices),
        1 => check_own_nonce(&mut choices),
        _ => answer_challenges(&mut choices),
    }
}

/// Bytes from anywhere are never a valid nonce unless they are the one we would have minted.
fn check_foreign_nonce(choices: &mut Choices<'_>) {
    let now = Timestamp::from_secs(u64::from(choices.u16()));
    let client = client(choices.byte());
    let nonce = choices.rest();
    assert_eq!(SecurityFeatures::of_nonce(nonce), naive_features(nonce));
    let mint = NonceMint::new(LIFETIME, Timestamp::ZERO, &mut Seeded(1));
    if mint.check(now, &client, nonce) == NonceCheck::Valid {
        let features = SecurityFeatures::of_nonce(nonce).unwrap_or_default();
        let mut ages = 0..=LIFETIME.as_secs();
        let is_ours = ages.any(|age| {
            let minted_at = Timestamp::from_secs(now.as_secs().saturating_sub(age));
            mint.mint(minted_at, &client, features).as_bytes() == nonce
        });
        assert!(is_ours, "a forged nonce was accepted");
    }
}

/// A nonce of ours is valid for its client and its lifetime, and no altered copy ever is.
fn check_own_nonce(choices: &mut Choices<'_>) {
    let mut entropy = Seeded(u64::from(choices.byte()));
    let mut now = Timestamp::from_secs(u64::from(choices.byte()));
    let mut mint = NonceMint::new(LIFETIME, now, &mut entropy);
    now = now + Duration::from_millis(u64::from(choices.u16()) * 8);
    mint.rotate(now, &mut entropy);
    let (owner, features) = (client(choices.byte()), features(choices.byte()));
    let nonce = mint.mint(now, &owner, features);
    assert_eq!(nonce.as_attribute().0, nonce.as_bytes());
    assert_eq!(
        SecurityFeatures::of_nonce(nonce.as_bytes()).unwrap_or_default(),
        features
    );

    let later = now + Duration::from_millis(u64::from(choices.u16()) * 8);
    if choices.flag() {
        mint.rotate(later, &mut entropy);
        assert!(
            mint.poll_timeout().at > later,
            "a key that has served its time stays"
        );
    }
    if choices.flag() {
        let keys = mint.export();
        mint = NonceMint::import(keys, LIFETIME, later, &mut entropy);
    }
    // Nonces are dated by the second, rounded down.
    let age = later.since(Timestamp::from_secs(now.as_secs()));
    let verdict = mint.check(later, &owner, nonce.as_bytes());
    if age <= LIFETIME {
        assert_eq!(verdict, NonceCheck::Valid);
    } else {
        assert_eq!(verdict, NonceCheck::Stale);
    }
    let mut spoilt = nonce.as_bytes().to_vec();
    let place = usize::from(choices.byte()) % spoilt.len();
    spoilt[place] ^= choices.byte();
    if spoilt != nonce.as_bytes() {
        assert_ne!(mint.check(later, &owner, &spoilt), NonceCheck::Valid);
    }
    let stranger = client(choices.byte());
    if stranger != owner {
        assert_ne!(
            mint.check(later, &stranger, nonce.as_bytes()),
            NonceCheck::Valid
        );
    }
}

fn answer_challenges(choices: &mut Choices<'_>) {
    let mut client = ClientCredential::new(USERNAME, PASSWORD).expect("a plain name and password");
    let mut in_a_row = 0;
    for _ in 0..CHALLENGES_MAX {
        if choices.is_empty() {
            return;
        }
        let mut buf = [0; BUF_LEN];
        let bytes = if choices.byte().is_multiple_of(4) {
            choices.sized(BUF_LEN)
        } else {
            let len = challenge(choices, &mut buf);
            &buf[..len]
        };
        let Ok(response) = Message::parse(bytes) else {
            continue;
        };
        if client.verify_response(&response) && client.is_challenged() {
            in_a_row = 0;
        }
        let was_challenged = client.is_challenged();
        match client.handle_challenge(&response) {
            ChallengeAnswer::Retry => {
                in_a_row += 1;
                assert!(in_a_row <= 4, "challenges may not go on for ever");
                assert_is_challenge(&response);
                assert_answers(&client, &response, was_challenged);
            }
            ChallengeAnswer::GiveUp(_) => assert_is_challenge(&response),
            ChallengeAnswer::NotAChallenge => {
                let is_error = response.class() == Class::Error;
                let code = response
                    .get::<ErrorCode<'_>>()
                    .ok()
                    .flatten()
                    .map(|error| error.code);
                assert!(!is_error || !matches!(code, Some(401 | 438)));
            }
        }
    }
}

fn assert_is_challenge(response: &Message<'_>) {
    let code = response
        .get::<ErrorCode<'_>>()
        .map(|error| error.map(|error| error.code));
    assert!(
        matches!(code, Ok(Some(401 | 438))),
        "{code:?} is no challenge"
    );
    assert_eq!(response.class(), Class::Error);
}

/// The next request says what the challenge asked for, under the right key.
fn assert_answers(client: &ClientCredential, response: &Message<'_>, was_challenged: bool) {
    assert!(client.is_challenged());
    let nonce = response
        .get::<Nonce<'_>>()
        .expect("well-formed")
        .expect("present");
    let announced = SecurityFeatures::of_nonce(nonce.0).unwrap_or_default();
    let offered = response
        .get::<PasswordAlgorithms<'_>>()
        .expect("well-formed");
    let is_announced = announced.contains(SecurityFeatures::PASSWORD_ALGORITHMS);
    assert!(offered.is_some() || !is_announced, "bid down");

    let mut buf = [0; 4_096];
    let mut builder = MessageBuilder::new(
        &mut buf,
        Class::Request,
        Method::ALLOCATE,
        TransactionId([7; 12]),
    );
    client.apply(&mut builder);
    let len = builder.finish().expect("4096 bytes hold any credential");
    let request = Message::parse(&buf[..len]).expect("our own builder's message");
    assert_eq!(request.get(), Ok(Some(nonce)));
    let realm = request
        .get::<Realm<'_>>()
        .expect("well-formed")
        .expect("present");
    if let Some(asked) = response.get::<Realm<'_>>().expect("well-formed") {
        assert_eq!(realm, asked);
    }
    if !was_challenged {
        assert_eq!(
            request.raw(AttributeType::PASSWORD_ALGORITHMS),
            offered.map(|o| o.as_bytes())
        );
    }
    assert_key(&request, realm.0, announced);
}

/// Where the realm needs no preparation, the key is checked too.
fn assert_key(request: &Message<'_>, realm: &[u8], announced: SecurityFeatures) {
    if !realm.iter().all(u8::is_ascii_alphanumeric) || realm.is_empty() {
        return;
    }
    let chosen = request.get::<PasswordAlgorithm>().expect("well-formed");
    let algorithm = chosen.unwrap_or(PasswordAlgorithm::Md5);
    let key = IntegrityKey::long_term(algorithm, USERNAME, realm, PASSWORD);
    let integrity = match chosen {
        Some(_) => IntegrityAlgorithm::Sha256,
        None => IntegrityAlgorithm::Sha1,
    };
    assert!(
        request.verify_integrity(integrity, &key),
        "the request is sealed with another key"
    );
    if announced.contains(SecurityFeatures::USERNAME_ANONYMITY) {
        let expected = userhash(USERNAME, realm);
        assert_eq!(
            request.raw(AttributeType::USERHASH),
            Some(expected.as_slice())
        );
        assert_eq!(
            request.raw(AttributeType::USERNAME),
            None,
            "the name is not to be seen"
        );
    } else {
        assert_eq!(
            request.raw(AttributeType::USERNAME),
            Some(USERNAME.as_bytes())
        );
    }
}

/// Writes a response that may be a challenge.
fn challenge(choices: &mut Choices<'_>, buf: &mut [u8]) -> usize {
    let class = choices.pick(&[Class::Error, Class::Error, Class::Error, Class::Success]);
    let mut builder = MessageBuilder::new(buf, class, Method::ALLOCATE, TransactionId([7; 12]));
    let code = choices.pick(&[401, 438, 401, 438, 400, 0]);
    if code != 0 {
        builder.attribute(&ErrorCode { code, reason: "" });
    }
    match choices.byte() % 4 {
        0 => {}
        1 => drop(builder.attribute(&Realm(choices.sized(64)))),
        n => drop(builder.attribute(&Realm(
            [b"north".as_slice(), b"\"south\""][usize::from(n & 1)],
        ))),
    }
    match choices.byte() % 4 {
        0 => {}
        1 => drop(builder.attribute(&Nonce(choices.sized(64)))),
        _ => {
            let cookie = features(choices.byte()).cookie();
            builder.attribute(&Nonce(&[cookie.as_slice(), choices.bytes(4)].concat()));
        }
    }
    let list = choices.byte() % 6;
    match list {
        0 => {}
        1 => drop(builder.raw(AttributeType::PASSWORD_ALGORITHMS, choices.sized(72))),
        2 => drop(builder.attribute(&PasswordAlgorithms::MD5)),
        3 => drop(builder.attribute(&PasswordAlgorithms::SHA256)),
        4 => drop(builder.attribute(&PasswordAlgorithms::MD5_SHA256)),
        _ => drop(builder.attribute(&PasswordAlgorithms::SHA256_MD5)),
    }
    seal(&mut builder, choices.byte());
    builder.finish().unwrap_or(0)
}

fn seal(builder: &mut MessageBuilder<'_>, choice: u8) {
    let md5 = IntegrityKey::long_term_md5(USERNAME, "north", PASSWORD);
    let sha256 = IntegrityKey::long_term_sha256(USERNAME, "north", PASSWORD);
    match choice % 5 {
        0 => drop(builder.integrity(IntegrityAlgorithm::Sha1, &md5)),
        1 => drop(builder.integrity(IntegrityAlgorithm::Sha256, &sha256)),
        2 => drop(builder.integrity(IntegrityAlgorithm::Sha256, &md5)),
        _ => {}
    }
}

/// Reads the feature bits as RFC 4648 draws base64.
fn naive_features(nonce: &[u8]) -> Option<SecurityFeatures> {
    let digits = nonce.strip_prefix(b"obMatJos2")?.get(..4)?;
    let alphabet: Vec<u8> = [
        b'A'..=b'Z',
        b'a'..=b'z',
        b'0'..=b'9',
        b'+'..=b'+',
        b'/'..=b'/',
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut bits = 0;
    for digit in digits {
        bits = bits * 64 + alphabet.iter().position(|known| known == digit)?;
    }
    let known = [
        SecurityFeatures::PASSWORD_ALGORITHMS,
        SecurityFeatures::USERNAME_ANONYMITY,
    ];
    let found = SecurityFeatures::of_nonce(nonce)?;
    for (bit, feature) in known.into_iter().enumerate() {
        assert_eq!(found.contains(feature), bits >> bit & 1 == 1);
    }
    assert_eq!(found.is_empty(), bits == 0);
    Some(found)
}

fn features(choice: u8) -> SecurityFeatures {
    let (algorithms, anonymity) = (
        SecurityFeatures::PASSWORD_ALGORITHMS,
        SecurityFeatures::USERNAME_ANONYMITY,
    );
    match choice % 4 {
        0 => SecurityFeatures::NONE,
        1 => algorithms,
        2 => anonymity,
        _ => algorithms.union(anonymity),
    }
}

/// A few clients that differ in IP address, port, or family.
fn client(choice: u8) -> ClientAddr {
    ClientAddr(match choice % 4 {
        0 => ([192, 0, 2, 1], 5_000).into(),
        1 => ([192, 0, 2, 1], 5_001).into(),
        2 => ([192, 0, 2, 2], 5_000).into(),
        _ => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 5_000).into(),
    })
}

const USERNAME: &str = "alice";
const PASSWORD: &str = "secret";
const LIFETIME: Duration = Duration::from_secs(60);
const CHALLENGES_MAX: usize = 16;
const BUF_LEN: usize = 1_024;
