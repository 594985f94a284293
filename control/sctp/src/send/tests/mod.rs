//! The parts of the sending side, each by itself, and what a SACK or a timer makes of them together.

mod flight;
mod queue;
mod rack;
mod sack;

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use turnpike_types::Timestamp;

use super::flight::{Entry, State};
use crate::slab::{Slab, Slot};
use crate::{Event, Outgoing, Ppid, StreamId};

const MS: fn(u64) -> Timestamp = Timestamp::from_millis;

/// The slot of a message that nobody looks at.
fn any_slot() -> Slot {
    Slab::new().insert(())
}

/// A chunk of 100 bytes, sent once.
fn entry(sent_at: Timestamp) -> Entry {
    Entry {
        message: any_slot(),
        offset: 0,
        len: 100,
        fragment: 0,
        sent_at,
        transmissions: 1,
        state: State::Outstanding,
        is_end: true,
    }
}

fn message(stream: u16, len: usize) -> Outgoing {
    Outgoing::new(StreamId(stream), Ppid(51), Bytes::from(alloc::vec![7; len]))
}

fn drain(events: &mut crate::event::Events) -> Vec<Event> {
    events.drain(..).collect()
}
