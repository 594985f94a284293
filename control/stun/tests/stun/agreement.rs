//! The crate and the naive parser read the same things into the same bytes.

use core::net::IpAddr;

use proptest::prelude::*;
use turnpike_stun::{
    Class, Fingerprint, IntegrityKey, Message, ParseError, UnknownAttributes, XorMappedAddress,
};

use crate::naive;
use crate::samples::{SHA1, SHA256, built, crafted};

const KEY: &[u8] = b"a short-term key";

/// Asserts agreement and says whether the bytes were a message.
fn assert_agree(bytes: &[u8]) -> bool {
    let naive = naive::parse(bytes);
    let message = Message::parse(bytes);
    let (Some(naive), Ok(message)) = (&naive, &message) else {
        assert_eq!(
            naive.is_some(),
            message.is_ok(),
            "{message:?} of {bytes:02x?}"
        );
        return false;
    };
    let class = match message.class() {
        Class::Request => 0,
        Class::Indication => 1,
        Class::Success => 2,
        Class::Error => 3,
    };
    assert_eq!((class, message.method().get()), (naive.class, naive.method));
    assert_eq!(message.transaction_id().0, naive.transaction_id[..]);
    let ours = message
        .attributes()
        .map(|found| (found.kind.0, found.value, found.offset));
    let theirs = naive.attributes.iter();
    let theirs = theirs.map(|found| (found.kind, &found.value[..], found.offset));
    assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
    assert_sealed_alike(message, naive);
    assert_unknown_alike(message, naive);
    assert_mapped_alike(message, naive);
    true
}

fn assert_sealed_alike(message: &Message<'_>, naive: &naive::NaiveMessage) {
    let key = IntegrityKey::short_term(KEY);
    assert_eq!(message.has_integrity(SHA1), naive.first(0x0008).is_some());
    assert_eq!(message.has_integrity(SHA256), naive.first(0x001C).is_some());
    assert_eq!(
        message.verify_integrity(SHA1, &key),
        naive.sha1_is_right(KEY)
    );
    assert_eq!(
        message.verify_integrity(SHA256, &key),
        naive.sha256_is_right(KEY)
    );
    let fingerprint = match naive.fingerprint_is_right() {
        None => Fingerprint::Absent,
        Some(true) => Fingerprint::Valid,
        Some(false) => Fingerprint::Invalid,
    };
    assert_eq!(message.fingerprint(), fingerprint);
}

fn assert_unknown_alike(message: &Message<'_>, naive: &naive::NaiveMessage) {
    let mut expected = Vec::new();
    for found in &naive.attributes {
        let is_known = [0x0008, 0x001C, 0x0006].contains(&found.kind);
        if found.kind < 0x8000 && !is_known && !expected.contains(&found.kind) {
            expected.push(found.kind);
        }
    }
    expected.truncate(UnknownAttributes::MAX);
    let unknown = message.unknown_required(&[turnpike_stun::AttributeType::USERNAME]);
    assert_eq!(
        unknown.iter().map(|kind| kind.0).collect::<Vec<_>>(),
        expected
    );
}

fn assert_mapped_alike(message: &Message<'_>, naive: &naive::NaiveMessage) {
    let ours = message.get::<XorMappedAddress>();
    match naive.xor_mapped_address() {
        None => assert_eq!(ours, Ok(None)),
        Some(None) => assert!(
            matches!(
                ours,
                Err(ParseError::AttributeLength | ParseError::AttributeValue)
            ),
            "{ours:?}"
        ),
        Some(Some((octets, port))) => {
            let Ok(Some(XorMappedAddress(address))) = ours else {
                panic!("{ours:?}")
            };
            assert_eq!(address.port(), port);
            match address.ip() {
                IpAddr::V4(ip) => assert_eq!(ip.octets(), octets[..]),
                IpAddr::V6(ip) => assert_eq!(ip.octets(), octets[..]),
            }
        }
    }
}

/// Types that mean something to the frame, and others.
fn kind() -> impl Strategy<Value = u16> {
    prop_oneof![
        2 => Just(0x0008_u16),
        2 => Just(0x001C),
        2 => Just(0x8028),
        2 => Just(0x0020),
        1 => Just(0x0006),
        3 => 0_u16..0x40,
        3 => any::<u16>(),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop_oneof![Just(4_usize), Just(8), Just(20), Just(32), 0_usize..40];
    lengths.prop_flat_map(|len| {
        prop_oneof![
            3 => proptest::collection::vec(any::<u8>(), len),
            1 => proptest::collection::vec(0_u8..3, len),
        ]
    })
}

fn unsealed() -> impl Strategy<Value = Vec<u8>> {
    let attributes = proptest::collection::vec((kind(), value()), 0..70);
    (attributes, any::<u8>()).prop_map(|(attributes, padding)| {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(kind, value)| (*kind, &value[..]))
            .collect();
        crafted(&attributes, padding)
    })
}

fn sealed() -> impl Strategy<Value = Vec<u8>> {
    let attributes = proptest::collection::vec((any::<u16>(), value()), 0..6);
    (attributes, any::<bool>(), 0_usize..6, any::<bool>()).prop_map(
        |(attributes, with_sha1, sha256_words, with_fingerprint)| {
            let key = IntegrityKey::short_term(KEY);
            built(Class::Success, turnpike_stun::Method::ALLOCATE, |builder| {
                for (kind, value) in &attributes {
                    builder.raw(turnpike_stun::AttributeType(*kind), value);
                }
                if with_sha1 {
                    builder.integrity(SHA1, &key);
                }
                if sha256_words > 0 {
                    builder.truncated_sha256_integrity(&key, 12 + 4 * sha256_words);
                }
                if with_fingerprint {
                    builder.fingerprint();
                }
            })
        },
    )
}

/// Turns a few bytes, then cuts or lengthens.
fn mutated(messages: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let turns = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (
        messages,
        turns,
        any::<prop::sample::Index>(),
        0_usize..6,
        any::<bool>(),
    )
        .prop_map(|(mut bytes, turns, cut, how, repair)| {
            for (at, byte) in turns {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            match how {
                0 => bytes.truncate(cut.index(bytes.len())),
                1 => bytes.extend([0, 1, 2, 3]),
                _ => {}
            }
            if repair && bytes.len() >= 20 {
                let length = u16::try_from(bytes.len() - 20).unwrap().to_be_bytes();
                bytes[2..4].copy_from_slice(&length);
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn on_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        assert_agree(&bytes);
    }

    #[test]
    fn on_messages_of_any_attributes(bytes in unsealed()) {
        assert_agree(&bytes);
    }

    #[test]
    fn on_mutated_messages_of_any_attributes(bytes in mutated(unsealed())) {
        assert_agree(&bytes);
    }

    #[test]
    fn on_sealed_messages(bytes in sealed()) {
        prop_assert!(assert_agree(&bytes));
    }

    #[test]
    fn on_mutated_sealed_messages(bytes in mutated(sealed())) {
        assert_agree(&bytes);
    }
}
