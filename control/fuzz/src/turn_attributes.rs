//! Every attribute of RFC 8656 section 18: what is accepted, and that it survives the wire.
//!
//! The first byte picks the attribute, the next twelve are the transaction ID, the rest is the
//! value.

use std::net::SocketAddr;

use turnpike_stun::{
    Attribute, AttributeType, Class, Message, MessageBuilder, Method, ParseError, TransactionId,
};
use turnpike_turn::attribute::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumberAttribute, Data, DontFragment,
    EvenPort, Icmp, Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken,
    XorPeerAddress, XorRelayedAddress,
};
use turnpike_types::AddressFamily;

use crate::choices::Choices;
use crate::naive_stun;

/// Decodes the value, judges the verdict by the RFC's diagrams, and writes it again.
pub fn turn_attributes(data: &[u8]) {
    let mut choices = Choices::new(data);
    let kind = choices.byte() % KINDS;
    let transaction_id = TransactionId(choices.array());
    let value = choices.rest();
    match kind {
        0 => xor_address::<XorPeerAddress>(value, transaction_id, |found| found.0),
        1 => xor_address::<XorRelayedAddress>(value, transaction_id, |found| found.0),
        2 => family::<RequestedAddressFamily>(value, transaction_id, |found| found.0),
        3 => family::<AdditionalAddressFamily>(value, transaction_id, |found| found.0),
        4 => {
            let expected = <[u8; 4]>::try_from(value)
                .ok()
                .map(u32::from_be_bytes)
                .map(Lifetime);
            judge(value, value, transaction_id, expected);
        }
        5 => {
            let reserve_next = value.first().is_some_and(|flags| *flags >= 0x80);
            let expected = (value.len() == 1).then_some(EvenPort { reserve_next });
            judge(
                value,
                &[if reserve_next { 0x80 } else { 0 }],
                transaction_id,
                expected,
            );
        }
        6 => {
            let number = value.first().copied().unwrap_or(0);
            let expected = (value.len() == 4).then_some(RequestedTransport(number));
            judge(value, &[number, 0, 0, 0], transaction_id, expected);
        }
        7 => {
            let expected = value.try_into().ok().map(ReservationToken);
            judge(value, value, transaction_id, expected);
        }
        8 => judge(
            value,
            &[],
            transaction_id,
            value.is_empty().then_some(DontFragment),
        ),
        9 => channel_number(value, transaction_id),
        10 => icmp(value, transaction_id),
        11 => address_error_code(value, transaction_id),
        _ => judge(value, value, transaction_id, Some(Data(value))),
    }
}

fn xor_address<A>(value: &[u8], transaction_id: TransactionId, address: fn(A) -> SocketAddr)
where
    A: for<'a> Attribute<'a> + Copy + PartialEq + std::fmt::Debug,
{
    let expected = naive_stun::address(value, Some(&transaction_id.0));
    let found = A::decode(value, &transaction_id).ok();
    assert_eq!(found.map(address), expected);
    let mut canonical = value.to_vec();
    if let Some(reserved) = canonical.first_mut() {
        *reserved = 0;
    }
    judge(value, &canonical, transaction_id, found);
}

fn family<A>(value: &[u8], transaction_id: TransactionId, family: fn(A) -> AddressFamily)
where
    A: for<'a> Attribute<'a> + Copy + PartialEq + std::fmt::Debug,
{
    let expected = match value {
        [1, _, _, _] => Some(AddressFamily::Ipv4),
        [2, _, _, _] => Some(AddressFamily::Ipv6),
        _ => None,
    };
    let found = A::decode(value, &transaction_id).ok();
    assert_eq!(found.map(family), expected);
    let number = value.first().copied().unwrap_or(0);
    judge(value, &[number, 0, 0, 0], transaction_id, found);
}

fn channel_number(value: &[u8], transaction_id: TransactionId) {
    let found = ChannelNumberAttribute::decode(value, &transaction_id).ok();
    let in_range = value.len() == 4 && (0x40..=0x4F).contains(&value[0]);
    assert_eq!(found.is_some(), in_range);
    let canonical = [value, &[0; 4]].concat();
    judge(
        value,
        &[canonical[0], canonical[1], 0, 0],
        transaction_id,
        found,
    );
}

fn icmp(value: &[u8], transaction_id: TransactionId) {
    let found = Icmp::decode(value, &transaction_id).ok();
    assert_eq!(found.is_some(), value.len() == 8 && value[2] & 1 == 0);
    let mut canonical = value.to_vec();
    canonical
        .iter_mut()
        .take(2)
        .for_each(|reserved| *reserved = 0);
    judge(value, &canonical, transaction_id, found);
}

fn address_error_code(value: &[u8], transaction_id: TransactionId) {
    let family_is_known = matches!(value.first(), Some(1 | 2));
    let expected = naive_stun::error_code(value).filter(|_| family_is_known);
    let found = AddressErrorCode::decode(value, &transaction_id).ok();
    assert_eq!(found.map(|found| found.code), expected);
    let Some(AddressErrorCode { reason, .. }) = found else {
        return;
    };
    let mut canonical = value[..4 + reason.len()].to_vec();
    canonical[1] = 0;
    canonical[2] &= 7;
    if reason.len() <= turnpike_stun::attribute::REASON_MAX {
        judge(value, &canonical, transaction_id, found);
    }
}

/// `expected` must be what a message with this value says, and `canonical` what it is written as.
fn judge<'a, A>(
    value: &'a [u8],
    canonical: &[u8],
    transaction_id: TransactionId,
    expected: Option<A>,
) where
    A: Attribute<'a> + Copy + PartialEq + std::fmt::Debug,
{
    let decoded = A::decode(value, &transaction_id);
    assert_eq!(decoded.ok(), expected);
    if let Err(error) = decoded {
        assert!(matches!(
            error,
            ParseError::AttributeLength | ParseError::AttributeValue
        ));
    }
    let Some(expected) = expected else {
        return;
    };
    let raw = message(value.len(), transaction_id, |builder| {
        builder.raw(A::TYPE, canonical)
    });
    let typed = message(value.len(), transaction_id, |builder| {
        builder.attribute(&expected)
    });
    assert_eq!(typed, raw, "{} is not written as the RFC draws it", A::TYPE);
    if let Some(bytes) = typed {
        let message = Message::parse(&bytes).expect("our own builder's message");
        assert_eq!(message.raw(A::TYPE), Some(canonical));
        let registered: AttributeType = expected.attribute_type();
        assert!(registered.name().is_some());
    }
}

/// `None` when it does not fit.
fn message(
    value_len: usize,
    transaction_id: TransactionId,
    add: impl for<'b, 'm> FnOnce(&'m mut MessageBuilder<'b>) -> &'m mut MessageBuilder<'b>,
) -> Option<Vec<u8>> {
    let mut buf = vec![0xEE; value_len + 32];
    let mut builder =
        MessageBuilder::new(&mut buf, Class::Request, Method::ALLOCATE, transaction_id);
    let len = add(&mut builder).finish().ok()?;
    buf.truncate(len);
    Some(buf)
}

const KINDS: u8 = 13;
