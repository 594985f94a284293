//! Integrity and fingerprint: wrong, misshapen, in the wrong place, and what follows them.

use turnpike_stun::{
    AttributeType, Class, EncodeError, Fingerprint, Message, MessageBuilder, Method, Software,
    Username,
};

use crate::naive;
use crate::samples::{ID, SHA1, SHA256, built, crafted, key, kinds};

/// The value of an attribute of a message that the builder made.
fn value_of(bytes: &[u8], kind: AttributeType) -> Vec<u8> {
    Message::parse(bytes).unwrap().raw(kind).unwrap().to_vec()
}

#[test]
fn attributes_after_message_integrity_do_not_count() {
    let sealed = built(Class::Request, Method::ALLOCATE, |builder| {
        builder
            .attribute(&Username(b"user"))
            .integrity(SHA1, &key());
    });
    let mac = value_of(&sealed, AttributeType::MESSAGE_INTEGRITY);
    let mut bytes = crafted(
        &[
            (0x0006, b"user"),
            (0x0008, &mac),
            (0x0014, b"evil"),
            (0x7FFF, b""),
        ],
        0,
    );
    bytes[..2].copy_from_slice(&sealed[..2]);
    let message = Message::parse(&bytes).unwrap();
    assert!(message.verify_integrity(SHA1, &key()));
    assert_eq!(kinds(&message), [0x0006, 0x0008]);
    assert_eq!(message.raw(AttributeType::REALM), None);
    assert!(
        message
            .unknown_required(&[AttributeType::USERNAME])
            .is_empty()
    );
}

#[test]
fn attributes_after_fingerprint_do_not_count_and_make_it_invalid() {
    let sealed = built(Class::Request, Method::BINDING, |builder| {
        builder.fingerprint();
    });
    let crc = value_of(&sealed, AttributeType::FINGERPRINT);
    let bytes = crafted(&[(0x8028, &crc), (0x0006, b"user"), (0x0008, &[0; 20])], 0);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(kinds(&message), [0x8028]);
    assert!(!message.has_integrity(SHA1));
    assert_eq!(message.fingerprint(), Fingerprint::Invalid);
    // Even where the CRC is right for the header as it stands.
    let mut bytes = crafted(&[(0x8028, &[0; 4]), (0x0006, b"user")], 0);
    let crc = naive::crc32(&bytes[..20]) ^ 0x5354_554E;
    bytes[24..28].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(
        Message::parse(&bytes).unwrap().fingerprint(),
        Fingerprint::Invalid
    );
}

#[test]
fn wrong_or_misshapen_fingerprint_is_invalid() {
    let sealed = built(Class::Request, Method::BINDING, |builder| {
        builder.attribute(&Software("x")).fingerprint();
    });
    assert_eq!(
        Message::parse(&sealed).unwrap().fingerprint(),
        Fingerprint::Valid
    );
    for at in [0, 1, 9, 24, sealed.len() - 1] {
        let mut bytes = sealed.clone();
        bytes[at] ^= 0x20;
        assert_eq!(
            Message::parse(&bytes).unwrap().fingerprint(),
            Fingerprint::Invalid
        );
    }
    for len in [0, 1, 3, 5, 8] {
        let bytes = crafted(&[(0x8028, &vec![0; len])], 0);
        assert_eq!(
            Message::parse(&bytes).unwrap().fingerprint(),
            Fingerprint::Invalid
        );
    }
}

/// A message whose integrity attribute holds the first `len` bytes of the MAC that is right for
/// an attribute of that length, lengthened by zeros where the MAC is shorter.
fn with_mac_of_len(kind: u16, len: usize) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut bytes = crafted(&[(0x0006, b"user"), (kind, &vec![0; len])], 0);
    let padded = len.next_multiple_of(4);
    let start = bytes.len() - padded;
    let covered = {
        let mut covered = bytes[..start - 4].to_vec();
        let length = u16::try_from(start + len - 20).unwrap();
        covered[2..4].copy_from_slice(&length.to_be_bytes());
        covered
    };
    let mac = if kind == 0x0008 {
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"key").unwrap();
        mac.update(&covered);
        mac.finalize().into_bytes().to_vec()
    } else {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
        mac.update(&covered);
        mac.finalize().into_bytes().to_vec()
    };
    let used = len.min(mac.len());
    bytes[start..start + used].copy_from_slice(&mac[..used]);
    bytes
}

#[test]
fn message_integrity_must_have_20_bytes() {
    let key = turnpike_stun::IntegrityKey::short_term("key");
    for len in [0, 4, 12, 16, 19, 20, 21, 24, 32] {
        let bytes = with_mac_of_len(0x0008, len);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            message.verify_integrity(SHA1, &key),
            len == 20,
            "{len} bytes"
        );
        assert!(!message.verify_integrity(SHA256, &key));
    }
}

#[test]
fn message_integrity_sha256_must_have_16_to_32_bytes_in_steps_of_four() {
    let key = turnpike_stun::IntegrityKey::short_term("key");
    for len in [0, 4, 8, 12, 15, 16, 17, 18, 20, 24, 28, 30, 32, 33, 36, 64] {
        let bytes = with_mac_of_len(0x001C, len);
        let message = Message::parse(&bytes).unwrap();
        let is_allowed = [16, 20, 24, 28, 32].contains(&len);
        assert_eq!(
            message.verify_integrity(SHA256, &key),
            is_allowed,
            "{len} bytes"
        );
        assert!(!message.verify_integrity(SHA1, &key));
    }
}

#[test]
fn both_integrity_kinds_verify_each_under_its_own_header() {
    let bytes = built(Class::Request, Method::REFRESH, |builder| {
        builder
            .attribute(&Username(b"user"))
            .integrity(SHA1, &key())
            .integrity(SHA256, &key())
            .fingerprint();
    });
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(kinds(&message), [0x0006, 0x0008, 0x001C, 0x8028]);
    assert!(message.verify_integrity(SHA1, &key()));
    assert!(message.verify_integrity(SHA256, &key()));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn message_integrity_after_the_sha256_one_does_not_count() {
    let bytes = crafted(
        &[(0x001C, &[0; 32]), (0x0008, &[0; 20]), (0x001C, &[1; 32])],
        0,
    );
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(kinds(&message), [0x001C]);
    assert!(!message.has_integrity(SHA1));
}

#[test]
fn attributes_after_integrity_cannot_be_built() {
    let mut buf = [0; 200];
    let mut built = |fill: &dyn Fn(&mut MessageBuilder<'_>)| {
        let mut builder = MessageBuilder::new(&mut buf, Class::Request, Method::ALLOCATE, ID);
        fill(&mut builder);
        builder.finish()
    };
    let misordered = Err(EncodeError::Misordered);
    assert_eq!(
        built(&|b| {
            b.integrity(SHA1, &key()).attribute(&Username(b"u"));
        }),
        misordered
    );
    assert_eq!(
        built(&|b| {
            b.fingerprint().raw(AttributeType::DATA, b"");
        }),
        misordered
    );
    assert_eq!(
        built(&|b| {
            b.fingerprint().integrity(SHA1, &key());
        }),
        misordered
    );
    assert_eq!(
        built(&|b| {
            b.integrity(SHA256, &key()).integrity(SHA1, &key());
        }),
        misordered
    );
    assert_eq!(
        built(&|b| {
            b.fingerprint().fingerprint();
        }),
        misordered
    );
}
