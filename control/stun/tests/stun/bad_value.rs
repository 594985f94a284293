//! Values of the wrong size or content, and attributes that come twice or are unknown.

use proptest::prelude::*;
use turnpike_stun::{
    AlternateServer, Attribute, AttributeType, Class, ErrorCode, MappedAddress, Message, Method,
    ParseError, PasswordAlgorithm, PasswordAlgorithms, Realm, Software, UnknownAttributes,
    Userhash, Username, XorMappedAddress,
};

use crate::samples::{built, crafted};

#[test]
fn first_of_duplicates_wins() {
    let bytes = crafted(
        &[(0x0006, b"first"), (0x0014, b"realm"), (0x0006, b"second")],
        0,
    );
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.get(), Ok(Some(Username(b"first"))));
    // Even where the first is malformed and the second is not.
    let bytes = crafted(&[(0x001E, b"short"), (0x001E, &[7; 32])], 0);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.get::<Userhash>(), Err(ParseError::AttributeLength));
}

fn assert_length_refused<A: for<'a> Attribute<'a>>(lengths: &[usize]) {
    for len in lengths {
        let bytes = crafted(&[(A::TYPE.0, &vec![1; *len])], 0);
        let found = Message::parse(&bytes)
            .unwrap()
            .get::<A>()
            .map(|found| found.is_some());
        assert_eq!(
            found,
            Err(ParseError::AttributeLength),
            "{} of {len} bytes",
            A::TYPE
        );
    }
}

#[test]
fn fixed_attributes_of_other_lengths_are_refused() {
    assert_length_refused::<XorMappedAddress>(&[0, 1, 2, 3, 4, 5, 7, 9, 12, 19, 20, 21]);
    assert_length_refused::<MappedAddress>(&[0, 1, 2, 3, 4, 5, 7, 9, 12, 19, 20, 21]);
    assert_length_refused::<AlternateServer>(&[0, 3, 4, 9]);
    assert_length_refused::<Userhash>(&[0, 1, 31, 33, 64]);
    assert_length_refused::<PasswordAlgorithm>(&[0, 1, 3]);
    assert_length_refused::<UnknownAttributes>(&[1, 3, 31]);
}

#[test]
fn texts_beyond_their_limits_are_refused() {
    let lengths = [(AttributeType::USERNAME, 513), (AttributeType::REALM, 764)];
    for (kind, len) in lengths {
        let bytes = crafted(&[(kind.0, &vec![b'a'; len])], 0);
        let message = Message::parse(&bytes).unwrap();
        let is_err = match kind {
            AttributeType::USERNAME => message.get::<Username<'_>>().is_err(),
            _ => message.get::<Realm<'_>>().is_err(),
        };
        assert!(is_err, "{kind} of {len} bytes");
    }
    let bytes = crafted(&[(0x0006, b"")], 0);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.get::<Username<'_>>(),
        Err(ParseError::AttributeLength)
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_but_an_error_code_survives_it() {
    let bytes = crafted(&[(0x8022, &[0xFF, 0xFE])], 0);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.get::<Software<'_>>(),
        Err(ParseError::AttributeValue)
    );
    let bytes = crafted(&[(0x0009, &[0, 0, 4, 38, b'o', b'k', 0xFF])], 0);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.get(),
        Ok(Some(ErrorCode {
            code: 438,
            reason: "ok"
        }))
    );
}

#[test]
fn error_codes_outside_300_to_699_are_refused() {
    for (class, number) in [(0, 0), (2, 99), (7, 0), (4, 100), (4, 255)] {
        let bytes = crafted(&[(0x0009, &[0, 0, class, number])], 0);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            message.get::<ErrorCode<'_>>(),
            Err(ParseError::AttributeValue)
        );
    }
    let bytes = crafted(&[(0x0009, &[0xFF, 0xFF, 0xFB, 0])], 0);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.get(),
        Ok(Some(ErrorCode {
            code: 300,
            reason: ""
        }))
    );
}

#[test]
fn reserved_address_families_are_refused() {
    for family in [0, 3, 4, 255] {
        for len in [8, 20] {
            let mut value = vec![0; len];
            value[1] = family;
            let bytes = crafted(&[(0x0020, &value), (0x0001, &value)], 0);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(
                message.get::<XorMappedAddress>(),
                Err(ParseError::AttributeValue)
            );
            assert_eq!(
                message.get::<MappedAddress>(),
                Err(ParseError::AttributeValue)
            );
        }
    }
}

#[test]
fn unknown_required_attributes_are_listed_once_and_up_to_the_bound() {
    let bytes = crafted(
        &[(0x7FFF, b""), (0x8FFF, b""), (0x0006, b"u"), (0x7FFF, b"")],
        0,
    );
    let message = Message::parse(&bytes).unwrap();
    let unknown = message.unknown_required(&[AttributeType::USERNAME]);
    assert_eq!(unknown.iter().collect::<Vec<_>>(), [AttributeType(0x7FFF)]);

    let many: Vec<(u16, &[u8])> = (0..60).map(|index| (0x4000 + index, &b""[..])).collect();
    let bytes = crafted(&many, 0);
    let unknown = Message::parse(&bytes).unwrap().unknown_required(&[]);
    assert_eq!(unknown.len(), UnknownAttributes::MAX);
    let reply = built(Class::Error, Method::ALLOCATE, |builder| {
        builder
            .attribute(&ErrorCode::UNKNOWN_ATTRIBUTE)
            .attribute(&unknown);
    });
    assert!(reply.len() < bytes.len());
}

#[test]
fn password_algorithm_lists_that_lie_are_refused() {
    for value in [
        &[0, 2][..],
        &[0, 2, 0, 1],
        &[0, 2, 0, 0, 0],
        &[0, 2, 0, 0, 0, 1],
        &[],
    ] {
        let bytes = crafted(&[(0x8002, value)], 0);
        let found = Message::parse(&bytes)
            .unwrap()
            .get::<PasswordAlgorithms<'_>>();
        assert_eq!(found, Err(ParseError::AttributeLength), "{value:?}");
    }
    for value in [&[0, 3, 0, 0][..], &[0, 2, 0, 1, 9, 0, 0, 0]] {
        let bytes = crafted(&[(0x001D, value)], 0);
        let found = Message::parse(&bytes).unwrap().get::<PasswordAlgorithm>();
        assert_eq!(found, Err(ParseError::AttributeValue), "{value:?}");
    }
    let value = [0, 9, 0, 2, 1, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0];
    let bytes = crafted(&[(0x8002, &value)], 0);
    let list: PasswordAlgorithms<'_> = Message::parse(&bytes).unwrap().get().unwrap().unwrap();
    let known: Vec<_> = list.known().collect();
    assert_eq!(known, [PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5]);
}

proptest! {
    #[test]
    fn typed_access_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0_u16..0x40) {
        for kind in [kind, kind | 0x8000] {
            let bytes = crafted(&[(kind, &bytes)], 0xFF);
            let message = Message::parse(&bytes).unwrap();
            let _ = message.get::<XorMappedAddress>();
            let _ = message.get::<ErrorCode<'_>>();
            let _ = message.get::<UnknownAttributes>();
            let _ = message.get::<PasswordAlgorithm>();
            if let Ok(Some(list)) = message.get::<PasswordAlgorithms<'_>>() {
                prop_assert!(list.known().count() <= PasswordAlgorithms::LEN_MAX / 4);
            }
            let _ = message.get::<Software<'_>>();
        }
    }
}
