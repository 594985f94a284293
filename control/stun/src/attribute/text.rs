//! Attributes of plain text (RFC 8489 sections 14.14 and 14.16).

use super::{Attribute, ValueWriter};
use crate::{AttributeType, ParseError, TransactionId};

/// Most bytes of a SOFTWARE: 127 characters of UTF-8.
pub const SOFTWARE_MAX: usize = 763;

/// Most bytes of a domain name.
const DOMAIN_MAX: usize = 255;

/// What the sender is, for humans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Software<'a>(pub &'a str);

impl<'a> Attribute<'a> for Software<'a> {
    const TYPE: AttributeType = AttributeType::SOFTWARE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, ParseError> {
        text(value, SOFTWARE_MAX).map(Self)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write_bounded(self.0.as_bytes(), SOFTWARE_MAX);
    }
}

/// The name to expect in the certificate of an ALTERNATE-SERVER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlternateDomain<'a>(pub &'a str);

impl<'a> Attribute<'a> for AlternateDomain<'a> {
    const TYPE: AttributeType = AttributeType::ALTERNATE_DOMAIN;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, ParseError> {
        text(value, DOMAIN_MAX).map(Self)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write_bounded(self.0.as_bytes(), DOMAIN_MAX);
    }
}

fn text(value: &[u8], max: usize) -> Result<&str, ParseError> {
    if value.len() > max {
        return Err(ParseError::AttributeLength);
    }
    core::str::from_utf8(value).map_err(|_| ParseError::AttributeValue)
}
