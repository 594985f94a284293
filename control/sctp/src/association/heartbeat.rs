//! HEARTBEAT: is the peer still there while nothing is sent (RFC 9260 section 8.3).

use core::time::Duration;

use turnpike_types::{Entropy, Timestamp};

use super::{Association, State};
use crate::wire::PacketWriter;

/// When to ask next, and what was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heartbeat {
    at: Option<Timestamp>,
    /// The nonce that the answer has to bring back, and when it was sent.
    outstanding: Option<(u64, Timestamp)>,
}

impl Association {
    /// Starts asking.
    pub(super) fn start_heartbeat(&mut self, now: Timestamp) {
        self.heartbeat = Heartbeat::default();
        if !self.config.heartbeat_interval.is_zero() {
            self.heartbeat.at = Some(now + self.heartbeat_pause());
        }
    }

    pub(super) const fn heartbeat_at(&self) -> Option<Timestamp> {
        self.heartbeat.at
    }

    /// The answer is late, or it is time to ask.
    pub(super) fn handle_heartbeat_timeout(&mut self, now: Timestamp) {
        if self.heartbeat.at.is_none_or(|at| at > now) {
            return;
        }
        self.heartbeat.at = Some(now + self.heartbeat_pause());
        if self.heartbeat.outstanding.take().is_some() {
            self.path.rto.back_off();
            self.missed();
        }
        let is_quiet = now.since(self.path.last_sent_at) >= self.config.heartbeat_interval;
        if self.state == State::Established && (is_quiet || self.path.is_failed) {
            self.control.heartbeat = true;
        }
    }

    pub(super) fn write_heartbeat(&mut self, writer: &mut PacketWriter<'_>) {
        let nonce = self.random.next_u64();
        if writer.heartbeat(&nonce.to_be_bytes()) {
            self.control.heartbeat = false;
            self.heartbeat.outstanding = Some((nonce, self.now));
        }
    }

    /// Takes an answer; one that does not bring back what was asked is ignored.
    pub(super) fn handle_heartbeat_ack(&mut self, now: Timestamp, info: &[u8]) {
        let Some((nonce, sent_at)) = self.heartbeat.outstanding else {
            return;
        };
        if info != nonce.to_be_bytes() {
            return;
        }
        self.heartbeat.outstanding = None;
        self.path.rto.measure(now.since(sent_at));
        self.path.update_pace();
        self.heard();
    }

    /// Between a half and one and a half of the interval beside the RTO, so that many associations
    /// do not ask in step.
    fn heartbeat_pause(&mut self) -> Duration {
        let interval = self.config.heartbeat_interval;
        let jitter = interval / JITTER_STEPS * self.random.below(JITTER_STEPS);
        self.path.rto.rto() + interval / 2 + jitter
    }
}

/// How finely the pause is spread.
const JITTER_STEPS: u32 = 1024;
