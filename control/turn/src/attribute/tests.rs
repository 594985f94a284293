//! Round trips and refusals of every attribute of this folder.

use core::fmt::Debug;
use core::net::{Ipv6Addr, SocketAddr};

use turnpike_stun::{
    Attribute, AttributeType, Class, Message, MessageBuilder, Method, ParseError, TransactionId,
};
use turnpike_types::{AddressFamily, ChannelNumber};

use super::*;

const ID: TransactionId = TransactionId([7; 12]);
const PEER_V4: SocketAddr = SocketAddr::V4(core::net::SocketAddrV4::new(
    core::net::Ipv4Addr::new(192, 0, 2, 1),
    49_152,
));

fn with_raw<R>(kind: AttributeType, value: &[u8], look: impl FnOnce(Message<'_>) -> R) -> R {
    let mut buf = [0xEE; 1_200];
    let len = MessageBuilder::new(&mut buf, Class::Request, Method::ALLOCATE, ID)
        .raw(kind, value)
        .finish()
        .unwrap();
    look(Message::parse(&buf[..len]).unwrap())
}

macro_rules! assert_round_trip {
    ($kind:ty, $value:expr) => {{
        let value: $kind = $value;
        let mut buf = [0xEE; 1_200];
        let len = MessageBuilder::new(&mut buf, Class::Request, Method::ALLOCATE, ID)
            .attribute(&value)
            .finish()
            .unwrap();
        let message = Message::parse(&buf[..len]).unwrap();
        assert_eq!(message.get::<$kind>(), Ok(Some(value)));
    }};
}

fn assert_refuses_lengths_but<A: for<'a> Attribute<'a> + Debug + PartialEq>(right: usize) {
    for len in (0..=24).filter(|len| *len != right) {
        with_raw(A::TYPE, &[1; 24][..len], |message| {
            let found = message.get::<A>();
            assert!(
                found.is_err(),
                "{} of {len} bytes read as {found:?}",
                A::TYPE
            );
        });
    }
}

#[test]
fn every_attribute_survives_the_wire() {
    let peer_v6 = SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6).into(), 1);
    for address in [PEER_V4, peer_v6] {
        assert_round_trip!(XorPeerAddress, XorPeerAddress(address));
        assert_round_trip!(XorRelayedAddress, XorRelayedAddress(address));
    }
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        assert_round_trip!(RequestedAddressFamily, RequestedAddressFamily(family));
        assert_round_trip!(AdditionalAddressFamily, AdditionalAddressFamily(family));
        let error = AddressErrorCode {
            family,
            code: 440,
            reason: "no",
        };
        assert_round_trip!(AddressErrorCode<'_>, error);
    }
    for seconds in [0, 1, 600, u32::MAX] {
        assert_round_trip!(Lifetime, Lifetime(seconds));
    }
    for reserve_next in [false, true] {
        assert_round_trip!(EvenPort, EvenPort { reserve_next });
    }
    assert_round_trip!(RequestedTransport, RequestedTransport::UDP);
    assert_round_trip!(ReservationToken, ReservationToken([1, 2, 3, 4, 5, 6, 7, 8]));
    assert_round_trip!(DontFragment, DontFragment);
    for number in [ChannelNumber::MIN, 0x4321, ChannelNumber::MAX] {
        let number = ChannelNumber::new(number).unwrap();
        assert_round_trip!(ChannelNumberAttribute, ChannelNumberAttribute(number));
    }
    assert_round_trip!(
        Icmp,
        Icmp {
            kind: 3,
            code: 255,
            data: [0, 0, 5, 0xDC]
        }
    );
    for len in [0, 1, 2, 3, 4, 1_000] {
        assert_round_trip!(Data<'_>, Data(&[0xAB; 1_000][..len]));
    }
}

#[test]
fn fixed_attributes_of_other_lengths_are_refused() {
    assert_refuses_lengths_but::<Lifetime>(4);
    assert_refuses_lengths_but::<EvenPort>(1);
    assert_refuses_lengths_but::<RequestedTransport>(4);
    assert_refuses_lengths_but::<ReservationToken>(8);
    assert_refuses_lengths_but::<RequestedAddressFamily>(4);
    assert_refuses_lengths_but::<AdditionalAddressFamily>(4);
    assert_refuses_lengths_but::<DontFragment>(0);
    assert_refuses_lengths_but::<Icmp>(8);
    assert_refuses_lengths_but::<XorPeerAddress>(8);
    assert_refuses_lengths_but::<XorRelayedAddress>(8);
}

#[test]
fn reserved_address_families_are_refused() {
    for family in [0x00, 0x03, 0xFF] {
        with_raw(
            AttributeType::REQUESTED_ADDRESS_FAMILY,
            &[family, 0, 0, 0],
            |message| {
                let found = message.get::<RequestedAddressFamily>();
                assert_eq!(found, Err(ParseError::AttributeValue));
            },
        );
        let address = [0, family, 0x21, 0x12, 1, 2, 3, 4];
        with_raw(AttributeType::XOR_PEER_ADDRESS, &address, |message| {
            assert_eq!(
                message.get::<XorPeerAddress>(),
                Err(ParseError::AttributeValue)
            );
        });
    }
}

#[test]
fn channel_numbers_outside_the_range_are_refused() {
    for number in [0x0000u16, 0x3FFF, 0x8000, 0xFFFF] {
        let [high, low] = number.to_be_bytes();
        with_raw(
            AttributeType::CHANNEL_NUMBER,
            &[high, low, 0, 0],
            |message| {
                assert_eq!(
                    message.get::<ChannelNumberAttribute>(),
                    Err(ParseError::AttributeValue)
                );
            },
        );
    }
}

#[test]
fn reserved_bits_are_ignored_when_read() {
    with_raw(
        AttributeType::REQUESTED_TRANSPORT,
        &[17, 0xFF, 0xFF, 0xFF],
        |message| {
            assert_eq!(message.get(), Ok(Some(RequestedTransport::UDP)));
        },
    );
    with_raw(AttributeType::EVEN_PORT, &[0x7F], |message| {
        assert_eq!(
            message.get(),
            Ok(Some(EvenPort {
                reserve_next: false
            }))
        );
    });
}

#[test]
fn icmp_type_has_seven_bits_and_code_nine() {
    with_raw(
        AttributeType::ICMP,
        &[0, 0, 0x06, 0x04, 0, 0, 5, 0xDC],
        |message| {
            assert_eq!(
                message.get(),
                Ok(Some(Icmp {
                    kind: 3,
                    code: 4,
                    data: [0, 0, 5, 0xDC]
                }))
            );
        },
    );
    with_raw(
        AttributeType::ICMP,
        &[0, 0, 0x07, 0x04, 0, 0, 0, 0],
        |message| {
            assert_eq!(message.get::<Icmp>(), Err(ParseError::AttributeValue));
        },
    );
}
