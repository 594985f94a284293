//! Writes the first corpus files and the dictionaries: real messages, and short scenarios.
//!
//! `cargo run -p turnpike-fuzz --example make_seeds` from anywhere. Fuzzing grows them from there
//! (`run.sh`), `minimise.sh` keeps what is worth keeping.

#![expect(
    clippy::expect_used,
    reason = "a tool for developers: a panic says what is wrong"
)]

mod sctp;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use turnpike_stun::long_term::SecurityFeatures;
use turnpike_stun::{
    AlternateServer, AttributeType, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey,
    MessageBuilder, Method, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, Software,
    TransactionId, UnknownAttributes, Userhash, Username, XorMappedAddress,
};
use turnpike_turn::attribute::{
    ChannelNumberAttribute, Data, EvenPort, Lifetime, RequestedTransport, XorPeerAddress,
    XorRelayedAddress,
};
use turnpike_turn::channel_data::ChannelData;
use turnpike_types::ChannelNumber;

fn main() {
    let messages = messages();
    for message in &messages {
        save("stun_message", message);
    }
    let payloads: [&[u8]; 4] = [b"", b"a", b"abc", &[0x80; 172]];
    let frames: Vec<_> = payloads.into_iter().map(channel_data).collect();
    for frame in &frames {
        save("channel_data", frame);
    }
    save("stream_framing", &stream(&messages, &frames));
    for chunk in [0, 3, 19] {
        let head = [4, chunk, chunk, 1, 7, chunk, 2, 0, 30];
        save(
            "stream_framing",
            &[&head, stream(&messages, &frames).as_slice()].concat(),
        );
    }
    for choice in [[3, 0, 1], [11, 2, 0], [2, 0, 0]] {
        save("icmp_quote", &choice);
    }
    for (kind, value) in ATTRIBUTE_VALUES {
        save(
            "turn_attributes",
            &[&[*kind], [7; 12].as_slice(), value].concat(),
        );
    }
    save(
        "stun_long_term",
        &[
            &[0, 0, 9, 0],
            b"obMatJos2AAAD0123456789abcdefghi".as_slice(),
        ]
        .concat(),
    );
    save(
        "stun_long_term",
        &[1, 5, 9, 0, 200, 0, 3, 0, 80, 1, 1, 4, 32, 1],
    );
    save(
        "stun_long_term",
        &[2, 1, 0, 0, 2, 2, 3, b'n', b'o', b'n', b'c', 5, 3],
    );
    for chunks in sctp::chunks() {
        save("sctp_packet", &chunks);
    }
    for steps in sctp::CHANNEL_STEPS {
        save("data_channel", &steps.concat());
    }
    save("data_channel", sctp::OPEN);
    for scenario in SCENARIOS_FORWARDER {
        save("forwarder", &scenario.concat());
    }
    for scenario in SCENARIOS_SERVER {
        save("turn_server", &scenario.concat());
    }
    for scenario in SCENARIOS_CLIENT {
        save("turn_client", &scenario.concat());
    }
    save_dictionaries();
}

/// Requests, responses and indications as clients and servers send them, and the vectors of
/// RFC 5769.
fn messages() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = RFC_5769.iter().map(|hex| bytes_of(hex)).collect();
    all.extend(allocate_messages());
    let peer = ([93, 184, 216, 34], 5_000).into();
    let peer_v6 = ([0x2606, 0x4700, 0, 0, 0, 0, 0, 1], 443).into();
    let key = IntegrityKey::short_term("VOkJxbRl1RmTxUk/WvJxBt");
    let number = ChannelNumber::new(0x4001).expect("in range");
    let mut unknown = UnknownAttributes::default();
    unknown.add(AttributeType::CHANGE_REQUEST);
    unknown.add(AttributeType(0x7001));
    let mut add = |class, method, fill: Fill<'_>| all.push(built(class, method, fill));
    add(Class::Request, Method::BINDING, &|_| {});
    add(Class::Success, Method::BINDING, &|message| {
        message
            .attribute(&XorMappedAddress(peer))
            .attribute(&Software("turnpike"))
            .fingerprint();
    });
    add(Class::Error, Method::BINDING, &|message| {
        message
            .attribute(&ErrorCode::UNKNOWN_ATTRIBUTE)
            .attribute(&unknown);
    });
    add(Class::Request, Method::CHANNEL_BIND, &|message| {
        message
            .attribute(&ChannelNumberAttribute(number))
            .attribute(&XorPeerAddress(peer))
            .attribute(&Userhash([3; 32]))
            .truncated_sha256_integrity(&key, 16);
    });
    add(Class::Indication, Method::SEND, &|message| {
        message
            .attribute(&XorPeerAddress(peer))
            .attribute(&Data(b"hello"));
    });
    add(Class::Indication, Method::DATA, &|message| {
        message
            .attribute(&XorPeerAddress(peer_v6))
            .attribute(&Data(&[0x80; 160]));
    });
    all
}

fn allocate_messages() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let peer_v6 = ([0x2606, 0x4700, 0, 0, 0, 0, 0, 1], 443).into();
    let key = IntegrityKey::short_term("VOkJxbRl1RmTxUk/WvJxBt");
    let cookie = SecurityFeatures::PASSWORD_ALGORITHMS.cookie();
    let mut add = |class, method, fill: Fill<'_>| all.push(built(class, method, fill));
    add(Class::Request, Method::ALLOCATE, &|message| {
        message
            .attribute(&RequestedTransport::UDP)
            .attribute(&EvenPort { reserve_next: true })
            .attribute(&Username(b"alice"))
            .attribute(&Realm(b"example.org"))
            .attribute(&Nonce(&cookie))
            .attribute(&PasswordAlgorithms::SHA256_MD5)
            .attribute(&PasswordAlgorithm::Sha256)
            .integrity(IntegrityAlgorithm::Sha256, &key)
            .fingerprint();
    });
    add(Class::Error, Method::ALLOCATE, &|message| {
        message
            .attribute(&ErrorCode::UNAUTHENTICATED)
            .attribute(&Realm(b"example.org"))
            .attribute(&Nonce(&cookie))
            .attribute(&PasswordAlgorithms::MD5_SHA256);
    });
    add(Class::Error, Method::ALLOCATE, &|message| {
        message
            .attribute(&ErrorCode::TRY_ALTERNATE)
            .attribute(&AlternateServer(peer_v6));
    });
    add(Class::Success, Method::ALLOCATE, &|message| {
        message
            .attribute(&XorRelayedAddress(peer_v6))
            .attribute(&Lifetime(600))
            .attribute(&XorMappedAddress(peer_v6))
            .integrity(IntegrityAlgorithm::Sha1, &key);
    });
    all
}

type Fill<'a> = &'a dyn Fn(&mut MessageBuilder<'_>);

fn built(class: Class, method: Method, fill: Fill<'_>) -> Vec<u8> {
    let mut buf = [0; 1_024];
    let mut builder = MessageBuilder::new(&mut buf, class, method, TransactionId([0x2A; 12]));
    fill(&mut builder);
    let len = builder.finish().expect("1024 bytes hold it");
    buf.get(..len).unwrap_or_default().to_vec()
}

fn channel_data(payload: &[u8]) -> Vec<u8> {
    let number = ChannelNumber::new(0x4001).expect("in range");
    let header = ChannelData::header(number, payload.len()).expect("short");
    [&header, payload].concat()
}

/// All of them one after another, as on TCP.
fn stream(messages: &[Vec<u8>], frames: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for bytes in messages
        .iter()
        .zip(frames.iter().cycle())
        .flat_map(|(a, b)| [a, b])
    {
        stream.extend_from_slice(bytes);
        stream.resize(stream.len().next_multiple_of(4), 0);
    }
    stream
}

/// libFuzzer names a file by the SHA-1 of what is in it.
fn save(target: &str, input: &[u8]) {
    let folder = here().join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder for the corpus");
    let mut name = String::new();
    for byte in Sha1::digest(input) {
        write!(name, "{byte:02x}").expect("a string takes all");
    }
    fs::write(folder.join(name), input).expect("a corpus file");
}

/// Attribute headers and fixed words that bytes at random would not hit upon.
fn save_dictionaries() {
    let mut words = vec![
        ("cookie".to_owned(), 0x2112_A442_u32.to_be_bytes().to_vec()),
        ("nonce_cookie".to_owned(), b"obMatJos2AAAD".to_vec()),
    ];
    for number in (0..=0x2Fu16).chain(0x8000..=0x8030) {
        if let Some(name) = AttributeType(number).name() {
            let name = name.to_lowercase().replace('-', "_");
            words.push((name, number.to_be_bytes().to_vec()));
        }
    }
    for method in [0x001, 0x003, 0x004, 0x006, 0x007, 0x008, 0x009_u16] {
        for class in [0x0000, 0x0010, 0x0100, 0x0110] {
            let name = format!("type_{:04x}", method | class);
            words.push((name, (method | class).to_be_bytes().to_vec()));
        }
    }
    let mut text = String::from("# Written by examples/make_seeds.rs.\n");
    for (name, word) in words {
        let escaped: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        writeln!(text, "{name}=\"{escaped}\"").expect("a string takes all");
    }
    let folder = here().join("dictionaries");
    fs::create_dir_all(&folder).expect("a folder for the dictionaries");
    for target in ["stun_message", "stream_framing", "stun_long_term"] {
        fs::write(folder.join(target).with_extension("dict"), &text).expect("a dictionary");
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.as_chunks::<2>().0.iter();
    pairs
        .map(|pair| {
            let pair = str::from_utf8(pair).expect("two digits");
            u8::from_str_radix(pair, 16).expect("two digits")
        })
        .collect()
}

/// RFC 5769 sections 2.1 to 2.3: a request, and responses with an IPv4 and an IPv6 address.
const RFC_5769: [&str; 3] = [
    "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 \
     00240004 6e0001ff 80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 \
     9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2 80280004 e57a3bcf",
    "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008 \
     0001a147 e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96",
    "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014 \
     0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275 \
     bfe3ed41 80280004 c8fb0b4c",
];

/// The attribute's number in the target, and a value.
const ATTRIBUTE_VALUES: &[(u8, &[u8])] = &[
    (0, &[0, 1, 0x21, 0x12, 1, 2, 3, 4]),
    (
        1,
        &[
            0, 2, 0x21, 0x12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ],
    ),
    (2, &[1, 0, 0, 0]),
    (3, &[2, 0, 0, 0]),
    (4, &[0, 0, 2, 0x58]),
    (5, &[0x80]),
    (6, &[17, 0, 0, 0]),
    (7, &[1, 2, 3, 4, 5, 6, 7, 8]),
    (8, &[]),
    (9, &[0x40, 1, 0, 0]),
    (10, &[0, 0, 6, 4, 0, 0, 5, 0xDC]),
    (11, &[2, 0, 4, 40, b'n', b'o']),
    (12, b"payload"),
];

/// Room, then steps: an allocation, a permission and a channel, packets both ways, time, the end.
const SCENARIOS_FORWARDER: &[&[&[u8]]] = &[&[
    &[2],
    &[0, 0, 0, 0, 0, 9, 9, 200],
    &[3, 0, 0, 0, 0, 200],
    &[5, 0, 0, 0, 0, 1, 200],
    &[9, 0, 1, 0, 3, b'a', b'b', b'c'],
    &[10, 0, 7, 0, 5, 0, 2, b'h', b'i'],
    &[13, 0, 0, 30],
    &[7, 2, 0, 1, 1],
    &[15, 90],
    &[13, 0, 0, 0, 9],
    &[8, 0, 0, 0],
]];

/// Setting and room, then steps; see `turn_server`.
const SCENARIOS_SERVER: &[&[&[u8]]] = &[
    // A call: Allocate, CreatePermission, ChannelBind, data both ways, Refresh, time, the end.
    &[
        &[0, 0],
        &[0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 2, 0, 0, 0, 0],
        &[0, 0, 3, 0, 0, 1, 0],
        &[9, 0, 40, 1],
        &[9, 0, 41, 0],
        &[11, 0, 0, 90],
        &[14, 0],
        &[0, 0, 1, 0, 0, 0],
        &[18, 0, 0, 0, 4],
        &[0, 0, 1, 0, 0, 1],
    ],
    // Both families, a reserved pair, another user on the same five-tuple, a lane that fails.
    &[
        &[0, 0],
        &[0, 0, 0, 0, 0, 0x20, 0],
        &[0, 1, 0, 0x10, 0, 0xC0, 0],
        &[0, 2, 0, 0, 0, 0, 0x10],
        &[0, 0, 3, 8, 0, 1, 0],
        &[17, 2, 0],
        &[0, 0, 3, 0, 0, 2, 3],
        &[0, 0, 2, 0, 0, 1, 0, 2],
        &[20, 2],
        &[14, 0xFB],
    ],
    // Old users, REST users, nobody.
    &[
        &[1, 0],
        &[0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 2, 0x20, 0, 0, 5],
        &[19, 0],
    ],
    &[
        &[2, 0],
        &[0, 0, 0, 10, 0, 0, 4],
        &[0, 1, 0, 11, 0, 0, 0],
        &[22, 2],
        &[14, 0xF3],
    ],
    &[
        &[3, 0],
        &[0, 3, 0, 0, 0, 0x0C, 0],
        &[0, 3, 3, 0, 0, 0, 3],
        &[9, 3, 41, 3],
        &[21, 3],
    ],
    &[
        &[4, 3],
        &[0, 0, 0, 0x80, 0, 0, 0x20],
        &[8, 0, 0, 0],
        &[0, 0, 7, 0, 0],
        &[23, 1],
    ],
];

/// Configuration, then steps; see `turn_client`.
const SCENARIOS_CLIENT: &[&[&[u8]]] = &[
    // Challenged, allocated, permitted, bound; data both ways; refreshed; closed.
    &[
        &[0, 0],
        &[0, 0, 5, 0, 0x14, 15, 0],
        &[0, 0, 0, 0, 0, 0, 0],
        &[11, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0],
        &[12, 0],
        &[0, 0, 0, 0, 0, 0, 0],
        &[13, 0, 0, 3, b'a', b'b', b'c'],
        &[8, 0, 0, 0, 2, b'h', b'i', 0],
        &[9, 0],
        &[15, 0],
        &[0, 0, 0, 0, 0, 0, 0],
    ],
    // The same without credentials over a stream, and a redirect.
    &[
        &[3, 0],
        &[0, 0, 0, 0, 0, 0, 3],
        &[12, 3],
        &[0, 0, 8, 0, 0, 0, 9],
        &[15, 4],
        &[0, 0, 8, 0, 0, 0, 200],
    ],
];
