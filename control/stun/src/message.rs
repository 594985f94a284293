//! A received message as a checked view (RFC 8489 section 5).
//!
//! [`Message::parse`] walks the frame once; whatever it accepts can be read without a panic and
//! without an allocation. It does not look into values: [`Message::get`] does, one at a time.
//! Bounded by the message's length and [`ATTRIBUTES_MAX`].

use core::fmt;

use crate::fingerprint::{FINGERPRINT_LEN, fingerprint};
use crate::header::split_message_type;
use crate::integrity::mac;
use crate::{
    Attribute, AttributeType, Class, Fingerprint, HEADER_LEN, IntegrityAlgorithm, IntegrityKey,
    MAGIC_COOKIE, Method, ParseError, TransactionId, UnknownAttributes,
};

/// More attributes than any honest message has; one with more is refused.
pub const ATTRIBUTES_MAX: usize = 64;

const ATTRIBUTE_HEADER_LEN: usize = 4;

/// A view of bytes that are one whole STUN message.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    header: &'a [u8; HEADER_LEN],
    body: &'a [u8],
    bytes: &'a [u8],
    marks: Marks,
}

/// Offsets (from the first byte) of the attributes that end a message; zero when absent.
#[derive(Clone, Copy, Default)]
struct Marks {
    sha1: usize,
    sha256: usize,
    fingerprint: usize,
}

/// An attribute before its value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// Its type.
    pub kind: AttributeType,
    /// Its value without padding.
    pub value: &'a [u8],
    /// Where its header starts, counted from the message's first byte.
    pub offset: usize,
}

impl<'a> Message<'a> {
    /// Checks that `bytes` are one message, no more and no less.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the frame. Values of attributes are not looked at.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(ParseError::TooShort);
        };
        let [t0, _, l0, l1, c0, c1, c2, c3, ..] = *header;
        if t0 & 0xC0 != 0 {
            return Err(ParseError::NotStun);
        }
        if u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(ParseError::NoMagicCookie);
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if !length.is_multiple_of(4) {
            return Err(ParseError::UnalignedLength);
        }
        if length != body.len() {
            return Err(ParseError::LengthMismatch);
        }
        let marks = Marks::of(body)?;
        Ok(Self {
            header,
            body,
            bytes,
            marks,
        })
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> Class {
        split_message_type(self.message_type()).0
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        split_message_type(self.message_type()).1
    }

    const fn message_type(&self) -> u16 {
        let [high, low, ..] = *self.header;
        u16::from_be_bytes([high, low])
    }

    /// The transaction ID.
    #[must_use]
    pub const fn transaction_id(&self) -> TransactionId {
        let [.., a, b, c, d, e, f, g, h, i, j, k, l] = *self.header;
        TransactionId([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// The whole message.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The attributes that count: after the first integrity attribute only a
    /// MESSAGE-INTEGRITY-SHA256 and a FINGERPRINT do, after a FINGERPRINT none
    /// (RFC 8489 sections 14.5 to 14.7).
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body)
    }

    /// The value of the first attribute of a type.
    #[must_use]
    pub fn raw(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes()
            .find(|attribute| attribute.kind == kind)
            .map(|found| found.value)
    }

    /// The first attribute of a type, read.
    ///
    /// # Errors
    ///
    /// [`ParseError::AttributeLength`] or [`ParseError::AttributeValue`] when it is there but not
    /// what its type says.
    pub fn get<A: Attribute<'a>>(&self) -> Result<Option<A>, ParseError> {
        match self.raw(A::TYPE) {
            Some(value) => A::decode(value, &self.transaction_id()).map(Some),
            None => Ok(None),
        }
    }

    /// Comprehension-required attributes that are neither in `known` nor message integrity; for
    /// UNKNOWN-ATTRIBUTES in a 420. At most [`UnknownAttributes::MAX`], each once.
    #[must_use]
    pub fn unknown_required(&self, known: &[AttributeType]) -> UnknownAttributes {
        let mut unknown = UnknownAttributes::default();
        for RawAttribute { kind, .. } in self.attributes() {
            let is_integrity = matches!(
                kind,
                AttributeType::MESSAGE_INTEGRITY | AttributeType::MESSAGE_INTEGRITY_SHA256
            );
            if kind.is_comprehension_required() && !is_integrity && !known.contains(&kind) {
                unknown.add(kind);
            }
        }
        unknown
    }

    /// Checks the FINGERPRINT, if there is one.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let Some(attribute) = self.marked(self.marks.fingerprint) else {
            return Fingerprint::Absent;
        };
        let is_last = attribute.offset + ATTRIBUTE_HEADER_LEN + FINGERPRINT_LEN == self.bytes.len();
        let expected = self
            .body_before(attribute.offset)
            .map(|body| fingerprint(self.header, body).to_be_bytes());
        if is_last
            && expected
                .as_ref()
                .is_some_and(|expected| expected == attribute.value)
        {
            Fingerprint::Valid
        } else {
            Fingerprint::Invalid
        }
    }

    /// Whether an integrity attribute of this kind is there and counts.
    #[must_use]
    pub const fn has_integrity(&self, algorithm: IntegrityAlgorithm) -> bool {
        self.integrity_mark(algorithm) != 0
    }

    /// Whether an integrity attribute of this kind is there and right, compared in constant time.
    /// A SHA-256 value may be truncated to 16, 20, 24 or 28 bytes (RFC 8489 section 14.6).
    #[must_use]
    pub fn verify_integrity(&self, algorithm: IntegrityAlgorithm, key: &IntegrityKey) -> bool {
        let Some(attribute) = self.marked(self.integrity_mark(algorithm)) else {
            return false;
        };
        if !algorithm.allows_len(attribute.value.len()) {
            return false;
        }
        let Some(body) = self.body_before(attribute.offset) else {
            return false;
        };
        let length = body.len() + ATTRIBUTE_HEADER_LEN + attribute.value.len();
        let header = header_with_length(self.header, length);
        mac(algorithm, key, &header, body).matches(attribute.value)
    }

    const fn integrity_mark(&self, algorithm: IntegrityAlgorithm) -> usize {
        match algorithm {
            IntegrityAlgorithm::Sha1 => self.marks.sha1,
            IntegrityAlgorithm::Sha256 => self.marks.sha256,
        }
    }

    fn marked(&self, offset: usize) -> Option<RawAttribute<'a>> {
        if offset == 0 {
            return None;
        }
        Attributes {
            rest: self.bytes.get(offset..)?,
            offset,
            stage: Stage::Open,
        }
        .step()
    }

    fn body_before(&self, offset: usize) -> Option<&'a [u8]> {
        self.body.get(..offset.checked_sub(HEADER_LEN)?)
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("method", &self.method())
            .field("class", &self.class())
            .field("transaction_id", &self.transaction_id())
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// The header with another length field. The caller keeps `length` within 16 bits.
pub(crate) fn header_with_length(header: &[u8; HEADER_LEN], length: usize) -> [u8; HEADER_LEN] {
    let mut patched = *header;
    let [_, _, l0, l1, ..] = &mut patched;
    [*l0, *l1] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    patched
}

impl Marks {
    #[inline]
    fn of(body: &[u8]) -> Result<Self, ParseError> {
        let mut marks = Self::default();
        let mut walk = Attributes::new(body);
        let mut count = 0;
        while !walk.rest.is_empty() {
            let RawAttribute { kind, offset, .. } =
                walk.step().ok_or(ParseError::AttributePastEnd)?;
            count += 1;
            if count > ATTRIBUTES_MAX {
                return Err(ParseError::TooManyAttributes);
            }
            if !walk.stage.admits(kind) {
                continue;
            }
            match kind {
                AttributeType::MESSAGE_INTEGRITY => marks.sha1 = offset,
                AttributeType::MESSAGE_INTEGRITY_SHA256 => marks.sha256 = offset,
                AttributeType::FINGERPRINT => marks.fingerprint = offset,
                _ => {}
            }
        }
        Ok(marks)
    }
}

/// Iterates over the attributes that count; see [`Message::attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    offset: usize,
    stage: Stage,
}

/// How far the message has been sealed by what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    AfterSha1,
    AfterSha256,
    AfterFingerprint,
}

impl Stage {
    /// Whether an attribute still counts here; moves on if it seals the message.
    #[inline]
    fn admits(&mut self, kind: AttributeType) -> bool {
        let next = match (*self, kind) {
            (Self::Open, AttributeType::MESSAGE_INTEGRITY) => Self::AfterSha1,
            (Self::Open | Self::AfterSha1, AttributeType::MESSAGE_INTEGRITY_SHA256) => {
                Self::AfterSha256
            }
            (Self::AfterFingerprint, _) => return false,
            (_, AttributeType::FINGERPRINT) => Self::AfterFingerprint,
            (stage, _) => return stage == Self::Open,
        };
        *self = next;
        true
    }
}

impl<'a> Attributes<'a> {
    const fn new(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            offset: HEADER_LEN,
            stage: Stage::Open,
        }
    }

    /// The next attribute, counting or not; `None` at the end and where the bytes lie.
    #[inline]
    fn step(&mut self) -> Option<RawAttribute<'a>> {
        let ([k0, k1, l0, l1], tail) = self.rest.split_first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let padded = len.next_multiple_of(4);
        let (padded_value, rest) = tail.split_at_checked(padded)?;
        let attribute = RawAttribute {
            kind: AttributeType(u16::from_be_bytes([*k0, *k1])),
            value: padded_value.get(..len)?,
            offset: self.offset,
        };
        self.rest = rest;
        self.offset += ATTRIBUTE_HEADER_LEN + padded;
        Some(attribute)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let attribute = self.step()?;
            if self.stage.admits(attribute.kind) {
                return Some(attribute);
            }
        }
    }
}
