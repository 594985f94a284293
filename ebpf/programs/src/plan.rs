//! What was decided on a packet, before anything of it is changed.

use turnpike_abi::{Endpoint, Reason};

/// How a datagram leaves.
pub struct Plan {
    /// Where it leaves from.
    pub source: Endpoint,
    /// Where it goes to.
    pub destination: Endpoint,
    /// What goes before the payload.
    pub form: Form,
    /// Index of `NEXT_HOPS`.
    pub next_hop: u32,
    /// What it is counted as.
    pub reason: Reason,
    /// Who pays for it.
    pub payer: Payer,
    /// Who pays too, as its client sent it: an allocation of ours, to another of ours.
    pub sender: Option<Payer>,
    /// Which bytes go on.
    pub payload: Payload,
}

/// The application's bytes in a frame.
#[derive(Clone, Copy)]
pub struct Payload {
    /// Where in the frame they begin.
    pub offset: usize,
    /// How many there are.
    pub length: u16,
    /// The sum of what lies around them in the UDP payload, and does not go on.
    pub removed: u64,
    /// Whether a Send indication asked for the DF bit (RFC 8656 section 18.9).
    pub dont_fragment: bool,
}

/// What a datagram becomes.
#[derive(Clone, Copy)]
pub enum Form {
    /// Nothing but the payload: it goes to a peer.
    Bare,
    /// ChannelData with this number, network order.
    Channel(u16),
    /// A Data indication from this peer.
    Data(Endpoint),
}

/// An allocation that a packet is charged to.
#[derive(Clone, Copy)]
pub struct Payer {
    pub slot: u32,
    pub generation: u32,
}
