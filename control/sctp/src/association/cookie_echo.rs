//! COOKIE ECHO: an association comes to be, is confirmed, or starts anew (RFC 9260 sections 5.1.5,
//! 5.2.4).

use turnpike_types::Timestamp;

use super::control::OwnedCause;
use super::handshake::Agreement;
use super::negotiated::Features;
use super::{Association, State};
use crate::cookie::StateCookie;
use crate::wire::{Cause, PacketWriter};
use crate::{Discard, Event};

impl Association {
    /// Takes a COOKIE ECHO whose packet carried `verification_tag`. Whether anything that follows
    /// in the packet counts is in the answer.
    pub(super) fn handle_cookie_echo(
        &mut self,
        now: Timestamp,
        verification_tag: u32,
        bytes: &[u8],
    ) -> Result<(), Discard> {
        let cookie = StateCookie::open(bytes, &self.cookie_key).ok_or(Discard::StateCookie)?;
        let ports = (self.config.local_port, self.config.remote_port);
        if cookie.local_tag != verification_tag || cookie.ports != ports {
            return Err(Discard::StateCookie);
        }
        if self.is_over {
            return Err(Discard::OutOfTheBlue);
        }
        let is_confirmation =
            cookie.local_tag == self.local_tag && cookie.peer_tag == self.peer_tag;
        let age = now.since(cookie.created_at);
        if age > self.config.cookie_lifetime && !(self.has_peer() && is_confirmation) {
            self.reply_stale(&cookie, age - self.config.cookie_lifetime);
            return Err(Discard::StateCookie);
        }
        if self.state == State::Closed {
            self.agree(&Agreement::from(&cookie));
            self.accept(now);
            return Ok(());
        }
        self.handle_unexpected_cookie(now, &cookie)
    }

    /// Section 5.2.4, table 12.
    fn handle_unexpected_cookie(
        &mut self,
        now: Timestamp,
        cookie: &StateCookie,
    ) -> Result<(), Discard> {
        let is_local_same = cookie.local_tag == self.local_tag;
        let is_peer_same = self.has_peer() && cookie.peer_tag == self.peer_tag;
        let is_tied = self.has_peer()
            && (cookie.local_tie_tag, cookie.peer_tie_tag) == (self.local_tag, self.peer_tag);
        let is_in_handshake = matches!(self.state, State::CookieWait | State::CookieEchoed);
        if is_local_same && (is_peer_same || is_in_handshake) {
            // D, or B: the cookie says what the peer last told us.
            if is_in_handshake {
                if !is_peer_same {
                    self.agree(&Agreement::from(cookie));
                }
                self.accept(now);
            } else {
                self.control.cookie_ack = true;
            }
            return Ok(());
        }
        if !is_local_same && !is_peer_same && is_tied {
            return self.restart(now, cookie);
        }
        // C, or nothing the table knows: an old one.
        Err(Discard::StateCookie)
    }

    /// A: the peer has lost its state and comes anew.
    fn restart(&mut self, now: Timestamp, cookie: &StateCookie) -> Result<(), Discard> {
        if self.state == State::ShutdownAckSent {
            self.control.shutdown_ack = true;
            self.control.report(OwnedCause::CookieWhileShuttingDown);
            return Err(Discard::StateCookie);
        }
        self.sender.queue.clear(&mut self.events);
        self.control.clear();
        self.shutdown_timers = super::shutdown::ShutdownTimers::default();
        self.agree(&Agreement::from(cookie));
        self.state = State::Established;
        self.error_count = 0;
        self.control.cookie_ack = true;
        self.events.push_back(Event::Restarted);
        self.start_heartbeat(now);
        Ok(())
    }

    fn accept(&mut self, now: Timestamp) {
        self.become_established(now);
        self.control.init = false;
        self.control.cookie_ack = true;
    }

    fn reply_stale(&mut self, cookie: &StateCookie, late: core::time::Duration) {
        let late = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
        self.reply(cookie.peer_tag, |writer: &mut PacketWriter<'_>| {
            writer.error(&[Cause::StaleCookie(late)]);
        });
    }
}

impl From<&StateCookie> for Agreement {
    fn from(cookie: &StateCookie) -> Self {
        Self {
            local_tag: cookie.local_tag,
            peer_tag: cookie.peer_tag,
            local_initial_tsn: cookie.local_initial_tsn,
            peer_initial_tsn: cookie.peer_initial_tsn,
            peer_a_rwnd: cookie.peer_a_rwnd,
            outgoing_streams: cookie.outbound_streams,
            incoming_streams: cookie.inbound_streams,
            features: Features(cookie.features),
        }
    }
}
