//! DCEP read by hand.

use turnpike_datachannel::{Dcep, DcepError, DcepOpen, Reliability};

use crate::choices::Choices;
use crate::naive_sctp::{be16, be32};

/// The codec says what the diagram of RFC 8832 section 5.1 says, and the same over another trip.
pub(super) fn check(bytes: &[u8]) {
    let parsed = Dcep::parse(bytes);
    match bytes.first() {
        None => assert_eq!(parsed, Err(DcepError::Truncated)),
        Some(2) => assert_eq!(parsed, Ok(Dcep::Ack)),
        Some(3) => check_open(bytes, parsed),
        Some(&other) => assert_eq!(parsed, Err(DcepError::UnknownMessageType(other))),
    }
}

fn check_open(bytes: &[u8], parsed: Result<Dcep<'_>, DcepError>) {
    let Ok(Dcep::Open(open)) = parsed else {
        assert!(!is_sound(bytes), "refused: {parsed:?}");
        return;
    };
    assert!(is_sound(bytes), "taken: {open:?}");
    assert_eq!(open.is_unordered, bytes[1] >= 0x80);
    let parameter = be32(&bytes[4..]);
    let reliability = match bytes[1] & 0x7F {
        0 => Reliability::Reliable,
        1 => Reliability::Retransmissions(parameter),
        _ => Reliability::LifetimeMs(parameter),
    };
    assert_eq!(open.reliability, reliability);
    assert_eq!(open.priority, be16(&bytes[2..]));
    let label = usize::from(be16(&bytes[8..]));
    let protocol = usize::from(be16(&bytes[10..]));
    assert_eq!(open.label.as_bytes(), &bytes[12..12 + label]);
    let rest = &bytes[12 + label..];
    assert_eq!(open.protocol.as_bytes(), &rest[..protocol]);
    let written = open.to_bytes().expect("it came in so many bytes");
    assert_eq!(Dcep::parse(&written), Ok(Dcep::Open(open)));
}

fn is_sound(bytes: &[u8]) -> bool {
    if bytes.len() < 12 || bytes[1] & 0x7F > 2 {
        return false;
    }
    let label = usize::from(be16(&bytes[8..]));
    let end = 12 + label + usize::from(be16(&bytes[10..]));
    let is_utf8 = |bytes: &[u8]| core::str::from_utf8(bytes).is_ok();
    end <= bytes.len() && is_utf8(&bytes[12..12 + label]) && is_utf8(&bytes[12 + label..end])
}

/// What a peer may send as DCEP: an OPEN, an ACK, or any bytes.
pub(super) fn message(choices: &mut Choices<'_>) -> Vec<u8> {
    let bits = choices.byte();
    match bits & 3 {
        0 => vec![2],
        1 => {
            let bytes = choices.sized(64);
            if bytes.is_empty() {
                vec![3]
            } else {
                bytes.to_vec()
            }
        }
        _ => {
            let label = "p".repeat(usize::from(choices.byte()));
            let open = DcepOpen {
                is_unordered: bits & 4 != 0,
                reliability: match bits >> 3 & 3 {
                    0 => Reliability::Retransmissions(u32::from(bits)),
                    1 => Reliability::LifetimeMs(u32::from(bits)),
                    _ => Reliability::Reliable,
                },
                priority: u16::from(bits),
                label: &label,
                protocol: "q",
            };
            open.to_bytes().expect("short names")
        }
    }
}
