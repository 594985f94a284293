//! Requests from a small grammar, sealed with right or wrong credentials, so that most of them get
//! past the door.

use std::net::SocketAddr;

use turnpike_stun::{
    AttributeType, Class, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder, Method, Nonce,
    PasswordAlgorithm, PasswordAlgorithms, Realm, TransactionId, Userhash, Username, userhash,
};
use turnpike_turn::attribute::{
    AdditionalAddressFamily, ChannelNumberAttribute, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
};
use turnpike_types::{AddressFamily, ChannelNumber, FiveTuple, Timestamp};

use super::setting::{self, NAMES, REALM};
use crate::addresses;
use crate::choices::Choices;

/// What the server's last challenge said.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    pub(super) nonce: Vec<u8>,
    pub(super) offers_algorithms: bool,
}

/// A request on its way, and what its success would promise.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) five_tuple: FiveTuple,
    pub(super) bytes: Vec<u8>,
    pub(super) method: Method,
    /// How, so that the reply can be judged; `None` where the credentials are wrong or missing.
    pub(super) seal: Option<Seal>,
    pub(super) peers: Vec<SocketAddr>,
    pub(super) number: Option<ChannelNumber>,
    pub(super) lifetime: Option<u32>,
    pub(super) family: Option<AddressFamily>,
    /// When the credential ends.
    pub(super) good_until: Timestamp,
    /// Raw attributes were added, which may come before those above and count instead.
    pub(super) is_odd: bool,
}

/// How a request was sealed by someone who knows the password.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal {
    pub(super) key: IntegrityKey,
    pub(super) integrity: IntegrityAlgorithm,
    /// Whether it chose one of the password algorithms offered.
    pub(super) negotiates: bool,
}

impl Seal {
    /// All integrity that is there must be right. Who negotiates is answered with SHA-256 (RFC 8489
    /// section 9.2.4), who knows SHA-1 alone with that.
    pub(super) fn check(&self, reply: &Message<'_>) {
        let algorithms = [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256];
        for algorithm in algorithms
            .into_iter()
            .filter(|known| reply.has_integrity(*known))
        {
            assert!(
                reply.verify_integrity(algorithm, &self.key),
                "sealed with another key"
            );
        }
        assert!(!self.negotiates || reply.has_integrity(IntegrityAlgorithm::Sha256));
        let knows_sha1_only = self.integrity == IntegrityAlgorithm::Sha1;
        assert!(!knows_sha1_only || reply.has_integrity(IntegrityAlgorithm::Sha1));
    }
}

/// Reads what to ask, and for whom.
pub(super) fn build(
    choices: &mut Choices<'_>,
    five_tuple: FiveTuple,
    transaction_id: TransactionId,
    challenge: Option<&Challenge>,
    token: Option<[u8; 8]>,
) -> Sent {
    let method = choices.pick(&METHODS);
    let who = choices.byte();
    let mut sent = Sent {
        five_tuple,
        bytes: Vec::new(),
        method,
        seal: None,
        peers: Vec::new(),
        number: None,
        lifetime: None,
        family: None,
        good_until: Timestamp::MAX,
        is_odd: false,
    };
    let mut buf = [0; REQUEST_MAX];
    let mut builder = MessageBuilder::new(&mut buf, Class::Request, method, transaction_id);
    let extras = choices.byte();
    if extras & 0x80 != 0 {
        sent.is_odd = true;
        for _ in 0..=extras & 1 {
            add_odd_attribute(choices, &mut builder);
        }
    }
    match method {
        Method::ALLOCATE => add_allocate(choices, &mut builder, &mut sent, token),
        Method::REFRESH => add_refresh(choices, &mut builder, &mut sent),
        Method::CREATE_PERMISSION => {
            for _ in 0..=choices.byte() & 3 {
                add_peer(choices, &mut builder, &mut sent);
            }
        }
        Method::CHANNEL_BIND => {
            let number = choices.channel_number();
            builder.attribute(&ChannelNumberAttribute(number));
            sent.number = Some(number);
            add_peer(choices, &mut builder, &mut sent);
        }
        _ => {}
    }
    if let Some(challenge) = challenge {
        sent.seal = add_credentials(&mut builder, who, challenge);
        sent.good_until = match who & 15 {
            10 => setting::CAROL_ENDS,
            11 => Timestamp::ZERO,
            _ => Timestamp::MAX,
        };
    }
    if who & 0x80 != 0 {
        builder.fingerprint();
    }
    let len = builder
        .finish()
        .expect("the buffer holds the largest request of the grammar");
    sent.bytes = buf[..len].to_vec();
    sent
}

fn add_odd_attribute(choices: &mut Choices<'_>, builder: &mut MessageBuilder<'_>) {
    let kind = match choices.byte() {
        known @ 0..=0x2F => u16::from(known),
        known @ 0x80..=0x8F => 0x8000 + u16::from(known & 0xF),
        _ => choices.u16(),
    };
    // A second integrity attribute would end the message for everything that follows.
    let kind = if [0x0008, 0x001C, 0x8028].contains(&kind) {
        0x7FFF
    } else {
        kind
    };
    builder.raw(AttributeType(kind), choices.sized(40));
}

fn add_allocate(
    choices: &mut Choices<'_>,
    builder: &mut MessageBuilder<'_>,
    sent: &mut Sent,
    token: Option<[u8; 8]>,
) {
    let (shape, more) = (choices.byte(), choices.byte());
    match shape & 3 {
        3 if more & 0x80 != 0 => {}
        3 => drop(builder.attribute(&RequestedTransport(6))),
        _ => drop(builder.attribute(&RequestedTransport::UDP)),
    }
    match shape >> 2 & 3 {
        2 => drop(builder.attribute(&RequestedAddressFamily(AddressFamily::Ipv4))),
        3 => drop(builder.attribute(&RequestedAddressFamily(AddressFamily::Ipv6))),
        _ => {}
    }
    match shape >> 4 & 3 {
        2 => drop(builder.attribute(&AdditionalAddressFamily(AddressFamily::Ipv6))),
        3 if more & 0x40 != 0 => {
            builder.attribute(&AdditionalAddressFamily(AddressFamily::Ipv4));
        }
        _ => {}
    }
    match shape >> 6 {
        2 => drop(builder.attribute(&EvenPort {
            reserve_next: false,
        })),
        3 => drop(builder.attribute(&EvenPort { reserve_next: true })),
        _ => {}
    }
    add_lifetime(more, builder, sent);
    match (more >> 3 & 3, token) {
        (2, Some(token)) => drop(builder.attribute(&ReservationToken(token))),
        (3, _) => drop(builder.attribute(&ReservationToken([7; 8]))),
        _ => {}
    }
    if more & 0x20 != 0 {
        builder.attribute(&DontFragment);
    }
}

fn add_refresh(choices: &mut Choices<'_>, builder: &mut MessageBuilder<'_>, sent: &mut Sent) {
    let shape = choices.byte();
    add_lifetime(shape, builder, sent);
    sent.family = match shape >> 3 & 3 {
        2 => Some(AddressFamily::Ipv4),
        3 => Some(AddressFamily::Ipv6),
        _ => None,
    };
    if let Some(family) = sent.family {
        builder.attribute(&RequestedAddressFamily(family));
    }
}

fn add_lifetime(choice: u8, builder: &mut MessageBuilder<'_>, sent: &mut Sent) {
    sent.lifetime = match choice & 7 {
        1 => Some(0),
        2 => Some(60),
        3 => Some(700),
        4 => Some(u32::MAX),
        _ => None,
    };
    if let Some(lifetime) = sent.lifetime {
        builder.attribute(&Lifetime(lifetime));
    }
}

fn add_peer(choices: &mut Choices<'_>, builder: &mut MessageBuilder<'_>, sent: &mut Sent) {
    let peer = addresses::peer(choices.byte()).0;
    builder.attribute(&XorPeerAddress(peer));
    sent.peers.push(peer);
}

/// Adds what a client adds that has been challenged, or something like it.
fn add_credentials(
    builder: &mut MessageBuilder<'_>,
    who: u8,
    challenge: &Challenge,
) -> Option<Seal> {
    let (name, is_right) = match who & 15 {
        0..=7 => (0, true),
        8 | 9 => (1, true),
        10 => (2, true),
        11 => (3, true),
        12 => (0, false),
        13 => return None,
        _ => (1, false),
    };
    let password = if who & 15 == 12 { 1 } else { name };
    let username = NAMES[name].0;
    if who & 0x40 != 0 && challenge.offers_algorithms {
        builder.attribute(&Userhash(userhash(username, REALM)));
    } else {
        builder.attribute(&Username(username.as_bytes()));
    }
    builder.attribute(&Realm(REALM.as_bytes()));
    match who & 15 {
        14 => drop(builder.attribute(&Nonce(b"obMatJos2AAAD0123456789abcdefghi"))),
        15 => {}
        _ => drop(builder.attribute(&Nonce(&challenge.nonce))),
    }
    let mode = match who >> 4 & 3 {
        0 if !challenge.offers_algorithms => 2,
        mode => mode,
    };
    let (algorithm, integrity) = match mode {
        0 => (PasswordAlgorithm::Sha256, IntegrityAlgorithm::Sha256),
        3 => (PasswordAlgorithm::Md5, IntegrityAlgorithm::Sha256),
        _ => (PasswordAlgorithm::Md5, IntegrityAlgorithm::Sha1),
    };
    if mode < 2 {
        builder
            .attribute(&PasswordAlgorithms::SHA256_MD5)
            .attribute(&algorithm);
    }
    let key = setting::key(password, algorithm);
    builder.integrity(integrity, &key);
    let negotiates = mode < 2;
    is_right.then_some(Seal {
        key,
        integrity,
        negotiates,
    })
}

const METHODS: [Method; 8] = [
    Method::ALLOCATE,
    Method::REFRESH,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::ALLOCATE,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::BINDING,
];

const REQUEST_MAX: usize = 512;
