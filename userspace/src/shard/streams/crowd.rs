//! Strangers on TLS, who wait for their turn.
//!
//! A handshake costs a signature, some hundred times what a datagram does; small records cost more
//! than their bytes too. A crowd of such clients, all at once, must not keep datagrams waiting: what
//! they send is put aside, and a few are served a loop turn, one after the other, a slice each. A
//! client that has had an allocation is none of them.
//!
//! Bounded: [`STEPS_A_TURN`] slices of [`STEP_BYTES`] a turn, [`PARKED_MAX`] bytes a connection and
//! [`PARKED_TOTAL_MAX`] in all. A connection that would be beyond is closed.

use std::collections::VecDeque;
use std::mem;

use super::connection::Connection;
use super::{ConnectionId, Streams};
use crate::shard::{ConnectionEnd, Shard};

/// Slices that are taken in a turn.
const STEPS_A_TURN: usize = 4;

/// The most bytes of a slice; a `ClientHello` is seldom longer.
const STEP_BYTES: usize = 2 << 10;

/// What one connection may have waiting: the longest handshake message.
const PARKED_MAX: usize = 64 << 10;

/// What all of them may have waiting: a `ClientHello` of each of 16,384.
const PARKED_TOTAL_MAX: usize = 8 << 20;

/// Whose turn is next. A connection is in the queue once, while bytes of it wait.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    queue: VecDeque<ConnectionId>,
    /// That wait, of all connections.
    bytes: usize,
}

impl Crowd {
    /// Forgets what waits of a connection.
    pub(super) fn leave(&mut self, connection: &mut Connection) -> Vec<u8> {
        let parked = mem::take(&mut connection.parked);
        self.bytes = self.bytes.saturating_sub(parked.len());
        parked
    }

    /// Forgets connections that are gone once there are more than `most` entries.
    pub(super) fn prune(&mut self, most: usize, mut is_live: impl FnMut(ConnectionId) -> bool) {
        if self.queue.len() > most {
            self.queue.retain(|id| is_live(*id));
        }
    }
}

impl Shard {
    /// Serves those whose turn it is.
    pub(in crate::shard) fn serve_crowd(&mut self) {
        for _ in 0..STEPS_A_TURN {
            let Some((id, bytes)) = self.streams.next_step() else {
                return;
            };
            self.take_in(id, &bytes);
            if let Some(rest) = self.streams.take_rest(id) {
                self.take_in(id, &rest);
            }
            self.streams.end_if_ended(id);
            self.tell_disconnected();
        }
    }
}

impl Streams {
    /// Puts bytes aside if their connection has to wait for its turn; `false` if it has not.
    pub(super) fn park(&mut self, id: ConnectionId, bytes: &[u8]) -> bool {
        let Some(connection) = self.table.get_mut(id) else {
            return false;
        };
        if !connection.is_open() || !connection.waits_its_turn() {
            return false;
        }
        if connection.parked.len() + bytes.len() > PARKED_MAX
            || self.crowd.bytes + bytes.len() > PARKED_TOTAL_MAX
        {
            self.close(id, ConnectionEnd::Crowd);
            return true;
        }
        if connection.parked.is_empty() {
            self.crowd.queue.push_back(id);
        }
        connection.parked.extend_from_slice(bytes);
        self.crowd.bytes += bytes.len();
        true
    }

    /// Whether somebody waits.
    pub(in crate::shard) fn has_crowd(&self) -> bool {
        !self.crowd.queue.is_empty()
    }

    /// The next slice; what is left of its connection waits behind the others.
    fn next_step(&mut self) -> Option<(ConnectionId, Vec<u8>)> {
        while let Some(id) = self.crowd.queue.pop_front() {
            let Some(connection) = self.table.get_mut(id) else {
                continue;
            };
            let mut slice = self.crowd.leave(connection);
            if slice.len() > STEP_BYTES {
                connection.parked = slice.split_off(STEP_BYTES);
                self.crowd.bytes += connection.parked.len();
                self.crowd.queue.push_back(id);
            }
            if !slice.is_empty() {
                return Some((id, slice));
            }
        }
        None
    }

    /// What waits of a connection that does not have to any more.
    fn take_rest(&mut self, id: ConnectionId) -> Option<Vec<u8>> {
        let connection = self.table.get_mut(id)?;
        let is_free = connection.is_trusted && !connection.parked.is_empty();
        is_free.then(|| self.crowd.leave(connection))
    }

    /// Closes a connection whose client sent no more after what has now been taken in.
    fn end_if_ended(&mut self, id: ConnectionId) {
        let connection = self.table.get_mut(id);
        if connection.is_some_and(|it| it.has_ended && it.parked.is_empty()) {
            self.close(id, ConnectionEnd::Client);
        }
    }
}
