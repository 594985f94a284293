//! The crate `stun-types` reads and verifies what we build, and we what it builds.

use core::net::SocketAddr;

use stun_types::attribute as theirs;
use stun_types::message::{
    BINDING, IntegrityAlgorithm as TheirAlgorithm, LongTermKeyCredentials, Message as TheirMessage,
    MessageClass, MessageIntegrityCredentials, MessageType, MessageWrite, MessageWriteExt,
    MessageWriteVec, ShortTermCredentials, TransactionId as TheirId,
};
use turnpike_stun::{
    AlternateDomain, AlternateServer, Class, ErrorCode, Fingerprint, IntegrityAlgorithm,
    IntegrityKey, Message, Method, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, Software,
    UnknownAttributes, Userhash, Username, XorMappedAddress, userhash,
};

use crate::samples::{ID, SHA1, SHA256, built};

const ADDRESSES: [&str; 2] = ["203.0.113.9:50000", "[2001:db8::1:2]:3478"];

fn credentials() -> MessageIntegrityCredentials {
    LongTermKeyCredentials::new("user".into(), "pass".into(), "example.org".into()).into()
}

fn our_key(algorithm: IntegrityAlgorithm) -> IntegrityKey {
    match algorithm {
        IntegrityAlgorithm::Sha1 => IntegrityKey::long_term_md5("user", "example.org", "pass"),
        IntegrityAlgorithm::Sha256 => IntegrityKey::long_term_sha256("user", "example.org", "pass"),
    }
}

const fn their(algorithm: IntegrityAlgorithm) -> TheirAlgorithm {
    match algorithm {
        IntegrityAlgorithm::Sha1 => TheirAlgorithm::Sha1,
        IntegrityAlgorithm::Sha256 => TheirAlgorithm::Sha256,
    }
}

fn their_id() -> TheirId {
    let mut bytes = [0; 16];
    bytes[4..].copy_from_slice(&ID.0);
    u128::from_be_bytes(bytes).into()
}

#[test]
fn they_read_and_verify_what_we_build() {
    for algorithm in [SHA1, SHA256] {
        for address in ADDRESSES {
            let address: SocketAddr = address.parse().unwrap();
            let bytes = built(Class::Success, Method::BINDING, |builder| {
                builder
                    .attribute(&XorMappedAddress(address))
                    .attribute(&AlternateServer(address))
                    .attribute(&Username(b"user"))
                    .attribute(&Userhash(userhash("user", "example.org")))
                    .attribute(&Realm(b"example.org"))
                    .attribute(&Nonce(b"a nonce"))
                    .attribute(&Software("turnpike"))
                    .attribute(&AlternateDomain("example.net"))
                    .attribute(&PasswordAlgorithm::Sha256)
                    .attribute(&PasswordAlgorithms::SHA256_MD5)
                    .integrity(algorithm, &our_key(algorithm))
                    .fingerprint();
            });
            let message = TheirMessage::from_bytes(&bytes).unwrap();
            assert_eq!(message.class(), MessageClass::Success);
            assert_eq!(message.method(), BINDING);
            assert_eq!(message.transaction_id(), their_id());
            assert_eq!(
                message.validate_integrity(&credentials()).unwrap(),
                their(algorithm)
            );
            let mapped = message.attribute::<theirs::XorMappedAddress>().unwrap();
            assert_eq!(mapped.addr(message.transaction_id()), address);
            let alternate = message.attribute::<theirs::AlternateServer>().unwrap();
            assert_eq!(alternate.server(), address);
            assert_eq!(
                message.attribute::<theirs::Username>().unwrap().username(),
                "user"
            );
            let hash = message.attribute::<theirs::Userhash>().unwrap();
            assert_eq!(
                *hash.hash(),
                theirs::Userhash::compute("user", "example.org")
            );
            assert_eq!(
                message.attribute::<theirs::Realm>().unwrap().realm(),
                "example.org"
            );
            assert_eq!(
                message.attribute::<theirs::Nonce>().unwrap().nonce(),
                "a nonce"
            );
            assert_eq!(
                message.attribute::<theirs::Software>().unwrap().software(),
                "turnpike"
            );
            let domain = message.attribute::<theirs::AlternateDomain>().unwrap();
            assert_eq!(domain.domain(), "example.net");
            let chosen = message.attribute::<theirs::PasswordAlgorithm>().unwrap();
            assert_eq!(chosen.algorithm(), theirs::PasswordAlgorithmValue::SHA256);
            let offered = message.attribute::<theirs::PasswordAlgorithms>().unwrap();
            let expected = [
                theirs::PasswordAlgorithmValue::SHA256,
                theirs::PasswordAlgorithmValue::MD5,
            ];
            assert_eq!(offered.algorithms(), expected);
        }
    }
}

#[test]
fn they_refuse_what_we_break() {
    let bytes = built(Class::Request, Method::BINDING, |builder| {
        builder
            .attribute(&Username(b"user"))
            .integrity(SHA256, &our_key(SHA256))
            .fingerprint();
    });
    let mut broken = bytes.clone();
    broken[25] ^= 1;
    assert!(
        TheirMessage::from_bytes(&broken).is_err(),
        "the fingerprint covers the user name"
    );
    let other = LongTermKeyCredentials::new("user".into(), "other".into(), "example.org".into());
    let message = TheirMessage::from_bytes(&bytes).unwrap();
    assert!(message.validate_integrity(&other.into()).is_err());
}

#[test]
fn we_read_and_verify_what_they_build() {
    for algorithm in [SHA1, SHA256] {
        for address in ADDRESSES {
            let address: SocketAddr = address.parse().unwrap();
            let kind = MessageType::from_class_method(MessageClass::Success, BINDING);
            let mut builder = TheirMessage::builder(kind, their_id(), MessageWriteVec::new());
            let add = |builder: &mut MessageWriteVec, attribute: &dyn theirs::AttributeWrite| {
                builder.add_attribute(attribute).unwrap();
            };
            add(
                &mut builder,
                &theirs::XorMappedAddress::new(address, their_id()),
            );
            add(&mut builder, &theirs::AlternateServer::new(address));
            add(&mut builder, &theirs::Username::new("user").unwrap());
            add(&mut builder, &theirs::Userhash::new([7; 32]));
            add(&mut builder, &theirs::Realm::new("example.org").unwrap());
            add(&mut builder, &theirs::Nonce::new("a nonce").unwrap());
            add(&mut builder, &theirs::Software::new("theirs").unwrap());
            let offered = [
                theirs::PasswordAlgorithmValue::MD5,
                theirs::PasswordAlgorithmValue::SHA256,
            ];
            add(&mut builder, &theirs::PasswordAlgorithms::new(&offered));
            builder
                .add_message_integrity(&credentials(), their(algorithm))
                .unwrap();
            builder.add_fingerprint().unwrap();
            let bytes = builder.finish();

            let message = Message::parse(&bytes).unwrap();
            assert_eq!(
                (message.class(), message.method()),
                (Class::Success, Method::BINDING)
            );
            assert_eq!(message.transaction_id(), ID);
            assert_eq!(message.get(), Ok(Some(XorMappedAddress(address))));
            assert_eq!(message.get(), Ok(Some(AlternateServer(address))));
            assert_eq!(message.get(), Ok(Some(Username(b"user"))));
            assert_eq!(message.get(), Ok(Some(Userhash([7; 32]))));
            assert_eq!(message.get(), Ok(Some(Realm(b"example.org"))));
            assert_eq!(message.get(), Ok(Some(Nonce(b"a nonce"))));
            assert_eq!(message.get(), Ok(Some(Software("theirs"))));
            assert_eq!(message.get(), Ok(Some(PasswordAlgorithms::MD5_SHA256)));
            assert!(message.verify_integrity(algorithm, &our_key(algorithm)));
            assert_eq!(message.fingerprint(), Fingerprint::Valid);
        }
    }
}

#[test]
fn we_read_their_errors_and_short_term_integrity() {
    let kind = MessageType::from_class_method(MessageClass::Error, BINDING);
    let mut builder = TheirMessage::builder(kind, their_id(), MessageWriteVec::new());
    builder
        .add_attribute(&theirs::ErrorCode::new(420, "what?").unwrap())
        .unwrap();
    let unknown = [
        theirs::AttributeType::new(0x7001),
        theirs::AttributeType::new(0x7002),
    ];
    builder
        .add_attribute(&theirs::UnknownAttributes::new(&unknown))
        .unwrap();
    // Longer than the block of the hash, so that it is hashed itself.
    let password = "p".repeat(100);
    let credentials = ShortTermCredentials::new(password.clone()).into();
    builder
        .add_message_integrity(&credentials, TheirAlgorithm::Sha1)
        .unwrap();
    let bytes = builder.finish();

    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.get(),
        Ok(Some(ErrorCode {
            code: 420,
            reason: "what?"
        }))
    );
    let list: UnknownAttributes = message.get().unwrap().unwrap();
    assert_eq!(
        list.iter().map(|kind| kind.0).collect::<Vec<_>>(),
        [0x7001, 0x7002]
    );
    assert!(message.verify_integrity(SHA1, &IntegrityKey::short_term(&password)));
}
