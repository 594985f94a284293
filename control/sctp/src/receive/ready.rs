//! What the application may take, in order.
//!
//! Of a message that is handed on in parts, the parts must follow each other on their stream: what
//! else becomes ready there is held until the last of them. Bounded, as it is charged, by the
//! receive buffer.

use alloc::collections::{BTreeMap, VecDeque};

use super::place::Place;
use crate::stream_map::StreamMap;
use crate::{Incoming, StreamId};

/// Messages and parts of messages for the application.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: VecDeque<Incoming>,
    /// Streams on which the application has the beginning of a message: which one.
    partial: StreamMap<Place>,
    /// What waits for the end of such a message, in order.
    held: BTreeMap<(StreamId, u64), Incoming>,
    held_count: u64,
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn pop(&mut self) -> Option<Incoming> {
        let incoming = self.queue.pop_front();
        if self.queue.is_empty() && self.queue.capacity() > KEPT_MAX {
            self.queue = VecDeque::new();
        }
        incoming
    }

    /// Hands on a whole message, or the last part of one.
    pub(super) fn push(&mut self, incoming: Incoming) {
        let stream = incoming.stream;
        if !incoming.is_begin {
            self.queue.push_back(incoming);
            self.partial.remove(&stream);
            self.release(stream);
        } else if self.partial.contains_key(&stream) {
            self.held_count += 1;
            self.held.insert((stream, self.held_count), incoming);
        } else {
            self.queue.push_back(incoming);
        }
    }

    /// Hands on a part that is not the last of the message that begins at `place`.
    pub(super) fn push_part(&mut self, place: Place, incoming: Incoming) {
        self.partial.insert(incoming.stream, place);
        self.queue.push_back(incoming);
    }

    /// The message of which the application has the beginning on a stream.
    pub(super) fn partial_of(&self, stream: StreamId) -> Option<Place> {
        self.partial.get(&stream).copied()
    }

    /// Drops what is held; says the payload lengths of what is left.
    pub(super) fn close(&mut self) -> impl Iterator<Item = usize> {
        self.held.clear();
        self.partial.clear();
        self.queue.iter().map(|incoming| incoming.payload.len())
    }

    fn release(&mut self, stream: StreamId) {
        while let Some((&key, _)) = self.held.range((stream, 0)..=(stream, u64::MAX)).next() {
            self.queue.extend(self.held.remove(&key));
        }
    }
}

/// An empty queue keeps this many entries for next time.
const KEPT_MAX: usize = 16;
