//! Nonces: who may use which, and for how long.

use core::time::Duration;

use proptest::prelude::*;
use turnpike_stun::long_term::{
    MINTED_NONCE_MAX, NonceCheck, NonceKey, NonceKeys, NonceMint, SecurityFeatures,
};
use turnpike_types::{ClientAddr, Timestamp};

use crate::samples::Seeded;

const LIFETIME: Duration = Duration::from_secs(600);
const NONE: SecurityFeatures = SecurityFeatures::NONE;
const ALGORITHMS: SecurityFeatures = SecurityFeatures::PASSWORD_ALGORITHMS;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn client(address: &str) -> ClientAddr {
    ClientAddr(address.parse().unwrap())
}

fn alice() -> ClientAddr {
    client("198.51.100.1:40000")
}

fn mint_at(secs: u64) -> NonceMint {
    NonceMint::new(LIFETIME, at(secs), &mut Seeded(1))
}

#[test]
fn nonce_is_valid_for_its_client_until_its_lifetime_ends() {
    let mint = mint_at(1_000);
    for features in [NONE, ALGORITHMS] {
        let nonce = mint.mint(at(1_000), &alice(), features);
        for age in [0, 1, 599, 600] {
            let check = mint.check(at(1_000 + age), &alice(), nonce.as_bytes());
            assert_eq!(check, NonceCheck::Valid, "after {age} s");
        }
        for age in [601, 602, 100_000] {
            let check = mint.check(at(1_000 + age), &alice(), nonce.as_bytes());
            assert_eq!(check, NonceCheck::Stale, "after {age} s");
        }
    }
}

#[test]
fn nonce_is_short_printable_and_announces_its_features() {
    let mint = mint_at(0);
    let plain = mint.mint(at(0), &alice(), NONE);
    assert_eq!(plain.as_bytes().len(), 19);
    assert_eq!(SecurityFeatures::of_nonce(plain.as_bytes()), None);
    let with_cookie = mint.mint(at(0), &alice(), ALGORITHMS);
    assert_eq!(with_cookie.as_bytes().len(), MINTED_NONCE_MAX);
    assert_eq!(MINTED_NONCE_MAX, 32);
    assert_eq!(
        SecurityFeatures::of_nonce(with_cookie.as_bytes()),
        Some(ALGORITHMS)
    );
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    assert!(with_cookie.as_bytes().iter().all(is_legal));
}

#[test]
fn nonce_of_another_client_is_forged() {
    let mint = mint_at(5);
    let nonce = mint.mint(at(5), &alice(), ALGORITHMS);
    for other in [
        "198.51.100.1:40001",
        "198.51.100.2:40000",
        "[2001:db8::1]:40000",
    ] {
        let check = mint.check(at(5), &client(other), nonce.as_bytes());
        assert_eq!(check, NonceCheck::Forged, "{other}");
    }
}

#[test]
fn nonce_of_another_server_is_forged() {
    let theirs = NonceMint::new(LIFETIME, at(5), &mut Seeded(2));
    let nonce = theirs.mint(at(5), &alice(), NONE);
    assert_eq!(
        mint_at(5).check(at(5), &alice(), nonce.as_bytes()),
        NonceCheck::Forged
    );
}

#[test]
fn cookie_cannot_be_stripped_added_or_changed() {
    let mint = mint_at(5);
    let both = ALGORITHMS.union(SecurityFeatures::USERNAME_ANONYMITY);
    let nonce = mint.mint(at(5), &alice(), both);
    let stripped = &nonce.as_bytes()[13..];
    assert_eq!(mint.check(at(5), &alice(), stripped), NonceCheck::Forged);
    for cookie in [
        "obMatJos2AAAA",
        "obMatJos2AAAB",
        "obMatJos2AAAC",
        "obMatJos2AAAH",
    ] {
        let mut changed = cookie.as_bytes().to_vec();
        changed.extend(stripped);
        assert_eq!(
            mint.check(at(5), &alice(), &changed),
            NonceCheck::Forged,
            "{cookie}"
        );
    }
    let plain = mint.mint(at(5), &alice(), NONE);
    let mut added = ALGORITHMS.cookie().to_vec();
    added.extend(plain.as_bytes());
    assert_eq!(mint.check(at(5), &alice(), &added), NonceCheck::Forged);
}

#[test]
fn nonces_of_other_lengths_are_forged() {
    let mint = mint_at(5);
    let nonce = mint.mint(at(5), &alice(), ALGORITHMS);
    // 19 bytes have the right form, but those of the cookie are a time far ahead.
    assert_eq!(
        mint.check(at(5), &alice(), &nonce.as_bytes()[..19]),
        NonceCheck::Stale
    );
    for len in (0..=200).filter(|len| ![19, MINTED_NONCE_MAX].contains(len)) {
        let mut bytes = nonce.as_bytes().to_vec();
        bytes.resize(len, b'A');
        assert_eq!(
            mint.check(at(5), &alice(), &bytes),
            NonceCheck::Forged,
            "{len} bytes"
        );
    }
    assert_eq!(
        mint.check(at(5), &alice(), &[b'x'; 763]),
        NonceCheck::Forged
    );
}

#[test]
fn every_turned_bit_spoils_a_nonce() {
    let mint = mint_at(1_000);
    let nonce = mint.mint(at(1_000), &alice(), ALGORITHMS);
    for index in 0..nonce.as_bytes().len() {
        for bit in 0..8 {
            let mut bytes = nonce.as_bytes().to_vec();
            bytes[index] ^= 1 << bit;
            let check = mint.check(at(1_000), &alice(), &bytes);
            assert_ne!(check, NonceCheck::Valid, "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn nonce_from_the_future_is_stale() {
    let mint = mint_at(0);
    let nonce = mint.mint(at(100), &alice(), NONE);
    assert_eq!(
        mint.check(at(99), &alice(), nonce.as_bytes()),
        NonceCheck::Stale
    );
}

#[test]
fn rotation_happens_once_a_lifetime_and_keeps_living_nonces() {
    let mut entropy = Seeded(3);
    let mut mint = mint_at(1_000);
    assert_eq!(mint.poll_timeout().at, at(1_600));
    assert!(!mint.rotate(Timestamp::from_nanos(1_600_000_000_000 - 1), &mut entropy));
    let before = mint.mint(at(1_600), &alice(), NONE);
    assert!(mint.rotate(at(1_600), &mut entropy));
    assert!(!mint.rotate(at(1_600), &mut entropy));
    let same_second = mint.mint(at(1_600), &alice(), NONE);
    let after = mint.mint(at(1_601), &alice(), NONE);
    for nonce in [before, same_second, after] {
        assert_eq!(
            mint.check(at(1_601), &alice(), nonce.as_bytes()),
            NonceCheck::Valid
        );
        assert_eq!(
            mint.check(at(2_200), &alice(), nonce.as_bytes()),
            NonceCheck::Valid
        );
    }
    assert_eq!(mint.poll_timeout().at, at(2_201));
    assert!(mint.rotate(at(2_201), &mut entropy));
    assert_eq!(
        mint.check(at(2_201), &alice(), before.as_bytes()),
        NonceCheck::Stale
    );
    assert_eq!(
        mint.check(at(2_201), &alice(), after.as_bytes()),
        NonceCheck::Valid
    );
}

#[test]
fn late_rotation_loses_nothing() {
    let mut mint = mint_at(0);
    let nonce = mint.mint(at(50_000), &alice(), NONE);
    assert!(mint.rotate(at(50_000), &mut Seeded(4)));
    assert_eq!(
        mint.check(at(50_100), &alice(), nonce.as_bytes()),
        NonceCheck::Valid
    );
}

#[test]
fn exported_keys_accept_the_predecessors_nonces() {
    let mut mint = mint_at(0);
    let old = mint.mint(at(599), &alice(), ALGORITHMS);
    assert!(mint.rotate(at(600), &mut Seeded(5)));
    let new = mint.mint(at(601), &alice(), ALGORITHMS);
    for now in [600, 601, 700] {
        let successor = NonceMint::import(mint.export(), LIFETIME, at(now), &mut Seeded(6));
        assert_eq!(
            successor.check(at(700), &alice(), old.as_bytes()),
            NonceCheck::Valid
        );
        assert_eq!(
            successor.check(at(700), &alice(), new.as_bytes()),
            NonceCheck::Valid
        );
    }
}

#[test]
fn keys_of_a_clock_that_ran_further_are_not_taken_over() {
    let mint = mint_at(1_000);
    let nonce = mint.mint(at(1_000), &alice(), NONE);
    let successor = NonceMint::import(mint.export(), LIFETIME, at(3), &mut Seeded(7));
    assert_eq!(
        successor.check(at(1_000), &alice(), nonce.as_bytes()),
        NonceCheck::Forged
    );
    let fresh = successor.mint(at(4), &alice(), NONE);
    assert_eq!(
        successor.check(at(4), &alice(), fresh.as_bytes()),
        NonceCheck::Valid
    );
}

#[test]
fn keys_print_redacted() {
    let secret = [0x41; 32];
    let keys = NonceKeys {
        current: NonceKey {
            secret,
            since_secs: 7,
        },
        previous: None,
    };
    let shown = format!("{keys:?}");
    assert!(shown.contains("redacted") && !shown.contains("65") && !shown.contains("41"));
}

proptest! {
    #[test]
    fn forged_bytes_are_never_valid(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let mint = mint_at(0);
        prop_assert_ne!(mint.check(at(10), &alice(), &bytes), NonceCheck::Valid);
    }

    #[test]
    fn forged_nonces_of_the_right_form_are_never_valid(text in "(obMatJos2AAAB)?[A-Za-z0-9_-]{19}") {
        let mint = mint_at(0);
        for now in [10, 1 << 20, 1 << 31, u64::MAX >> 31] {
            prop_assert_ne!(mint.check(at(now), &alice(), text.as_bytes()), NonceCheck::Valid);
        }
    }
}
