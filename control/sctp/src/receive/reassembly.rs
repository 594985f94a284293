//! Fragments become messages, messages come into order (RFC 9260 section 6.5 to 6.9, RFC 8260).
//!
//! DATA and I-DATA differ only in how a fragment is numbered: by TSN over the whole association, or
//! by FSN within a message. Either way a fragment has a [`Place`], and a message is a [`Run`] of
//! places from its first fragment on. Fragments that come too early lie loose until the run reaches
//! them, so each is moved at most once, whatever the order.
//!
//! Bounded by what the caller admits; every fragment, run and message is charged with its overhead.

use alloc::collections::VecDeque;
use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::vec::Vec;

use bytes::Bytes;

use super::place::{Place, number_of, unwrap};
use super::ready::Ready;
use crate::stream_map::StreamMap;
use crate::wire::Data;
use crate::{Event, Incoming, Ppid, StreamId, Tsn};

/// What has arrived and is not with the application.
#[derive(Debug)]
pub(crate) struct Reassembly {
    is_interleaved: bool,
    /// Messages whose first fragment is there, by the place of that fragment.
    runs: BTreeMap<Place, Run>,
    loose: BTreeMap<Place, Loose>,
    /// Whole ordered messages that wait for an earlier one, by stream and number.
    early: BTreeMap<(StreamId, u64), Incoming>,
    /// The number of the next ordered message of each stream, from [`NUMBERS_BEGIN`] on and not cut
    /// to the wire's 16 or 32 bits, where that is not the first.
    next: StreamMap<u64>,
    /// For the application, in order.
    ready: Ready,
    /// How many the application has taken.
    taken: u64,
    /// Resets to be told, each with the number of messages that came before it.
    resets: VecDeque<(u64, Event)>,
    /// Where to go on with looking for runs to hand on, and for loose fragments to drop.
    squeezed_to: (Place, Place),
    charged_bytes: usize,
    partial_delivery_bytes: usize,
    /// The TSN of the last fragment, counted on beyond 32 bits.
    last_tsn: u64,
    /// How long the last message of several fragments was: the next may be as long.
    usual_bytes: usize,
}

/// The beginning of a message, as far as it is contiguous.
#[derive(Debug)]
struct Run {
    payload: Vec<u8>,
    /// The fragment that continues it.
    next: u64,
    head: Head,
    /// Whether the application has some of it.
    is_begun: bool,
}

/// What the first fragment says of its message.
#[derive(Clone, Copy, Debug)]
struct Head {
    stream: StreamId,
    ppid: Ppid,
    number: u32,
    is_unordered: bool,
}

/// A fragment that nothing reaches yet.
#[derive(Debug)]
struct Loose {
    tsn: Tsn,
    payload: Bytes,
    is_end: bool,
}

impl Reassembly {
    pub(crate) fn new(
        initial_tsn: Tsn,
        is_interleaved: bool,
        partial_delivery_bytes: usize,
    ) -> Self {
        Self {
            is_interleaved,
            runs: BTreeMap::new(),
            loose: BTreeMap::new(),
            early: BTreeMap::new(),
            next: StreamMap::default(),
            ready: Ready::default(),
            taken: 0,
            resets: VecDeque::new(),
            squeezed_to: (Place::FIRST, Place::FIRST),
            charged_bytes: 0,
            partial_delivery_bytes,
            last_tsn: number_of(initial_tsn),
            usual_bytes: 0,
        }
    }

    /// Memory of all that is here.
    pub(crate) const fn charged_bytes(&self) -> usize {
        self.charged_bytes
    }

    /// What a fragment of this size is charged at most when it arrives.
    pub(crate) const fn cost(payload_bytes: usize) -> usize {
        payload_bytes + OVERHEAD
    }

    /// Whether the application could take something.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Hands over what is next; nothing while a reset has to be told first.
    pub(crate) fn take(&mut self) -> Option<Incoming> {
        if self.is_reset_due() {
            return None;
        }
        let incoming = self.ready.pop()?;
        self.taken += 1;
        self.charged_bytes -= Self::cost(incoming.payload.len());
        Some(incoming)
    }

    /// The reset that falls just here: the application has all that came before, and nothing of
    /// what came after.
    pub(crate) fn take_reset(&mut self) -> Option<Event> {
        if self.is_reset_due() {
            self.resets.pop_front().map(|(_, event)| event)
        } else {
            None
        }
    }

    /// Whether one more reset may wait to be told.
    pub(crate) fn has_room_for_reset(&self) -> bool {
        self.resets.len() < RESETS_MAX
    }

    /// Starts incoming streams' numbers anew (RFC 6525 section 5.2.2).
    pub(crate) fn reset_streams(&mut self, streams: Vec<StreamId>) {
        for &stream in &streams {
            self.reset_stream(stream);
        }
        if streams.is_empty() {
            self.reset_all_streams();
        }
        self.tell_reset(Event::IncomingStreamsReset(streams));
    }

    /// Starts everything anew, TSNs with `next` (RFC 6525 section 5.2.4).
    pub(crate) fn restart(&mut self, next: Tsn) {
        self.reset_all_streams();
        self.drop_fragments((Place::FIRST, Place::LAST));
        self.last_tsn = number_of(next);
        self.tell_reset(Event::AssociationReset);
    }

    fn tell_reset(&mut self, event: Event) {
        let place = self.taken + self.ready.len() as u64;
        self.resets.push_back((place, event));
    }

    fn is_reset_due(&self) -> bool {
        self.resets.front().is_some_and(|(at, _)| *at <= self.taken)
    }

    /// Takes a fragment whose TSN is new. `spare_bytes` is what may be set aside for the rest of its
    /// message. `false` where it contradicts what is here: its sender breaks the protocol.
    pub(crate) fn insert(&mut self, data: &Data<'_>, spare_bytes: usize) -> bool {
        let head = Head {
            stream: data.stream,
            ppid: data.ppid,
            number: data.message,
            is_unordered: data.is_unordered,
        };
        if data.is_begin && data.is_end {
            self.charged_bytes += Self::cost(data.payload.len());
            self.complete(head, Bytes::copy_from_slice(data.payload), true);
            return true;
        }
        let place = self.place(data);
        self.last_tsn = self.unwrap_tsn(data.tsn);
        if data.is_begin {
            return self.begin(place, head, data.payload, spare_bytes);
        }
        if self.append(place, data.payload, data.is_end, spare_bytes) {
            return true;
        }
        self.charged_bytes += Self::cost(data.payload.len());
        let loose = Loose {
            tsn: data.tsn,
            payload: Bytes::copy_from_slice(data.payload),
            is_end: data.is_end,
        };
        if let Some(old) = self.loose.insert(place, loose) {
            self.charged_bytes -= Self::cost(old.payload.len());
            return false;
        }
        true
    }

    /// Drops what a FORWARD-TSN skips: unfinished messages with TSNs up to `cumulative`.
    pub(crate) fn skip_up_to(&mut self, cumulative: Tsn) {
        if self.is_interleaved {
            return;
        }
        let end = Place {
            fragment: self.unwrap_tsn(cumulative) + 1,
            ..Place::FIRST
        };
        let kept = self.runs.split_off(&end);
        let runs = core::mem::replace(&mut self.runs, kept);
        for (place, run) in runs {
            self.drop_run(place, run);
        }
        let kept = self.loose.split_off(&end);
        let loose = core::mem::replace(&mut self.loose, kept);
        for fragment in loose.into_values() {
            self.charged_bytes -= Self::cost(fragment.payload.len());
        }
    }

    /// Skips the messages of a stream up to number `last`, and hands on what waited behind them.
    pub(crate) fn skip_messages(&mut self, stream: StreamId, is_unordered: bool, last: u32) {
        if self.is_interleaved {
            self.drop_fragments_of(stream, is_unordered, last);
        }
        if is_unordered {
            return;
        }
        let next = self.unwrap_number(stream, last) + 1;
        if next <= self.next_of(stream) {
            return;
        }
        // What is whole is handed on, in order, although others before it are missing.
        while let Some(entry) = self.early.range((stream, 0)..(stream, next)).next() {
            let key = *entry.0;
            if let Some(message) = self.early.remove(&key) {
                self.ready.push(message);
            }
        }
        self.next.insert(stream, next);
        self.hand_on_early(stream);
    }

    /// What was whole is handed on, what was not is gone.
    fn reset_stream(&mut self, stream: StreamId) {
        while let Some(entry) = self.early.range((stream, 0)..=(stream, u64::MAX)).next() {
            let key = *entry.0;
            if let Some(message) = self.early.remove(&key) {
                self.ready.push(message);
            }
        }
        if let Some(place) = self.ready.partial_of(stream)
            && let Some(run) = self.runs.remove(&place)
        {
            self.drop_run(place, run);
        }
        self.next.remove(&stream);
        if self.is_interleaved {
            for is_unordered in [false, true] {
                self.drop_fragments(Place::range_of(stream, is_unordered, 0, u32::MAX));
            }
        }
    }

    fn reset_all_streams(&mut self) {
        let early = core::mem::take(&mut self.early);
        for message in early.into_values() {
            self.ready.push(message);
        }
        self.next.clear();
        if self.is_interleaved {
            self.drop_fragments((Place::FIRST, Place::LAST));
        }
    }

    fn begin(&mut self, place: Place, head: Head, payload: &[u8], spare_bytes: usize) -> bool {
        if self.runs.contains_key(&place) {
            return false;
        }
        let reserve = self.usual_bytes.min(spare_bytes / 4).max(payload.len());
        let mut run = Run {
            payload: Vec::with_capacity(reserve),
            next: place.fragment + 1,
            head,
            is_begun: false,
        };
        run.payload.extend_from_slice(payload);
        self.charged_bytes += run.payload.capacity() + OVERHEAD;
        self.runs.insert(place, run);
        if !self.loose.is_empty() {
            self.draw_loose(place, spare_bytes);
        }
        true
    }

    /// Continues a run, if there is one that ends just before `place`.
    fn append(&mut self, place: Place, payload: &[u8], is_end: bool, spare_bytes: usize) -> bool {
        let Some((&start, run)) = self.runs.range_mut(..=place).next_back() else {
            return false;
        };
        if !start.is_same_message(place) || run.next != place.fragment {
            return false;
        }
        self.charged_bytes += run.extend(payload, spare_bytes);
        let is_long = run.payload.len() > self.partial_delivery_bytes;
        if is_end {
            self.finish(start);
        } else {
            if !self.loose.is_empty() {
                self.draw_loose(start, spare_bytes);
            }
            if is_long {
                self.deliver_part(start);
            }
        }
        true
    }

    /// Moves loose fragments to the run that has reached them.
    fn draw_loose(&mut self, start: Place, spare_bytes: usize) {
        while let Some(run) = self.runs.get_mut(&start) {
            let place = Place {
                fragment: run.next,
                ..start
            };
            let Some(fragment) = self.loose.remove(&place) else {
                return;
            };
            self.charged_bytes -= Self::cost(fragment.payload.len());
            self.charged_bytes += run.extend(&fragment.payload, spare_bytes);
            if fragment.is_end {
                self.finish(start);
                return;
            }
        }
    }

    /// The last fragment of a run is there.
    fn finish(&mut self, start: Place) {
        let Some(run) = self.runs.remove(&start) else {
            return;
        };
        self.charged_bytes -= run.payload.capacity() + OVERHEAD;
        self.usual_bytes = run.payload.len().min(USUAL_MAX);
        let payload = Bytes::from(run.payload);
        self.charged_bytes += Self::cost(payload.len());
        self.complete(run.head, payload, !run.is_begun);
    }

    /// A message, or the last part of one, is whole: hands it on when it is its turn.
    fn complete(&mut self, head: Head, payload: Bytes, is_begin: bool) {
        let incoming = Incoming {
            stream: head.stream,
            ppid: head.ppid,
            payload,
            is_unordered: head.is_unordered,
            is_begin,
            is_end: true,
        };
        if head.is_unordered {
            self.ready.push(incoming);
            return;
        }
        let number = self.unwrap_number(head.stream, head.number);
        let next = self.next_of(head.stream);
        if number == next {
            self.ready.push(incoming);
            self.next.insert(head.stream, next + 1);
            if !self.early.is_empty() {
                self.hand_on_early(head.stream);
            }
            return;
        }
        // One that was skipped or is there already is of no use; the first of two stays.
        if number >= next
            && let Entry::Vacant(place) = self.early.entry((head.stream, number))
        {
            place.insert(incoming);
        } else {
            self.charged_bytes -= Self::cost(incoming.payload.len());
        }
    }

    fn hand_on_early(&mut self, stream: StreamId) {
        let mut next = self.next_of(stream);
        while let Some(message) = self.early.remove(&(stream, next)) {
            self.ready.push(message);
            next += 1;
        }
        self.next.insert(stream, next);
    }

    /// Whether a fragment begins a message or continues one; all before it has come or was skipped.
    /// If not, nothing ever will: a message's fragments have ascending TSNs.
    pub(crate) fn can_use(&self, data: &Data<'_>) -> bool {
        let place = self.place(data);
        let run = self.runs.range(..=place).next_back();
        let is_next = |(start, run): (&Place, &Run)| {
            start.is_same_message(place) && run.next == place.fragment
        };
        data.is_begin || run.is_some_and(is_next)
    }

    /// Hands on what there is of messages and drops what nothing will reach, because there is no room
    /// left. Looks at some of what is here, and the next time at what follows.
    pub(crate) fn squeeze(&mut self, cumulative: Tsn) {
        let (run, loose) = self.squeezed_to;
        let (starts, next_run) = some_from(&self.runs, run);
        let (places, next_loose) = some_from(&self.loose, loose);
        self.squeezed_to = (next_run, next_loose);
        for start in starts {
            self.deliver_part(start);
        }
        for place in places {
            if let Entry::Occupied(entry) = self.loose.entry(place)
                && cumulative.is_at_or_after(entry.get().tsn)
            {
                self.charged_bytes -= Self::cost(entry.remove().payload.len());
            }
        }
    }

    /// Drops what will never be whole.
    pub(crate) fn close(&mut self) {
        self.runs.clear();
        self.loose.clear();
        self.early.clear();
        self.charged_bytes = self.ready.close().map(Self::cost).sum();
    }

    /// Hands on what there is of a message that is too long to wait for; one at a time on a stream.
    fn deliver_part(&mut self, start: Place) {
        let Some(run) = self.runs.get(&start) else {
            return;
        };
        let head = run.head;
        let is_turn = head.is_unordered
            || self.unwrap_number(head.stream, head.number) == self.next_of(head.stream);
        let partial = self.ready.partial_of(head.stream);
        if !is_turn || run.payload.is_empty() || partial.is_some_and(|place| place != start) {
            return;
        }
        let Some(run) = self.runs.get_mut(&start) else {
            return;
        };
        self.charged_bytes -= run.payload.capacity();
        let payload = Bytes::from(core::mem::take(&mut run.payload));
        self.charged_bytes += Self::cost(payload.len());
        let part = Incoming {
            stream: head.stream,
            ppid: head.ppid,
            payload,
            is_unordered: head.is_unordered,
            is_begin: !run.is_begun,
            is_end: false,
        };
        run.is_begun = true;
        self.ready.push_part(start, part);
    }

    fn drop_fragments_of(&mut self, stream: StreamId, is_unordered: bool, last: u32) {
        // Serial order of 32-bit numbers: what is up to half the range before `last` is skipped.
        let first = last.wrapping_sub(u32::MAX / 2);
        if first <= last {
            self.drop_fragments(Place::range_of(stream, is_unordered, first, last));
        } else {
            self.drop_fragments(Place::range_of(stream, is_unordered, first, u32::MAX));
            self.drop_fragments(Place::range_of(stream, is_unordered, 0, last));
        }
    }

    fn drop_fragments(&mut self, (from, to): (Place, Place)) {
        while let Some((&place, _)) = self.runs.range(from..=to).next() {
            if let Some(run) = self.runs.remove(&place) {
                self.drop_run(place, run);
            }
        }
        while let Some((&place, _)) = self.loose.range(from..=to).next() {
            if let Some(loose) = self.loose.remove(&place) {
                self.charged_bytes -= Self::cost(loose.payload.len());
            }
        }
    }

    fn drop_run(&mut self, place: Place, run: Run) {
        self.charged_bytes -= run.payload.capacity() + OVERHEAD;
        if self.ready.partial_of(run.head.stream) == Some(place) {
            // The application has the beginning and must hear that there is no more.
            self.charged_bytes += Self::cost(0);
            self.ready.push(Incoming {
                stream: run.head.stream,
                ppid: run.head.ppid,
                payload: Bytes::new(),
                is_unordered: run.head.is_unordered,
                is_begin: false,
                is_end: true,
            });
        }
    }

    fn place(&self, data: &Data<'_>) -> Place {
        if self.is_interleaved {
            return Place {
                stream: data.stream,
                is_unordered: data.is_unordered,
                message: data.message,
                fragment: data.fragment.into(),
            };
        }
        Place {
            fragment: self.unwrap_tsn(data.tsn),
            ..Place::FIRST
        }
    }

    /// Counts a TSN on beyond 32 bits, from the last one.
    fn unwrap_tsn(&self, tsn: Tsn) -> u64 {
        unwrap(self.last_tsn, tsn.0)
    }

    /// Counts an ordered message's number on beyond the wire's bits, from the next one.
    fn unwrap_number(&self, stream: StreamId, number: u32) -> u64 {
        let next = self.next_of(stream);
        if self.is_interleaved {
            return unwrap(next, number);
        }
        #[expect(clippy::cast_possible_truncation, reason = "SSNs have 16 bits")]
        let ahead = (number as u16).wrapping_sub(next as u16).cast_signed();
        next.saturating_add_signed(ahead.into())
    }

    fn next_of(&self, stream: StreamId) -> u64 {
        self.next.get(&stream).copied().unwrap_or(NUMBERS_BEGIN)
    }
}

/// The next places from one on, and where to go on after them.
fn some_from<T>(map: &BTreeMap<Place, T>, from: Place) -> (Vec<Place>, Place) {
    let places = map.range(from..).map(|(place, _)| *place);
    let mut some: Vec<Place> = places.take(SQUEEZED_AT_ONCE + 1).collect();
    let next = if some.len() > SQUEEZED_AT_ONCE {
        some.pop().unwrap_or(Place::FIRST)
    } else {
        Place::FIRST
    };
    (some, next)
}

impl Run {
    /// Adds a fragment and says by how much the run's memory has grown: to the double while there
    /// is room for that.
    fn extend(&mut self, payload: &[u8], spare_bytes: usize) -> usize {
        let before = self.payload.capacity();
        if before - self.payload.len() < payload.len() {
            let growth = before.min(spare_bytes / 2).max(payload.len());
            self.payload.reserve_exact(growth);
        }
        self.payload.extend_from_slice(payload);
        self.next += 1;
        self.payload.capacity() - before
    }
}

/// Message number zero: far enough from zero that one before it has a number too.
const NUMBERS_BEGIN: u64 = 1 << 32;
/// What a fragment or message costs beside its payload: its entry in a tree or queue, and what the
/// allocator keeps.
const OVERHEAD: usize = size_of::<Incoming>() + size_of::<Place>() + 32;
/// No more is set aside for a message that has only begun.
const USUAL_MAX: usize = 64 * 1024;
/// How many runs and loose fragments are looked at for want of room, each time a fragment comes.
const SQUEEZED_AT_ONCE: usize = 256;
/// Resets that wait for the application; the peer has to ask again for more.
const RESETS_MAX: usize = 16;
