//! Test vectors of RFC 5769 and of RFC 8489 appendix B.1 with its errata.

use turnpike_stun::long_term::SecurityFeatures;
use turnpike_stun::{
    AttributeType, Class, Fingerprint, IntegrityKey, Message, MessageBuilder, Method, Nonce,
    PasswordAlgorithm, Realm, Software, TransactionId, Userhash, Username, XorMappedAddress,
    opaque_string, userhash,
};

use crate::samples::{SHA1, SHA256, hex};

const SHORT_TERM_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const MATRIX: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";

/// RFC 5769 section 2.1
const REQUEST: &str = "
    00010058 2112a442 b7e7a701 bc34d686 fa87dfae
    80220010 5354554e 20746573 7420636c 69656e74
    00240004 6e0001ff
    80290008 932ff9b1 51263b36
    00060009 6576746a 3a683676 59202020
    00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
    80280004 e57a3bcf";

/// RFC 5769 section 2.2
const IPV4_RESPONSE: &str = "
    0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
    8022000b 74657374 20766563 746f7220
    00200008 0001a147 e112a643
    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
    80280004 c07d4c96";

/// RFC 5769 section 2.3
const IPV6_RESPONSE: &str = "
    01010048 2112a442 b7e7a701 bc34d686 fa87dfae
    8022000b 74657374 20766563 746f7220
    00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
    00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
    80280004 c8fb0b4c";

/// RFC 5769 section 2.4
const LONG_TERM_REQUEST: &str = "
    00010060 2112a442 78ad3433 c6ad72c0 29da412e
    00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000
    0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
    0014000b 6578616d 706c652e 6f726700
    00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666";

/// RFC 8489 appendix B.1 as erratum 6268 puts it right: with PASSWORD-ALGORITHM, and the key of
/// SHA-256.
const SHA256_REQUEST: &str = "
    00010090 2112a442 78ad3433 c6ad72c0 29da412e
    001e0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704
    00150029 6f624d61 744a6f73 32414141 43662f2f 3439396b 39353464 364f4c33 346f4c39 46535476
             79363473 41000000
    0014000b 6578616d 706c652e 6f726700
    001d0004 00020000
    001c0020 b5c7bf00 5b6c52a2 1c51c5e8 92f81924 136296cb 927c4314 9309278c c6518e65";

fn rebuild(vector: &[u8], fill: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
    let message = Message::parse(vector).unwrap();
    let mut buf = vec![0; 512];
    let mut builder = MessageBuilder::new(
        &mut buf,
        message.class(),
        message.method(),
        message.transaction_id(),
    );
    fill(&mut builder);
    let len = builder.finish().unwrap();
    buf.truncate(len);
    buf
}

#[test]
fn rfc5769_request_has_its_attributes_integrity_and_fingerprint() {
    let bytes = hex(REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (Class::Request, Method::BINDING)
    );
    let id = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];
    assert_eq!(message.transaction_id(), TransactionId(id));
    assert_eq!(message.get(), Ok(Some(Software("STUN test client"))));
    assert_eq!(message.get(), Ok(Some(Username(b"evtj:h6vY"))));
    assert_eq!(
        message.raw(AttributeType::PRIORITY),
        Some(&[0x6e, 0x00, 0x01, 0xff][..])
    );
    let key = IntegrityKey::short_term(SHORT_TERM_PASSWORD);
    assert!(message.verify_integrity(SHA1, &key));
    assert!(!message.verify_integrity(SHA1, &IntegrityKey::short_term("another")));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn rfc5769_responses_have_their_mapped_addresses() {
    let key = IntegrityKey::short_term(SHORT_TERM_PASSWORD);
    for (vector, mapped) in [
        (IPV4_RESPONSE, "192.0.2.1:32853"),
        (
            IPV6_RESPONSE,
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        ),
    ] {
        let bytes = hex(vector);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.class(), message.method()),
            (Class::Success, Method::BINDING)
        );
        assert_eq!(message.get(), Ok(Some(Software("test vector"))));
        assert_eq!(
            message.get(),
            Ok(Some(XorMappedAddress(mapped.parse().unwrap())))
        );
        assert!(message.verify_integrity(SHA1, &key));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
    }
}

#[test]
fn rfc5769_long_term_request_verifies_and_is_rebuilt_byte_for_byte() {
    let bytes = hex(LONG_TERM_REQUEST);
    let message = Message::parse(&bytes).unwrap();
    let key = IntegrityKey::long_term_md5(MATRIX, "example.org", "TheMatrIX");
    assert!(message.verify_integrity(SHA1, &key));
    assert_eq!(message.fingerprint(), Fingerprint::Absent);
    let rebuilt = rebuild(&bytes, |builder| {
        builder
            .attribute(&Username(MATRIX.as_bytes()))
            .attribute(&Nonce(b"f//499k954d6OL34oL9FSTvy64sA"))
            .attribute(&Realm(b"example.org"))
            .integrity(SHA1, &key);
    });
    assert_eq!(rebuilt, bytes);
}

#[test]
fn rfc8489_b1_request_verifies_and_is_rebuilt_byte_for_byte() {
    let bytes = hex(SHA256_REQUEST);
    let message = Message::parse(&bytes).unwrap();
    let key = IntegrityKey::long_term_sha256(MATRIX, "example.org", "TheMatrIX");
    assert!(message.verify_integrity(SHA256, &key));
    assert!(!message.has_integrity(SHA1));
    let Ok(Some(Nonce(nonce))) = message.get() else {
        panic!("the vector has a NONCE")
    };
    let features = SecurityFeatures::of_nonce(nonce);
    assert_eq!(features, Some(SecurityFeatures::USERNAME_ANONYMITY));
    let rebuilt = rebuild(&bytes, |builder| {
        builder
            .attribute(&Userhash(userhash(MATRIX, "example.org")))
            .attribute(&Nonce(b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"))
            .attribute(&Realm(b"example.org"))
            .attribute(&PasswordAlgorithm::Sha256)
            .integrity(SHA256, &key);
    });
    assert_eq!(rebuilt, bytes);
}

#[test]
fn rfc8489_long_term_key_of_section_9_2_2() {
    let hash = hex("8493fbc53ba582fb4c044c456bdc40eb");
    let hash = <[u8; 16]>::try_from(hash).unwrap();
    let key = IntegrityKey::long_term_md5("user", "realm", "pass");
    assert_eq!(key, IntegrityKey::from_md5(hash));
}

#[test]
fn opaque_string_leaves_the_vectors_username_and_refuses_their_soft_hyphen() {
    assert_eq!(opaque_string(MATRIX).as_deref(), Some(MATRIX));
    // SASLprep mapped this to "TheMatrIX"; the profile that replaced it does not allow U+00AD.
    assert_eq!(opaque_string("The\u{AD}M\u{AA}tr\u{2168}"), None);
}
