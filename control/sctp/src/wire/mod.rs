//! Packets and chunks as bytes (RFC 9260 section 3, RFC 3758, RFC 6525, RFC 8260, RFC 9653).
//!
//! Received bytes become borrowed views: [`Packet`] cuts into [`RawChunk`]s, [`Chunk::parse`] looks
//! into one. Nothing allocates and nothing panics. [`PacketWriter`] writes into the caller's buffer.
//! The types in [`chunk`], [`parameter`] and [`cause`] are the same both ways.
//!
//! It is *not* the association: whether a chunk is allowed now is decided there. Work is linear in
//! the packet's length; lists of parameters are bounded by [`PARAMETERS_MAX`].

pub mod cause;
pub mod chunk;
pub mod kind;
pub mod parameter;

mod checksum;
mod error;
mod list;
mod packet;
mod tlv;
mod unknown;
mod writer;

pub use cause::{Cause, Causes};
pub use checksum::{Checksum, ChecksumRule};
pub use chunk::{
    Chunk, DATA_HEADER, Data, ForwardTsn, I_DATA_HEADER, IForwardTsn, Init, InitFields, InitKind,
    ReConfig, ReConfigParameter, Sack,
};
pub use error::ParseError;
pub use list::StreamList;
pub use packet::{Chunks, Header, Packet, RawChunk};
pub use parameter::{Parameter, Parameters};
pub use tlv::PARAMETERS_MAX;
pub use unknown::UnknownAction;
pub use writer::PacketWriter;

/// Bytes of the common header, checksum included.
pub const HEADER_LEN: usize = 12;

/// Bytes of a chunk's header, and of a parameter's and an error cause's.
pub const CHUNK_HEADER_LEN: usize = 4;
