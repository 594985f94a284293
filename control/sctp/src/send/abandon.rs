//! Partial reliability (RFC 3758, RFC 7496): giving messages up, and telling the peer to skip them.
//!
//! A message is given up only when something of it was sent and is lost, or before anything of it
//! was sent, in which case the peer never hears of it.

use alloc::vec::Vec;

use turnpike_types::Timestamp;

use super::Sender;
use super::flight::{Entry, State};
use super::queue::Message;
use crate::event::Events;
use crate::path::Path;
use crate::slab::Slot;
use crate::wire::PacketWriter;
use crate::{Outgoing, Reliability, StreamId, Tsn};

/// A message that the peer shall skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Skip {
    stream: StreamId,
    is_unordered: bool,
    number: u32,
}

impl Sender {
    /// Decides what becomes of chunks found lost, from an index of the list of lost ones on.
    pub(super) fn judge_lost(&mut self, now: Timestamp, from: usize, events: &mut Events) {
        if !self.can_forward {
            return;
        }
        for index in from..self.flight.lost_len() {
            if let Some(tsn) = self.flight.lost_at(index) {
                self.judge(now, tsn, events);
            }
        }
    }

    /// Gives up a lost chunk's message when its policy says so.
    pub(super) fn judge(&mut self, now: Timestamp, tsn: Tsn, events: &mut Events) {
        let Some(entry) = self.flight.get(tsn).copied() else {
            return;
        };
        let Some(message) = self.queue.get(entry.message) else {
            self.flight.abandon(tsn);
            return;
        };
        if is_over(now, &entry, message) && !message.is_abandoned {
            self.abandon_message(now, entry.message, events);
        } else if message.is_abandoned {
            self.has_abandoned = true;
        }
        if self
            .queue
            .get(entry.message)
            .is_some_and(|m| m.is_abandoned)
        {
            self.flight.abandon(tsn);
        }
    }

    /// Whether a chunk that was sent may be sent once more.
    pub(super) fn may_send_again(&self, now: Timestamp, tsn: Tsn) -> bool {
        let Some(entry) = self.flight.get(tsn) else {
            return false;
        };
        self.queue.get(entry.message).is_some_and(|message| {
            !(message.is_abandoned || self.can_forward && is_over(now, entry, message))
        })
    }

    /// Gives up a message of which something was sent. What was never sent of it gets one TSN, so
    /// that there is one to skip even where all that was sent has arrived.
    pub(super) fn abandon_message(&mut self, now: Timestamp, slot: Slot, events: &mut Events) {
        let Some(message) = self.queue.get(slot) else {
            return;
        };
        if message.was_sent() && message.unsent_bytes() > 0 {
            let fragment = message.sent_fragments;
            self.queue.count_placeholder(slot);
            self.flight.push(Entry {
                message: slot,
                offset: 0,
                len: 0,
                fragment,
                sent_at: now,
                transmissions: 0,
                state: State::Abandoned,
                is_end: true,
            });
        }
        self.queue.abandon(slot, events);
        self.has_abandoned = true;
    }

    /// Gives up what has not been sent completely by the end of its lifetime; without FORWARD-TSN only
    /// what has not been sent at all. What is all on its way may still arrive, and is given up only
    /// when it is lost.
    pub(super) fn give_up_expired(&mut self, now: Timestamp, path: &Path, events: &mut Events) {
        while let Some(slot) = self.queue.take_expired(now) {
            let was_sent = self.queue.get(slot).is_some_and(Message::was_sent);
            if self.can_forward || !was_sent {
                self.abandon_message(now, slot, events);
                self.advance_point(now, path);
            }
        }
    }

    /// Gives up one message that is less important than a new one (RFC 7496 section 3.2).
    pub(crate) fn evict_less_important(
        &mut self,
        now: Timestamp,
        path: &Path,
        message: &Outgoing,
        events: &mut Events,
    ) -> bool {
        let Reliability::Priority(important) = message.reliability else {
            return false;
        };
        let Some(slot) = self.queue.least_important(important) else {
            return false;
        };
        let was_sent = self.queue.get(slot).is_some_and(|m| m.was_sent());
        if was_sent && !self.can_forward {
            return false;
        }
        self.abandon_message(now, slot, events);
        self.advance_point(now, path);
        true
    }

    /// Drops what is queued on a stream and gives up what was sent in part.
    pub(crate) fn purge(
        &mut self,
        now: Timestamp,
        path: &Path,
        stream: StreamId,
        events: &mut Events,
    ) {
        if let Some(partly_sent) = self.queue.purge(stream, events)
            && self.can_forward
        {
            self.abandon_message(now, partly_sent, events);
            self.advance_point(now, path);
            self.arm_after_sending(now, path);
        }
    }

    /// Moves the Advanced.Peer.Ack.Point over what was given up (RFC 3758 section 3.5, C2), and not
    /// over what has arrived in between: some receivers drop whole messages that are skipped.
    pub(super) fn advance_point(&mut self, now: Timestamp, path: &Path) {
        let cumulative = self.flight.cumulative();
        if self.advanced.is_before(cumulative) {
            self.advanced = cumulative;
        }
        if !self.has_abandoned {
            return;
        }
        let before = self.advanced;
        while let Some(entry) = self.flight.get(self.advanced.next()).copied() {
            let message = self.queue.get(entry.message);
            if entry.state == State::Acked || !message.is_some_and(|m| m.is_abandoned) {
                break;
            }
            self.advanced = self.advanced.next();
            self.flight.abandon(self.advanced);
        }
        let is_behind = cumulative.is_before(self.advanced);
        let (forwarded, forwarded_at) = self.forwarded;
        // The last one may have said only a part, or may be lost.
        let is_heard = cumulative.is_at_or_after(forwarded);
        let is_late = now.since(forwarded_at) >= path.srtt();
        self.is_forward_due |= is_behind && (before != self.advanced || is_heard || is_late);
        self.has_abandoned = is_behind || !self.flight.is_empty();
    }

    /// Whether a FORWARD-TSN wants to leave.
    pub(crate) const fn is_forward_due(&self) -> bool {
        self.is_forward_due
    }

    /// Adds a FORWARD-TSN or I-FORWARD-TSN that skips as far as one chunk can say.
    pub(crate) fn write_forward(
        &mut self,
        now: Timestamp,
        path: &Path,
        writer: &mut PacketWriter<'_>,
    ) {
        let (new_cumulative, skips) = self.skips();
        let is_written = if self.is_interleaved {
            let streams = skips.iter().map(|s| (s.stream, s.is_unordered, s.number));
            writer.i_forward_tsn(new_cumulative, streams)
        } else {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "an SSN is the low half of the number"
            )]
            let streams = skips
                .iter()
                .filter(|s| !s.is_unordered)
                .map(|s| (s.stream, s.number as u16));
            writer.forward_tsn(new_cumulative, streams)
        };
        if is_written {
            self.is_forward_due = false;
            self.forwarded = (new_cumulative, now);
            self.arm_after_sending(now, path);
        }
    }

    /// How far to skip, and the last message to skip on each stream.
    fn skips(&self) -> (Tsn, Vec<Skip>) {
        let mut skips: Vec<Skip> = Vec::new();
        let mut reached = self.flight.cumulative();
        for (tsn, entry) in self.flight.iter().take(FORWARD_SPAN_MAX) {
            if self.advanced.is_before(tsn) {
                break;
            }
            if entry.state == State::Abandoned
                && let Some(message) = self.queue.get(entry.message)
            {
                let skip = Skip {
                    stream: message.stream,
                    is_unordered: message.is_unordered,
                    number: message.number,
                };
                if skips.last() != Some(&skip) {
                    if skips.len() >= SKIPS_MAX {
                        break;
                    }
                    skips.push(skip);
                }
            }
            reached = tsn;
        }
        // The last of each stream speaks for those before it; numbers may wrap, order does not.
        let mut last: Vec<Skip> = Vec::new();
        skips.reverse();
        skips.sort_by_key(|skip| (skip.stream, skip.is_unordered));
        for skip in skips {
            let key = (skip.stream, skip.is_unordered);
            if last.last().map(|l| (l.stream, l.is_unordered)) != Some(key) {
                last.push(skip);
            }
        }
        (reached, last)
    }
}

/// Whether a message's policy allows no other transmission of this chunk.
fn is_over(now: Timestamp, entry: &Entry, message: &Message) -> bool {
    match message.reliability {
        Reliability::Reliable | Reliability::Priority(_) => false,
        Reliability::Lifetime(_) => message.is_expired(now),
        Reliability::Retransmissions(most) => entry.transmissions > most,
    }
}

/// How many TSNs one FORWARD-TSN skips.
const FORWARD_SPAN_MAX: usize = 1024;
/// How many messages: each may need an entry of 8 bytes in one packet of 512.
const SKIPS_MAX: usize = 48;
