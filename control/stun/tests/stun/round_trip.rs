//! What the builder writes, the parser reads.

use core::net::SocketAddr;

use proptest::prelude::*;
use turnpike_stun::{
    AlternateDomain, AlternateServer, Attribute, AttributeType, Class, ErrorCode, Fingerprint,
    IntegrityKey, MappedAddress, Message, MessageBuilder, Method, Nonce, PasswordAlgorithm,
    PasswordAlgorithms, Realm, Software, TransactionId, UnknownAttributes, Userhash, Username,
    XorMappedAddress,
};

use crate::samples::{SHA1, SHA256};

/// One attribute of any kind, owning its value.
#[derive(Clone, Debug)]
enum Any {
    XorMapped(SocketAddr),
    Mapped(SocketAddr),
    AlternateServer(SocketAddr),
    AlternateDomain(String),
    ErrorCode(u16, String),
    Unknown(Vec<u16>),
    Username(Vec<u8>),
    Userhash([u8; 32]),
    Realm(Vec<u8>),
    Nonce(Vec<u8>),
    Software(String),
    Algorithm(PasswordAlgorithm),
    Algorithms(PasswordAlgorithms<'static>),
    Raw(u16, Vec<u8>),
}

fn any_attribute() -> impl Strategy<Value = Any> {
    let algorithm = prop_oneof![
        Just(PasswordAlgorithm::Md5),
        Just(PasswordAlgorithm::Sha256)
    ];
    let algorithms = prop_oneof![
        Just(PasswordAlgorithms::SHA256_MD5),
        Just(PasswordAlgorithms::MD5_SHA256),
        Just(PasswordAlgorithms::SHA256),
        Just(PasswordAlgorithms::MD5),
    ];
    let bytes = |range| proptest::collection::vec(any::<u8>(), range);
    prop_oneof![
        any::<SocketAddr>().prop_map(|address| Any::XorMapped(plain(address))),
        any::<SocketAddr>().prop_map(|address| Any::Mapped(plain(address))),
        any::<SocketAddr>().prop_map(|address| Any::AlternateServer(plain(address))),
        "[a-z.]{0,60}".prop_map(Any::AlternateDomain),
        (300_u16..700, ".{0,40}").prop_map(|(code, reason)| Any::ErrorCode(code, reason)),
        proptest::collection::vec(any::<u16>(), 0..20).prop_map(Any::Unknown),
        bytes(1..513).prop_map(Any::Username),
        any::<[u8; 32]>().prop_map(Any::Userhash),
        bytes(0..764).prop_map(Any::Realm),
        bytes(0..764).prop_map(Any::Nonce),
        ".{0,40}".prop_map(Any::Software),
        algorithm.prop_map(Any::Algorithm),
        algorithms.prop_map(Any::Algorithms),
        (0x0030_u16..0x7F00, bytes(0..40)).prop_map(|(kind, value)| Any::Raw(kind, value)),
    ]
}

/// Scope and flow label do not travel.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

impl Any {
    fn kind(&self) -> AttributeType {
        match self {
            Self::XorMapped(_) => XorMappedAddress::TYPE,
            Self::Mapped(_) => MappedAddress::TYPE,
            Self::AlternateServer(_) => AlternateServer::TYPE,
            Self::AlternateDomain(_) => AlternateDomain::TYPE,
            Self::ErrorCode(..) => ErrorCode::TYPE,
            Self::Unknown(_) => UnknownAttributes::TYPE,
            Self::Username(_) => Username::TYPE,
            Self::Userhash(_) => Userhash::TYPE,
            Self::Realm(_) => Realm::TYPE,
            Self::Nonce(_) => Nonce::TYPE,
            Self::Software(_) => Software::TYPE,
            Self::Algorithm(_) => PasswordAlgorithm::TYPE,
            Self::Algorithms(_) => PasswordAlgorithms::TYPE,
            Self::Raw(kind, _) => AttributeType(*kind),
        }
    }

    fn add_to(&self, builder: &mut MessageBuilder<'_>) {
        match self {
            Self::XorMapped(address) => builder.attribute(&XorMappedAddress(*address)),
            Self::Mapped(address) => builder.attribute(&MappedAddress(*address)),
            Self::AlternateServer(address) => builder.attribute(&AlternateServer(*address)),
            Self::AlternateDomain(name) => builder.attribute(&AlternateDomain(name)),
            Self::ErrorCode(code, reason) => builder.attribute(&ErrorCode {
                code: *code,
                reason,
            }),
            Self::Unknown(kinds) => builder.attribute(&list(kinds)),
            Self::Username(bytes) => builder.attribute(&Username(bytes)),
            Self::Userhash(hash) => builder.attribute(&Userhash(*hash)),
            Self::Realm(bytes) => builder.attribute(&Realm(bytes)),
            Self::Nonce(bytes) => builder.attribute(&Nonce(bytes)),
            Self::Software(text) => builder.attribute(&Software(text)),
            Self::Algorithm(algorithm) => builder.attribute(algorithm),
            Self::Algorithms(algorithms) => builder.attribute(algorithms),
            Self::Raw(kind, value) => builder.raw(AttributeType(*kind), value),
        };
    }

    fn assert_is_in(&self, message: &Message<'_>) {
        match self {
            Self::XorMapped(address) => assert_has(message, XorMappedAddress(*address)),
            Self::Mapped(address) => assert_has(message, MappedAddress(*address)),
            Self::AlternateServer(address) => assert_has(message, AlternateServer(*address)),
            Self::AlternateDomain(name) => {
                assert_eq!(message.get(), Ok(Some(AlternateDomain(name))));
            }
            Self::ErrorCode(code, reason) => {
                assert_eq!(
                    message.get(),
                    Ok(Some(ErrorCode {
                        code: *code,
                        reason
                    }))
                );
            }
            Self::Unknown(kinds) => assert_has(message, list(kinds)),
            Self::Username(bytes) => assert_eq!(message.get(), Ok(Some(Username(bytes)))),
            Self::Userhash(hash) => assert_has(message, Userhash(*hash)),
            Self::Realm(bytes) => assert_eq!(message.get(), Ok(Some(Realm(bytes)))),
            Self::Nonce(bytes) => assert_eq!(message.get(), Ok(Some(Nonce(bytes)))),
            Self::Software(text) => assert_eq!(message.get(), Ok(Some(Software(text)))),
            Self::Algorithm(algorithm) => assert_has(message, *algorithm),
            Self::Algorithms(algorithms) => assert_eq!(message.get(), Ok(Some(*algorithms))),
            Self::Raw(kind, value) => {
                assert_eq!(message.raw(AttributeType(*kind)), Some(&value[..]));
            }
        }
    }
}

fn assert_has<A>(message: &Message<'_>, attribute: A)
where
    A: for<'a> Attribute<'a> + PartialEq + core::fmt::Debug,
{
    assert_eq!(message.get(), Ok(Some(attribute)));
}

fn list(kinds: &[u16]) -> UnknownAttributes {
    let mut list = UnknownAttributes::default();
    kinds.iter().for_each(|kind| list.add(AttributeType(*kind)));
    list
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::Request),
        Just(Class::Indication),
        Just(Class::Success),
        Just(Class::Error)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_attributes_survive_building_and_parsing(
        class in class(),
        method in 0_u16..0x1000,
        id in any::<[u8; 12]>(),
        attributes in proptest::collection::vec(any_attribute(), 0..12),
        password in ".{0,80}",
        seals in any::<[bool; 3]>(),
    ) {
        let mut buf = vec![0xEE; 20_000];
        let key = IntegrityKey::short_term(&password);
        let mut builder =
            MessageBuilder::new(&mut buf, class, Method::new(method), TransactionId(id));
        attributes.iter().for_each(|attribute| attribute.add_to(&mut builder));
        let [with_sha1, with_sha256, with_fingerprint] = seals;
        if with_sha1 {
            builder.integrity(SHA1, &key);
        }
        if with_sha256 {
            builder.integrity(SHA256, &key);
        }
        if with_fingerprint {
            builder.fingerprint();
        }
        let len = builder.finish().unwrap();
        let message = Message::parse(&buf[..len]).unwrap();

        prop_assert_eq!(message.class(), class);
        prop_assert_eq!(message.method(), Method::new(method));
        prop_assert_eq!(message.transaction_id(), TransactionId(id));
        let kinds: Vec<_> = message.attributes().map(|found| found.kind).collect();
        let built: Vec<_> = attributes.iter().map(Any::kind).collect();
        prop_assert_eq!(&kinds[..built.len()], &built[..]);
        for (index, attribute) in attributes.iter().enumerate() {
            if built[..index].iter().all(|earlier| *earlier != attribute.kind()) {
                attribute.assert_is_in(&message);
            }
        }
        prop_assert_eq!(message.has_integrity(SHA1), with_sha1);
        prop_assert_eq!(message.has_integrity(SHA256), with_sha256);
        prop_assert_eq!(message.verify_integrity(SHA1, &key), with_sha1);
        prop_assert_eq!(message.verify_integrity(SHA256, &key), with_sha256);
        let fingerprint =
            if with_fingerprint { Fingerprint::Valid } else { Fingerprint::Absent };
        prop_assert_eq!(message.fingerprint(), fingerprint);
    }

    #[test]
    fn no_bit_before_the_integrity_can_be_turned(
        attributes in proptest::collection::vec(any_attribute(), 0..4),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let key = IntegrityKey::long_term_md5("user", "realm", "pass");
        for algorithm in [SHA1, SHA256] {
            let mut buf = vec![0; 20_000];
            let mut builder = MessageBuilder::new(
                &mut buf, Class::Request, Method::ALLOCATE, TransactionId([1; 12]));
            attributes.iter().for_each(|attribute| attribute.add_to(&mut builder));
            let len = builder.integrity(algorithm, &key).finish().unwrap();
            buf.truncate(len);
            buf[at.index(len)] ^= 1 << bit;
            if let Ok(message) = Message::parse(&buf) {
                prop_assert!(!message.verify_integrity(algorithm, &key));
            }
        }
    }
}
