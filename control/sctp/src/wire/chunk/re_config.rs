//! RE-CONFIG (RFC 6525 sections 3 and 4): streams anew, TSNs anew, more streams.
//!
//! A chunk has one parameter, or two in the combinations of section 3.1; which are allowed now is
//! the association's affair.
//!
//! ```text
//! Outgoing SSN reset (13)    request, response, sender's last TSN, streams (none: all)
//! Incoming SSN reset (14)    request, streams (none: all)
//! SSN/TSN reset (15)         request
//! Response (16)              response, result, sender's and receiver's next TSN (or neither)
//! Add outgoing streams (17)  request, how many (16 bits), reserved (16 bits)
//! Add incoming streams (18)  request, how many (16 bits), reserved (16 bits)
//! ```

use crate::Tsn;
use crate::wire::tlv::{Tlv, Tlvs, list_len};
use crate::wire::writer::Value;
use crate::wire::{PacketWriter, ParseError, StreamList, kind};

const OUTGOING_RESET: u16 = 13;
const INCOMING_RESET: u16 = 14;
const SSN_TSN_RESET: u16 = 15;
const RESPONSE: u16 = 16;
const ADD_OUTGOING: u16 = 17;
const ADD_INCOMING: u16 = 18;

/// A received RE-CONFIG.
#[derive(Clone, Copy, Debug)]
pub struct ReConfig<'a> {
    value: &'a [u8],
}

impl<'a> ReConfig<'a> {
    pub(super) const fn new(value: &'a [u8]) -> Self {
        Self { value }
    }

    /// The parameters, in order; ends after the first error.
    pub fn parameters(
        &self,
    ) -> impl Iterator<Item = Result<ReConfigParameter<'a>, ParseError>> + Clone + use<'a> {
        Tlvs::new(self.value).map(|tlv| ReConfigParameter::parse(&tlv?))
    }
}

/// A request, or the response to one. Requests are numbered by their sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReConfigParameter<'a> {
    /// The sender starts its outgoing streams anew.
    OutgoingReset {
        /// The request's number.
        request: u32,
        /// The number of the incoming reset request that this answers, else the last one seen.
        response: u32,
        /// The last TSN that the sender gave out; the reset waits for it.
        last_tsn: Tsn,
        /// Which streams; none means all.
        streams: StreamList<'a>,
    },
    /// The sender asks the receiver to start its outgoing streams anew.
    IncomingReset {
        /// The request's number.
        request: u32,
        /// Which streams; none means all.
        streams: StreamList<'a>,
    },
    /// All streams and the TSNs of both directions start anew.
    SsnTsnReset {
        /// The request's number.
        request: u32,
    },
    /// What became of a request.
    Response {
        /// The request's number.
        response: u32,
        /// How it ended; one of the numbers above (RFC 6525 section 4.4).
        result: u32,
        /// After an SSN/TSN reset: the sender's and the receiver's next TSN.
        next_tsns: Option<(Tsn, Tsn)>,
    },
    /// The sender wants to send on more streams.
    AddOutgoing {
        /// The request's number.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// The sender wants the receiver to send on more streams.
    AddIncoming {
        /// The request's number.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// Something else; its type.
    Unknown(u16),
}

impl<'a> ReConfigParameter<'a> {
    /// Nothing to do
    pub const NOTHING_TO_DO: u32 = 0;
    /// Performed
    pub const PERFORMED: u32 = 1;
    /// Denied
    pub const DENIED: u32 = 2;
    /// Wrong SSN
    pub const WRONG_SSN: u32 = 3;
    /// Another request is in progress
    pub const REQUEST_IN_PROGRESS: u32 = 4;
    /// The request's number is not the next
    pub const BAD_SEQUENCE_NUMBER: u32 = 5;
    /// In progress; ask again
    pub const IN_PROGRESS: u32 = 6;

    fn parse(tlv: &Tlv<'a>) -> Result<Self, ParseError> {
        let parsed = match tlv.kind {
            OUTGOING_RESET => outgoing_reset(tlv.value),
            INCOMING_RESET => incoming_reset(tlv.value),
            SSN_TSN_RESET => word(tlv.value).map(|request| Self::SsnTsnReset { request }),
            RESPONSE => response(tlv.value),
            ADD_OUTGOING => {
                add(tlv.value).map(|(request, count)| Self::AddOutgoing { request, count })
            }
            ADD_INCOMING => {
                add(tlv.value).map(|(request, count)| Self::AddIncoming { request, count })
            }
            kind => Some(Self::Unknown(kind)),
        };
        parsed.ok_or(ParseError::ParameterValue)
    }

    const fn kind(&self) -> u16 {
        match self {
            Self::OutgoingReset { .. } => OUTGOING_RESET,
            Self::IncomingReset { .. } => INCOMING_RESET,
            Self::SsnTsnReset { .. } => SSN_TSN_RESET,
            Self::Response { .. } => RESPONSE,
            Self::AddOutgoing { .. } => ADD_OUTGOING,
            Self::AddIncoming { .. } => ADD_INCOMING,
            Self::Unknown(kind) => *kind,
        }
    }

    fn value_len(&self) -> usize {
        match self {
            Self::OutgoingReset { streams, .. } => 12 + 2 * streams.len(),
            Self::IncomingReset { streams, .. } => 4 + 2 * streams.len(),
            Self::SsnTsnReset { .. } => 4,
            Self::Response { next_tsns, .. } => next_tsns.map_or(8, |_| 16),
            Self::AddOutgoing { .. } | Self::AddIncoming { .. } => 8,
            Self::Unknown(_) => 0,
        }
    }

    fn write(&self, value: &mut Value<'_>) {
        match self {
            Self::OutgoingReset {
                request,
                response,
                last_tsn,
                streams,
            } => {
                value.put_u32(*request);
                value.put_u32(*response);
                value.put_u32(last_tsn.0);
                write_streams(streams, value);
            }
            Self::IncomingReset { request, streams } => {
                value.put_u32(*request);
                write_streams(streams, value);
            }
            Self::SsnTsnReset { request } => value.put_u32(*request),
            Self::Response {
                response,
                result,
                next_tsns,
            } => {
                value.put_u32(*response);
                value.put_u32(*result);
                if let Some((sender, receiver)) = next_tsns {
                    value.put_u32(sender.0);
                    value.put_u32(receiver.0);
                }
            }
            Self::AddOutgoing { request, count } | Self::AddIncoming { request, count } => {
                value.put_u32(*request);
                value.put_u16(*count);
                value.put_u16(0);
            }
            Self::Unknown(_) => {}
        }
    }
}

fn write_streams(streams: &StreamList<'_>, value: &mut Value<'_>) {
    for stream in streams.clone() {
        value.put_u16(stream.0);
    }
}

fn outgoing_reset(value: &[u8]) -> Option<ReConfigParameter<'_>> {
    let (&[q0, q1, q2, q3, r0, r1, r2, r3, t0, t1, t2, t3], streams) =
        value.split_first_chunk::<12>()?;
    Some(ReConfigParameter::OutgoingReset {
        request: u32::from_be_bytes([q0, q1, q2, q3]),
        response: u32::from_be_bytes([r0, r1, r2, r3]),
        last_tsn: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
        streams: StreamList::parse(streams)?,
    })
}

fn incoming_reset(value: &[u8]) -> Option<ReConfigParameter<'_>> {
    let (request, streams) = value.split_first_chunk::<4>()?;
    Some(ReConfigParameter::IncomingReset {
        request: u32::from_be_bytes(*request),
        streams: StreamList::parse(streams)?,
    })
}

fn response(value: &[u8]) -> Option<ReConfigParameter<'static>> {
    let (&[q0, q1, q2, q3, r0, r1, r2, r3], tsns) = value.split_first_chunk::<8>()?;
    let next_tsns = match *tsns {
        [] => None,
        [s0, s1, s2, s3, n0, n1, n2, n3] => Some((
            Tsn(u32::from_be_bytes([s0, s1, s2, s3])),
            Tsn(u32::from_be_bytes([n0, n1, n2, n3])),
        )),
        _ => return None,
    };
    Some(ReConfigParameter::Response {
        response: u32::from_be_bytes([q0, q1, q2, q3]),
        result: u32::from_be_bytes([r0, r1, r2, r3]),
        next_tsns,
    })
}

fn add(value: &[u8]) -> Option<(u32, u16)> {
    let [q0, q1, q2, q3, c0, c1, _, _] = <[u8; 8]>::try_from(value).ok()?;
    Some((
        u32::from_be_bytes([q0, q1, q2, q3]),
        u16::from_be_bytes([c0, c1]),
    ))
}

fn word(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

impl PacketWriter<'_> {
    /// Adds a RE-CONFIG. False, and nothing written, when it does not fit.
    pub fn re_config(&mut self, parameters: &[ReConfigParameter<'_>]) -> bool {
        let len = list_len(0, parameters.iter().map(ReConfigParameter::value_len));
        self.chunk(kind::RE_CONFIG, 0, len, |value| {
            for parameter in parameters {
                value.put_tlv(parameter.kind(), parameter.value_len(), |value| {
                    parameter.write(value);
                });
            }
        })
    }
}
