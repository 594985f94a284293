//! What the messages of an allocation cost: an authenticated Allocate request in, a reply out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "benchmarks: a panic is the failure report"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use turnpike_stun::long_term::{NonceMint, SecurityFeatures};
use turnpike_stun::{
    AttributeType, Class, Fingerprint, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder,
    Method, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, Software, TransactionId, Username,
    XorMappedAddress,
};
use turnpike_types::{ClientAddr, Entropy, Timestamp};

const ID: TransactionId = TransactionId([3; 12]);
const FEATURES: SecurityFeatures = SecurityFeatures::PASSWORD_ALGORITHMS;

struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(1);
            *byte = self.0;
        }
    }
}

fn key() -> IntegrityKey {
    IntegrityKey::long_term_sha256("1700000000:user", "example.org", "secret")
}

fn client() -> ClientAddr {
    ClientAddr("198.51.100.1:40000".parse().unwrap())
}

fn allocate_request(algorithm: IntegrityAlgorithm) -> Vec<u8> {
    let mut buf = [0; 512];
    let mut builder = MessageBuilder::new(&mut buf, Class::Request, Method::ALLOCATE, ID);
    builder
        .raw(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
        .raw(AttributeType::LIFETIME, &600_u32.to_be_bytes())
        .attribute(&Username(b"1700000000:user"))
        .attribute(&Realm(b"example.org"))
        .attribute(&Nonce(b"obMatJos2AAABAAAAAAAAAAAAAAAAAAA"));
    if algorithm == IntegrityAlgorithm::Sha256 {
        builder
            .attribute(&PasswordAlgorithms::SHA256_MD5)
            .attribute(&PasswordAlgorithm::Sha256);
    }
    let len = builder
        .integrity(algorithm, &key())
        .fingerprint()
        .finish()
        .unwrap();
    buf[..len].to_vec()
}

fn read(c: &mut Criterion) {
    let bytes = allocate_request(IntegrityAlgorithm::Sha256);
    c.bench_function("parse an Allocate request of 9 attributes", |b| {
        b.iter(|| Message::parse(black_box(&bytes)).is_ok());
    });
    let binding = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &ID.0].concat();
    c.bench_function("parse a bare Binding request", |b| {
        b.iter(|| Message::parse(black_box(&binding)).is_ok());
    });
    let message = Message::parse(&bytes).unwrap();
    c.bench_function("read the attributes of an Allocate request", |b| {
        b.iter(|| {
            let message = black_box(&message);
            let username = message.get::<Username<'_>>();
            let realm = message.get::<Realm<'_>>();
            let nonce = message.get::<Nonce<'_>>();
            let algorithm = message.get::<PasswordAlgorithm>();
            let list = message.get::<PasswordAlgorithms<'_>>();
            let transport = message.raw(AttributeType::REQUESTED_TRANSPORT);
            let lifetime = message.raw(AttributeType::LIFETIME);
            (username, realm, nonce, algorithm, list, transport, lifetime)
        });
    });
    c.bench_function("check the fingerprint of an Allocate request", |b| {
        b.iter(|| black_box(&message).fingerprint() == Fingerprint::Valid);
    });
}

fn verify(c: &mut Criterion) {
    let key = key();
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        let bytes = allocate_request(algorithm);
        let message = Message::parse(&bytes).unwrap();
        c.bench_function(
            &format!("verify {algorithm:?} of {} bytes", bytes.len()),
            |b| {
                b.iter(|| black_box(&message).verify_integrity(algorithm, &key));
            },
        );
    }
}

fn write(c: &mut Criterion) {
    let key = key();
    let mapped = XorMappedAddress(client().0);
    let mut buf = [0; 512];
    let mut success = |with: Option<IntegrityAlgorithm>| {
        let mut builder =
            MessageBuilder::new(black_box(&mut buf), Class::Success, Method::ALLOCATE, ID);
        builder
            .raw(
                AttributeType::XOR_RELAYED_ADDRESS,
                &[0, 1, 0x21, 0x12, 1, 2, 3, 4],
            )
            .raw(AttributeType::LIFETIME, &600_u32.to_be_bytes())
            .attribute(&mapped)
            .attribute(&Software("turnpike"));
        if let Some(algorithm) = with {
            builder.integrity(algorithm, &key);
        }
        builder.finish()
    };
    c.bench_function("build a success reply", |b| b.iter(|| success(None)));
    c.bench_function("build a success reply with SHA-1", |b| {
        b.iter(|| success(Some(IntegrityAlgorithm::Sha1)));
    });
    c.bench_function("build a success reply with SHA-256", |b| {
        b.iter(|| success(Some(IntegrityAlgorithm::Sha256)));
    });
    let mut buf = [0; 64];
    c.bench_function("build a Binding reply with fingerprint", |b| {
        b.iter(|| {
            MessageBuilder::new(black_box(&mut buf), Class::Success, Method::BINDING, ID)
                .attribute(&mapped)
                .fingerprint()
                .finish()
        });
    });
}

fn nonce(c: &mut Criterion) {
    let now = Timestamp::from_secs(1_000);
    let mint = NonceMint::new(Duration::from_secs(600), now, &mut Counting(1));
    let client = client();
    c.bench_function("mint a nonce", |b| {
        b.iter(|| mint.mint(black_box(now), &client, FEATURES));
    });
    let nonce = mint.mint(now, &client, FEATURES);
    c.bench_function("check a nonce", |b| {
        b.iter(|| mint.check(black_box(now), &client, nonce.as_bytes()));
    });
    let later = Timestamp::from_secs(9_000);
    c.bench_function("check a stale nonce", |b| {
        b.iter(|| mint.check(black_box(later), &client, nonce.as_bytes()));
    });
}

criterion_group!(benches, read, verify, write, nonce);
criterion_main!(benches);
