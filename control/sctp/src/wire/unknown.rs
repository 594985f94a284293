//! What to do about a type that is not known, as its two highest bits say (RFC 9260 sections 3.2
//! and 3.2.1): they let old receivers meet new senders.

/// What the sender wants done about a chunk or a parameter that the receiver does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownAction {
    /// Nothing that follows is processed: of the packet for a chunk, of the chunk for a parameter.
    pub stops: bool,
    /// The sender is told: in an ERROR for a chunk, in INIT ACK or an ERROR for a parameter.
    pub is_reported: bool,
}

impl UnknownAction {
    /// For a chunk of this type.
    #[must_use]
    pub const fn of_chunk(kind: u8) -> Self {
        Self {
            stops: kind & 0x80 == 0,
            is_reported: kind & 0x40 != 0,
        }
    }

    /// For a parameter of this type.
    #[must_use]
    pub const fn of_parameter(kind: u16) -> Self {
        let [high, _] = kind.to_be_bytes();
        Self::of_chunk(high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_highest_bits_say_what_to_do() {
        for (kind, stops, is_reported) in [
            (0x3F, true, false),
            (0x7F, true, true),
            (0xBF, false, false),
            (0xFF, false, true),
        ] {
            let action = UnknownAction { stops, is_reported };
            assert_eq!(UnknownAction::of_chunk(kind), action);
            assert_eq!(UnknownAction::of_chunk(kind & 0xC0), action);
            let parameter = u16::from_be_bytes([kind, 7]);
            assert_eq!(UnknownAction::of_parameter(parameter), action);
        }
    }
}
