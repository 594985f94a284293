//! Attributes that shape an allocation (RFC 8656 sections 18.2, 18.7, 18.8 and 18.10).

use core::fmt;

use turnpike_stun::{Attribute, AttributeType, ParseError, TransactionId, ValueWriter};

/// How long an allocation lives without a refresh, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(pub u32);

impl Attribute<'_> for Lifetime {
    const TYPE: AttributeType = AttributeType::LIFETIME;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        let octets = value.try_into().map_err(|_| ParseError::AttributeLength)?;
        Ok(Self(u32::from_be_bytes(octets)))
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&self.0.to_be_bytes());
    }
}

/// The client wants an even port, and perhaps the next one kept for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EvenPort {
    /// The R bit: keep the next higher port and hand out a reservation token.
    pub reserve_next: bool,
}

impl Attribute<'_> for EvenPort {
    const TYPE: AttributeType = AttributeType::EVEN_PORT;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        match value {
            [flags] => Ok(Self {
                reserve_next: flags & 0x80 != 0,
            }),
            _ => Err(ParseError::AttributeLength),
        }
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&[if self.reserve_next { 0x80 } else { 0 }]);
    }
}

/// The protocol between relay and peer, as in the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestedTransport(pub u8);

impl RequestedTransport {
    /// All that RFC 8656 allows.
    pub const UDP: Self = Self(17);
}

impl Attribute<'_> for RequestedTransport {
    const TYPE: AttributeType = AttributeType::REQUESTED_TRANSPORT;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        let [protocol, ..] = <[u8; 4]>::try_from(value).map_err(|_| ParseError::AttributeLength)?;
        Ok(Self(protocol))
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&[self.0, 0, 0, 0]);
    }
}

/// Names a relayed transport address that is kept for its holder. It prints redacted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReservationToken(pub [u8; 8]);

impl Attribute<'_> for ReservationToken {
    const TYPE: AttributeType = AttributeType::RESERVATION_TOKEN;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        value
            .try_into()
            .map(Self)
            .map_err(|_| ParseError::AttributeLength)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&self.0);
    }
}

impl fmt::Debug for ReservationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReservationToken(redacted)")
    }
}
