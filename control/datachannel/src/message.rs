//! User messages as the application hands them over and gets them.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::ChannelId;

/// What a message's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A string in UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// A message to send: text from a string, binary from bytes. Neither is copied where it is owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub(crate) kind: Kind,
    pub(crate) bytes: Bytes,
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self {
            kind: Kind::Text,
            bytes: Bytes::from(text),
        }
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        String::from(text).into()
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Binary,
            bytes,
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Bytes::copy_from_slice(bytes).into()
    }
}

/// A message that has arrived, or a part of one.
///
/// A large message comes in parts as it arrives, so that nobody has to hold it whole: above
/// [`partial_delivery_bytes`](turnpike_sctp::Config::partial_delivery_bytes), or as the sender cut
/// it. Parts of a channel's message follow each other on the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// On which channel.
    pub channel: ChannelId,
    /// What the bytes are. That text is UTF-8 is the sender's word; a part may end within a
    /// character.
    pub kind: Kind,
    /// The bytes; an empty message has none.
    pub payload: Bytes,
    /// Whether this is the first part.
    pub is_begin: bool,
    /// Whether this is the last part.
    pub is_end: bool,
}

impl Message {
    /// Whether the sender gave the message up, so that the parts that came are all there will be.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.is_end && !self.is_begin && self.payload.is_empty()
    }
}
