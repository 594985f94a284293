//! Attributes that say who asks, where, and when (RFC 8489 sections 14.3, 14.4, 14.9 and 14.10).

use super::{Attribute, ValueWriter};
use crate::{AttributeType, ParseError, TransactionId};

/// Most bytes of a USERNAME. RFC 8489 allows 508, RFC 5389 allowed 512.
pub const USERNAME_MAX: usize = 512;

/// Most bytes of a REALM: 127 characters of UTF-8 and room for quoting.
pub const REALM_MAX: usize = 763;

/// Most bytes of a NONCE: 127 characters of UTF-8 and room for quoting.
pub const NONCE_MAX: usize = 763;

macro_rules! opaque_bytes {
    ($(#[$doc:meta])* $name:ident $kind:ident $min:literal $max:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name<'a>(pub &'a [u8]);

        impl<'a> Attribute<'a> for $name<'a> {
            const TYPE: AttributeType = AttributeType::$kind;

            fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, ParseError> {
                if ($min..=$max).contains(&value.len()) {
                    Ok(Self(value))
                } else {
                    Err(ParseError::AttributeLength)
                }
            }

            fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
                writer.write_bounded(self.0, $max);
            }
        }
    };
}

opaque_bytes! {
    /// The user name, 1 to [`USERNAME_MAX`] bytes. Not checked to be UTF-8: it is only compared.
    Username USERNAME 1 USERNAME_MAX
}
opaque_bytes! {
    /// The realm, at most [`REALM_MAX`] bytes.
    Realm REALM 0 REALM_MAX
}
opaque_bytes! {
    /// The server's challenge, at most [`NONCE_MAX`] bytes.
    Nonce NONCE 0 NONCE_MAX
}

/// Stands for USERNAME where the name must not travel in the clear; see
/// [`userhash`](crate::userhash).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Userhash(pub [u8; 32]);

impl Attribute<'_> for Userhash {
    const TYPE: AttributeType = AttributeType::USERHASH;

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
