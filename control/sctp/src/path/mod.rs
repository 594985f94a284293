//! One way to the peer: its round trip, its congestion window, its pace, its signs of life.
//!
//! There is one path as yet; what belongs to a path is kept here so that there can be more.

mod congestion;
mod hystart;
mod pacer;
mod rfc9260;
mod rto;

use alloc::boxed::Box;
use core::time::Duration;

use turnpike_types::Timestamp;

pub(crate) use congestion::{Acknowledgement, CongestionControl};
use pacer::{Pace, Pacer};
use rfc9260::Rfc9260;
pub(crate) use rto::Rto;

use crate::{Config, PathId};

/// A path.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) id: PathId,
    /// The largest packet, in bytes.
    pub(crate) packet_size_max: usize,
    pub(crate) rto: Rto,
    pub(crate) congestion: Box<dyn CongestionControl>,
    pacer: Pacer,
    pace: Option<Pace>,
    /// Signs of life missed in a row (RFC 9260 section 8.2).
    pub(crate) error_count: u32,
    pub(crate) is_failed: bool,
    /// When DATA was last sent.
    pub(crate) last_sent_at: Timestamp,
}

impl Path {
    pub(crate) fn new(config: &Config) -> Self {
        // The writer rounds down to whole words.
        let packet_size_max = config.packet_size_max - config.packet_size_max % 4;
        Self {
            id: PathId(0),
            packet_size_max,
            rto: Rto::new(config.rto),
            congestion: Box::new(Rfc9260::new(packet_size_max, config.initial_cwnd_packets)),
            pacer: Pacer::default(),
            pace: None,
            error_count: 0,
            is_failed: false,
            last_sent_at: Timestamp::ZERO,
        }
    }

    /// The smallest round trip, or a guess.
    pub(crate) fn min_rtt(&self) -> Duration {
        self.rto.min_rtt().unwrap_or_else(|| self.rto.rto())
    }

    /// The smoothed round trip, or a guess.
    pub(crate) fn srtt(&self) -> Duration {
        self.rto.srtt().unwrap_or_else(|| self.rto.rto())
    }

    /// Takes up a new window or round trip.
    pub(crate) fn update_pace(&mut self) {
        self.pace = self.rto.srtt().map(|srtt| {
            let gain = self.congestion.pacing_gain_eighths();
            Pace::new(self.congestion.cwnd(), srtt, gain)
        });
    }

    /// When the pace lets the next packet leave; `None` is now.
    pub(crate) fn paced_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.pacer.blocked_until(now, self.pace?)
    }

    /// Charges a packet with DATA to the pace.
    pub(crate) fn sent(&mut self, now: Timestamp, bytes: usize) {
        self.last_sent_at = now;
        if let Some(pace) = self.pace {
            self.pacer.sent(now, bytes, pace);
        }
    }

    /// Gives up the window of a path that has been silent (RFC 9260 section 7.2.1).
    pub(crate) fn rest_if_idle(&mut self, now: Timestamp) {
        if now.since(self.last_sent_at) > self.rto.rto() && self.last_sent_at != Timestamp::ZERO {
            self.congestion.idle();
            self.last_sent_at = now;
            self.update_pace();
        }
    }
}
