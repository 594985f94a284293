//! Congestion control: how many bytes may be in flight on a path.
//!
//! Behind a trait, because what RFC 9260 describes is one answer among several. An implementation
//! only keeps a window: loss recovery finds losses, the pacer spreads packets.

use core::fmt;
use core::time::Duration;

use crate::Tsn;

/// Decides the congestion window of one path. Sizes are bytes of DATA chunks, headers included.
pub(crate) trait CongestionControl: fmt::Debug + Send {
    /// Something was acknowledged for the first time.
    fn acknowledged(&mut self, acknowledgement: &Acknowledgement);

    /// Recovery from a loss begins (RFC 9260 section 7.2.3, the first half).
    fn lost(&mut self);

    /// The retransmission timer has expired (RFC 9260 section 7.2.3, the second half).
    fn timed_out(&mut self);

    /// The last timeout was mistaken: nothing had been lost.
    fn timeout_was_spurious(&mut self);

    /// Nothing was sent for a retransmission timeout (RFC 9260 section 7.2.1).
    fn idle(&mut self);

    /// How many bytes may be in flight.
    fn cwnd(&self) -> usize;

    /// Where slow start ends; `usize::MAX` before the first loss.
    fn ssthresh(&self) -> usize;

    /// How many times faster than a window a round trip packets may leave, in eighths.
    fn pacing_gain_eighths(&self) -> u64;
}

/// What an acknowledgement says to congestion control.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledgement {
    /// Bytes acknowledged for the first time.
    pub(crate) newly_acked_bytes: usize,
    /// The cumulative TSN ack after it.
    pub(crate) cumulative: Tsn,
    /// The last TSN sent so far.
    pub(crate) highest_sent: Tsn,
    /// What it says of the round trip.
    pub(crate) rtt: Option<Duration>,
    /// Whether losses are being recovered from.
    pub(crate) is_in_recovery: bool,
    /// Whether the window alone has kept us from sending more.
    pub(crate) is_cwnd_limited: bool,
}
