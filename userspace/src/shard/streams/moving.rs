//! A connection that goes to another shard: its client's Allocate names a reserved port there
//! (RFC 8656 section 7.2).
//!
//! It goes as a whole, and at rest: no more is read here, what came since waits beside it, what it is
//! owed is written, and the receive has ended. So no byte is lost, or read by two shards.
//!
//! Bounded: by [`UNREAD_MAX`] a connection, and one move until it has an allocation, so that no client
//! keeps shards busy with moves.

use turnpike_stun::stream::FRAME_MAX;

use super::places::Place;
use super::tls::Tls;
use super::{ConnectionId, NewStream, Streams};
use crate::shard::Shard;
use crate::shard::connection::{ConnectionEnd, ConnectionRefusal};
use crate::uring::{OpKind, Ring};

/// Bytes that a client may send behind the request that moves it, before that is answered.
const UNREAD_MAX: usize = 2 * FRAME_MAX;

/// Where a connection is about to go, and what it takes along.
#[derive(Debug)]
pub(super) struct Move {
    to: u16,
    /// The request and what came behind it, without its TLS.
    unread: Vec<u8>,
    /// Whether the end of its receive was asked for.
    is_cancelled: bool,
}

/// What a connection has that another shard served before.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) tls: Option<Tls>,
    pub(super) place: Place,
    pub(super) unread: Vec<u8>,
}

impl Shard {
    /// Hands over the connections that are at rest. One that finds no room there is closed.
    pub(in crate::shard) fn hand_over_streams(&mut self) {
        while let Some((shard, stream)) = self.streams.take_moving() {
            if !self.hand_over(shard, stream) {
                self.streams.counters.refuse(ConnectionRefusal::Resources);
            }
        }
    }
}

impl Streams {
    /// Begins to move a connection: `message` and `behind`, which came after it, are for the other
    /// shard.
    pub(super) fn begin_move(&mut self, id: ConnectionId, to: u16, message: &[u8], behind: &[u8]) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        connection.moving = Some(Box::new(Move {
            to,
            unread: message.to_vec(),
            is_cancelled: false,
        }));
        self.moving.push(id);
        self.keep_unread(id, behind);
    }

    /// Keeps what came behind the request, if the connection is about to go; `false` if it stays.
    pub(super) fn keep_unread(&mut self, id: ConnectionId, bytes: &[u8]) -> bool {
        let connection = self.table.get_mut(id);
        let Some(moving) = connection.and_then(|it| it.moving.as_deref_mut()) else {
            return false;
        };
        if moving.unread.len() + bytes.len() <= UNREAD_MAX {
            moving.unread.extend_from_slice(bytes);
        } else {
            self.close(id, ConnectionEnd::Malformed);
        }
        true
    }

    /// Asks for the end of what is armed on connections that are to go, until the ring refuses.
    pub(super) fn cancel_moving(&mut self, ring: &mut Ring) {
        for id in &self.moving {
            if let Some(connection) = self.table.get_mut(*id)
                && connection.is_armed
                && let Some(moving) = &mut connection.moving
                && !moving.is_cancelled
            {
                if !ring.cancel(id.token(OpKind::ReceiveStream)) {
                    return;
                }
                moving.is_cancelled = true;
            }
        }
    }

    /// A connection that is at rest, and where it goes.
    fn take_moving(&mut self) -> Option<(u16, NewStream)> {
        let table = &mut self.table;
        // One that was closed meanwhile goes nowhere.
        self.moving
            .retain(|id| table.get_mut(*id).is_some_and(|it| it.may_move()));
        let is_at_rest = |id: &ConnectionId| table.get_mut(*id).is_some_and(|it| it.is_quiet());
        let place = self.moving.iter().position(is_at_rest)?;
        let connection = self.table.take(self.moving.swap_remove(place))?;
        let five_tuple = connection.five_tuple;
        self.table.forget(&five_tuple);
        self.counters.hand_over(five_tuple.transport);
        let moving = connection.moving?;
        let stream = NewStream {
            transport: five_tuple.transport,
            server: five_tuple.server,
            socket: connection.socket,
            begun: Some(Box::new(Begun {
                tls: connection.tls,
                place: connection.place,
                unread: moving.unread,
            })),
        };
        Some((moving.to, stream))
    }
}
