//! The requests a TURN server answers, and one of them as it came in.

use turnpike_stun::{AttributeType, Message, Method, UnknownAttributes};
use turnpike_types::FiveTuple;

use super::Refusal;
use crate::attribute::KNOWN;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Procedure {
    /// RFC 8489 section 2
    Binding,
    /// RFC 8656 section 7
    Allocate,
    /// RFC 8656 section 8
    Refresh,
    /// RFC 8656 section 10
    CreatePermission,
    /// RFC 8656 section 12
    ChannelBind,
}

impl Procedure {
    /// Every procedure, in order.
    pub const ALL: [Self; 5] = [
        Self::Binding,
        Self::Allocate,
        Self::Refresh,
        Self::CreatePermission,
        Self::ChannelBind,
    ];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binding => "binding",
            Self::Allocate => "allocate",
            Self::Refresh => "refresh",
            Self::CreatePermission => "create_permission",
            Self::ChannelBind => "channel_bind",
        }
    }

    pub(super) fn of(method: Method) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|procedure| procedure.method() == method)
    }

    pub(super) const fn method(self) -> Method {
        match self {
            Self::Binding => Method::BINDING,
            Self::Allocate => Method::ALLOCATE,
            Self::Refresh => Method::REFRESH,
            Self::CreatePermission => Method::CREATE_PERMISSION,
            Self::ChannelBind => Method::CHANNEL_BIND,
        }
    }
}

/// A request whose frame and fingerprint have been checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) procedure: Procedure,
    pub(super) five_tuple: FiveTuple,
    pub(super) message: Message<'a>,
    /// Whether the reply carries FINGERPRINT, as the request did.
    pub(super) fingerprint: bool,
}

impl Request<'_> {
    /// Comprehension-required attributes that the server does not understand (RFC 8489 section
    /// 6.3.1). One that it understands but has no use for here is none of these.
    pub(super) fn unknown(&self, dont_fragment: bool) -> UnknownAttributes {
        let (dont_fragment_last, always) = KNOWN.split_last().unwrap_or((&DF, &[]));
        debug_assert_eq!(*dont_fragment_last, DF);
        self.message
            .unknown_required(if dont_fragment { &KNOWN } else { always })
    }
}

const DF: AttributeType = AttributeType::DONT_FRAGMENT;

/// A refusal and, for 420, what was not understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) unknown: UnknownAttributes,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            unknown: UnknownAttributes::default(),
        }
    }
}

/// An attribute that is not what its type says makes the request a bad one.
impl From<turnpike_stun::ParseError> for Refused {
    fn from(_: turnpike_stun::ParseError) -> Self {
        Refusal::BadRequest.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_procedure_at_its_own_index() {
        for (index, procedure) in Procedure::ALL.iter().enumerate() {
            assert_eq!(*procedure as usize, index);
            assert_eq!(Procedure::of(procedure.method()), Some(*procedure));
        }
        assert_eq!(Procedure::of(Method::SEND), None);
    }
}
