//! The congestion control of RFC 9260 section 7.2, with slow start left after RFC 9406.

use super::congestion::{Acknowledgement, CongestionControl};
use super::hystart::{Advice, HyStart};

/// Slow start, congestion avoidance, half of the window on a loss.
///
/// DEVIATION(rfc9260-7.2.1-initial): the first window is `Config::initial_cwnd_packets`, ten unless
/// said otherwise (RFC 6928), not about four packets. The pacer spreads it.
///
/// DEVIATION(rfc9260-7.2.1-growth): slow start grows by all that was acknowledged, not by one
/// packet for each acknowledgement (RFC 9406 section 4.2 allows it where packets are paced).
#[derive(Clone, Debug)]
pub(crate) struct Rfc9260 {
    packet_bytes: usize,
    cwnd: usize,
    ssthresh: usize,
    partial_bytes_acked: usize,
    hystart: HyStart,
    /// Window and threshold before the last timeout.
    before_timeout: Option<(usize, usize)>,
}

impl Rfc9260 {
    pub(crate) const fn new(packet_bytes: usize, initial_packets: u32) -> Self {
        Self {
            packet_bytes,
            cwnd: packet_bytes.saturating_mul(initial_packets as usize),
            ssthresh: usize::MAX,
            partial_bytes_acked: 0,
            hystart: HyStart::new(),
            before_timeout: None,
        }
    }

    /// DEVIATION(rfc9260-7.2.1-exit): slow start also ends when round trips grow; see [`HyStart`].
    fn slow_start(&mut self, ack: &Acknowledgement) {
        let advice = self
            .hystart
            .acknowledged(ack.cumulative, ack.highest_sent, ack.rtt);
        match advice {
            Advice::Grow if ack.is_cwnd_limited => self.grow(ack.newly_acked_bytes),
            Advice::Grow | Advice::Hold => {}
            Advice::Leave => self.ssthresh = self.cwnd,
        }
    }

    fn congestion_avoidance(&mut self, ack: &Acknowledgement) {
        self.partial_bytes_acked = self
            .partial_bytes_acked
            .saturating_add(ack.newly_acked_bytes);
        if self.partial_bytes_acked < self.cwnd {
            return;
        }
        if ack.is_cwnd_limited {
            self.partial_bytes_acked -= self.cwnd;
            self.grow(self.packet_bytes);
        } else {
            self.partial_bytes_acked = self.cwnd;
        }
    }

    const fn grow(&mut self, bytes: usize) {
        let cwnd = self.cwnd.saturating_add(bytes);
        self.cwnd = if cwnd > CWND_MAX { CWND_MAX } else { cwnd };
    }

    fn halved(&self) -> usize {
        (self.cwnd / 2).max(4 * self.packet_bytes)
    }
}

impl CongestionControl for Rfc9260 {
    fn acknowledged(&mut self, ack: &Acknowledgement) {
        self.before_timeout = None;
        if ack.is_in_recovery {
            return;
        }
        if self.cwnd < self.ssthresh {
            self.slow_start(ack);
        } else {
            self.congestion_avoidance(ack);
        }
    }

    fn lost(&mut self) {
        self.ssthresh = self.halved();
        self.cwnd = self.ssthresh;
        self.partial_bytes_acked = 0;
    }

    fn timed_out(&mut self) {
        // A second timeout in a row must not make the first one's window forgotten.
        self.before_timeout
            .get_or_insert((self.cwnd, self.ssthresh));
        self.ssthresh = self.halved();
        self.cwnd = self.packet_bytes;
        self.partial_bytes_acked = 0;
        self.hystart = HyStart::new();
    }

    fn timeout_was_spurious(&mut self) {
        if let Some((cwnd, ssthresh)) = self.before_timeout.take() {
            self.cwnd = self.cwnd.max(cwnd);
            self.ssthresh = ssthresh;
        }
    }

    fn idle(&mut self) {
        self.cwnd = self.halved().min(self.cwnd);
    }

    fn cwnd(&self) -> usize {
        self.cwnd
    }

    fn ssthresh(&self) -> usize {
        self.ssthresh
    }

    fn pacing_gain_eighths(&self) -> u64 {
        if self.cwnd < self.ssthresh { 16 } else { 10 }
    }
}

/// No path needs more, and sums of windows stay far from overflow.
const CWND_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tsn;
    use core::time::Duration;

    const PACKET: usize = 1_200;

    fn ack(bytes: usize) -> Acknowledgement {
        Acknowledgement {
            newly_acked_bytes: bytes,
            cumulative: Tsn(1),
            highest_sent: Tsn(100),
            rtt: Some(Duration::from_millis(50)),
            is_in_recovery: false,
            is_cwnd_limited: true,
        }
    }

    #[test]
    fn slow_start_doubles_a_window_that_was_acknowledged() {
        let mut cc = Rfc9260::new(PACKET, 10);
        cc.acknowledged(&ack(12_000));
        assert_eq!(cc.cwnd(), 24_000);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut cc = Rfc9260::new(PACKET, 10);
        cc.acknowledged(&Acknowledgement {
            is_cwnd_limited: false,
            ..ack(12_000)
        });
        assert_eq!(cc.cwnd(), 12_000);
    }

    #[test]
    fn congestion_avoidance_adds_a_packet_for_each_window() {
        let mut cc = Rfc9260::new(PACKET, 20);
        cc.lost();
        assert_eq!((cc.cwnd(), cc.ssthresh()), (12_000, 12_000));
        for _ in 0..9 {
            cc.acknowledged(&ack(PACKET));
        }
        assert_eq!(cc.cwnd(), 12_000);
        cc.acknowledged(&ack(PACKET));
        assert_eq!(cc.cwnd(), 13_200);
    }

    #[test]
    fn recovery_does_not_grow_the_window() {
        let mut cc = Rfc9260::new(PACKET, 20);
        cc.lost();
        cc.acknowledged(&Acknowledgement {
            is_in_recovery: true,
            ..ack(1_000_000)
        });
        assert_eq!(cc.cwnd(), 12_000);
    }

    #[test]
    fn a_timeout_leaves_one_packet_and_a_mistaken_one_gives_the_window_back() {
        let mut cc = Rfc9260::new(PACKET, 100);
        cc.timed_out();
        cc.timed_out();
        assert_eq!(cc.cwnd(), PACKET);
        cc.timeout_was_spurious();
        assert_eq!((cc.cwnd(), cc.ssthresh()), (120_000, usize::MAX));
    }

    #[test]
    fn the_window_is_never_halved_below_four_packets() {
        let mut cc = Rfc9260::new(PACKET, 2);
        cc.lost();
        assert_eq!(cc.cwnd(), 4 * PACKET);
        cc.idle();
        assert_eq!(cc.cwnd(), 4 * PACKET);
    }
}
