//! What can be wrong with received bytes.

use thiserror::Error;

use crate::Tsn;

/// Why bytes are not an SCTP packet, or a chunk not what its type says. The sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes than a common header.
    #[error("shorter than an SCTP common header")]
    TooShort,
    /// The CRC32c is wrong; or it is zero where it may not be.
    #[error("the checksum is wrong")]
    Checksum,
    /// A chunk's length is below its own header, or past the end of the packet.
    #[error("a chunk's length is impossible")]
    ChunkLength,
    /// A chunk has a length that its type does not allow.
    #[error("a chunk has a length that its type does not allow")]
    ChunkValue,
    /// A DATA or I-DATA chunk without user data (RFC 9260 section 3.3.10.9); its TSN.
    #[error("a data chunk without user data")]
    NoUserData(Tsn),
    /// A parameter's length is below its own header, or past the end of its chunk.
    #[error("a parameter's length is impossible")]
    ParameterLength,
    /// A parameter has a length that its type does not allow.
    #[error("a parameter has a length that its type does not allow")]
    ParameterValue,
    /// More than [`PARAMETERS_MAX`](super::PARAMETERS_MAX) parameters in one chunk.
    #[error("too many parameters in one chunk")]
    TooManyParameters,
}
