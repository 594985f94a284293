//! What the server says: responses made for a request, sealed with the right key or not, and data.

use turnpike_stun::long_term::SecurityFeatures;
use turnpike_stun::{
    AlternateServer, AttributeType, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message,
    MessageBuilder, Method, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, TransactionId,
    UnknownAttributes, XorMappedAddress,
};
use turnpike_turn::attribute::{
    AddressErrorCode, Data, Icmp, Lifetime, ReservationToken, XorPeerAddress, XorRelayedAddress,
};
use turnpike_turn::channel_data::ChannelData;
use turnpike_types::AddressFamily;

use super::{PASSWORD, USERNAME};
use crate::addresses;
use crate::choices::Choices;

/// A response on its way.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// Whether a client may act on it: sealed right, or the request was not sealed either.
    pub(super) is_believable: bool,
}

/// Answers a request somehow.
pub(super) fn build(choices: &mut Choices<'_>, request: &[u8]) -> Answer {
    let request = Message::parse(request).expect("checked when it was sent");
    let code = choices.pick(&CODES);
    let class = if code == 0 {
        Class::Success
    } else {
        Class::Error
    };
    let mut buf = [0; BUF_LEN];
    let mut builder =
        MessageBuilder::new(&mut buf, class, request.method(), request.transaction_id());
    let odd = choices.byte();
    if odd & 0xC0 == 0xC0 {
        builder.raw(AttributeType(choices.u16()), choices.sized(40));
    }
    match code {
        0 => add_success(choices, &mut builder, request.method()),
        code => add_error(choices, &mut builder, code),
    }
    let seal = choices.byte();
    let is_sealed = add_seal(&mut builder, &request, seal);
    let was_signed = request.raw(AttributeType::REALM).is_some();
    let len = builder
        .finish()
        .expect("the buffer holds the largest answer of the grammar");
    let mut bytes = buf[..len].to_vec();
    let damage = if seal & 0xC0 == 0xC0 {
        choices.byte()
    } else {
        0
    };
    let place = usize::from(seal) % len;
    bytes[place] ^= damage;
    Answer {
        bytes,
        is_believable: !was_signed || (is_sealed && damage == 0),
    }
}

fn add_success(choices: &mut Choices<'_>, builder: &mut MessageBuilder<'_>, method: Method) {
    let shape = choices.byte();
    if method == Method::ALLOCATE {
        let v4 = ([93, 184, 216, 1], 50_000).into();
        let v6 = ([0x2a00_u16, 0, 0, 0, 0, 0, 0, 5], 50_000).into();
        if shape & 1 == 0 {
            builder.attribute(&XorRelayedAddress(v4));
        }
        if shape & 2 != 0 {
            builder.attribute(&XorRelayedAddress(v6));
        }
        if shape & 4 == 0 {
            builder.attribute(&XorMappedAddress(([203, 0, 113, 1], 6_000).into()));
        }
        if shape & 8 != 0 {
            builder.attribute(&ReservationToken([1; 8]));
        }
        if shape & 3 == 3 {
            let family = AddressFamily::Ipv6;
            builder.attribute(&AddressErrorCode {
                family,
                code: 508,
                reason: "",
            });
        }
    }
    let lifetime = [600, 600, 600, 1, 0, u32::MAX, 3_600, 61][usize::from(shape >> 5)];
    if shape & 16 == 0 {
        builder.attribute(&Lifetime(lifetime));
    }
}

fn add_error(choices: &mut Choices<'_>, builder: &mut MessageBuilder<'_>, code: u16) {
    builder.attribute(&ErrorCode { code, reason: "" });
    let shape = choices.byte();
    match code {
        401 | 438 => {
            if shape & 3 != 3 {
                let realm = [b"example.org".as_slice(), b"other"][usize::from(shape & 3 == 2)];
                builder.attribute(&Realm(realm));
            }
            let mut features = SecurityFeatures::NONE;
            if shape & 4 != 0 {
                features = features.union(SecurityFeatures::PASSWORD_ALGORITHMS);
            }
            if shape & 8 != 0 {
                features = features.union(SecurityFeatures::USERNAME_ANONYMITY);
            }
            let nonce = [features.cookie().as_slice(), &[b'a' + (shape >> 6)]].concat();
            builder.attribute(&Nonce(&nonce));
            if shape & 16 == 0 && shape & 4 != 0 {
                builder.attribute(&PasswordAlgorithms::SHA256_MD5);
            }
        }
        300 => {
            let port = 3_479 + u16::from(shape & 3);
            builder.attribute(&AlternateServer(([198, 51, 100, 1], port).into()));
        }
        420 => {
            let mut unknown = UnknownAttributes::default();
            let kinds = [AttributeType::DONT_FRAGMENT, AttributeType::EVEN_PORT];
            unknown.add(kinds[usize::from(shape & 1)]);
            builder.attribute(&unknown);
        }
        _ => {}
    }
}

/// Seals like a server that knows the password, or like one that does not.
fn add_seal(builder: &mut MessageBuilder<'_>, request: &Message<'_>, choice: u8) -> bool {
    let Ok(Some(Realm(realm))) = request.get::<Realm<'_>>() else {
        return false;
    };
    let chosen = request.get::<PasswordAlgorithm>().expect("well-formed");
    let integrity = match chosen {
        Some(_) => IntegrityAlgorithm::Sha256,
        None => IntegrityAlgorithm::Sha1,
    };
    let password = if choice & 15 == 14 {
        "looking-glass"
    } else {
        PASSWORD
    };
    let algorithm = chosen.unwrap_or(PasswordAlgorithm::Md5);
    let key = IntegrityKey::long_term(algorithm, USERNAME, realm, password);
    match choice & 15 {
        15 => false,
        14 => {
            builder.integrity(integrity, &key);
            false
        }
        _ => {
            builder.integrity(integrity, &key);
            true
        }
    }
}

/// ChannelData, a Data indication, or one with an ICMP error.
pub(super) fn data(choices: &mut Choices<'_>) -> Vec<u8> {
    let shape = choices.byte();
    if shape & 1 == 0 {
        let number = choices.channel_number();
        let payload = choices.sized(64);
        let header = ChannelData::header(number, payload.len()).expect("64 bytes at most");
        let mut bytes = [&header, payload].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        return bytes;
    }
    let mut buf = [0; BUF_LEN];
    let id = TransactionId([shape; 12]);
    let mut builder = MessageBuilder::new(&mut buf, Class::Indication, Method::DATA, id);
    builder.attribute(&XorPeerAddress(addresses::peer(choices.byte()).0));
    if shape & 2 == 0 {
        builder.attribute(&Data(choices.sized(64)));
    }
    if shape & 4 != 0 {
        builder.attribute(&Icmp {
            kind: 3,
            code: shape >> 4,
            data: [0, 0, 5, 220],
        });
    }
    if shape & 8 != 0 {
        builder.raw(AttributeType(choices.u16()), choices.sized(8));
    }
    let len = builder.finish().expect("the buffer holds it");
    buf[..len].to_vec()
}

/// Zero is success.
const CODES: [u16; 16] = [
    0, 0, 0, 0, 0, 401, 401, 438, 300, 400, 403, 420, 437, 441, 486, 508,
];

const BUF_LEN: usize = 512;
