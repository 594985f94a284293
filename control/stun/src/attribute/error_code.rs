//! ERROR-CODE and UNKNOWN-ATTRIBUTES (RFC 8489 sections 14.8 and 14.13).

use super::{Attribute, ValueWriter};
use crate::{AttributeType, ParseError, TransactionId};

/// Most bytes of a reason phrase.
pub const REASON_MAX: usize = 763;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode<'a> {
    /// 300 to 699.
    pub code: u16,
    /// For humans; may be empty.
    pub reason: &'a str,
}

impl ErrorCode<'static> {
    /// 300: ask the ALTERNATE-SERVER
    pub const TRY_ALTERNATE: Self = Self {
        code: 300,
        reason: "Try Alternate",
    };
    /// 400: the request makes no sense
    pub const BAD_REQUEST: Self = Self {
        code: 400,
        reason: "Bad Request",
    };
    /// 401: the challenge, or wrong credentials
    pub const UNAUTHENTICATED: Self = Self {
        code: 401,
        reason: "Unauthenticated",
    };
    /// 420: a comprehension-required attribute is unknown
    pub const UNKNOWN_ATTRIBUTE: Self = Self {
        code: 420,
        reason: "Unknown Attribute",
    };
    /// 438: the nonce is no longer good; the new one is in the response
    pub const STALE_NONCE: Self = Self {
        code: 438,
        reason: "Stale Nonce",
    };
    /// 500: the server's fault
    pub const SERVER_ERROR: Self = Self {
        code: 500,
        reason: "Server Error",
    };
}

impl<'a> ErrorCode<'a> {
    /// Reads class, number and reason as they stand after the attribute's first two bytes.
    ///
    /// A reason that is not UTF-8 is cut where it goes wrong: the code is what matters.
    ///
    /// # Errors
    ///
    /// [`ParseError::AttributeLength`] without room for a code, [`ParseError::AttributeValue`] for
    /// one outside 300 to 699.
    pub fn decode_tail(tail: &'a [u8]) -> Result<Self, ParseError> {
        let Some(([class, number], reason)) = tail.split_first_chunk::<2>() else {
            return Err(ParseError::AttributeLength);
        };
        let (class, number) = (u16::from(class & 0x07), u16::from(*number));
        if !(3..=6).contains(&class) || number > 99 {
            return Err(ParseError::AttributeValue);
        }
        let reason = match core::str::from_utf8(reason) {
            Ok(reason) => reason,
            Err(error) => reason
                .get(..error.valid_up_to())
                .and_then(|valid| core::str::from_utf8(valid).ok())
                .unwrap_or_default(),
        };
        Ok(Self {
            code: class * 100 + number,
            reason,
        })
    }

    /// Writes class, number and reason. Codes outside 300 to 699 are written as the nearest inside.
    pub fn encode_tail(&self, writer: &mut ValueWriter<'_>) {
        let code = self.code.clamp(300, 699);
        let [_, class] = (code / 100).to_be_bytes();
        let [_, number] = (code % 100).to_be_bytes();
        writer.write(&[class, number]);
        writer.write_bounded(self.reason.as_bytes(), REASON_MAX);
    }
}

impl<'a> Attribute<'a> for ErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ERROR_CODE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, ParseError> {
        let Some((_reserved, tail)) = value.split_first_chunk::<2>() else {
            return Err(ParseError::AttributeLength);
        };
        Self::decode_tail(tail)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&[0, 0]);
        self.encode_tail(writer);
    }
}

/// The attribute types that a 420 names, at most [`UnknownAttributes::MAX`] of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnknownAttributes {
    types: [u16; Self::MAX],
    len: usize,
}

impl UnknownAttributes {
    /// How many are kept; more would only make the response larger than the request deserves.
    pub const MAX: usize = 16;

    /// Adds a type unless it is there already or the list is full.
    pub fn add(&mut self, kind: AttributeType) {
        if self.iter().any(|known| known == kind) {
            return;
        }
        if let Some(free) = self.types.get_mut(self.len) {
            *free = kind.0;
            self.len += 1;
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The types in the order they were met.
    pub fn iter(&self) -> impl Iterator<Item = AttributeType> + '_ {
        self.types
            .iter()
            .take(self.len)
            .map(|number| AttributeType(*number))
    }
}

impl Attribute<'_> for UnknownAttributes {
    const TYPE: AttributeType = AttributeType::UNKNOWN_ATTRIBUTES;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        let (pairs, odd) = value.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(ParseError::AttributeLength);
        }
        let mut list = Self::default();
        for pair in pairs {
            list.add(AttributeType(u16::from_be_bytes(*pair)));
        }
        Ok(list)
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        for kind in self.iter() {
            writer.write(&kind.0.to_be_bytes());
        }
    }
}
