//! The chunks, each read by a type or a function of its own and written by a method of
//! [`PacketWriter`](super::PacketWriter) beside it.

mod abort;
mod cookie;
mod data;
mod forward_tsn;
mod heartbeat;
mod i_forward_tsn;
mod init;
mod re_config;
mod sack;
mod shutdown;

pub use data::{DATA_HEADER, Data, I_DATA_HEADER};
pub use forward_tsn::ForwardTsn;
pub use i_forward_tsn::IForwardTsn;
pub use init::{Init, InitFields, InitKind};
pub use re_config::{ReConfig, ReConfigParameter};
pub use sack::Sack;

use super::{Causes, ParseError, RawChunk, kind};
use crate::Tsn;

/// A received chunk, looked into.
#[derive(Clone, Debug)]
pub enum Chunk<'a> {
    /// DATA or I-DATA: a fragment of a message.
    Data(Data<'a>),
    /// INIT: asks for an association.
    Init(Init<'a>),
    /// INIT ACK: answers an INIT with a state cookie.
    InitAck(Init<'a>),
    /// SACK: what has arrived.
    Sack(Sack<'a>),
    /// HEARTBEAT: asks for its information back.
    Heartbeat(&'a [u8]),
    /// HEARTBEAT ACK: the information of a HEARTBEAT.
    HeartbeatAck(&'a [u8]),
    /// ABORT: the association is over at once.
    Abort {
        /// The T bit: the packet carries its receiver's tag because the sender has none.
        is_tag_reflected: bool,
        /// Why.
        causes: Causes<'a>,
    },
    /// SHUTDOWN, with the cumulative TSN ack.
    Shutdown(Tsn),
    /// SHUTDOWN ACK.
    ShutdownAck,
    /// ERROR: something that does not end the association.
    Error(Causes<'a>),
    /// COOKIE ECHO: the state cookie.
    CookieEcho(&'a [u8]),
    /// COOKIE ACK.
    CookieAck,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete {
        /// The T bit, as in ABORT.
        is_tag_reflected: bool,
    },
    /// FORWARD TSN: what not to wait for.
    ForwardTsn(ForwardTsn<'a>),
    /// I-FORWARD-TSN: the same with interleaving.
    IForwardTsn(IForwardTsn<'a>),
    /// RE-CONFIG: streams anew, or more of them.
    ReConfig(ReConfig<'a>),
    /// PAD: filling.
    Pad,
    /// None of these; [`UnknownAction`](super::UnknownAction) says what to do.
    Unknown,
}

impl<'a> Chunk<'a> {
    /// Looks into a chunk.
    ///
    /// # Errors
    ///
    /// [`ParseError::ChunkValue`] when its length is not what its type allows,
    /// [`ParseError::NoUserData`] for a DATA or I-DATA without any. Parameters and causes are looked
    /// at when they are iterated over.
    #[inline]
    pub fn parse(raw: RawChunk<'a>) -> Result<Self, ParseError> {
        let value = raw.value();
        match raw.kind {
            kind::DATA => Data::parse(raw.flags, value).map(Self::Data),
            kind::I_DATA => Data::parse_interleaved(raw.flags, value).map(Self::Data),
            kind::SACK => Sack::parse(value).map(Self::Sack),
            _ => Self::parse_control(raw),
        }
    }

    fn parse_control(raw: RawChunk<'a>) -> Result<Self, ParseError> {
        let value = raw.value();
        let is_tag_reflected = raw.flags & T_BIT != 0;
        Ok(match raw.kind {
            kind::INIT => Self::Init(Init::parse(value)?),
            kind::INIT_ACK => Self::InitAck(Init::parse(value)?),
            kind::HEARTBEAT => Self::Heartbeat(heartbeat::parse(value)?),
            kind::HEARTBEAT_ACK => Self::HeartbeatAck(heartbeat::parse(value)?),
            kind::ABORT => Self::Abort {
                is_tag_reflected,
                causes: Causes::new(value),
            },
            kind::SHUTDOWN => Self::Shutdown(shutdown::parse(value)?),
            kind::SHUTDOWN_ACK => empty(value, Self::ShutdownAck)?,
            kind::ERROR => Self::Error(Causes::new(value)),
            kind::COOKIE_ECHO => Self::CookieEcho(value),
            kind::COOKIE_ACK => empty(value, Self::CookieAck)?,
            kind::SHUTDOWN_COMPLETE => empty(value, Self::ShutdownComplete { is_tag_reflected })?,
            kind::FORWARD_TSN => Self::ForwardTsn(ForwardTsn::parse(value)?),
            kind::I_FORWARD_TSN => Self::IForwardTsn(IForwardTsn::parse(value)?),
            kind::RE_CONFIG => Self::ReConfig(ReConfig::new(value)),
            kind::PAD => Self::Pad,
            _ => Self::Unknown,
        })
    }
}

/// The T bit of ABORT and SHUTDOWN COMPLETE (RFC 9260 section 8.5.1).
const T_BIT: u8 = 0x01;

const fn tag_flags(is_tag_reflected: bool) -> u8 {
    if is_tag_reflected { T_BIT } else { 0 }
}

/// A chunk that is nothing but its header.
fn empty<'a>(value: &[u8], chunk: Chunk<'a>) -> Result<Chunk<'a>, ParseError> {
    if value.is_empty() {
        Ok(chunk)
    } else {
        Err(ParseError::ChunkValue)
    }
}
