//! Parameters of INIT and INIT ACK (RFC 9260 section 3.3.2.1, RFC 3758, RFC 5061, RFC 9653).
//!
//! The addresses of a multi-homed peer are recognised, and that is all as yet. Bounded by
//! [`PARAMETERS_MAX`](super::PARAMETERS_MAX).

use core::net::{Ipv4Addr, Ipv6Addr};

use super::tlv::{Tlv, Tlvs};
use super::writer::Value;
use super::{CHUNK_HEADER_LEN, ParseError};

/// Heartbeat Info, the only parameter of HEARTBEAT (RFC 9260 section 3.3.5)
pub(super) const HEARTBEAT_INFO: u16 = 1;
const IPV4_ADDRESS: u16 = 5;
const IPV6_ADDRESS: u16 = 6;
/// State Cookie, the one parameter without which an INIT ACK is an error (RFC 9260 section 3.3.3)
pub const STATE_COOKIE: u16 = 7;
const UNRECOGNIZED_PARAMETER: u16 = 8;
const COOKIE_PRESERVATIVE: u16 = 9;
const HOST_NAME_ADDRESS: u16 = 11;
const SUPPORTED_ADDRESS_TYPES: u16 = 12;
const ZERO_CHECKSUM_ACCEPTABLE: u16 = 0x8001;
const SUPPORTED_EXTENSIONS: u16 = 0x8008;
const FORWARD_TSN_SUPPORTED: u16 = 0xC000;

/// A parameter, read or to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// An address of the sender.
    Ipv4Address(Ipv4Addr),
    /// An address of the sender.
    Ipv6Address(Ipv6Addr),
    /// What the COOKIE ECHO must bring back.
    StateCookie(&'a [u8]),
    /// A parameter of the INIT that its receiver did not know, header included.
    UnrecognizedParameter(&'a [u8]),
    /// By how many milliseconds the sender wants its cookie to live longer.
    CookiePreservative(u32),
    /// Deprecated: who gets it refuses the association (RFC 9260 section 3.3.2.1.4).
    HostNameAddress(&'a [u8]),
    /// Which kinds of addresses the sender can use; pairs of bytes.
    SupportedAddressTypes(&'a [u8]),
    /// The sender takes packets without a checksum where another method detects errors: its
    /// number (RFC 9653 section 4).
    ZeroChecksumAcceptable(u32),
    /// The chunk types of extensions that the sender knows (RFC 5061 section 4.2.7).
    SupportedExtensions(&'a [u8]),
    /// The sender knows FORWARD TSN (RFC 3758 section 3.1).
    ForwardTsnSupported,
    /// None of these; [`UnknownAction`](super::UnknownAction) says what to do.
    Unknown {
        /// Its type.
        kind: u16,
        /// Header and value, without padding; what a report of it carries.
        bytes: &'a [u8],
    },
}

impl<'a> Parameter<'a> {
    /// The error detection method of DTLS (RFC 9653 section 7).
    pub const DETECTED_BY_DTLS: u32 = 1;

    fn parse(tlv: &Tlv<'a>) -> Result<Self, ParseError> {
        let Tlv { kind, value, bytes } = *tlv;
        Ok(match kind {
            IPV4_ADDRESS => Self::Ipv4Address(array(value)?.into()),
            IPV6_ADDRESS => Self::Ipv6Address(array(value)?.into()),
            STATE_COOKIE => Self::StateCookie(value),
            UNRECOGNIZED_PARAMETER => Self::UnrecognizedParameter(value),
            COOKIE_PRESERVATIVE => Self::CookiePreservative(u32::from_be_bytes(array(value)?)),
            HOST_NAME_ADDRESS => Self::HostNameAddress(value),
            SUPPORTED_ADDRESS_TYPES => Self::SupportedAddressTypes(value),
            ZERO_CHECKSUM_ACCEPTABLE => {
                Self::ZeroChecksumAcceptable(u32::from_be_bytes(array(value)?))
            }
            SUPPORTED_EXTENSIONS => Self::SupportedExtensions(value),
            FORWARD_TSN_SUPPORTED => {
                let [] = array(value)?;
                Self::ForwardTsnSupported
            }
            _ => Self::Unknown { kind, bytes },
        })
    }

    const fn kind(&self) -> u16 {
        match self {
            Self::Ipv4Address(_) => IPV4_ADDRESS,
            Self::Ipv6Address(_) => IPV6_ADDRESS,
            Self::StateCookie(_) => STATE_COOKIE,
            Self::UnrecognizedParameter(_) => UNRECOGNIZED_PARAMETER,
            Self::CookiePreservative(_) => COOKIE_PRESERVATIVE,
            Self::HostNameAddress(_) => HOST_NAME_ADDRESS,
            Self::SupportedAddressTypes(_) => SUPPORTED_ADDRESS_TYPES,
            Self::ZeroChecksumAcceptable(_) => ZERO_CHECKSUM_ACCEPTABLE,
            Self::SupportedExtensions(_) => SUPPORTED_EXTENSIONS,
            Self::ForwardTsnSupported => FORWARD_TSN_SUPPORTED,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    pub(super) fn value_len(&self) -> usize {
        match self {
            Self::Ipv4Address(_)
            | Self::CookiePreservative(_)
            | Self::ZeroChecksumAcceptable(_) => 4,
            Self::Ipv6Address(_) => 16,
            Self::ForwardTsnSupported => 0,
            Self::StateCookie(bytes)
            | Self::UnrecognizedParameter(bytes)
            | Self::HostNameAddress(bytes)
            | Self::SupportedAddressTypes(bytes)
            | Self::SupportedExtensions(bytes) => bytes.len(),
            Self::Unknown { bytes, .. } => bytes.len().saturating_sub(CHUNK_HEADER_LEN),
        }
    }

    pub(super) fn write(&self, value: &mut Value<'_>) {
        value.put_tlv(self.kind(), self.value_len(), |value| match self {
            Self::Ipv4Address(address) => value.put(&address.octets()),
            Self::Ipv6Address(address) => value.put(&address.octets()),
            Self::CookiePreservative(number) | Self::ZeroChecksumAcceptable(number) => {
                value.put_u32(*number);
            }
            Self::ForwardTsnSupported => {}
            Self::StateCookie(bytes)
            | Self::UnrecognizedParameter(bytes)
            | Self::HostNameAddress(bytes)
            | Self::SupportedAddressTypes(bytes)
            | Self::SupportedExtensions(bytes) => value.put(bytes),
            Self::Unknown { bytes, .. } => {
                value.put(bytes.get(CHUNK_HEADER_LEN..).unwrap_or_default());
            }
        });
    }
}

/// A value of one length alone.
fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], ParseError> {
    value.try_into().map_err(|_| ParseError::ParameterValue)
}

/// Iterates over the parameters of an INIT or INIT ACK; ends after the first error of the frame.
#[derive(Clone, Debug)]
pub struct Parameters<'a>(Tlvs<'a>);

impl<'a> Parameters<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(Tlvs::new(bytes))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<Parameter<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(|tlv| Parameter::parse(&tlv)))
    }
}
