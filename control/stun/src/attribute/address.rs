//! Attributes that hold a transport address (RFC 8489 sections 14.1, 14.2 and 14.15).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Attribute, ValueWriter};
use crate::{AttributeType, MAGIC_COOKIE, ParseError, TransactionId};

const FAMILY_IPV4: u8 = 0x01;
const FAMILY_IPV6: u8 = 0x02;

/// Reads the encoding of MAPPED-ADDRESS. The first byte is ignored.
///
/// # Errors
///
/// [`ParseError::AttributeValue`] for a family other than IPv4 and IPv6,
/// [`ParseError::AttributeLength`] for a length that is not the family's.
pub fn decode_address(value: &[u8]) -> Result<SocketAddr, ParseError> {
    let Some(([_, family, p0, p1], address)) = value.split_first_chunk::<4>() else {
        return Err(ParseError::AttributeLength);
    };
    let ip = match *family {
        FAMILY_IPV4 => <[u8; 4]>::try_from(address).map(|octets| Ipv4Addr::from(octets).into()),
        FAMILY_IPV6 => <[u8; 16]>::try_from(address).map(|octets| Ipv6Addr::from(octets).into()),
        _ => return Err(ParseError::AttributeValue),
    };
    let ip: IpAddr = ip.map_err(|_| ParseError::AttributeLength)?;
    Ok(SocketAddr::new(ip, u16::from_be_bytes([*p0, *p1])))
}

/// Writes the encoding of MAPPED-ADDRESS.
pub fn encode_address(address: &SocketAddr, writer: &mut ValueWriter<'_>) {
    let family = if address.is_ipv4() {
        FAMILY_IPV4
    } else {
        FAMILY_IPV6
    };
    writer.write(&[0, family]);
    writer.write(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => writer.write(&ip.octets()),
        IpAddr::V6(ip) => writer.write(&ip.octets()),
    }
}

/// Reads the encoding of XOR-MAPPED-ADDRESS.
///
/// # Errors
///
/// As [`decode_address`].
pub fn decode_xor_address(
    value: &[u8],
    transaction_id: &TransactionId,
) -> Result<SocketAddr, ParseError> {
    decode_address(value).map(|masked| xor(&masked, transaction_id))
}

/// Writes the encoding of XOR-MAPPED-ADDRESS.
pub fn encode_xor_address(
    address: &SocketAddr,
    transaction_id: &TransactionId,
    writer: &mut ValueWriter<'_>,
) {
    encode_address(&xor(address, transaction_id), writer);
}

/// Masks or unmasks: the two are one (RFC 8489 section 14.2).
fn xor(address: &SocketAddr, transaction_id: &TransactionId) -> SocketAddr {
    let [c0, c1, ..] = MAGIC_COOKIE.to_be_bytes();
    let port = address.port() ^ u16::from_be_bytes([c0, c1]);
    let ip = match address.ip() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() ^ MAGIC_COOKIE).into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h, i, j, k, l] = transaction_id.0;
            let low = u128::from_be_bytes([0, 0, 0, 0, a, b, c, d, e, f, g, h, i, j, k, l]);
            let mask = (u128::from(MAGIC_COOKIE) << 96) | low;
            Ipv6Addr::from_bits(ip.to_bits() ^ mask).into()
        }
    };
    SocketAddr::new(ip, port)
}

/// The client's transport address as the server sees it, masked against meddling NATs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct XorMappedAddress(pub SocketAddr);

impl Attribute<'_> for XorMappedAddress {
    const TYPE: AttributeType = AttributeType::XOR_MAPPED_ADDRESS;

    fn decode(value: &[u8], transaction_id: &TransactionId) -> Result<Self, ParseError> {
        decode_xor_address(value, transaction_id).map(Self)
    }

    fn encode(&self, transaction_id: &TransactionId, writer: &mut ValueWriter<'_>) {
        encode_xor_address(&self.0, transaction_id, writer);
    }
}

/// The same in the clear, for RFC 3489 clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MappedAddress(pub SocketAddr);

impl Attribute<'_> for MappedAddress {
    const TYPE: AttributeType = AttributeType::MAPPED_ADDRESS;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        decode_address(value).map(Self)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        encode_address(&self.0, writer);
    }
}

/// Where to try instead, in a 300 (RFC 8489 section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlternateServer(pub SocketAddr);

impl Attribute<'_> for AlternateServer {
    const TYPE: AttributeType = AttributeType::ALTERNATE_SERVER;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        decode_address(value).map(Self)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        encode_address(&self.0, writer);
    }
}
