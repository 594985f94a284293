//! What is in the messages: each says by its bytes which it is, so that the far end can tell a
//! wrong, changed or repeated one.

use bytes::Bytes;

/// The number of a message within its direction.
pub(crate) type Number = u32;

/// Bytes of message `number`: its number, then what follows from it. Shorter than [`NAMED_MIN`] it
/// does not say its number.
pub(crate) fn write(number: Number, len: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(len + 4);
    bytes.extend_from_slice(&number.to_be_bytes());
    let mut state = number.wrapping_mul(0x9E37_79B9) | 1;
    while bytes.len() < len {
        state = state.wrapping_mul(0x2C92_77B5).wrapping_add(0xAC56_4B05);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// Which message these are the first bytes of, if they say.
pub(crate) fn number(bytes: &[u8]) -> Option<Number> {
    if bytes.len() < NAMED_MIN {
        return None;
    }
    Some(Number::from_be_bytes(*bytes.first_chunk()?))
}

/// The shortest message that says its number.
pub(crate) const NAMED_MIN: usize = 8;
