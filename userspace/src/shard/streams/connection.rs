//! One client's stream: what waits to be written, and how far its end has come.
//!
//! Bounded: the write in flight and what waits behind it are each at most
//! [`StreamLimits::write_queue_bytes`](super::StreamLimits::write_queue_bytes) (TLS adds a few in
//! the hundred), the unfinished frame is bounded by the framer.

use std::mem;
use std::net::Shutdown;
use std::time::Duration;

use nix::errno::Errno;
use socket2::Socket;
use turnpike_stun::stream::Framer;
use turnpike_types::{FiveTuple, Timestamp};

use super::moving::Move;
use super::places::Place;
use super::tls::Tls;
use crate::uring::Via;

/// Memory that a connection keeps for its next write; a larger buffer is given up after use.
const KEPT_BYTES: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Clients are served.
    Open,
    /// What waits is still written; then the socket is shut down.
    Flushing,
    /// The last completions are awaited; then the socket is closed.
    ShutDown,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) via: Via,
    pub(super) five_tuple: FiveTuple,
    pub(super) tls: Option<Tls>,
    pub(super) framer: Framer,
    pub(super) state: State,
    /// Whether a receive is armed, so that a completion is still to come.
    pub(super) is_armed: bool,
    /// Whether a write is in flight, so that a completion is still to come.
    pub(super) is_writing: bool,
    /// Whether it is in the queue of those with something to write.
    pub(super) is_dirty: bool,
    /// Whether its writes are watched.
    pub(super) is_watched: bool,
    pub(super) has_allocation: bool,
    /// Whether it ever had an allocation: until then it is a stranger's.
    pub(super) is_trusted: bool,
    /// What came and waits for its turn.
    pub(super) parked: Vec<u8>,
    /// Whether the client sends no more, noticed while bytes of it waited.
    pub(super) has_ended: bool,
    /// Where it is about to go.
    pub(super) moving: Option<Box<Move>>,
    /// Whether it came from another shard, and has had no allocation here.
    pub(super) has_moved: bool,
    /// Its place among all connections.
    pub(super) place: Place,
    /// Since when it has no allocation.
    pub(super) idle_since: Timestamp,
    /// When the client last took something, or was first offered it.
    pub(super) progress_at: Timestamp,
    /// Whether a write began since it closes: from then on no progress counts.
    is_ending: bool,
    /// What is to be written, not sealed yet.
    filling: Vec<u8>,
    /// What goes before that: sealed, and written up to `from`.
    rest: Option<Vec<u8>>,
    from: usize,
    spare: Vec<u8>,
}

impl Connection {
    pub(super) fn new(
        now: Timestamp,
        socket: Socket,
        five_tuple: FiveTuple,
        tls: Option<Tls>,
        frame_max: usize,
        place: Place,
    ) -> Self {
        Self {
            via: Via::of(&socket),
            socket,
            five_tuple,
            tls,
            framer: Framer::new(frame_max),
            state: State::Open,
            is_armed: false,
            is_writing: false,
            is_dirty: false,
            is_watched: false,
            has_allocation: false,
            is_trusted: false,
            parked: Vec::new(),
            has_ended: false,
            moving: None,
            has_moved: false,
            place,
            idle_since: now,
            progress_at: now,
            is_ending: false,
            filling: Vec::new(),
            rest: None,
            from: 0,
            spare: Vec::new(),
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::is_handshaking)
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is open, and has not agreed on TLS yet.
    pub(super) fn is_in_handshake(&self) -> bool {
        self.is_open() && self.is_handshaking()
    }

    /// Whether what comes is to wait for its turn: TLS costs more than its bytes, and no one who has
    /// not shown a credential may have more than a share of a loop turn for it.
    pub(super) const fn waits_its_turn(&self) -> bool {
        self.tls.is_some() && !self.is_trusted
    }

    /// Appends one message, whole or not at all; `false` when more than `queue_bytes` would wait.
    pub(super) fn append(&mut self, parts: [&[u8]; 3], queue_bytes: usize) -> bool {
        let more: usize = parts.iter().map(|part| part.len()).sum();
        let len = self.filling.len() + more;
        if len > queue_bytes {
            return false;
        }
        if len > self.filling.capacity() {
            // Not left to the vector, which might take twice the limit.
            let capacity = len.max(2 * self.filling.capacity()).min(queue_bytes);
            self.filling.reserve_exact(capacity - self.filling.len());
        }
        for part in parts {
            self.filling.extend_from_slice(part);
        }
        true
    }

    /// Whether there is something that [`take_write`](Self::take_write) would yield.
    pub(super) fn has_output(&self) -> bool {
        self.rest.is_some()
            || !self.filling.is_empty()
            || self.tls.as_ref().is_some_and(Tls::wants_write)
    }

    /// Whether the client has yet to take something.
    pub(super) const fn is_owed(&self) -> bool {
        self.is_writing || self.rest.is_some()
    }

    /// What goes next, and where in it to begin.
    pub(super) fn take_write(&mut self) -> Option<(Vec<u8>, usize)> {
        if let Some(bytes) = self.rest.take() {
            return Some((bytes, self.from));
        }
        let mut bytes = mem::take(&mut self.spare);
        bytes.clear();
        match &mut self.tls {
            None => mem::swap(&mut bytes, &mut self.filling),
            Some(tls) => {
                tls.seal(&self.filling, &mut bytes);
                if self.state == State::Flushing {
                    // After what waits: the client reads nothing behind it.
                    tls.end(&mut bytes);
                }
                self.filling.clear();
                self.filling.shrink_to(KEPT_BYTES);
            }
        }
        self.from = 0;
        if bytes.is_empty() {
            self.spare = bytes;
            return None;
        }
        Some((bytes, 0))
    }

    /// Notes that a write begins.
    pub(super) fn write_begun(&mut self, now: Timestamp) {
        self.is_writing = true;
        if !self.is_ending {
            self.progress_at = now;
            self.is_ending = self.state != State::Open;
        }
    }

    /// Puts back what the ring did not take.
    pub(super) fn put_back(&mut self, bytes: Vec<u8>) {
        self.rest = Some(bytes);
    }

    /// Notes what became of the write; its memory is used again.
    pub(super) fn written(
        &mut self,
        now: Timestamp,
        mut bytes: Vec<u8>,
        result: Result<usize, Errno>,
    ) {
        self.is_writing = false;
        let Ok(taken) = result else {
            return;
        };
        // One that closes has one deadline, however slowly its client reads.
        if taken > 0 && self.state == State::Open {
            self.progress_at = now;
        }
        self.from += taken;
        if self.from < bytes.len() {
            self.rest = Some(bytes);
            return;
        }
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES);
        if self.filling.capacity() == 0 && self.tls.is_none() {
            self.filling = bytes;
        } else {
            self.spare = bytes;
        }
    }

    /// Whether nothing is under way on its descriptor and nothing waits to be.
    pub(super) fn is_quiet(&self) -> bool {
        !self.is_armed && !self.is_writing && !self.has_output() && self.parked.is_empty()
    }

    /// Whether it is still to go to another shard.
    pub(super) fn may_move(&self) -> bool {
        self.moving.is_some() && self.state == State::Open
    }

    /// Ends it when what waits is written.
    pub(super) const fn end(&mut self) {
        self.state = State::Flushing;
    }

    /// Ends it at once, and forgets what waits.
    pub(super) fn abort(&mut self) {
        self.filling = Vec::new();
        self.rest = None;
        // The kernel too forgets what it holds, and tells the client so. If it cannot, it keeps
        // that until its own timeout.
        let _kept = self.socket.set_linger(Some(Duration::ZERO));
        self.shut_down();
    }

    /// Lets the kernel end what is armed and in flight.
    pub(super) fn shut_down(&mut self) {
        self.state = State::ShutDown;
        // An error means that the client was first.
        let _gone = self.socket.shutdown(Shutdown::Both);
    }

    /// Whether the descriptor may be closed: no completion is to come.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::ShutDown && !self.is_armed && !self.is_writing
    }
}
