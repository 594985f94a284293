//! What is in flight: a ring of TSNs from the first one that is not cumulatively acknowledged.
//!
//! A TSN is looked up by its distance from the first, so nothing here depends on how much is in
//! flight but what a chunk does when it is sent, acknowledged, lost, each once. Bounded by
//! [`SPAN_MAX`] TSNs, beyond which a peer could not name a gap.

use alloc::collections::VecDeque;
use core::time::Duration;

use turnpike_types::Timestamp;

use super::rack::Rack;
use crate::Tsn;
use crate::slab::Slot;
use crate::tsn_set::{SPAN_MAX, TsnSet};

/// The ring, and what is known of it.
#[derive(Debug)]
pub(crate) struct Flight {
    entries: VecDeque<Entry>,
    /// The TSN of the first entry, which follows the cumulative TSN ack.
    first: Tsn,
    acked: TsnSet,
    /// Every transmission, oldest first; those that a later one or an acknowledgement has
    /// overtaken are passed over.
    log: VecDeque<Transmission>,
    /// What is to be sent again, in the order it was found lost; may name what no longer is.
    lost: VecDeque<Tsn>,
    /// Chunk bytes and payload bytes on their way.
    outstanding: Bytes,
    /// Bytes of a DATA or I-DATA chunk's header.
    header_bytes: u32,
}

/// A TSN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) message: Slot,
    /// Where in the message, and how much of it.
    pub(crate) offset: u32,
    pub(crate) len: u32,
    /// Which fragment of the message.
    pub(crate) fragment: u32,
    /// When it was sent last.
    pub(crate) sent_at: Timestamp,
    /// How often it was sent.
    pub(crate) transmissions: u16,
    pub(crate) state: State,
    pub(crate) is_end: bool,
}

/// What became of a TSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// On its way.
    Outstanding,
    /// In a gap ack block.
    Acked,
    /// To be sent again.
    Lost,
    /// Never to be sent again; a FORWARD-TSN will skip it.
    Abandoned,
}

#[derive(Clone, Copy, Debug)]
struct Transmission {
    tsn: Tsn,
    number: u16,
}

/// Sizes of chunks on their way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bytes {
    /// Headers and padding included: what congestion control counts.
    pub(crate) wire: usize,
    /// What the peer's window counts.
    pub(crate) payload: usize,
}

impl Entry {
    const fn wire_bytes(&self, header_bytes: u32) -> usize {
        (header_bytes + self.len.next_multiple_of(4)) as usize
    }
}

impl Flight {
    pub(crate) fn new(initial_tsn: Tsn, header_bytes: u32) -> Self {
        Self {
            entries: VecDeque::new(),
            first: initial_tsn,
            acked: TsnSet::new(initial_tsn.previous()),
            log: VecDeque::new(),
            lost: VecDeque::new(),
            outstanding: Bytes::default(),
            header_bytes,
        }
    }

    /// Bytes of a DATA or I-DATA chunk's header.
    pub(crate) const fn header_bytes(&self) -> u32 {
        self.header_bytes
    }

    /// The peer has everything up to here.
    pub(crate) const fn cumulative(&self) -> Tsn {
        self.first.previous()
    }

    /// The TSN that the next new chunk gets.
    pub(crate) fn next_tsn(&self) -> Tsn {
        self.first.plus(self.count())
    }

    /// The last TSN that was given out.
    pub(crate) fn highest(&self) -> Tsn {
        self.next_tsn().previous()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether another TSN could still be named in a gap ack block.
    pub(crate) fn has_room(&self) -> bool {
        self.count() < SPAN_MAX
    }

    pub(crate) const fn outstanding(&self) -> Bytes {
        self.outstanding
    }

    /// How many TSNs were acknowledged in gaps.
    pub(crate) const fn gap_acked(&self) -> u32 {
        self.acked.count_beyond()
    }

    /// Bytes that the ring and its lists take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.log.capacity() * size_of::<Transmission>()
            + self.lost.capacity() * size_of::<Tsn>()
    }

    pub(crate) fn get(&self, tsn: Tsn) -> Option<&Entry> {
        self.entries.get(tsn.offset_from(self.first) as usize)
    }

    /// Gives a new chunk its TSN.
    pub(crate) fn push(&mut self, entry: Entry) -> Tsn {
        let tsn = self.next_tsn();
        self.entries.push_back(entry);
        if entry.state == State::Outstanding {
            self.count_in(&entry);
            self.log.push_back(Transmission {
                tsn,
                number: entry.transmissions,
            });
        }
        tsn
    }

    /// Whether the list of lost chunks is not empty; it may name what no longer is.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// How many the list of lost chunks names.
    pub(crate) fn lost_len(&self) -> usize {
        self.lost.len()
    }

    /// What the list of lost chunks names at an index.
    pub(crate) fn lost_at(&self, index: usize) -> Option<Tsn> {
        self.lost.get(index).copied()
    }

    /// The lost chunk to send next.
    pub(crate) fn next_lost(&mut self) -> Option<Tsn> {
        while let Some(&tsn) = self.lost.front() {
            if self.get(tsn).is_some_and(|e| e.state == State::Lost) {
                return Some(tsn);
            }
            self.lost.pop_front();
        }
        None
    }

    /// Marks a chunk as on its way once more.
    pub(crate) fn resent(&mut self, tsn: Tsn, now: Timestamp) {
        let Some(entry) = self.entry_mut(tsn) else {
            return;
        };
        let was = entry.state;
        entry.state = State::Outstanding;
        entry.sent_at = now;
        entry.transmissions = entry.transmissions.saturating_add(1);
        let entry = *entry;
        if was != State::Outstanding {
            self.count_in(&entry);
        }
        self.tidy_log();
        self.log.push_back(Transmission {
            tsn,
            number: entry.transmissions,
        });
    }

    /// Marks a chunk as one that will not be sent again.
    pub(crate) fn abandon(&mut self, tsn: Tsn) {
        let Some(entry) = self.entry_mut(tsn) else {
            return;
        };
        let was = *entry;
        entry.state = State::Abandoned;
        if was.state == State::Outstanding {
            self.count_out(&was);
        }
    }

    /// Takes everything up to `cumulative`, which is not beyond what was sent, out of the ring;
    /// `done` sees each entry as it was.
    pub(crate) fn acknowledge_up_to(&mut self, cumulative: Tsn, mut done: impl FnMut(Tsn, &Entry)) {
        while self.first.is_before(cumulative.next()) {
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            if entry.state == State::Outstanding {
                self.count_out(&entry);
            }
            done(self.first, &entry);
            self.first = self.first.next();
        }
        self.acked.advance_to(self.cumulative());
        if self.entries.is_empty() {
            self.log.clear();
            self.lost.clear();
            for_next_time(&mut self.entries);
            for_next_time(&mut self.log);
            for_next_time(&mut self.lost);
        }
    }

    /// Marks what gap ack blocks name, as offsets from the cumulative TSN ack; `newly` sees each
    /// entry that was not acknowledged before, as it was.
    pub(crate) fn acknowledge_gaps(
        &mut self,
        blocks: impl Iterator<Item = (u16, u16)>,
        mut newly: impl FnMut(Tsn, &Entry),
    ) {
        let cumulative = self.cumulative();
        let (first, header_bytes) = (self.first, self.header_bytes);
        let (entries, outstanding) = (&mut self.entries, &mut self.outstanding);
        for (start, end) in blocks {
            let (start, end) = (cumulative.plus(start.into()), cumulative.plus(end.into()));
            self.acked.insert_range(start, end, |tsn| {
                let Some(entry) = entries.get_mut(tsn.offset_from(first) as usize) else {
                    return;
                };
                newly(tsn, entry);
                if entry.state == State::Outstanding {
                    outstanding.wire -= entry.wire_bytes(header_bytes);
                    outstanding.payload -= entry.len as usize;
                }
                entry.state = State::Acked;
            });
        }
    }

    /// Whether the peer has taken back what it acknowledged in a gap: the first TSN it lacks is one
    /// it once had (RFC 9260 section 6.2.1). Then nothing it said of gaps holds any more.
    pub(crate) fn has_reneged(&self) -> bool {
        self.entries
            .front()
            .is_some_and(|entry| entry.state == State::Acked)
    }

    /// Finds everything lost that is on its way or was acknowledged in a gap that no longer counts.
    pub(crate) fn lose_all(&mut self, is_reneged: bool) {
        self.lost.clear();
        self.log.clear();
        if is_reneged {
            self.acked = TsnSet::new(self.cumulative());
        }
        for (index, entry) in (0_u32..).zip(&mut self.entries) {
            match entry.state {
                State::Acked if !is_reneged => continue,
                State::Abandoned => continue,
                State::Acked | State::Outstanding | State::Lost => {}
            }
            entry.state = State::Lost;
            self.lost.push_back(self.first.plus(index));
        }
        self.outstanding = Bytes::default();
    }

    /// Takes back that everything was lost: what has not been sent again is still on its way.
    pub(crate) fn unlose_all(&mut self) {
        self.lost.clear();
        self.log.clear();
        self.outstanding = Bytes::default();
        let header_bytes = self.header_bytes;
        for (index, entry) in (0_u32..).zip(&mut self.entries) {
            if !matches!(entry.state, State::Lost | State::Outstanding) {
                continue;
            }
            entry.state = State::Outstanding;
            self.outstanding.wire += entry.wire_bytes(header_bytes);
            self.outstanding.payload += entry.len as usize;
            self.log.push_back(Transmission {
                tsn: self.first.plus(index),
                number: entry.transmissions,
            });
        }
    }

    /// Finds lost what was sent long enough before something that has arrived (RFC 8985 section
    /// 6.2) and appends it to the lost ones. Says when to look again, if something is close to it.
    pub(crate) fn detect_lost(
        &mut self,
        now: Timestamp,
        rack: &Rack,
        window: Duration,
    ) -> Option<Timestamp> {
        while let Some(&Transmission { tsn, number }) = self.log.front() {
            let header_bytes = self.header_bytes;
            let index = tsn.offset_from(self.first) as usize;
            let live = self
                .entries
                .get_mut(index)
                .filter(|entry| entry.state == State::Outstanding && entry.transmissions == number);
            if let Some(entry) = live {
                if !rack.is_sent_before_newest(entry, tsn) {
                    return None;
                }
                let at = entry.sent_at + rack.rtt() + window;
                if at > now {
                    return Some(at);
                }
                entry.state = State::Lost;
                self.outstanding.wire -= entry.wire_bytes(header_bytes);
                self.outstanding.payload -= entry.len as usize;
                self.lost.push_back(tsn);
            }
            self.log.pop_front();
        }
        None
    }

    /// The last chunk that is on its way: what a tail-loss probe sends again.
    pub(crate) fn last_outstanding(&self) -> Option<Tsn> {
        let transmission = self.log.iter().rev().take(PROBE_SEARCH_MAX).find(|sent| {
            self.get(sent.tsn).is_some_and(|entry| {
                entry.state == State::Outstanding && entry.transmissions == sent.number
            })
        })?;
        Some(transmission.tsn)
    }

    /// The entries from the first one on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Tsn, &Entry)> {
        (0_u32..)
            .zip(&self.entries)
            .map(|(index, entry)| (self.first.plus(index), entry))
    }

    fn count(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    fn entry_mut(&mut self, tsn: Tsn) -> Option<&mut Entry> {
        self.entries.get_mut(tsn.offset_from(self.first) as usize)
    }

    const fn count_in(&mut self, entry: &Entry) {
        self.outstanding.wire += entry.wire_bytes(self.header_bytes);
        self.outstanding.payload += entry.len as usize;
    }

    const fn count_out(&mut self, entry: &Entry) {
        self.outstanding.wire -= entry.wire_bytes(self.header_bytes);
        self.outstanding.payload -= entry.len as usize;
    }

    /// Drops overtaken transmissions before they outnumber the ring; each costs its share once.
    fn tidy_log(&mut self) {
        if self.log.len() < 2 * self.entries.len() + LOG_SLACK {
            return;
        }
        let (entries, first) = (&self.entries, self.first);
        self.log.retain(|sent| {
            entries
                .get(sent.tsn.offset_from(first) as usize)
                .is_some_and(|e| e.state == State::Outstanding && e.transmissions == sent.number)
        });
    }
}

/// Gives an empty list's memory back, but for a little.
fn for_next_time<T>(list: &mut VecDeque<T>) {
    if list.capacity() > KEPT_MAX {
        *list = VecDeque::new();
    }
}

/// An empty ring keeps this many entries for next time.
const KEPT_MAX: usize = 32;
/// A probe is not worth a longer search: then the timer does it.
const PROBE_SEARCH_MAX: usize = 64;
/// How many overtaken transmissions are not worth tidying.
const LOG_SLACK: usize = 64;
