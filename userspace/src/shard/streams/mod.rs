//! Clients on byte streams: TCP and TLS (RFC 8656 section 3.1), framed by RFC 8489 section 6.2.2.
//!
//! A message cut from a stream goes the way of a datagram: forwarder, then server. What goes to a
//! client is appended to its connection once; once a loop turn the connections with something to
//! write hand it to the ring, one write in flight each, so that small messages share segments and
//! TLS records and their order is kept. It accepts no data connections (RFC 6062).
//!
//! Bounded by [`Places`] and [`StreamLimits`]. A client that does not read loses its relayed
//! packets, and no one else's; one that stays so is closed.

mod connection;
mod crowd;
mod limits;
mod listeners;
mod moving;
mod places;
mod reading;
mod table;
mod tls;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::Socket;
use turnpike_turn::server::MESSAGE_MAX;
use turnpike_types::{ClientAddr, DropReason, FiveTuple, ServerAddr, Timestamp, Transport};

use super::COMPLETIONS_MAX;
use super::connection::{ConnectionCounters, ConnectionEnd, ConnectionRefusal};
use crate::uring::{OpKind, OpToken, Ring, Via};
use connection::{Connection, State};
use crowd::Crowd;
use listeners::Listeners;
use moving::Begun;
use table::Table;
use tls::Tls;
use watch::Watch;

pub use limits::StreamLimits;
pub use places::Places;

/// Connections of one kind that are closed for their timeout in one turn; more wait for the next.
const EXPIRED_MAX: usize = 256;

/// Entries of the watches that are taken out in one turn, most of them of connections long closed.
const LOOKS_MAX: usize = 4 * COMPLETIONS_MAX;

/// Bytes that may wait for a client that never had an allocation: room for answers to more requests
/// than it has reason to send at a time.
const STRANGER_QUEUE_BYTES: usize = 8 << 10;

/// A connection without a shard: it was accepted, or another shard has served it.
#[derive(Debug)]
pub(super) struct NewStream {
    /// TCP or TLS.
    transport: Transport,
    /// The address that the client connected to.
    server: ServerAddr,
    /// The connection.
    socket: Socket,
    /// What it has from the shard that served it before.
    begun: Option<Box<Begun>>,
}

impl NewStream {
    /// One that was just accepted.
    const fn new(transport: Transport, server: ServerAddr, socket: Socket) -> Self {
        Self {
            transport,
            server,
            socket,
            begun: None,
        }
    }

    /// Who talks to whom; `None` when the client is gone already.
    fn five_tuple(&self) -> Option<FiveTuple> {
        Some(FiveTuple {
            client: ClientAddr(self.socket.peer_addr().ok()?.as_socket()?),
            server: self.server,
            transport: self.transport,
        })
    }
}

/// Names a connection while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConnectionId {
    slot: u32,
    /// Modulo 2^24, as a token holds it.
    generation: u32,
}

impl ConnectionId {
    const fn of(token: OpToken) -> Self {
        Self {
            slot: token.slot,
            generation: token.generation,
        }
    }

    const fn token(self, kind: OpKind) -> OpToken {
        OpToken::new(kind, self.slot, self.generation)
    }
}

/// The streams of one shard.
#[derive(Debug)]
pub(super) struct Streams {
    limits: StreamLimits,
    places: Arc<Places>,
    tls: Option<Arc<ServerConfig>>,
    listeners: Listeners,
    table: Table,
    /// Connections whose receive is to be armed.
    unarmed: Vec<ConnectionId>,
    /// Connections with something to write.
    dirty: Vec<ConnectionId>,
    /// Connections that go to another shard as soon as they are at rest.
    moving: Vec<ConnectionId>,
    crowd: Crowd,
    handshakes: Watch,
    idle: Watch,
    stalls: Watch,
    /// Clients that went away, until the server is told.
    disconnected: Vec<FiveTuple>,
    counters: ConnectionCounters,
    /// Cut out since the loop last asked.
    messages: usize,
    /// What was read last, without its TLS.
    plain: Vec<u8>,
}

impl Streams {
    pub(super) fn new(
        limits: StreamLimits,
        places: Arc<Places>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        Self {
            places,
            tls,
            listeners: Listeners::default(),
            table: Table::default(),
            unarmed: Vec::new(),
            dirty: Vec::new(),
            moving: Vec::new(),
            crowd: Crowd::default(),
            handshakes: Watch::new(limits.handshake_timeout),
            idle: Watch::new(limits.idle_timeout),
            stalls: Watch::new(limits.stall_timeout / 2),
            disconnected: Vec::new(),
            counters: ConnectionCounters::default(),
            messages: 0,
            plain: Vec::new(),
            limits,
        }
    }

    /// Takes in a listener that is registered with the ring.
    pub(super) fn add_listener(&mut self, listener: super::Listener, via: Via) {
        self.listeners.add(listener, via);
    }

    /// What was counted.
    pub(super) const fn counters(&self) -> &ConnectionCounters {
        &self.counters
    }

    /// Takes a connection in, or refuses it by closing it. What another shard has read is to be
    /// read again.
    fn admit(&mut self, now: Timestamp, stream: NewStream) -> Option<(ConnectionId, Vec<u8>)> {
        let is_new = stream.begun.is_none();
        let admitted = self.seat(stream);
        let (five_tuple, socket, begun) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.counters.refuse(refusal);
                return None;
            }
        };
        if is_new {
            self.counters.accept(five_tuple.transport);
        }
        self.counters.admit(five_tuple.transport);
        let Begun { tls, place, unread } = begun;
        let mut connection = Connection::new(now, socket, five_tuple, tls, MESSAGE_MAX, place);
        connection.has_moved = !unread.is_empty();
        let is_handshaking = connection.is_handshaking();
        let id = self.table.insert(connection);
        self.unarmed.push(id);
        // Every connection may have something to write, or want arming, in one turn: the packet path
        // must not grow.
        for queue in [&mut self.unarmed, &mut self.dirty] {
            queue.reserve(self.table.capacity().saturating_sub(queue.len()));
        }
        self.prune();
        if is_handshaking {
            self.handshakes.push(now, id);
        } else {
            self.idle.push(now, id);
        }
        Some((id, unread))
    }

    /// Forgets what is still noted of connections that are gone, when that has become much.
    fn prune(&mut self) {
        let Self { table, .. } = self;
        let most = 2 * table.capacity() + COMPLETIONS_MAX;
        for watch in [&mut self.handshakes, &mut self.idle, &mut self.stalls] {
            watch.prune(most, |id| table.get_mut(id).is_some());
        }
        self.crowd.prune(most, |id| table.get_mut(id).is_some());
    }

    /// Finds a place for a connection, and TLS where it speaks that, unless it has them.
    fn seat(&mut self, stream: NewStream) -> Result<(FiveTuple, Socket, Begun), ConnectionRefusal> {
        let five_tuple = stream.five_tuple().ok_or(ConnectionRefusal::Broken)?;
        // The client has begun anew before the end of its last connection was seen here.
        if let Some(old) = self.table.find(&five_tuple) {
            self.close(old, ConnectionEnd::Client);
        }
        if let Some(begun) = stream.begun {
            return Ok((five_tuple, stream.socket, *begun));
        }
        let mut place = self.places.take(five_tuple.client.ip())?;
        if stream.transport == Transport::Tls && !place.begin_handshake() {
            // The one that has had the most time goes.
            self.cut_oldest_handshake();
            if !place.begin_handshake() {
                return Err(ConnectionRefusal::Limit);
            }
        }
        let tls = match (stream.transport, &self.tls) {
            (Transport::Tls, Some(config)) => {
                let tls = Tls::new(config, self.limits.write_queue_bytes);
                Some(tls.ok_or(ConnectionRefusal::Broken)?)
            }
            (Transport::Tls, None) => return Err(ConnectionRefusal::Broken),
            _ => None,
        };
        let unread = Vec::new();
        Ok((five_tuple, stream.socket, Begun { tls, place, unread }))
    }

    /// Appends a relayed packet.
    ///
    /// # Errors
    /// When the client has no connection, or too much waits for it already.
    pub(super) fn relay(
        &mut self,
        five_tuple: &FiveTuple,
        parts: [&[u8]; 3],
    ) -> Result<(), DropReason> {
        let found = self.table.find(five_tuple);
        let (id, connection) = found
            .and_then(|id| Some((id, self.table.get_mut(id)?)))
            .ok_or(DropReason::NoAllocation)?;
        if !connection.append(parts, self.limits.write_queue_bytes) {
            self.counters.write_queue_dropped += 1;
            return Err(DropReason::QueueFull);
        }
        self.mark_dirty(id);
        Ok(())
    }

    /// Appends a message of the server's own; `false` when it is lost. A client that leaves so much
    /// unread is closed.
    pub(super) fn reply(&mut self, five_tuple: &FiveTuple, message: &[u8]) -> bool {
        let Some(id) = self.table.find(five_tuple) else {
            return false;
        };
        let queue_bytes = self.limits.write_queue_bytes;
        let is_taken = self.table.get_mut(id).is_some_and(|it| {
            let of_stranger = queue_bytes.min(STRANGER_QUEUE_BYTES);
            let most = if it.is_trusted {
                queue_bytes
            } else {
                of_stranger
            };
            it.append([message, &[], &[]], most)
        });
        if is_taken {
            self.mark_dirty(id);
        } else {
            self.close(id, ConnectionEnd::SlowReader);
        }
        is_taken
    }

    /// Notes that a client holds an allocation: it may send longer messages, and may stay.
    pub(super) fn allocation_created(&mut self, five_tuple: &FiveTuple) {
        if let Some(connection) = self.table.find_mut(five_tuple) {
            connection.has_allocation = true;
            connection.is_trusted = true;
            connection.has_moved = false;
        }
    }

    /// Notes that a client's allocation ended.
    pub(super) fn allocation_ended(&mut self, now: Timestamp, five_tuple: &FiveTuple) {
        if let Some(connection) = self.table.find_mut(five_tuple) {
            connection.has_allocation = false;
            connection.idle_since = now;
        }
    }

    /// Arms what is not, and hands to the ring what was appended.
    pub(super) fn settle(&mut self, now: Timestamp, ring: &mut Ring) {
        self.listeners.arm(ring);
        self.cancel_moving(ring);
        while let Some(id) = self.unarmed.last().copied() {
            if let Some(connection) = self.table.get_mut(id)
                && connection.state == State::Open
                && !connection.is_armed
                && connection.moving.is_none()
                && !connection.has_ended
            {
                if !ring.receive_stream(connection.via, id.token(OpKind::ReceiveStream)) {
                    break;
                }
                connection.is_armed = true;
            }
            self.unarmed.pop();
        }
        while let Some(id) = self.dirty.last().copied() {
            if !self.write(now, id, ring) {
                break;
            }
            self.dirty.pop();
        }
    }

    /// Hands what a connection has to the ring, unless a write is in flight; `false` when the ring
    /// takes no more.
    fn write(&mut self, now: Timestamp, id: ConnectionId, ring: &mut Ring) -> bool {
        let Some(connection) = self.table.get_mut(id) else {
            return true;
        };
        if connection.is_writing || connection.state == State::ShutDown {
            connection.is_dirty = false;
            return true;
        }
        let Some((bytes, from)) = connection.take_write() else {
            connection.is_dirty = false;
            if connection.state == State::Flushing {
                connection.shut_down();
                self.table.remove_if_over(id);
            }
            return true;
        };
        if let Err(bytes) = ring.write(connection.via, bytes, from, id.token(OpKind::Write)) {
            connection.put_back(bytes);
            return false;
        }
        connection.is_dirty = false;
        connection.write_begun(now);
        if !connection.is_watched {
            connection.is_watched = true;
            self.stalls.push(now, id);
        }
        true
    }

    /// Closes connections whose time is up.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let mut looks = LOOKS_MAX;
        for _ in 0..EXPIRED_MAX {
            let is_live = |id| {
                self.table
                    .get_mut(id)
                    .is_some_and(|it| it.is_in_handshake())
            };
            let Some(id) = self.handshakes.pop_due(now, &mut looks, is_live) else {
                break;
            };
            self.close(id, ConnectionEnd::HandshakeTimeout);
        }
        for _ in 0..EXPIRED_MAX {
            let is_live = |id| self.table.get_mut(id).is_some_and(|it| it.is_open());
            let Some(id) = self.idle.pop_due(now, &mut looks, is_live) else {
                break;
            };
            match self.table.get_mut(id) {
                Some(it)
                    if it.has_allocation || now.since(it.idle_since) < self.limits.idle_timeout =>
                {
                    self.idle.push(now, id);
                }
                Some(_) => self.close(id, ConnectionEnd::Idle),
                None => {}
            }
        }
        for _ in 0..EXPIRED_MAX {
            let is_live = |id| self.table.get_mut(id).is_some();
            let Some(id) = self.stalls.pop_due(now, &mut looks, is_live) else {
                break;
            };
            self.look_at_write(now, id);
        }
    }

    /// Closes the connection that has been in its TLS handshake for longest here.
    fn cut_oldest_handshake(&mut self) {
        let is_live = |id| {
            self.table
                .get_mut(id)
                .is_some_and(|it| it.is_in_handshake())
        };
        if let Some(id) = self.handshakes.pop(is_live) {
            self.close(id, ConnectionEnd::HandshakeTimeout);
        }
    }

    /// Closes a connection whose client takes nothing.
    fn look_at_write(&mut self, now: Timestamp, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        if !connection.is_owed() {
            connection.is_watched = false;
        } else if now.since(connection.progress_at) < self.limits.stall_timeout {
            self.stalls.push(now, id);
        } else if connection.state == State::Open {
            self.close(id, ConnectionEnd::SlowReader);
        } else {
            connection.abort();
            self.table.remove_if_over(id);
        }
    }

    /// How long until something is due; `None` when nothing is.
    pub(super) fn patience(&self, now: Timestamp) -> Option<Duration> {
        [&self.handshakes, &self.idle, &self.stalls]
            .into_iter()
            .filter_map(|watch| watch.patience(now))
            .min()
    }

    /// Lets accepts that failed be tried again.
    pub(super) fn revive(&mut self) {
        self.listeners.revive();
    }

    /// A client that went away, to be told to the server.
    pub(super) fn take_disconnected(&mut self) -> Option<FiveTuple> {
        self.disconnected.pop()
    }

    /// Begins to close all connections, for the relay stops.
    pub(super) fn close_all(&mut self) {
        for id in self.table.ids() {
            self.close(id, ConnectionEnd::Server);
        }
    }

    /// Whether every descriptor is closed.
    pub(super) const fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Begins to close an open connection. What waits is written first, unless the client takes
    /// nothing anyway.
    fn close(&mut self, id: ConnectionId, reason: ConnectionEnd) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        if connection.state != State::Open {
            return;
        }
        let five_tuple = connection.five_tuple;
        connection.place.end_handshake();
        self.crowd.leave(connection);
        self.counters.close(five_tuple.transport, reason);
        match reason {
            ConnectionEnd::SlowReader | ConnectionEnd::HandshakeTimeout | ConnectionEnd::Crowd => {
                connection.abort()
            }
            _ => connection.end(),
        }
        self.disconnected.push(five_tuple);
        self.table.forget(&five_tuple);
        self.mark_dirty(id);
        self.table.remove_if_over(id);
    }

    fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(id)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
    }
}
