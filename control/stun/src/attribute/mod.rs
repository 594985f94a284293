//! Attributes of RFC 8489 as types, a file a group.
//!
//! A type cannot hold what its encoding cannot say; lengths beyond the RFC's are refused on both
//! sides. Attributes without a type are reached by [`Message::raw`](crate::Message::raw).

mod address;
mod credential;
mod error_code;
mod password_algorithm;
mod text;

pub use address::{
    AlternateServer, MappedAddress, XorMappedAddress, decode_address, decode_xor_address,
    encode_address, encode_xor_address,
};
pub use credential::{NONCE_MAX, Nonce, REALM_MAX, Realm, USERNAME_MAX, Userhash, Username};
pub use error_code::{ErrorCode, REASON_MAX, UnknownAttributes};
pub use password_algorithm::{PasswordAlgorithm, PasswordAlgorithms};
pub use text::{AlternateDomain, SOFTWARE_MAX, Software};

use crate::{AttributeType, EncodeError, ParseError, TransactionId};

/// An attribute that can be read from and written to a message.
pub trait Attribute<'a>: Sized {
    /// Its type number.
    const TYPE: AttributeType;

    /// Reads the value. `transaction_id` is that of the message: XOR addresses are masked by it.
    ///
    /// # Errors
    ///
    /// [`ParseError::AttributeLength`] or [`ParseError::AttributeValue`].
    fn decode(value: &'a [u8], transaction_id: &TransactionId) -> Result<Self, ParseError>;

    /// Writes the value.
    fn encode(&self, transaction_id: &TransactionId, writer: &mut ValueWriter<'_>);

    /// The type number again, where only a value is at hand.
    fn attribute_type(&self) -> AttributeType {
        Self::TYPE
    }
}

/// The place of one attribute's value in the message being built.
#[derive(Debug)]
pub struct ValueWriter<'b> {
    room: &'b mut [u8],
    len: usize,
    error: Option<EncodeError>,
}

impl<'b> ValueWriter<'b> {
    pub(crate) const fn new(room: &'b mut [u8]) -> Self {
        Self {
            room,
            len: 0,
            error: None,
        }
    }

    /// Appends bytes; the padding after the value is not the value's business.
    pub fn write(&mut self, bytes: &[u8]) {
        match self
            .room
            .get_mut(self.len..)
            .and_then(|room| room.get_mut(..bytes.len()))
        {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.fail(EncodeError::NoRoom),
        }
    }

    /// Appends bytes, or fails the message when there are more than `max`.
    pub fn write_bounded(&mut self, bytes: &[u8], max: usize) {
        if bytes.len() > max {
            self.fail(EncodeError::ValueTooLong);
        } else {
            self.write(bytes);
        }
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    pub(crate) const fn finish(self) -> (usize, Option<EncodeError>) {
        (self.len, self.error)
    }
}
