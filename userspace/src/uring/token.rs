//! What an operation was for: the `user_data` that comes back with its completion.
//!
//! Not a pointer: a kind, a slot of the caller's own slab and the slot's generation, so that a
//! completion that arrives after the slot was used again is told apart.

/// Which kind of operation completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpKind {
    /// A multishot receive on a socket.
    Receive = 1,
    /// One datagram sent; the slot is the buffer's index.
    Send = 2,
    /// A request to end another operation.
    Cancel = 3,
    /// A descriptor became readable.
    Poll = 4,
    /// A multishot accept on a listening socket.
    Accept = 5,
    /// A multishot receive on a stream.
    ReceiveStream = 6,
    /// Bytes written to a stream; in the kernel's hands the slot is that of the ring's own slab.
    Write = 7,
    /// Datagrams sent as one message; the slot is the run's.
    Run = 8,
}

/// Names one operation of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpToken {
    /// What it does.
    pub kind: OpKind,
    /// Index in the slab of the operation's owner.
    pub slot: u32,
    /// The slot's generation, modulo 2^24; of a send, its caller's tag.
    pub generation: u32,
}

impl OpToken {
    const GENERATION_MASK: u32 = 0x00FF_FFFF;

    /// A token; only the low 24 bits of the generation are kept.
    #[must_use]
    pub const fn new(kind: OpKind, slot: u32, generation: u32) -> Self {
        Self {
            kind,
            slot,
            generation: generation & Self::GENERATION_MASK,
        }
    }

    /// Whether the token was made for this generation of its slot.
    #[must_use]
    pub const fn is_of(&self, generation: u32) -> bool {
        self.generation == generation & Self::GENERATION_MASK
    }

    pub(super) const fn to_user_data(self) -> u64 {
        (self.kind as u64) << 56 | (self.generation as u64) << 32 | self.slot as u64
    }

    pub(super) const fn from_user_data(user_data: u64) -> Option<Self> {
        let kind = match user_data >> 56 {
            1 => OpKind::Receive,
            2 => OpKind::Send,
            3 => OpKind::Cancel,
            4 => OpKind::Poll,
            5 => OpKind::Accept,
            6 => OpKind::ReceiveStream,
            7 => OpKind::Write,
            8 => OpKind::Run,
            _ => return None,
        };
        let generation = (user_data >> 32) as u32 & Self::GENERATION_MASK;
        Some(Self {
            kind,
            slot: user_data as u32,
            generation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_survives_the_trip_through_user_data() {
        for kind in [
            OpKind::Receive,
            OpKind::Send,
            OpKind::Cancel,
            OpKind::Poll,
            OpKind::Accept,
            OpKind::ReceiveStream,
            OpKind::Write,
            OpKind::Run,
        ] {
            let token = OpToken::new(kind, u32::MAX, 0x0123_4567);
            assert_eq!(OpToken::from_user_data(token.to_user_data()), Some(token));
        }
        assert_eq!(OpToken::from_user_data(0), None);
        assert_eq!(OpToken::from_user_data(u64::MAX), None);
    }

    #[test]
    fn token_of_an_earlier_generation_is_told_apart() {
        let token = OpToken::new(OpKind::Receive, 7, 0xFF00_0001);
        assert!(token.is_of(0xFF00_0001));
        assert!(!token.is_of(0xFF00_0002));
    }
}
