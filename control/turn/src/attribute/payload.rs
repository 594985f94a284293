//! Attributes of the data path (RFC 8656 sections 18.1, 18.4 and 18.9).

use turnpike_stun::{Attribute, AttributeType, ParseError, TransactionId, ValueWriter};
use turnpike_types::ChannelNumber;

/// What a Send or Data indication carries; may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Data<'a>(pub &'a [u8]);

impl<'a> Attribute<'a> for Data<'a> {
    const TYPE: AttributeType = AttributeType::DATA;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, ParseError> {
        Ok(Self(value))
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(self.0);
    }
}

/// The datagram must leave with the DF bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DontFragment;

impl Attribute<'_> for DontFragment {
    const TYPE: AttributeType = AttributeType::DONT_FRAGMENT;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        if value.is_empty() {
            Ok(Self)
        } else {
            Err(ParseError::AttributeLength)
        }
    }

    fn encode(&self, _: &TransactionId, _: &mut ValueWriter<'_>) {}
}

/// CHANNEL-NUMBER. A number outside 0x4000 to 0x7FFF is [`ParseError::AttributeValue`], which the
/// RFC answers with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelNumberAttribute(pub ChannelNumber);

impl Attribute<'_> for ChannelNumberAttribute {
    const TYPE: AttributeType = AttributeType::CHANNEL_NUMBER;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        let [high, low, _, _] =
            <[u8; 4]>::try_from(value).map_err(|_| ParseError::AttributeLength)?;
        ChannelNumber::new(u16::from_be_bytes([high, low]))
            .map(Self)
            .ok_or(ParseError::AttributeValue)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        let [high, low] = self.0.get().to_be_bytes();
        writer.write(&[high, low, 0, 0]);
    }
}
