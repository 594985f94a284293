//! Graceful end (RFC 9260 section 9.2): what is queued is delivered, then both sides stop.

use turnpike_types::Timestamp;

use super::{Association, State};
use crate::{CloseReason, Event, Tsn};

/// T2-shutdown and T5-shutdown-guard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShutdownTimers {
    t2_at: Option<Timestamp>,
    t5_at: Option<Timestamp>,
}

impl Association {
    /// Ends the association when everything accepted is acknowledged or given up;
    /// [`Event::Closed`] says when. Where there is none yet, it is ended once there is; where only
    /// an INIT was awaited, nothing happens.
    pub fn shutdown(&mut self, now: Timestamp) {
        let now = self.advance_clock(now);
        match self.state {
            State::CookieWait | State::CookieEchoed => {
                if let Some(handshake) = &mut self.handshake {
                    handshake.wants_shutdown = true;
                }
            }
            State::Established => {
                self.state = State::ShutdownPending;
                self.progress_shutdown(now);
            }
            _ => {}
        }
    }

    /// Takes a SHUTDOWN.
    pub(super) fn handle_shutdown(&mut self, now: Timestamp, cumulative: Tsn) {
        let is_new = match self.state {
            State::Established | State::ShutdownPending => true,
            State::ShutdownReceived => false,
            State::ShutdownSent => {
                self.send_shutdown_ack(now);
                return;
            }
            State::ShutdownAckSent => {
                self.control.shutdown_ack = true;
                return;
            }
            State::Closed | State::CookieWait | State::CookieEchoed => return,
        };
        let valid =
            self.sender
                .handle_cumulative(now, &mut self.path, cumulative, &mut self.events);
        if valid.is_ok() {
            self.heard();
        }
        if is_new {
            self.state = State::ShutdownReceived;
            self.events.push_back(Event::PeerShutdown);
        }
    }

    /// Takes a SHUTDOWN ACK.
    pub(super) fn handle_shutdown_ack(&mut self) {
        if matches!(self.state, State::ShutdownSent | State::ShutdownAckSent) {
            self.reply(self.peer_tag, |writer| {
                writer.shutdown_complete(false);
            });
            self.close(CloseReason::Shutdown);
        }
    }

    /// Takes a SHUTDOWN COMPLETE.
    pub(super) fn handle_shutdown_complete(&mut self) {
        if self.state == State::ShutdownAckSent {
            self.close(CloseReason::Shutdown);
        }
    }

    /// Goes on once nothing waits for its acknowledgement any more.
    pub(super) fn progress_shutdown(&mut self, now: Timestamp) {
        if !self.sender.is_done() {
            return;
        }
        match self.state {
            State::ShutdownPending => {
                self.state = State::ShutdownSent;
                self.control.shutdown = true;
                self.start_t2(now);
            }
            State::ShutdownReceived => self.send_shutdown_ack(now),
            _ => {}
        }
    }

    pub(super) fn shutdown_at(&self) -> Option<Timestamp> {
        let ShutdownTimers { t2_at, t5_at } = self.shutdown_timers;
        [t2_at, t5_at].into_iter().flatten().min()
    }

    pub(super) fn handle_shutdown_timeout(&mut self, now: Timestamp) {
        let ShutdownTimers { t2_at, t5_at } = self.shutdown_timers;
        if t5_at.is_some_and(|at| at <= now) {
            self.abort_as(CloseReason::ShutdownTimedOut, &[]);
        } else if t2_at.is_some_and(|at| at <= now) {
            self.path.rto.back_off();
            match self.state {
                State::ShutdownSent => self.control.shutdown = true,
                State::ShutdownAckSent => self.control.shutdown_ack = true,
                _ => {}
            }
            self.start_t2(now);
            self.missed();
        }
    }

    fn send_shutdown_ack(&mut self, now: Timestamp) {
        self.state = State::ShutdownAckSent;
        self.control.shutdown = false;
        self.control.shutdown_ack = true;
        self.start_t2(now);
    }

    pub(super) fn start_t2(&mut self, now: Timestamp) {
        self.shutdown_timers.t2_at = Some(now + self.path.rto.rto());
        let guard = now + self.config.rto.max * T5_ROUNDS;
        self.shutdown_timers.t5_at.get_or_insert(guard);
    }
}

/// RFC 9260 section 9.2: T5 is five times RTO.Max.
const T5_ROUNDS: u32 = 5;
