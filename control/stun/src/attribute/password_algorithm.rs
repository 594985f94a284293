//! PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS (RFC 8489 sections 14.11 and 14.12).

use super::{Attribute, ValueWriter};
use crate::{AttributeType, ParseError, TransactionId};

/// How a long-term password becomes a key (RFC 8489 section 18.5). Neither takes parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum PasswordAlgorithm {
    /// MD5, as before RFC 8489
    Md5 = 1,
    /// SHA-256
    Sha256 = 2,
}

impl PasswordAlgorithm {
    const fn of_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Md5),
            2 => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// The algorithm that the client chose. An unknown one, or one with parameters, is refused with
/// [`ParseError::AttributeValue`].
impl Attribute<'_> for PasswordAlgorithm {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHM;

    fn decode(value: &[u8], _: &TransactionId) -> Result<Self, ParseError> {
        let Some((number, parameters, rest)) = split_entry(value) else {
            return Err(ParseError::AttributeLength);
        };
        if !rest.is_empty() {
            return Err(ParseError::AttributeLength);
        }
        match Self::of_number(number) {
            Some(algorithm) if parameters.is_empty() => Ok(algorithm),
            _ => Err(ParseError::AttributeValue),
        }
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(&(*self as u16).to_be_bytes());
        writer.write(&[0, 0]);
    }
}

/// The algorithms that a server offers, best first, as they stand on the wire: a client must send
/// the list back unchanged, entries unknown to it included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PasswordAlgorithms<'a>(&'a [u8]);

impl PasswordAlgorithms<'static> {
    /// SHA-256, then MD5.
    pub const SHA256_MD5: Self = Self(&[0, 2, 0, 0, 0, 1, 0, 0]);
    /// MD5, then SHA-256.
    pub const MD5_SHA256: Self = Self(&[0, 1, 0, 0, 0, 2, 0, 0]);
    /// SHA-256 alone.
    pub const SHA256: Self = Self(&[0, 2, 0, 0]);
    /// MD5 alone.
    pub const MD5: Self = Self(&[0, 1, 0, 0]);
}

impl<'a> PasswordAlgorithms<'a> {
    /// Most bytes of a list that is accepted.
    pub const LEN_MAX: usize = 64;

    /// The algorithms known here, in the list's order.
    pub fn known(&self) -> impl Iterator<Item = PasswordAlgorithm> + 'a {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (number, parameters, tail) = split_entry(rest)?;
            rest = tail;
            Some((number, parameters))
        })
        .filter(|(_, parameters)| parameters.is_empty())
        .filter_map(|(number, _)| PasswordAlgorithm::of_number(number))
    }

    /// The list as on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithms<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHMS;

    fn decode(value: &'a [u8], _: &TransactionId) -> Result<Self, ParseError> {
        if value.is_empty() || value.len() > Self::LEN_MAX {
            return Err(ParseError::AttributeLength);
        }
        let mut rest = value;
        while !rest.is_empty() {
            let (_, _, tail) = split_entry(rest).ok_or(ParseError::AttributeLength)?;
            rest = tail;
        }
        Ok(Self(value))
    }

    fn encode(&self, _: &TransactionId, writer: &mut ValueWriter<'_>) {
        writer.write(self.0);
    }
}

/// Takes one entry off: number, parameters, and what follows their padding. The padding of the
/// last entry may be missing, since nothing follows it.
fn split_entry(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let ([n0, n1, l0, l1], tail) = bytes.split_first_chunk::<4>()?;
    let len = usize::from(u16::from_be_bytes([*l0, *l1]));
    let parameters = tail.get(..len)?;
    let rest = tail.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_be_bytes([*n0, *n1]), parameters, rest))
}
