//! Fills packets with DATA (RFC 9260 sections 6.1, 6.9 and 6.10): what was lost first, then what is new.
//!
//! A chunk leaves when the congestion window has room, the peer's window has room (RFC 9260 section
//! 6.1, rules A and B), and the pace allows it. What is written is a borrowed piece of the message.

use turnpike_types::Timestamp;

use super::Sender;
use super::flight::{Entry, State};
use super::queue::Fragment;
use crate::Tsn;
use crate::event::Events;
use crate::path::Path;
use crate::wire::{DATA_HEADER, Data, I_DATA_HEADER, PacketWriter};

impl Sender {
    /// Adds as many DATA chunks to the packet as may leave now.
    pub(crate) fn fill(
        &mut self,
        now: Timestamp,
        path: &mut Path,
        writer: &mut PacketWriter<'_>,
        events: &mut Events,
    ) {
        if !self.has_something_to_send() || self.paced_until(now, path).is_some() {
            return;
        }
        let before = writer.room();
        if self.flight.is_empty() {
            path.rest_if_idle(now);
        }
        self.fill_lost(now, path, writer, events);
        self.fill_new(now, path, writer, events);
        self.fill_probe(now, writer);
        if writer.room() < before {
            path.sent(now, before - writer.room());
            self.arm_after_sending(now, path);
        }
    }

    /// Whether DATA would leave now; a guess that errs towards yes.
    pub(crate) fn can_send(&self, now: Timestamp, path: &Path) -> bool {
        let has_window = self.probe.is_due
            || self.has_fast_retransmit
            || self.flight.outstanding().wire < path.congestion.cwnd();
        has_window && self.has_something_to_send() && self.paced_until(now, path).is_none()
    }

    /// Until when the pace alone keeps us from sending.
    pub(crate) fn paced_until(&self, now: Timestamp, path: &Path) -> Option<Timestamp> {
        // With nothing on its way there is nothing to keep a distance from.
        let outstanding = self.flight.outstanding().wire;
        if self.probe.is_due || outstanding == 0 || !self.has_something_to_send() {
            return None;
        }
        if outstanding >= path.congestion.cwnd() {
            return None;
        }
        path.paced_until(now)
    }

    fn has_something_to_send(&self) -> bool {
        self.probe.is_due || !self.queue.is_all_sent() || self.flight.has_lost()
    }

    fn fill_lost(
        &mut self,
        now: Timestamp,
        path: &Path,
        writer: &mut PacketWriter<'_>,
        events: &mut Events,
    ) {
        while let Some(tsn) = self.flight.next_lost() {
            // Its time may have run out since it was found lost.
            if !self.may_send_again(now, tsn) {
                self.judge(now, tsn, events);
                self.advance_point(now, path);
                continue;
            }
            let has_window = self.flight.outstanding().wire < path.congestion.cwnd();
            if !has_window && !self.has_fast_retransmit {
                return;
            }
            if !self.write_again(tsn, writer) {
                return;
            }
            self.has_fast_retransmit = false;
            if tsn == self.flight.cumulative().next() {
                self.t3_at = Some(now + path.rto.rto());
            }
            self.flight.resent(tsn, now);
        }
    }

    fn fill_new(
        &mut self,
        now: Timestamp,
        path: &Path,
        writer: &mut PacketWriter<'_>,
        events: &mut Events,
    ) {
        let header = self.data_header();
        while !self.queue.is_all_sent() && self.flight.has_room() {
            let may_exceed = self.probe.is_due && writer.is_empty();
            if self.flight.outstanding().wire >= path.congestion.cwnd() && !may_exceed {
                return;
            }
            let Some(room) = writer.room().checked_sub(header).filter(|&room| room > 0) else {
                return;
            };
            let Some(slot) = self.queue.current(now, events) else {
                return;
            };
            let Some(message) = self.queue.get(slot) else {
                return;
            };
            let rest = message.unsent_bytes();
            // A sliver at the end of a packet costs more in headers than it brings, and a message
            // that fits into a packet of its own would be lost with either of two.
            let fits_alone = message.sent_bytes == 0 && rest + header <= writer.room_if_empty();
            if rest > room && (room < SLIVER_BYTES || fits_alone) {
                return;
            }
            let Some(len_max) = self.window_room(rest.min(room)) else {
                return;
            };
            let Some(fragment) = self.queue.cut(slot, len_max, events) else {
                return;
            };
            self.write_new(now, fragment, writer);
        }
    }

    /// A probe sends new data if it can, else what was sent last (RFC 8985 section 7.3).
    fn fill_probe(&mut self, now: Timestamp, writer: &mut PacketWriter<'_>) {
        if !self.probe.is_due {
            return;
        }
        self.probe.is_due = false;
        if self.probe.sent.is_some() {
            return;
        }
        let Some(tsn) = self.flight.last_outstanding() else {
            return;
        };
        let is_new = self
            .flight
            .get(tsn)
            .is_some_and(|e| e.sent_at == now && e.transmissions == 1);
        if is_new {
            self.probe.sent = Some((tsn, now, false));
        } else if self.may_send_again(now, tsn) && self.write_again(tsn, writer) {
            self.flight.resent(tsn, now);
            self.probe.sent = Some((tsn, now, true));
        }
    }

    /// How much of `len` the peer's window takes: a fragment is cut shorter only where nothing is
    /// in flight, and one chunk may always probe a closed window.
    fn window_room(&self, len: usize) -> Option<usize> {
        let outstanding = self.flight.outstanding().payload;
        let window = self.peer_window_bytes.saturating_sub(outstanding);
        if window >= len {
            Some(len)
        } else if outstanding > 0 || self.flight.has_lost() {
            None
        } else if window == 0 {
            Some(len)
        } else {
            Some(window)
        }
    }

    fn write_new(&mut self, now: Timestamp, fragment: Fragment, writer: &mut PacketWriter<'_>) {
        let entry = Entry {
            message: fragment.message,
            offset: fragment.offset,
            len: fragment.len,
            fragment: fragment.number,
            sent_at: now,
            transmissions: 1,
            state: State::Outstanding,
            is_end: fragment.is_end,
        };
        let tsn = self.flight.push(entry);
        self.write(tsn, &entry, self.queue.is_all_sent(), writer);
    }

    fn write_again(&self, tsn: Tsn, writer: &mut PacketWriter<'_>) -> bool {
        let Some(entry) = self.flight.get(tsn) else {
            return false;
        };
        self.write(tsn, entry, self.queue.is_all_sent(), writer)
    }

    /// Writes a chunk. The last one before a pause asks for its acknowledgement at once (RFC 7053).
    fn write(
        &self,
        tsn: Tsn,
        entry: &Entry,
        is_immediate: bool,
        writer: &mut PacketWriter<'_>,
    ) -> bool {
        let Some(message) = self.queue.get(entry.message) else {
            return false;
        };
        let start = entry.offset as usize;
        let Some(payload) = message.payload.get(start..start + entry.len as usize) else {
            return false;
        };
        writer.data(&Data {
            is_interleaved: self.is_interleaved,
            tsn,
            stream: message.stream,
            message: message.number,
            fragment: entry.fragment,
            ppid: message.ppid,
            is_begin: entry.fragment == 0,
            is_end: entry.is_end,
            is_unordered: message.is_unordered,
            is_immediate,
            payload,
        })
    }

    const fn data_header(&self) -> usize {
        if self.is_interleaved {
            I_DATA_HEADER
        } else {
            DATA_HEADER
        }
    }
}

/// A message is not split for less room than this.
const SLIVER_BYTES: usize = 256;
