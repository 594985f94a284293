//! An outgoing stream: its line of messages, its numbers, its buffered amount.

use crate::slab::Slot;

/// State of one outgoing stream; born with its first use.
#[derive(Debug)]
pub(crate) struct OutgoingStream {
    /// The line of messages that are not sent completely, linked through the messages.
    pub(super) first: Option<Slot>,
    pub(super) last: Option<Slot>,
    /// Messages in the table, sent or not.
    pub(crate) live_messages: u32,
    next_ordered: u32,
    next_unordered: u32,
    /// Bytes accepted and not sent.
    pub(crate) buffered_bytes: usize,
    pub(crate) low_threshold_bytes: usize,
    /// Whether the buffered amount was above the threshold when last looked at.
    pub(crate) is_above_threshold: bool,
    pub(crate) weight: u16,
    /// Whether the scheduler knows of it.
    pub(super) is_in_line: bool,
    /// Whether it waits for its reset.
    pub(crate) is_resetting: bool,
    pub(super) finish: u64,
}

impl Default for OutgoingStream {
    fn default() -> Self {
        Self {
            first: None,
            last: None,
            live_messages: 0,
            next_ordered: 0,
            next_unordered: 0,
            buffered_bytes: 0,
            low_threshold_bytes: 0,
            is_above_threshold: false,
            weight: WEIGHT,
            is_in_line: false,
            is_resetting: false,
            finish: 0,
        }
    }
}

impl OutgoingStream {
    /// The next message is number zero again.
    pub(super) const fn restart_numbers(&mut self) {
        self.next_ordered = 0;
        self.next_unordered = 0;
    }

    /// Draws the next SSN or MID. DATA truncates it to 16 bits, and has none for unordered ones.
    pub(super) const fn next_number(&mut self, is_unordered: bool) -> u32 {
        let next = if is_unordered {
            &mut self.next_unordered
        } else {
            &mut self.next_ordered
        };
        let number = *next;
        *next = number.wrapping_add(1);
        number
    }
}

/// RFC 8831 section 6.4: the priority "normal".
pub(super) const WEIGHT: u16 = 256;
