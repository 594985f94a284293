//! STUN without a socket (RFC 8489): messages, integrity, long-term credentials, transactions.
//!
//! - [`Message`] is a checked view of received bytes: [`Message::parse`] validates the frame once,
//!   without allocating, and nothing that follows can panic.
//! - [`MessageBuilder`] writes a message into the caller's buffer.
//! - [`attribute`] holds the attributes of RFC 8489 as types; TURN's live in the TURN engine.
//! - [`long_term`], [`transaction`] and [`stream`] are the procedures around messages.
//!
//! It is *not* a STUN server or client: who answers what is decided above.

#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

pub mod attribute;
pub mod long_term;
pub mod stream;
pub mod transaction;

mod attribute_type;
mod builder;
mod error;
mod fingerprint;
mod header;
mod integrity;
mod key;
mod message;
mod opaque;

pub use attribute::{
    AlternateDomain, AlternateServer, Attribute, ErrorCode, MappedAddress, Nonce,
    PasswordAlgorithm, PasswordAlgorithms, Realm, Software, UnknownAttributes, Userhash, Username,
    ValueWriter, XorMappedAddress,
};
pub use attribute_type::AttributeType;
pub use builder::MessageBuilder;
pub use error::{EncodeError, ParseError};
pub use fingerprint::Fingerprint;
pub use header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId};
pub use integrity::IntegrityAlgorithm;
pub use key::{IntegrityKey, userhash};
pub use message::{ATTRIBUTES_MAX, Attributes, Message, RawAttribute};
pub use opaque::opaque_string;
