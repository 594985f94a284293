//! Error causes of ABORT and ERROR (RFC 9260 section 3.3.10).
//!
//! Written, they are cut to the room there is: a long text must not keep an ABORT from leaving.
//! Bounded by [`PARAMETERS_MAX`](super::PARAMETERS_MAX).

use super::tlv::{self, Tlv, Tlvs, padded_len};
use super::writer::Value;
use crate::{StreamId, Tsn};

/// An error cause, read or to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// Data on a stream that was not negotiated (section 3.3.10.1).
    InvalidStream(StreamId),
    /// INIT or INIT ACK lacks a mandatory parameter: the type of the first that is missing
    /// (section 3.3.10.2).
    MissingParameter(u16),
    /// The state cookie came this many microseconds too late (section 3.3.10.3).
    StaleCookie(u32),
    /// No room for another association (section 3.3.10.4).
    OutOfResource,
    /// An address parameter of no use, header included (section 3.3.10.5).
    UnresolvableAddress(&'a [u8]),
    /// A chunk that is not known, header included (section 3.3.10.6).
    UnrecognizedChunk(&'a [u8]),
    /// A mandatory parameter, or a field of INIT, has an impossible value (section 3.3.10.7).
    InvalidMandatoryParameter,
    /// Parameters of INIT ACK that are not known, headers included (section 3.3.10.8).
    UnrecognizedParameters(&'a [u8]),
    /// A data chunk without user data: its TSN (section 3.3.10.9).
    NoUserData(Tsn),
    /// A COOKIE ECHO in SHUTDOWN-ACK-SENT (section 3.3.10.10).
    CookieWhileShuttingDown,
    /// A restart from addresses that the association did not have, header included
    /// (section 3.3.10.11).
    RestartWithNewAddresses(&'a [u8]),
    /// The application gave up, and perhaps why (section 3.3.10.12).
    UserAbort(&'a [u8]),
    /// The peer broke the protocol, and perhaps how (section 3.3.10.13).
    ProtocolViolation(&'a [u8]),
    /// Any other, or one of these with an impossible length: its code.
    Other(u16),
}

impl<'a> Cause<'a> {
    fn parse(tlv: &Tlv<'a>) -> Self {
        let value = tlv.value;
        match tlv.kind {
            1 => match *value {
                [s0, s1, _, _] => Self::InvalidStream(StreamId(u16::from_be_bytes([s0, s1]))),
                _ => Self::Other(1),
            },
            2 => match *value {
                [_, _, _, _, k0, k1, ..] => Self::MissingParameter(u16::from_be_bytes([k0, k1])),
                _ => Self::Other(2),
            },
            3 => word(value).map_or(Self::Other(3), Self::StaleCookie),
            4 => Self::OutOfResource,
            5 => Self::UnresolvableAddress(value),
            6 => Self::UnrecognizedChunk(value),
            7 => Self::InvalidMandatoryParameter,
            8 => Self::UnrecognizedParameters(value),
            9 => word(value).map_or(Self::Other(9), |tsn| Self::NoUserData(Tsn(tsn))),
            10 => Self::CookieWhileShuttingDown,
            11 => Self::RestartWithNewAddresses(value),
            12 => Self::UserAbort(value),
            13 => Self::ProtocolViolation(value),
            code => Self::Other(code),
        }
    }

    /// The cause code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::InvalidStream(_) => 1,
            Self::MissingParameter(_) => 2,
            Self::StaleCookie(_) => 3,
            Self::OutOfResource => 4,
            Self::UnresolvableAddress(_) => 5,
            Self::UnrecognizedChunk(_) => 6,
            Self::InvalidMandatoryParameter => 7,
            Self::UnrecognizedParameters(_) => 8,
            Self::NoUserData(_) => 9,
            Self::CookieWhileShuttingDown => 10,
            Self::RestartWithNewAddresses(_) => 11,
            Self::UserAbort(_) => 12,
            Self::ProtocolViolation(_) => 13,
            Self::Other(code) => *code,
        }
    }

    /// What cannot be cut.
    const fn fixed_len(&self) -> usize {
        match self {
            Self::InvalidStream(_) | Self::StaleCookie(_) | Self::NoUserData(_) => 4,
            Self::MissingParameter(_) => 6,
            _ => 0,
        }
    }

    /// What can.
    const fn text(&self) -> &'a [u8] {
        match self {
            Self::UnresolvableAddress(text)
            | Self::UnrecognizedChunk(text)
            | Self::UnrecognizedParameters(text)
            | Self::RestartWithNewAddresses(text)
            | Self::UserAbort(text)
            | Self::ProtocolViolation(text) => text,
            _ => &[],
        }
    }

    fn write(&self, len: usize, value: &mut Value<'_>) {
        value.put_tlv(self.code(), len, |value| match self {
            Self::InvalidStream(stream) => {
                value.put_u16(stream.0);
                value.put_u16(0);
            }
            Self::MissingParameter(kind) => {
                value.put_u32(1);
                value.put_u16(*kind);
            }
            Self::StaleCookie(number) | Self::NoUserData(Tsn(number)) => value.put_u32(*number),
            _ => value.put(self.text().get(..len).unwrap_or_default()),
        });
    }
}

fn word(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

/// Iterates over error causes. Ends early where the bytes lie: what went before still counts, and
/// an ABORT is one whatever it says.
#[derive(Clone, Debug)]
pub struct Causes<'a>(Tlvs<'a>);

impl<'a> Causes<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(Tlvs::new(bytes))
    }
}

impl<'a> Iterator for Causes<'a> {
    type Item = Cause<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()?.ok().map(|tlv| Cause::parse(&tlv))
    }
}

/// The length of the causes as they will be written into `room` bytes.
pub(super) fn list_len(causes: &[Cause<'_>], room: usize) -> usize {
    tlv::list_len(0, fitted(causes, room).map(|(_, len)| len))
}

/// Writes the causes, cut or left out where they do not fit.
pub(super) fn write_list(causes: &[Cause<'_>], room: usize, value: &mut Value<'_>) {
    for (cause, len) in fitted(causes, room) {
        cause.write(len, value);
    }
}

/// Those that fit into `room` bytes, and how long their values may be.
fn fitted<'c>(
    causes: &'c [Cause<'c>],
    room: usize,
) -> impl Iterator<Item = (&'c Cause<'c>, usize)> {
    let mut left = room;
    causes.iter().filter_map(move |cause| {
        let text_room = left.checked_sub(padded_len(0) + cause.fixed_len())?;
        let len = cause.fixed_len() + cause.text().len().min(text_room);
        left = left.saturating_sub(padded_len(len));
        Some((cause, len))
    })
}
