//! What can be wrong with received bytes, and with what a caller wants to send.

use thiserror::Error;

/// Why bytes are not a STUN message, or an attribute not what its type says. The sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes than a header.
    #[error("shorter than a STUN header")]
    TooShort,
    /// The top two bits are not zero: some other protocol (RFC 7983).
    #[error("the first two bits are not zero")]
    NotStun,
    /// RFC 3489 or not STUN at all.
    #[error("no magic cookie")]
    NoMagicCookie,
    /// The length field is not a multiple of four.
    #[error("message length is not a multiple of four")]
    UnalignedLength,
    /// The length field says more or less than there is.
    #[error("message length is not the number of bytes that follow the header")]
    LengthMismatch,
    /// An attribute says it is longer than the rest of the message.
    #[error("attribute runs past the end of the message")]
    AttributePastEnd,
    /// More than [`ATTRIBUTES_MAX`](crate::ATTRIBUTES_MAX) attributes.
    #[error("too many attributes")]
    TooManyAttributes,
    /// The value has a length that its type does not allow.
    #[error("attribute value has a forbidden length")]
    AttributeLength,
    /// The value holds what its type does not allow.
    #[error("attribute value is not allowed")]
    AttributeValue,
}

/// Why a message could not be written. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small, or the message longer than its length field can say.
    #[error("message does not fit")]
    NoRoom,
    /// A value is longer than its type allows.
    #[error("attribute value is too long")]
    ValueTooLong,
    /// An attribute was added after integrity or fingerprint, where receivers ignore it.
    #[error("attribute after the message integrity")]
    Misordered,
}
