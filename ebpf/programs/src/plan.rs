//! What was decided on a packet, before anything of it is changed.

use turnpike_abi::{Address, Endpoint, Reason};

use crate::memory::forget;

/// How a datagram leaves.
pub struct Plan {
    /// Where it leaves from.
    pub source: Endpoint,
    /// Where it goes to.
    pub destination: Endpoint,
    /// What goes before the payload.
    pub form: Form,
    /// The channel's number, network order; 0 where there is none.
    pub channel: u16,
    /// The peer of a Data indication.
    pub peer: Endpoint,
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

impl Plan {
    /// The same, without what the verifier knows of the way it was made.
    #[inline(always)]
    pub fn forgotten(self, unknown: u64) -> Self {
        let word = |word: u64| forget::<0>(word, unknown);
        let end = |end: Endpoint| Endpoint {
            address: Address(end.address.0.map(word)),
            port: word(end.port.into()) as u16,
        };
        let form = match forget::<4>(self.form as u64, unknown) {
            0 => Form::Bare,
            1 => Form::Channel,
            _ => Form::Data,
        };
        let sender = self.sender.unwrap_or(Payer::NOBODY);
        Self {
            source: end(self.source),
            destination: end(self.destination),
            form,
            channel: word(self.channel.into()) as u16,
            peer: end(self.peer),
            next_hop: word(self.next_hop.into()) as u32,
            reason: self.reason,
            payer: self.payer,
            sender: Some(Payer {
                slot: word(sender.slot.into()) as u32,
                generation: word(sender.generation.into()) as u32,
            })
            .filter(|sender| sender.slot != Payer::NOBODY.slot),
            payload: Payload {
                offset: forget::<256>(self.payload.offset as u64, unknown) as usize,
                length: forget::<4_096>(self.payload.length.into(), unknown) as u16,
                removed: word(self.payload.removed),
            },
        }
    }
}

impl Payer {
    const NOBODY: Self = Self {
        slot: u32::MAX,
        generation: 0,
    };
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
}

/// What a datagram becomes. Its number and its peer are the plan's, side by side: where they would share
/// memory, the compiler copies words that are not aligned, which the verifier refuses on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// Nothing but the payload: it goes to a peer.
    Bare = 0,
    /// ChannelData.
    Channel = 1,
    /// A Data indication.
    Data = 2,
}

/// An allocation that a packet is charged to.
#[derive(Clone, Copy)]
pub struct Payer {
    pub slot: u32,
    pub generation: u32,
}
