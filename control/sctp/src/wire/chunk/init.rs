//! INIT and INIT ACK (RFC 9260 sections 3.3.2 and 3.3.3): what one end offers the other.
//!
//! ```text
//! +-------------------------------+
//! |         Initiate tag          |
//! +-------------------------------+
//! |            a_rwnd             |
//! +---------------+---------------+
//! |  Out streams  |  In streams   |
//! +---------------+---------------+
//! |          Initial TSN          |
//! +-------------------------------+
//! |        Parameters ...         |
//! ```

use crate::Tsn;
use crate::wire::tlv::list_len;
use crate::wire::{PacketWriter, Parameter, Parameters, ParseError, kind};

const FIXED: usize = 16;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InitKind {
    /// Asks.
    Init,
    /// Answers.
    InitAck,
}

/// What both always carry. What may not be zero is the association's affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct InitFields {
    /// The verification tag that the sender wants to see in every packet; zero is an error.
    pub initiate_tag: u32,
    /// Bytes that the sender is ready to buffer.
    pub a_rwnd: u32,
    /// Streams that the sender wants to send on; zero is an error.
    pub outbound_streams: u16,
    /// Streams that the sender takes at most; zero is an error.
    pub inbound_streams: u16,
    /// The TSN of the sender's first DATA chunk.
    pub initial_tsn: Tsn,
}

/// A received INIT or INIT ACK.
#[derive(Clone, Copy, Debug)]
pub struct Init<'a> {
    /// What is always there.
    pub fields: InitFields,
    parameters: &'a [u8],
}

impl<'a> Init<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, parameters) = value
            .split_first_chunk::<FIXED>()
            .ok_or(ParseError::ChunkValue)?;
        let [
            i0,
            i1,
            i2,
            i3,
            a0,
            a1,
            a2,
            a3,
            o0,
            o1,
            n0,
            n1,
            t0,
            t1,
            t2,
            t3,
        ] = *fixed;
        let fields = InitFields {
            initiate_tag: u32::from_be_bytes([i0, i1, i2, i3]),
            a_rwnd: u32::from_be_bytes([a0, a1, a2, a3]),
            outbound_streams: u16::from_be_bytes([o0, o1]),
            inbound_streams: u16::from_be_bytes([n0, n1]),
            initial_tsn: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
        };
        Ok(Self { fields, parameters })
    }

    /// The parameters, in order.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        Parameters::new(self.parameters)
    }
}

impl PacketWriter<'_> {
    /// Adds an INIT or INIT ACK, which must be alone in its packet (RFC 9260 section 6.10). False,
    /// and nothing written, when it does not fit.
    pub fn init(
        &mut self,
        kind: InitKind,
        fields: &InitFields,
        parameters: &[Parameter<'_>],
    ) -> bool {
        let kind = match kind {
            InitKind::Init => kind::INIT,
            InitKind::InitAck => kind::INIT_ACK,
        };
        let len = list_len(FIXED, parameters.iter().map(Parameter::value_len));
        self.chunk(kind, 0, len, |value| {
            value.put_u32(fields.initiate_tag);
            value.put_u32(fields.a_rwnd);
            value.put_u16(fields.outbound_streams);
            value.put_u16(fields.inbound_streams);
            value.put_u32(fields.initial_tsn.0);
            for parameter in parameters {
                parameter.write(value);
            }
        })
    }
}
