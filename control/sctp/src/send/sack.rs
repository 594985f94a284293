//! What a SACK says (RFC 9260 section 6.2.1), and what follows for what is lost (RFC 8985).
//!
//! A SACK is checked whole before any of it counts. Work is bounded by the gap ack blocks of a
//! packet and by what is acknowledged or found lost for the first time.

use core::time::Duration;

use turnpike_types::Timestamp;

use super::Sender;
use super::flight::{Entry, State};
use super::rack::Rack;
use crate::event::Events;
use crate::path::{Acknowledgement, Path};
use crate::wire::Sack;
use crate::{Event, Tsn};

/// The SACK acknowledges what was never sent, or contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidSack;

/// What a SACK acknowledges for the first time.
#[derive(Debug)]
struct News {
    now: Timestamp,
    min_rtt: Option<Duration>,
    acked_bytes: usize,
    rtt: Option<Duration>,
    /// Whether something counted as lost was there after all.
    has_lost: bool,
    /// Whether something sent again was there sooner than its answer could be.
    is_too_soon: bool,
}

impl News {
    fn note(&mut self, tsn: Tsn, entry: &Entry, rack: &mut Rack) {
        if entry.transmissions == 0 || entry.state == State::Acked {
            return;
        }
        self.acked_bytes += entry.len as usize + CHUNK_HEADER;
        let rtt = self.now.since(entry.sent_at);
        if entry.transmissions == 1 {
            self.rtt = Some(self.rtt.map_or(rtt, |least| least.min(rtt)));
        } else if entry.state == State::Outstanding {
            self.is_too_soon |= self.min_rtt.is_some_and(|min| rtt < min / 2);
        }
        self.has_lost |= entry.state == State::Lost;
        rack.arrived(self.now, tsn, entry, self.min_rtt);
    }
}

impl Sender {
    /// Takes a SACK. Says whether it acknowledged anything new.
    pub(crate) fn handle_sack(
        &mut self,
        now: Timestamp,
        path: &mut Path,
        sack: &Sack<'_>,
        events: &mut Events,
    ) -> Result<bool, InvalidSack> {
        let cumulative = sack.cumulative_tsn_ack;
        if !cumulative.is_at_or_after(self.flight.cumulative()) {
            // An old one, overtaken on the way.
            return Ok(false);
        }
        self.check(cumulative, sack.gap_blocks())?;
        let flight_before_bytes = self.flight.outstanding().wire;
        let news = self.acknowledge(now, path, cumulative, sack.gap_blocks(), events);
        self.peer_window_bytes = sack.a_rwnd as usize;
        let has_duplicates = sack.duplicates().len() > 0;
        if has_duplicates {
            self.rack.duplicate(cumulative, self.flight.highest());
        }
        let is_new = news.acked_bytes > 0;
        if is_new {
            self.take_news(now, path, &news, has_duplicates);
        }
        if self.flight.has_reneged() {
            self.flight.lose_all(true);
        }
        let is_in_recovery = self.recovery_end.is_some();
        self.detect_losses(now, path, events);
        if is_new {
            path.congestion.acknowledged(&Acknowledgement {
                newly_acked_bytes: news.acked_bytes,
                cumulative,
                highest_sent: self.flight.highest(),
                rtt: news.rtt,
                is_in_recovery: is_in_recovery || self.recovery_end.is_some(),
                is_cwnd_limited: is_cwnd_limited(flight_before_bytes, path),
            });
            path.update_pace();
            self.arm_after_acknowledgement(now, path);
        }
        self.advance_point(now, path);
        // Only what still is lost keeps a probe from being armed.
        self.flight.next_lost();
        Ok(is_new)
    }

    /// Takes only the cumulative TSN ack, from a SHUTDOWN (RFC 9260 section 9.2).
    pub(crate) fn handle_cumulative(
        &mut self,
        now: Timestamp,
        path: &mut Path,
        cumulative: Tsn,
        events: &mut Events,
    ) -> Result<(), InvalidSack> {
        if !cumulative.is_at_or_after(self.flight.cumulative()) {
            return Ok(());
        }
        self.check(cumulative, core::iter::empty())?;
        let news = self.acknowledge(now, path, cumulative, core::iter::empty(), events);
        if news.acked_bytes > 0 {
            self.take_news(now, path, &news, false);
            self.arm_after_acknowledgement(now, path);
        }
        self.advance_point(now, path);
        Ok(())
    }

    /// Whether the numbers can be true.
    fn check(
        &self,
        cumulative: Tsn,
        blocks: impl Iterator<Item = (u16, u16)>,
    ) -> Result<(), InvalidSack> {
        let highest = self.flight.highest();
        if highest.is_before(cumulative) {
            return Err(InvalidSack);
        }
        let most = highest.offset_from(cumulative);
        for (start, end) in blocks {
            if start == 0 || end < start || u32::from(end) > most {
                return Err(InvalidSack);
            }
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        now: Timestamp,
        path: &Path,
        cumulative: Tsn,
        blocks: impl Iterator<Item = (u16, u16)>,
        events: &mut Events,
    ) -> News {
        let mut news = News {
            now,
            min_rtt: path.rto.min_rtt(),
            acked_bytes: 0,
            rtt: None,
            has_lost: false,
            is_too_soon: false,
        };
        let Self {
            flight,
            rack,
            queue,
            ..
        } = self;
        flight.acknowledge_up_to(cumulative, |tsn, entry| {
            news.note(tsn, entry, rack);
            let message = queue.tsn_done(entry.message).filter(|m| !m.is_abandoned);
            let id = message.and_then(|message| message.id);
            events.extend(id.map(Event::MessageAcknowledged));
        });
        flight.acknowledge_gaps(blocks, |tsn, entry| news.note(tsn, entry, rack));
        news
    }

    fn take_news(&mut self, now: Timestamp, path: &mut Path, news: &News, has_duplicates: bool) {
        let cumulative = self.flight.cumulative();
        if let Some(rtt) = news.rtt {
            path.rto.measure(rtt);
        } else {
            path.rto.forget_back_off();
        }
        if let Some(timeout) = self.timeout.take()
            && (news.is_too_soon && timeout.at <= now
                || news.has_lost
                    && cumulative.is_at_or_after(timeout.first)
                    && cumulative.is_before(timeout.last))
        {
            path.congestion.timeout_was_spurious();
            self.flight.unlose_all();
        }
        if self
            .recovery_end
            .is_some_and(|end| cumulative.is_at_or_after(end))
        {
            self.recovery_end = None;
            self.has_fast_retransmit = false;
            self.rack.recovered();
        }
        if let Some((tsn, sent_at, is_resent)) = self.probe.sent
            && self.has_arrived(tsn)
        {
            self.probe.sent = None;
            let is_answer = now.since(sent_at) >= path.min_rtt();
            if is_resent && is_answer && !has_duplicates && self.recovery_end.is_none() {
                // The probe repaired a loss that nobody saw (RFC 8985 section 7.4.2).
                path.congestion.lost();
            }
        }
    }

    /// Looks for what was sent before something that has arrived, and has not.
    pub(super) fn detect_losses(&mut self, now: Timestamp, path: &mut Path, events: &mut Events) {
        let window = self.rack.window(
            path.min_rtt(),
            path.srtt(),
            self.recovery_end.is_some(),
            self.flight.gap_acked(),
        );
        let before = self.flight.lost_len();
        self.reorder_at = self.flight.detect_lost(now, &self.rack, window);
        if self.flight.lost_len() == before {
            return;
        }
        self.judge_lost(now, before, events);
        self.probe.at = None;
        if self.recovery_end.is_none() {
            self.recovery_end = Some(self.flight.highest());
            self.has_fast_retransmit = true;
            path.congestion.lost();
            path.update_pace();
        }
    }

    fn has_arrived(&self, tsn: Tsn) -> bool {
        self.flight
            .get(tsn)
            .is_none_or(|entry| entry.state == State::Acked)
    }
}

/// Whether more would have been sent if the window had been larger: in slow start, half of it
/// used is enough, because the pace spreads the rest.
fn is_cwnd_limited(flight_before_bytes: usize, path: &Path) -> bool {
    let cwnd = path.congestion.cwnd();
    if cwnd < path.congestion.ssthresh() {
        flight_before_bytes * 2 >= cwnd
    } else {
        flight_before_bytes + 4 * path.packet_size_max >= cwnd
    }
}

/// What a chunk's header weighs in the window.
const CHUNK_HEADER: usize = crate::wire::DATA_HEADER;
