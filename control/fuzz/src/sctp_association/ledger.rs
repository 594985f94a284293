//! What was sent in one direction and what has come.

use turnpike_sctp::{Incoming, Outgoing, Reliability};

/// Everything sent one way.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: Vec<Entry>,
    /// The parts of a message that have come, by stream; they follow each other.
    parts: [Vec<u8>; 16],
}

#[derive(Debug)]
struct Entry {
    payload: Vec<u8>,
    stream: u16,
    ppid: u32,
    is_unordered: bool,
    is_reliable: bool,
    has_come: bool,
}

impl Ledger {
    pub(super) fn next_number(&self) -> u16 {
        u16::try_from(self.sent.len()).expect("fewer steps than that")
    }

    pub(super) fn sent(&mut self, number: u16, message: &Outgoing) {
        assert_eq!(usize::from(number), self.sent.len());
        self.sent.push(Entry {
            payload: message.payload.to_vec(),
            stream: message.stream.0,
            ppid: message.ppid.0,
            is_unordered: message.is_unordered,
            is_reliable: message.reliability == Reliability::Reliable,
            has_come: false,
        });
    }

    /// A message, or a part of one, has come: once, as it was sent, where it was sent.
    pub(super) fn got(&mut self, incoming: &Incoming) {
        let parts = &mut self.parts[usize::from(incoming.stream.0)];
        if incoming.is_begin {
            parts.clear();
        }
        parts.extend_from_slice(&incoming.payload);
        // An empty last part says that the rest will not come.
        if !incoming.is_end || incoming.payload.is_empty() {
            return;
        }
        let payload = core::mem::take(parts);
        let [high, low] = *payload.first_chunk().expect("two bytes at least");
        let number = usize::from(u16::from_be_bytes([high, low]));
        let entry = self.sent.get_mut(number).expect("it was never sent");
        assert!(entry.payload == payload, "message {number} has other bytes");
        assert_eq!(entry.stream, incoming.stream.0);
        assert_eq!(entry.ppid, incoming.ppid.0);
        assert_eq!(entry.is_unordered, incoming.is_unordered);
        assert!(!entry.has_come, "message {number} came twice");
        entry.has_come = true;
        self.assert_order(number, incoming);
    }

    /// No ordered message comes before a reliable, ordered one that was sent earlier on its stream.
    fn assert_order(&self, number: usize, incoming: &Incoming) {
        if incoming.is_unordered {
            return;
        }
        let overtaken = self.sent[..number].iter().find(|earlier| {
            let is_ahead = earlier.stream == incoming.stream.0 && !earlier.is_unordered;
            is_ahead && earlier.is_reliable && !earlier.has_come
        });
        assert!(overtaken.is_none(), "message {number} overtook another");
    }

    /// Whether every reliable message has come.
    pub(super) fn is_settled(&self) -> bool {
        self.sent
            .iter()
            .all(|entry| entry.has_come || !entry.is_reliable)
    }

    pub(super) fn assert_all_came(&self) {
        let missing = self
            .sent
            .iter()
            .position(|entry| entry.is_reliable && !entry.has_come);
        assert!(missing.is_none(), "message {missing:?} never came");
    }
}

/// Bytes of a message: its number, then what follows from it; two at least.
pub(super) fn payload(number: u16, len: usize) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let rest = (0..len).map(|at| low.wrapping_add((at % 251) as u8));
    [high, low].into_iter().chain(rest).collect()
}
