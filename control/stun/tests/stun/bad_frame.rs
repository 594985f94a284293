//! Frames that lie: lengths, cookies, paddings and counts that servers have fallen over.

use turnpike_stun::{
    ATTRIBUTES_MAX, AttributeType, Class, EncodeError, Fingerprint, Message, MessageBuilder,
    Method, ParseError, Username, XorMappedAddress,
};

use crate::samples::{ID, SHA1, built, crafted, key};

fn error_of(bytes: &[u8]) -> ParseError {
    Message::parse(bytes).unwrap_err()
}

fn with_length(length: u16) -> Vec<u8> {
    let mut bytes = crafted(&[(0x0006, b"user")], 0);
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn length_that_is_no_multiple_of_four_is_refused() {
    for length in [1, 2, 3, 5, 9, 0xFFFD, 0xFFFE, 0xFFFF] {
        assert_eq!(error_of(&with_length(length)), ParseError::UnalignedLength);
    }
}

#[test]
fn length_beyond_the_datagram_is_refused() {
    for length in [12, 0x0100, 0xFFFC] {
        assert_eq!(error_of(&with_length(length)), ParseError::LengthMismatch);
    }
}

#[test]
fn truncated_datagram_is_refused_at_every_length() {
    let bytes = crafted(&[(0x0006, b"user"), (0x8022, b"x")], 0);
    for len in 0..bytes.len() {
        let expected = if len < 20 {
            ParseError::TooShort
        } else {
            ParseError::LengthMismatch
        };
        assert_eq!(error_of(&bytes[..len]), expected);
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for extra in [1, 3, 4, 100] {
        let mut bytes = crafted(&[(0x0006, b"user")], 0);
        bytes.resize(bytes.len() + extra, 0);
        assert_eq!(error_of(&bytes), ParseError::LengthMismatch);
    }
}

#[test]
fn top_two_bits_that_are_not_zero_are_not_stun() {
    for top in [0x40, 0x80, 0xC0] {
        let mut bytes = crafted(&[], 0);
        bytes[0] |= top;
        assert_eq!(error_of(&bytes), ParseError::NotStun);
    }
}

#[test]
fn message_without_magic_cookie_is_refused() {
    for at in 4..8 {
        let mut bytes = crafted(&[], 0);
        bytes[at] ^= 1;
        assert_eq!(error_of(&bytes), ParseError::NoMagicCookie);
    }
}

#[test]
fn bare_requests_of_every_method_are_messages() {
    for number in 0..=0x0FFF {
        let bytes = built(Class::Request, Method::new(number), |_| {});
        assert_eq!(bytes.len(), 20);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.method(), Method::new(number));
        assert_eq!(message.attributes().count(), 0);
    }
}

#[test]
fn attribute_past_the_end_is_refused() {
    for len in [5_u16, 8, 0x7FFF, 0xFFFC, 0xFFFF] {
        let mut bytes = crafted(&[(0x8022, b"abcd"), (0x0006, b"user")], 0);
        bytes[30..32].copy_from_slice(&len.to_be_bytes());
        assert_eq!(error_of(&bytes), ParseError::AttributePastEnd);
    }
}

#[test]
fn missing_padding_at_the_end_is_refused() {
    let mut bytes = crafted(&[(0x0006, b"user1")], 0);
    bytes.truncate(bytes.len() - 3);
    bytes[3] = 9;
    assert_eq!(error_of(&bytes), ParseError::UnalignedLength);
}

#[test]
fn padding_is_written_zero_and_ignored_when_read() {
    for len in 0..=8 {
        let value = &b"12345678"[..len];
        let ours = built(Class::Request, Method::BINDING, |builder| {
            builder.raw(AttributeType::USERNAME, value);
        });
        assert_eq!(ours, crafted(&[(0x0006, value)], 0));
        let theirs = crafted(&[(0x0006, value)], 0xFF);
        assert_eq!(
            Message::parse(&theirs)
                .unwrap()
                .raw(AttributeType::USERNAME),
            Some(value)
        );
    }
}

#[test]
fn messages_at_odd_addresses_read_the_same() {
    let bytes = built(Class::Success, Method::ALLOCATE, |builder| {
        builder
            .attribute(&XorMappedAddress("192.0.2.1:3478".parse().unwrap()))
            .integrity(SHA1, &key())
            .fingerprint();
    });
    for shift in 0..8 {
        let mut shifted = vec![0; shift];
        shifted.extend(&bytes);
        let message = Message::parse(&shifted[shift..]).unwrap();
        assert_eq!(
            message.get(),
            Ok(Some(XorMappedAddress("192.0.2.1:3478".parse().unwrap())))
        );
        assert!(message.verify_integrity(SHA1, &key()));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
    }
}

#[test]
fn more_attributes_than_the_bound_are_refused() {
    let of = |count: usize| crafted(&vec![(0x7FFF, &b""[..]); count], 0);
    assert!(Message::parse(&of(ATTRIBUTES_MAX)).is_ok());
    for count in [ATTRIBUTES_MAX + 1, 200, 2_048, 16_383] {
        assert_eq!(error_of(&of(count)), ParseError::TooManyAttributes);
    }
}

#[test]
fn message_that_does_not_fit_is_an_error_at_every_buffer_length() {
    let fill = |buf: &mut [u8]| {
        MessageBuilder::new(buf, Class::Request, Method::ALLOCATE, ID)
            .attribute(&Username(b"user!"))
            .attribute(&XorMappedAddress("192.0.2.1:1".parse().unwrap()))
            .integrity(SHA1, &key())
            .fingerprint()
            .finish()
    };
    let whole = fill(&mut [0; 200]).unwrap();
    for len in 0..200 {
        let expected = if len < whole {
            Err(EncodeError::NoRoom)
        } else {
            Ok(whole)
        };
        assert_eq!(fill(&mut vec![0; len]), expected, "buffer of {len}");
    }
}

#[test]
fn message_longer_than_its_length_field_is_an_error() {
    let mut buf = vec![0; 200_000];
    let mut of = |len: usize| {
        let value = vec![1; len];
        MessageBuilder::new(&mut buf, Class::Request, Method::ALLOCATE, ID)
            .raw(AttributeType::DATA, &value)
            .finish()
    };
    assert_eq!(of(0xFFF8), Ok(20 + 0xFFFC));
    assert_eq!(of(0xFFF9), Err(EncodeError::NoRoom));
    assert_eq!(of(0x1_0000), Err(EncodeError::ValueTooLong));
}
