//! The STUN parser (RFC 8489 section 5) against a naive one, and against our own builder.

use turnpike_stun::attribute::{
    AlternateDomain, AlternateServer, Attribute, ErrorCode, MappedAddress, Nonce,
    PasswordAlgorithm, PasswordAlgorithms, Realm, Software, UnknownAttributes, Userhash, Username,
    XorMappedAddress,
};
use turnpike_stun::{
    ATTRIBUTES_MAX, AttributeType, Class, Fingerprint, IntegrityAlgorithm, IntegrityKey, Message,
    MessageBuilder,
};

use crate::naive_stun::{self, NaiveMessage};

/// The password of the test vectors of RFC 5769, so that they are corpus files that verify.
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

macro_rules! reread {
    ($message:ident: $($kind:ty),*) => {$(
        if let Some(Some(attribute)) = understood::<$kind>($message) {
            let mut buf = [0xEE; 1_024];
            let len = MessageBuilder::new(
                &mut buf,
                $message.class(),
                $message.method(),
                $message.transaction_id(),
            )
            .attribute(&attribute)
            .finish();
            match len {
                Ok(len) => {
                    let again = Message::parse(&buf[..len]).expect("our own builder's message");
                    assert_eq!(again.get::<$kind>(), Ok(Some(attribute)));
                }
                // A reason phrase may be read longer than it may be written.
                Err(_) => assert_eq!(<$kind>::TYPE, AttributeType::ERROR_CODE),
            }
        }
    )*};
}

/// Parses the input both ways, then writes what was understood and reads it again.
pub fn stun_message(data: &[u8]) {
    let naive = NaiveMessage::parse(data);
    let Ok(message) = Message::parse(data) else {
        assert!(naive.is_none(), "refused what is a message");
        return;
    };
    let naive = naive.expect("accepted what is no message");
    agree_on_frame(&message, &naive);
    agree_on_values(&message, &naive);
    agree_on_integrity(&message, &naive);
    reread_every_type(&message);
    rebuild(&message);
}

fn agree_on_frame(message: &Message<'_>, naive: &NaiveMessage) {
    assert_eq!(message.class(), class_of(naive.class));
    assert_eq!(message.method().get(), naive.method);
    assert_eq!(message.transaction_id().0, naive.transaction_id);
    let mut theirs = naive.attributes.iter();
    for ours in message.attributes() {
        let theirs = theirs.next().expect("an attribute that does not count");
        assert_eq!(ours.kind.0, theirs.kind);
        assert_eq!(ours.value, theirs.value);
        assert_eq!(ours.offset, theirs.offset);
        let first = naive
            .first(ours.kind.0)
            .map(|attribute| attribute.value.as_slice());
        assert_eq!(message.raw(ours.kind), first, "the first of a type wins");
    }
    assert!(
        theirs.next().is_none(),
        "an attribute that counts was not seen"
    );
    assert!(message.attributes().count() <= ATTRIBUTES_MAX);
}

fn agree_on_values(message: &Message<'_>, naive: &NaiveMessage) {
    let value = |kind: AttributeType| naive.first(kind.0).map(|found| found.value.as_slice());
    let mapped = value(AttributeType::MAPPED_ADDRESS).map(|value| naive_stun::address(value, None));
    assert_eq!(
        understood::<MappedAddress>(message).map(|v| v.map(|v| v.0)),
        mapped
    );
    let alternate =
        value(AttributeType::ALTERNATE_SERVER).map(|value| naive_stun::address(value, None));
    assert_eq!(
        understood::<AlternateServer>(message).map(|v| v.map(|v| v.0)),
        alternate
    );
    let masked = value(AttributeType::XOR_MAPPED_ADDRESS)
        .map(|value| naive_stun::address(value, Some(&naive.transaction_id)));
    assert_eq!(
        understood::<XorMappedAddress>(message).map(|v| v.map(|v| v.0)),
        masked
    );
    let error = value(AttributeType::ERROR_CODE).map(naive_stun::error_code);
    assert_eq!(
        understood::<ErrorCode<'_>>(message).map(|v| v.map(|v| v.code)),
        error
    );

    let known = [AttributeType::USERNAME, AttributeType::REALM];
    let mut unknown: Vec<u16> = Vec::new();
    for kind in naive.attributes.iter().map(|attribute| attribute.kind) {
        let is_known = [0x0006, 0x0014, 0x0008, 0x001C].contains(&kind);
        if kind < 0x8000 && !is_known && !unknown.contains(&kind) {
            unknown.push(kind);
        }
    }
    unknown.truncate(UnknownAttributes::MAX);
    let ours: Vec<u16> = message
        .unknown_required(&known)
        .iter()
        .map(|kind| kind.0)
        .collect();
    assert_eq!(ours, unknown);
}

fn agree_on_integrity(message: &Message<'_>, naive: &NaiveMessage) {
    let fingerprint = match naive.fingerprint_is_valid() {
        None => Fingerprint::Absent,
        Some(true) => Fingerprint::Valid,
        Some(false) => Fingerprint::Invalid,
    };
    assert_eq!(message.fingerprint(), fingerprint);
    let key = IntegrityKey::short_term(PASSWORD);
    let (sha1, sha256) = (IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256);
    let has = |kind| naive.first(kind).is_some();
    assert_eq!(
        message.has_integrity(sha1),
        has(naive_stun::MESSAGE_INTEGRITY)
    );
    assert_eq!(
        message.has_integrity(sha256),
        has(naive_stun::MESSAGE_INTEGRITY_SHA256)
    );
    assert_eq!(
        message.verify_integrity(sha1, &key),
        naive.sha1_is_valid(PASSWORD)
    );
    assert_eq!(
        message.verify_integrity(sha256, &key),
        naive.sha256_is_valid(PASSWORD)
    );
}

/// Every type that is understood must say the same after another trip over the wire.
fn reread_every_type(message: &Message<'_>) {
    reread!(message: MappedAddress, XorMappedAddress, AlternateServer, AlternateDomain<'_>);
    reread!(message: ErrorCode<'_>, UnknownAttributes, Software<'_>);
    reread!(message: Username<'_>, Userhash, Realm<'_>, Nonce<'_>);
    reread!(message: PasswordAlgorithm, PasswordAlgorithms<'_>);
    if let Ok(Some(offered)) = message.get::<PasswordAlgorithms<'_>>() {
        assert!(offered.as_bytes().len() <= PasswordAlgorithms::LEN_MAX);
        assert!(offered.known().count() <= PasswordAlgorithms::LEN_MAX / 4);
    }
}

/// Copies the message up to its integrity with the builder and seals it with known keys.
fn rebuild(message: &Message<'_>) {
    let key = IntegrityKey::short_term(PASSWORD);
    let mut buf = vec![0xEE; message.as_bytes().len() + SEAL_LEN];
    let mut builder = MessageBuilder::new(
        &mut buf,
        message.class(),
        message.method(),
        message.transaction_id(),
    );
    let is_open = |kind: AttributeType| ![0x0008, 0x001C, 0x8028].contains(&kind.0);
    let mut copied = 0;
    for attribute in message
        .attributes()
        .take_while(|attribute| is_open(attribute.kind))
    {
        builder.raw(attribute.kind, attribute.value);
        copied += 1;
    }
    let truncated = 16 + usize::from(message.transaction_id().0[0] % 5) * 4;
    let len = builder
        .integrity(IntegrityAlgorithm::Sha1, &key)
        .truncated_sha256_integrity(&key, truncated)
        .fingerprint()
        .finish();
    let Ok(len) = len else {
        assert!(message.as_bytes().len() > usize::from(u16::MAX) - SEAL_LEN);
        return;
    };
    let bytes = &mut buf[..len];
    if copied + 3 <= ATTRIBUTES_MAX {
        assert_sealed(bytes, &key, true);
        let [.., high, low] = message.transaction_id().0;
        let covered = len - SEAL_LEN + (32 - truncated);
        bytes[usize::from(u16::from_be_bytes([high, low])) % covered] ^= 1 << (low & 7);
        assert_sealed(bytes, &key, false);
    }
}

/// Either all three seals hold, or none does.
fn assert_sealed(bytes: &[u8], key: &IntegrityKey, sealed: bool) {
    let Ok(message) = Message::parse(bytes) else {
        assert!(!sealed, "refused what our own builder wrote");
        return;
    };
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        assert_eq!(message.verify_integrity(algorithm, key), sealed);
    }
    assert_eq!(message.fingerprint() == Fingerprint::Valid, sealed);
}

/// `None` when absent, `Some(None)` when there but not what its type says.
fn understood<'a, A: Attribute<'a>>(message: &Message<'a>) -> Option<Option<A>> {
    message
        .get::<A>()
        .map_or(Some(None), |found| found.map(Some))
}

const fn class_of(bits: u8) -> Class {
    match bits {
        0 => Class::Request,
        1 => Class::Indication,
        2 => Class::Success,
        _ => Class::Error,
    }
}

/// Both integrity attributes and the fingerprint.
const SEAL_LEN: usize = 24 + 36 + 8;
