//! Setting up an association as the one who asks (RFC 9260 section 5.1), and T1-init, T1-cookie.

use alloc::vec::Vec;
use core::time::Duration;

use turnpike_types::{Entropy, Timestamp};

use super::control::OwnedCause;
use super::init::PeerInit;
use super::negotiated::{Features, Negotiated};
use super::stream_reset::StreamReset;
use super::{Association, State};
use crate::path::Path;
use crate::receive::Receiver;
use crate::wire::{Cause, Init, PacketWriter};
use crate::{CloseReason, Event, Tsn};

/// A handshake that we have begun.
#[derive(Debug)]
pub(super) struct Handshake {
    /// What the COOKIE ECHO brings back.
    pub(super) cookie: Vec<u8>,
    /// T1-init or T1-cookie.
    pub(super) t1_at: Timestamp,
    timeout: Duration,
    retransmissions: u32,
    /// Whether the caller wants a shutdown once there is an association.
    pub(super) wants_shutdown: bool,
}

/// What makes an association, from an INIT ACK or from a state cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreement {
    pub(super) local_tag: u32,
    pub(super) peer_tag: u32,
    pub(super) local_initial_tsn: Tsn,
    pub(super) peer_initial_tsn: Tsn,
    pub(super) peer_a_rwnd: u32,
    pub(super) outgoing_streams: u16,
    pub(super) incoming_streams: u16,
    pub(super) features: Features,
}

impl Association {
    /// Asks the peer for an association by INIT. The peer may do the same at the same time. Does
    /// nothing where there is one, or was one.
    pub fn connect(&mut self, now: Timestamp) {
        let now = self.advance_clock(now);
        if self.state != State::Closed || self.is_over {
            return;
        }
        self.local_tag = self.random.nonzero_u32();
        self.local_initial_tsn = Tsn(self.random.nonzero_u32());
        self.state = State::CookieWait;
        self.control.init = true;
        self.start_t1(now);
    }

    /// Takes an INIT ACK. In other states it is an old one.
    pub(super) fn handle_init_ack(&mut self, now: Timestamp, init: &Init<'_>) {
        if self.state != State::CookieWait {
            return;
        }
        let fields = init.fields;
        let peer = match PeerInit::read(init) {
            Ok(peer) => peer,
            Err(cause) => return self.refuse_init_ack(fields.initiate_tag, &cause),
        };
        let Some(cookie) = peer.cookie else {
            let missing = Cause::MissingParameter(crate::wire::parameter::STATE_COOKIE);
            return self.refuse_init_ack(fields.initiate_tag, &missing);
        };
        let cookie = cookie.to_vec();
        if !peer.unrecognized.is_empty() {
            let padded = peer.unrecognized.iter().flat_map(|bytes| {
                let padding = bytes.len().next_multiple_of(4) - bytes.len();
                bytes
                    .iter()
                    .copied()
                    .chain(core::iter::repeat_n(0, padding))
            });
            let cause = OwnedCause::UnrecognizedParameters(padded.collect());
            self.control.report(cause);
        }
        self.agree(&Agreement {
            local_tag: self.local_tag,
            peer_tag: fields.initiate_tag,
            local_initial_tsn: self.local_initial_tsn,
            peer_initial_tsn: fields.initial_tsn,
            peer_a_rwnd: fields.a_rwnd,
            outgoing_streams: self.config.streams_max.min(fields.inbound_streams),
            incoming_streams: self.config.streams_max.min(fields.outbound_streams),
            features: Features::of_config(&self.config).and(peer.features),
        });
        self.state = State::CookieEchoed;
        self.control.init = false;
        self.control.cookie_echo = true;
        self.start_t1(now);
        if let Some(handshake) = &mut self.handshake {
            handshake.cookie = cookie;
        }
    }

    /// Takes a COOKIE ACK.
    pub(super) fn handle_cookie_ack(&mut self, now: Timestamp) {
        if self.state == State::CookieEchoed {
            self.become_established(now);
        }
    }

    /// T1 has expired: the INIT or COOKIE ECHO is sent again, or the handshake given up.
    pub(super) fn t1_expired(&mut self, now: Timestamp) {
        let most = self.config.init_retransmissions_max;
        let longest = self.config.rto.max;
        let Some(handshake) = &mut self.handshake else {
            return;
        };
        if handshake.retransmissions >= most {
            self.close(CloseReason::HandshakeTimedOut);
            return;
        }
        handshake.retransmissions += 1;
        handshake.timeout = (handshake.timeout * 2).min(longest);
        handshake.t1_at = now + handshake.timeout;
        match self.state {
            State::CookieWait => self.control.init = true,
            State::CookieEchoed => self.control.cookie_echo = true,
            _ => {}
        }
    }

    /// Begins again with an INIT, because the cookie was stale (RFC 9260 section 5.2.6).
    pub(super) fn start_again(&mut self, now: Timestamp) {
        if self.state != State::CookieEchoed {
            return;
        }
        let is_worn_out = self
            .handshake
            .as_ref()
            .is_none_or(|h| h.retransmissions >= self.config.init_retransmissions_max);
        if is_worn_out {
            self.close(CloseReason::HandshakeTimedOut);
            return;
        }
        self.state = State::CookieWait;
        self.negotiated = None;
        self.control.cookie_echo = false;
        self.control.init = true;
        self.start_t1(now);
    }

    /// Takes up what makes the association. What was queued stays queued.
    pub(super) fn agree(&mut self, agreement: &Agreement) {
        let features = agreement.features;
        self.local_tag = agreement.local_tag;
        self.peer_tag = agreement.peer_tag;
        self.local_initial_tsn = agreement.local_initial_tsn;
        self.path = Path::new(&self.config);
        self.stream_reset =
            StreamReset::new(agreement.local_initial_tsn, agreement.peer_initial_tsn);
        self.receiver = Receiver::new(
            &self.config,
            agreement.peer_initial_tsn,
            agreement.incoming_streams,
            features.has_interleaving(),
        );
        self.sender.establish(
            agreement.local_initial_tsn,
            agreement.peer_a_rwnd,
            features.has_interleaving(),
            features.has_partial_reliability(),
        );
        self.sender
            .queue
            .drop_streams_from(agreement.outgoing_streams, &mut self.events);
        self.negotiated = Some(Negotiated {
            outgoing_streams: agreement.outgoing_streams,
            incoming_streams: agreement.incoming_streams,
            has_partial_reliability: features.has_partial_reliability(),
            has_interleaving: features.has_interleaving(),
            has_stream_reset: features.has_stream_reset(),
            has_zero_checksum: features.has_zero_checksum(),
        });
    }

    /// The handshake is over.
    pub(super) fn become_established(&mut self, now: Timestamp) {
        let handshake = self.handshake.take();
        self.state = State::Established;
        self.control.cookie_echo = false;
        self.error_count = 0;
        self.events.push_back(Event::Connected);
        self.start_heartbeat(now);
        if handshake.is_some_and(|handshake| handshake.wants_shutdown) {
            self.shutdown(now);
        }
    }

    /// Ends the attempt because of what an INIT ACK says.
    fn refuse_init_ack(&mut self, peer_tag: u32, cause: &Cause<'_>) {
        self.reply(peer_tag, |writer: &mut PacketWriter<'_>| {
            writer.abort(false, core::slice::from_ref(cause));
        });
        self.close(CloseReason::ProtocolViolation);
    }

    fn start_t1(&mut self, now: Timestamp) {
        let timeout = self.config.rto.initial;
        let before = self.handshake.take();
        self.handshake = Some(Handshake {
            cookie: Vec::new(),
            t1_at: now + timeout,
            timeout,
            retransmissions: before.as_ref().map_or(0, |h| h.retransmissions),
            wants_shutdown: before.is_some_and(|h| h.wants_shutdown),
        });
    }

    /// A tag and a TSN for an association that may come to be.
    pub(super) fn draw_identity(&mut self) -> (u32, Tsn) {
        let tag = self.random.nonzero_u32();
        let [.., a, b, c, d] = self.random.next_u64().to_be_bytes();
        (tag, Tsn(u32::from_be_bytes([a, b, c, d])))
    }
}
