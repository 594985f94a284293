//! Payload protocol identifiers of data channels (RFC 8831 section 8) and what they say of a message.

use turnpike_sctp::Ppid;

use crate::Kind;

/// What a message on a data channel is by its PPID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// DCEP.
    Dcep,
    /// A user message, or the end of one that came in old-style parts.
    User(Kind),
    /// An empty user message: SCTP has none, so one byte stands for it.
    Empty(Kind),
    /// A part of a user message as old peers send it; more follow in messages of their own.
    Part(Kind),
}

impl Content {
    /// `None` for what RFC 8831 does not know.
    pub(crate) const fn of(ppid: Ppid) -> Option<Self> {
        match ppid {
            DCEP => Some(Self::Dcep),
            STRING => Some(Self::User(Kind::Text)),
            BINARY => Some(Self::User(Kind::Binary)),
            STRING_EMPTY => Some(Self::Empty(Kind::Text)),
            BINARY_EMPTY => Some(Self::Empty(Kind::Binary)),
            STRING_PARTIAL => Some(Self::Part(Kind::Text)),
            BINARY_PARTIAL => Some(Self::Part(Kind::Binary)),
            _ => None,
        }
    }
}

/// How a user message is sent.
pub(crate) const fn of_message(kind: Kind, is_empty: bool) -> Ppid {
    match (kind, is_empty) {
        (Kind::Text, false) => STRING,
        (Kind::Text, true) => STRING_EMPTY,
        (Kind::Binary, false) => BINARY,
        (Kind::Binary, true) => BINARY_EMPTY,
    }
}

/// WebRTC DCEP.
pub(crate) const DCEP: Ppid = Ppid(50);
/// WebRTC String.
pub(crate) const STRING: Ppid = Ppid(51);
/// WebRTC Binary Partial (deprecated): received, never sent.
pub(crate) const BINARY_PARTIAL: Ppid = Ppid(52);
/// WebRTC Binary.
pub(crate) const BINARY: Ppid = Ppid(53);
/// WebRTC String Partial (deprecated): received, never sent.
pub(crate) const STRING_PARTIAL: Ppid = Ppid(54);
/// WebRTC String Empty.
pub(crate) const STRING_EMPTY: Ppid = Ppid(56);
/// WebRTC Binary Empty.
pub(crate) const BINARY_EMPTY: Ppid = Ppid(57);
