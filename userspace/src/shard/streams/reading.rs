//! What the ring reports of streams, and the way of a message from a stream to forwarder or server.

use std::mem;

use nix::errno::Errno;
use socket2::Socket;
use turnpike_stun::stream::{FRAME_MAX, Frame, FrameError, FrameHeader, Framer};
use turnpike_turn::forward::{ToClient, Verdict};
use turnpike_turn::server::MESSAGE_MAX;
use turnpike_types::{FiveTuple, Timestamp};

use super::connection::State;
use super::tls::Progress;
use super::{ConnectionId, NewStream, Streams};
use crate::shard::Shard;
use crate::shard::complaints::Trouble;
use crate::shard::socket_lane::Packet;
use crate::shard::{ConnectionEnd, ConnectionRefusal};
use crate::uring::{Buffer, OpToken, StreamCompletion};

/// As many bytes in TLS are as much work as a message: they may be many small records.
const BYTES_OF_A_MESSAGE: usize = 64;

/// The most padding there is.
const PADDING: [u8; 3] = [0; 3];

impl Shard {
    /// Carries one completion to its end.
    pub(in crate::shard) fn handle_stream(&mut self, completion: StreamCompletion) {
        match completion {
            StreamCompletion::Accepted {
                token,
                socket,
                armed,
            } => {
                if !armed {
                    self.streams.listeners.ended(token);
                }
                if let Some((transport, server)) = self.streams.listeners.of(token) {
                    self.assign(NewStream::new(transport, server, Socket::from(socket)));
                }
            }
            StreamCompletion::AcceptEnded { token, error } => self.accept_ended(token, error),
            StreamCompletion::Received {
                token,
                buffer,
                filled,
                armed,
            } => self.stream_received(token, buffer, filled, armed),
            StreamCompletion::ReceiveEnded { token, result } => {
                let id = ConnectionId::of(token);
                self.streams.receive_ended(id, result);
            }
            StreamCompletion::Written {
                token,
                bytes,
                result,
            } => {
                let id = ConnectionId::of(token);
                self.streams.written(self.now, id, bytes, result);
            }
        }
        self.tell_disconnected();
    }

    /// Takes a connection that was accepted here in, or hands it to the shard that owns it. One that
    /// finds no room there is closed.
    fn assign(&mut self, stream: NewStream) {
        let owner = stream.five_tuple().and_then(|it| self.owner_of_stream(&it));
        match owner {
            None => self.adopt(stream),
            Some(owner) => {
                if !self.hand_over(owner, stream) {
                    self.streams.counters.refuse(ConnectionRefusal::Resources);
                }
            }
        }
    }

    /// Takes a connection in, whoever accepted it.
    pub(in crate::shard) fn adopt(&mut self, stream: NewStream) {
        // What nobody would serve is closed at once.
        if self.stopping {
            return;
        }
        if let Some((id, unread)) = self.streams.admit(self.now, stream) {
            self.read_frames(id, &unread);
        }
        self.tell_disconnected();
    }

    /// Tells the server of clients that went away.
    pub(in crate::shard) fn tell_disconnected(&mut self) {
        while let Some(five_tuple) = self.streams.take_disconnected() {
            self.server.handle_disconnect(self.now, &five_tuple);
            self.drain();
        }
    }

    /// Appends a peer's payload to what waits for its client.
    pub(in crate::shard) fn relay_to_stream(&mut self, packet: Packet, forward: &ToClient) {
        let Packet { buffer, payload } = packet;
        let len = payload.len();
        let bytes = self.lane.ring.bytes(&buffer).get(payload).unwrap_or(&[]);
        let padding = PADDING.get(..forward.padding).unwrap_or(&PADDING);
        let parts = [forward.prefix.as_slice(), bytes, padding];
        match self.streams.relay(&forward.five_tuple, parts) {
            Ok(()) => self.lane.count_to_client(len),
            Err(reason) => self.lane.count(reason),
        }
        self.lane.ring.give_back(buffer);
    }

    fn accept_ended(&mut self, token: OpToken, error: Errno) {
        // The client was gone before it was accepted: accept(2) lists these.
        let is_passing = matches!(
            error,
            Errno::ECONNABORTED
                | Errno::EINTR
                | Errno::EAGAIN
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH
        );
        if is_passing {
            return self.streams.listeners.ended(token);
        }
        self.streams.counters.refuse(ConnectionRefusal::Resources);
        self.streams.listeners.failed(token);
        self.complain(Trouble::Accept, &format!(
            "connections cannot be accepted ({error}); clients wait. Raise `ulimit -n` (systemd: \
             LimitNOFILE=) or lower [limits] connections"
        ));
    }

    fn stream_received(&mut self, token: OpToken, buffer: Buffer, filled: usize, armed: bool) {
        let id = ConnectionId::of(token);
        if !armed {
            self.streams.disarmed(id);
        }
        let bytes = self.lane.ring.bytes(&buffer).get(..filled).unwrap_or(&[]);
        if self.streams.park(id, bytes) {
            return self.lane.ring.give_back(buffer);
        }
        let mut plain = mem::take(&mut self.streams.plain);
        plain.clear();
        let progress = self.streams.open(self.now, id, bytes, &mut plain);
        self.lane.ring.give_back(buffer);
        self.opened(id, plain, progress);
    }

    /// Takes in bytes that have waited.
    pub(super) fn take_in(&mut self, id: ConnectionId, bytes: &[u8]) {
        let mut plain = mem::take(&mut self.streams.plain);
        plain.clear();
        let progress = self.streams.open(self.now, id, bytes, &mut plain);
        self.opened(id, plain, progress);
    }

    fn opened(
        &mut self,
        id: ConnectionId,
        plain: Vec<u8>,
        progress: Result<Progress, rustls::Error>,
    ) {
        if !self.streams.keep_unread(id, &plain) {
            self.read_frames(id, &plain);
        }
        self.streams.plain = plain;
        match progress {
            Ok(Progress::Open) => {}
            Ok(Progress::Ended) => self.streams.close(id, ConnectionEnd::Client),
            Err(_) => self.streams.close(id, ConnectionEnd::HandshakeFailed),
        }
    }

    /// Cuts messages out of a stream's bytes. What does not make a whole one waits in the framer;
    /// what does while nothing waits is never copied there.
    fn read_frames(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some((five_tuple, mut framer)) = self.streams.take_framer(id) else {
            return;
        };
        let result = self.cut_frames(id, &five_tuple, &mut framer, bytes);
        self.streams.put_framer(id, framer);
        if result.is_err() {
            self.streams.close(id, ConnectionEnd::Malformed);
        }
    }

    fn cut_frames(
        &mut self,
        id: ConnectionId,
        five_tuple: &FiveTuple,
        framer: &mut Framer,
        mut bytes: &[u8],
    ) -> Result<(), FrameError> {
        while let Some(frame_max) = self.streams.frame_max(id)
            && !bytes.is_empty()
        {
            if framer.pending() == 0
                && let Some(header) = FrameHeader::parse(bytes)?
            {
                if header.wire_len > frame_max {
                    return Err(FrameError::TooLong);
                }
                if let Some((wire, rest)) = bytes.split_at_checked(header.wire_len) {
                    bytes = rest;
                    if let Some(to) = self.way_of_frame(id, five_tuple, wire) {
                        self.streams.begin_move(id, to, wire, rest);
                        return Ok(());
                    }
                    self.take_frame(five_tuple, wire.get(..header.len).unwrap_or(wire));
                    continue;
                }
            }
            framer.raise_frame_max(frame_max);
            let taken = framer.push(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            while let Some(frame) = framer.next_frame() {
                let (Frame::Stun(frame) | Frame::ChannelData(frame)) = frame?;
                if let Some(to) = self.way_of_frame(id, five_tuple, frame) {
                    let frame = frame.to_vec();
                    let behind = [framer.unread(), bytes].concat();
                    self.streams.begin_move(id, to, &frame, &behind);
                    return Ok(());
                }
                self.take_frame(five_tuple, frame);
                // The answer may have been one too many.
                if self.streams.frame_max(id).is_none() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The shard that holds the port which a request without an allocation names, if that is another
    /// and the connection may still go there.
    fn way_of_frame(&mut self, id: ConnectionId, whose: &FiveTuple, frame: &[u8]) -> Option<u16> {
        let holder = self.holder_of_token(whose, frame)?;
        let connection = self.streams.table.get_mut(id)?;
        (!connection.has_moved && connection.state == State::Open).then_some(holder)
    }

    fn take_frame(&mut self, five_tuple: &FiveTuple, frame: &[u8]) {
        self.streams.messages += 1;
        match self.lane.forwarder.from_client(self.now, five_tuple, frame) {
            Verdict::ToPeer(forward) => self.lane.send_copy_to_peer(frame, &forward),
            Verdict::Pass => {
                // What the server drops, it counts.
                let _disposition = self.server.handle_input(self.now, *five_tuple, frame);
                self.drain();
            }
            Verdict::ToClient(_) | Verdict::Drop(_) => {}
        }
    }
}

impl Streams {
    /// Takes the TLS off what a client sent, if there is any, and appends the rest to `plain`.
    /// Nothing comes of bytes to a connection that closes.
    fn open(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<Progress, rustls::Error> {
        let Some(connection) = self.table.get_mut(id) else {
            return Ok(Progress::Open);
        };
        if connection.state != State::Open {
            return Ok(Progress::Open);
        }
        let Some(tls) = &mut connection.tls else {
            plain.extend_from_slice(bytes);
            return Ok(Progress::Open);
        };
        self.messages += bytes.len() / BYTES_OF_A_MESSAGE;
        let was_handshaking = tls.is_handshaking();
        let progress = tls.open(bytes, plain);
        let is_ready = was_handshaking && !tls.is_handshaking();
        let has_output = connection.has_output();
        if is_ready {
            connection.idle_since = now;
            connection.place.end_handshake();
            self.idle.push(now, id);
        }
        if has_output {
            self.mark_dirty(id);
        }
        progress
    }

    /// How many messages were cut out since the last call.
    pub(in crate::shard) fn take_messages(&mut self) -> usize {
        mem::take(&mut self.messages)
    }

    fn take_framer(&mut self, id: ConnectionId) -> Option<(FiveTuple, Framer)> {
        let connection = self.table.get_mut(id)?;
        let framer = mem::replace(&mut connection.framer, Framer::new(0));
        Some((connection.five_tuple, framer))
    }

    fn put_framer(&mut self, id: ConnectionId, framer: Framer) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.framer = framer;
        }
    }

    /// The longest frame that a client may send; `None` once its connection closes. Strangers need
    /// no more than a request, and get no more memory than one takes.
    fn frame_max(&mut self, id: ConnectionId) -> Option<usize> {
        let connection = self.table.get_mut(id)?;
        (connection.state == State::Open).then_some(if connection.has_allocation {
            FRAME_MAX
        } else {
            MESSAGE_MAX
        })
    }

    /// Notes that the receive ended, though bytes came.
    fn disarmed(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.is_armed = false;
            self.unarmed.push(id);
            self.table.remove_if_over(id);
        }
    }

    fn receive_ended(&mut self, id: ConnectionId, result: Result<(), Errno>) {
        self.disarmed(id);
        let is_asked_for = result == Err(Errno::ECANCELED)
            && self.table.get_mut(id).is_some_and(|it| it.moving.is_some());
        // Out of buffers, or disturbed: it is armed again with the next turn.
        let is_passing = matches!(result, Err(Errno::ENOBUFS | Errno::EINTR | Errno::EAGAIN));
        if result.is_ok()
            && let Some(connection) = self.table.get_mut(id)
            && !connection.parked.is_empty()
        {
            connection.has_ended = true;
        } else if !is_asked_for && !is_passing {
            self.close(id, ConnectionEnd::Client);
        }
    }

    fn written(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        bytes: Vec<u8>,
        result: Result<usize, Errno>,
    ) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        let result = match result {
            Err(Errno::EINTR | Errno::EAGAIN) => Ok(0),
            result => result,
        };
        connection.written(now, bytes, result);
        if result.is_err() {
            self.lost(id);
        } else if connection.state == State::Flushing || connection.has_output() {
            self.mark_dirty(id);
        }
        self.table.remove_if_over(id);
    }

    /// Ends a connection that cannot be written to.
    fn lost(&mut self, id: ConnectionId) {
        self.close(id, ConnectionEnd::Client);
        if let Some(connection) = self.table.get_mut(id)
            && connection.state != State::ShutDown
        {
            connection.abort();
        }
    }
}
