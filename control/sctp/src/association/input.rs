//! A datagram comes in: is it ours, and what does each chunk of it do (RFC 9260 sections 8.4, 8.5).

use turnpike_types::Timestamp;

use super::control::OwnedCause;
use super::{Association, State};
use crate::receive::Refusal;
use crate::wire::{ChecksumRule, Chunk, Data, Packet, ParseError, RawChunk, UnknownAction, kind};
use crate::{CloseReason, Discard, Event};

/// What a packet's chunks have done so far.
#[derive(Debug, Default)]
struct Effects {
    has_data: bool,
    has_heard: bool,
}

impl Association {
    /// Takes one datagram.
    ///
    /// # Errors
    ///
    /// [`Discard`] says why it was ignored. What the peer should hear of it is in the outputs.
    pub fn handle_input(&mut self, now: Timestamp, datagram: &[u8]) -> Result<(), Discard> {
        let now = self.advance_clock(now);
        let packet = Packet::parse(datagram, self.checksum_rule()).map_err(discard)?;
        let header = packet.header();
        if header.source_port != self.config.remote_port
            || header.destination_port != self.config.local_port
        {
            return Err(Discard::Ports);
        }
        let tag = header.verification_tag;
        let first = packet.chunks().next().ok_or(Discard::Malformed)?;
        let first = first.map_err(discard)?;
        match first.kind {
            kind::INIT => return self.handle_init(tag, first, packet),
            // INIT ACK has to be alone too (RFC 9260 section 6.10).
            kind::INIT_ACK if packet.chunks().nth(1).is_some() => return Err(Discard::Malformed),
            kind::COOKIE_ECHO => self.handle_cookie_echo(now, tag, first.value())?,
            _ => self.check_tag(tag, first)?,
        }
        let mut effects = Effects::default();
        for raw in packet.chunks() {
            // A chunk that lies about its length ends the packet; what came before counts.
            let Ok(raw) = raw else { break };
            if !self.handle_chunk(now, raw, &mut effects) || !self.has_peer() {
                break;
            }
        }
        self.end_of_packet(now, &effects);
        Ok(())
    }

    const fn checksum_rule(&self) -> ChecksumRule {
        // Whoever knows our tag has seen that we announced it (RFC 9653 section 5.2).
        if self.config.has_zero_checksum && self.local_tag != 0 {
            ChecksumRule::MayBeZero
        } else {
            ChecksumRule::Required
        }
    }

    /// An INIT has to be alone in its packet, with tag zero and a checksum.
    fn handle_init(
        &mut self,
        tag: u32,
        raw: RawChunk<'_>,
        packet: Packet<'_>,
    ) -> Result<(), Discard> {
        if tag != 0 {
            return Err(Discard::VerificationTag);
        }
        if packet.has_zero_checksum() || packet.chunks().nth(1).is_some() {
            return Err(Discard::Malformed);
        }
        match Chunk::parse(raw) {
            Ok(Chunk::Init(init)) => self.answer_init(&init),
            _ => Err(Discard::Malformed),
        }
    }

    /// Whether the verification tag is right for what the packet begins with (section 8.5.1).
    fn check_tag(&mut self, tag: u32, first: RawChunk<'_>) -> Result<(), Discard> {
        let is_reflected = matches!(
            Chunk::parse(first),
            Ok(Chunk::Abort {
                is_tag_reflected: true,
                ..
            } | Chunk::ShutdownComplete {
                is_tag_reflected: true
            })
        );
        let is_in_handshake = matches!(self.state, State::CookieWait | State::CookieEchoed);
        let is_stray = is_in_handshake && first.kind == kind::SHUTDOWN_ACK;
        if self.state == State::Closed || is_stray {
            return Err(self.answer_out_of_the_blue(tag, first));
        }
        let is_right = if is_reflected {
            self.has_peer() && tag == self.peer_tag
        } else {
            tag == self.local_tag
        };
        if !is_right {
            return Err(Discard::VerificationTag);
        }
        // Before there is a peer, only the answer to our INIT makes sense.
        let is_answer = matches!(first.kind, kind::INIT_ACK | kind::ABORT);
        if !self.has_peer() && !is_answer {
            return Err(Discard::OutOfTheBlue);
        }
        Ok(())
    }

    /// Does what a chunk says; `false` when nothing after it counts.
    fn handle_chunk(&mut self, now: Timestamp, raw: RawChunk<'_>, effects: &mut Effects) -> bool {
        let chunk = match Chunk::parse(raw) {
            Ok(chunk) => chunk,
            Err(ParseError::NoUserData(tsn)) => {
                self.abort_for(&crate::wire::Cause::NoUserData(tsn));
                return false;
            }
            Err(_) => return true,
        };
        match chunk {
            Chunk::Data(data) => {
                effects.has_data = true;
                return self.handle_data(&data);
            }
            Chunk::Sack(sack) => {
                let acked = self
                    .sender
                    .handle_sack(now, &mut self.path, &sack, &mut self.events);
                // A closed window that still answers is a sign of life (RFC 9260 section 6.1).
                effects.has_heard |= acked == Ok(true) || acked.is_ok() && sack.a_rwnd == 0;
            }
            Chunk::InitAck(init) => self.handle_init_ack(now, &init),
            Chunk::CookieAck => self.handle_cookie_ack(now),
            Chunk::Heartbeat(info) => self.control.answer_heartbeat(info),
            Chunk::HeartbeatAck(info) => self.handle_heartbeat_ack(now, info),
            Chunk::Abort { mut causes, .. } => {
                let code = causes.next().map_or(0, |cause| cause.code());
                self.close(CloseReason::AbortedByPeer(code));
                return false;
            }
            Chunk::Shutdown(cumulative) => self.handle_shutdown(now, cumulative),
            Chunk::ShutdownAck => self.handle_shutdown_ack(),
            Chunk::ShutdownComplete { .. } => self.handle_shutdown_complete(),
            Chunk::Error(causes) => self.handle_error(now, causes),
            Chunk::ForwardTsn(forward) => {
                if !self.is_forward_welcome(false) {
                    return false;
                }
                self.receiver.handle_forward_tsn(&forward);
            }
            Chunk::IForwardTsn(forward) => {
                if !self.is_forward_welcome(true) {
                    return false;
                }
                self.receiver.handle_i_forward_tsn(&forward);
            }
            Chunk::ReConfig(re_config) => self.handle_re_config(now, &re_config),
            Chunk::CookieEcho(_) | Chunk::Pad => {}
            // Not alone in its packet.
            Chunk::Init(_) => return false,
            Chunk::Unknown => return self.handle_unknown(raw),
        }
        true
    }

    /// Takes a fragment; `false` when it ended the association.
    fn handle_data(&mut self, data: &Data<'_>) -> bool {
        if matches!(self.state, State::ShutdownReceived | State::ShutdownAckSent) {
            // The peer has said that there is no more.
            return true;
        }
        match self.receiver.handle_data(data) {
            Ok(()) | Err(Refusal::NoRoom) => true,
            Err(Refusal::InvalidStream(stream)) => {
                self.control.report(OwnedCause::InvalidStream(stream));
                true
            }
            Err(Refusal::Violation) => {
                self.abort_for(&crate::wire::Cause::ProtocolViolation(
                    b"unexpected fragment",
                ));
                false
            }
        }
    }

    /// Whether the peer may skip, and with this kind of chunk; if not, the association ends.
    fn is_forward_welcome(&mut self, is_interleaved: bool) -> bool {
        let is_welcome = self.negotiated.is_some_and(|negotiated| {
            negotiated.has_partial_reliability && negotiated.has_interleaving == is_interleaved
        });
        if !is_welcome {
            self.abort_for(&crate::wire::Cause::ProtocolViolation(
                b"unexpected FORWARD-TSN",
            ));
        }
        is_welcome
    }

    fn handle_unknown(&mut self, raw: RawChunk<'_>) -> bool {
        let action = UnknownAction::of_chunk(raw.kind);
        if action.is_reported {
            let shown = raw.bytes.get(..ECHOED_MAX).unwrap_or(raw.bytes);
            let cause = OwnedCause::UnrecognizedChunk(shown.to_vec());
            self.control.report(cause);
        }
        !action.stops
    }

    /// What a whole packet leads to.
    fn end_of_packet(&mut self, now: Timestamp, effects: &Effects) {
        if effects.has_heard {
            self.heard();
        }
        if !self.has_peer() || self.state == State::Closed {
            return;
        }
        if effects.has_data {
            self.receiver.end_of_packet();
            if self.state == State::ShutdownSent {
                // RFC 9260 section 9.2: the peer may not know yet that we want to stop.
                self.receiver.want_sack();
                self.control.shutdown = true;
                self.start_t2(now);
            }
            self.receiver.delay_sack(now, self.config.sack_delay);
        }
        self.make_progress(now);
    }

    /// Goes on with what waited for acknowledgements.
    pub(super) fn make_progress(&mut self, now: Timestamp) {
        self.progress_reset(now);
        self.progress_shutdown(now);
        if self.wants_room && self.sender.memory_bytes() <= self.config.send_buffer_bytes / 2 {
            self.wants_room = false;
            self.events.push_back(Event::SendBufferRoom);
        }
    }
}

const fn discard(error: ParseError) -> Discard {
    match error {
        ParseError::Checksum => Discard::Checksum,
        _ => Discard::Malformed,
    }
}

/// How much of an unknown chunk is sent back.
const ECHOED_MAX: usize = 128;
