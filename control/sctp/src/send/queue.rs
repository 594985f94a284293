//! What was accepted and is not acknowledged: messages, their streams, and whose turn it is.
//!
//! A message stays in the table until its last fragment is cumulatively acknowledged or given up,
//! because it may have to be sent again. Bounded by `Config::send_buffer_bytes`, in which every
//! message counts its payload and [`MESSAGE_OVERHEAD`].

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;
use turnpike_types::Timestamp;

use super::scheduler::{Scheduler, Wish};
use super::stream::{OutgoingStream, WEIGHT};
use crate::event::Events;
use crate::slab::{Slab, Slot};
use crate::stream_map::StreamMap;
use crate::{Event, MessageId, Outgoing, Ppid, Reliability, Scheduling, StreamId};

/// Messages and streams of the sending side.
#[derive(Debug)]
pub(crate) struct SendQueue {
    pub(super) messages: Slab<Message>,
    pub(super) streams: StreamMap<OutgoingStream>,
    scheduler: Scheduler,
    /// Whether a turn is a fragment (RFC 8260) or a message.
    is_interleaved: bool,
    /// Bytes not sent for the first time.
    unsent_bytes: usize,
    /// Payload and bookkeeping of all messages.
    charged_bytes: usize,
    arrivals: u64,
    highest_stream: u16,
    /// Streams that wait for their reset and have nothing on its way.
    settled: VecDeque<StreamId>,
    /// Messages with a priority, by it and by arrival.
    priorities: BTreeMap<(u32, u64), Slot>,
    /// Messages with a lifetime that are not sent completely, by its end and by arrival.
    expiries: BTreeMap<(Timestamp, u64), Slot>,
}

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Message {
    /// Empty once the message was given up.
    pub(crate) payload: Bytes,
    pub(crate) stream: StreamId,
    pub(crate) ppid: Ppid,
    pub(crate) is_unordered: bool,
    pub(crate) is_abandoned: bool,
    pub(crate) reliability: Reliability,
    /// When its lifetime ends.
    pub(crate) expires_at: Timestamp,
    pub(crate) id: Option<MessageId>,
    /// SSN or MID, from its first fragment on.
    pub(crate) number: u32,
    /// How many bytes and fragments were sent.
    pub(crate) sent_bytes: u32,
    pub(crate) sent_fragments: u32,
    /// How many of its TSNs are not cumulatively acknowledged.
    pub(crate) tsns: u32,
    /// The next of its stream.
    pub(super) next: Option<Slot>,
    arrival: u64,
}

/// A piece of a message that is sent for the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    pub(crate) message: Slot,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    /// Its number within the message.
    pub(crate) number: u32,
    pub(crate) is_end: bool,
}

impl Message {
    /// Whether its time is over.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Whether anything of it was sent.
    pub(crate) const fn was_sent(&self) -> bool {
        self.sent_fragments > 0
    }

    fn say_expired(&self, events: &mut Events) {
        events.extend(self.id.map(|id| Event::MessageExpired {
            id,
            was_sent: self.was_sent(),
        }));
    }

    /// Bytes not sent for the first time.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.payload.len().saturating_sub(self.sent_bytes as usize)
    }

    /// Its key among the lifetimes.
    const fn expiry(&self) -> (Timestamp, u64) {
        (self.expires_at, self.arrival)
    }

    fn charge(&self) -> usize {
        self.payload.len() + MESSAGE_OVERHEAD
    }
}

impl SendQueue {
    pub(crate) fn new(scheduling: Scheduling) -> Self {
        Self {
            messages: Slab::new(),
            streams: StreamMap::default(),
            scheduler: Scheduler::new(scheduling),
            is_interleaved: false,
            unsent_bytes: 0,
            charged_bytes: 0,
            arrivals: 0,
            highest_stream: 0,
            settled: VecDeque::new(),
            priorities: BTreeMap::new(),
            expiries: BTreeMap::new(),
        }
    }

    /// Takes what the handshake agreed on.
    pub(crate) const fn set_interleaved(&mut self, is_interleaved: bool) {
        self.is_interleaved = is_interleaved;
    }

    /// What a message of this size would be charged.
    pub(crate) const fn cost(payload_bytes: usize) -> usize {
        payload_bytes + MESSAGE_OVERHEAD
    }

    /// Payload and bookkeeping of all messages.
    pub(crate) const fn charged_bytes(&self) -> usize {
        self.charged_bytes
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Message> {
        self.messages.get(slot)
    }

    /// Whether nothing is queued and nothing waits for its acknowledgement.
    pub(crate) const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether everything was sent at least once.
    pub(crate) const fn is_all_sent(&self) -> bool {
        self.unsent_bytes == 0
    }

    /// Bytes of a stream not sent for the first time.
    pub(crate) fn buffered_amount(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, |s| s.buffered_bytes)
    }

    pub(crate) fn set_low_threshold(&mut self, stream: StreamId, bytes: usize) {
        let stream = self.streams.entry(stream).or_default();
        stream.low_threshold_bytes = bytes;
        stream.is_above_threshold = stream.buffered_bytes > bytes;
    }

    /// Sets a stream's weight; the usual one costs nothing.
    pub(crate) fn set_weight(&mut self, stream: StreamId, weight: u16) {
        if weight != WEIGHT || self.streams.contains_key(&stream) {
            self.streams.entry(stream).or_default().weight = weight.max(1);
        }
    }

    pub(crate) fn is_resetting(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|s| s.is_resetting)
    }

    /// Takes no more messages for a stream until its reset has ended.
    pub(crate) fn start_reset(&mut self, stream_id: StreamId) {
        let stream = self.streams.entry(stream_id).or_default();
        if !stream.is_resetting {
            stream.is_resetting = true;
            if stream.live_messages == 0 {
                self.settled.push_back(stream_id);
            }
        }
    }

    /// Takes up to `most` streams that wait for their reset and have nothing on its way.
    pub(crate) fn take_settled(&mut self, most: usize) -> Vec<StreamId> {
        let count = self.settled.len().min(most);
        self.settled.drain(..count).collect()
    }

    /// Ends a stream's reset: it is forgotten, and so starts anew, or goes on.
    pub(crate) fn finish_reset(&mut self, stream_id: StreamId, is_done: bool) {
        if is_done {
            self.streams.remove(&stream_id);
        } else if let Some(stream) = self.streams.get_mut(&stream_id) {
            stream.is_resetting = false;
        }
    }

    /// All streams number their messages from zero again.
    #[expect(
        clippy::disallowed_methods,
        reason = "whatever the order, all are treated alike"
    )]
    pub(crate) fn restart_streams(&mut self) {
        for stream in self.streams.values_mut() {
            stream.restart_numbers();
        }
    }

    /// Drops everything, and streams begin anew.
    pub(crate) fn clear(&mut self, events: &mut Events) {
        for message in self.messages.iter().filter(|m| !m.is_abandoned) {
            message.say_expired(events);
        }
        self.messages = Slab::new();
        self.streams = StreamMap::default();
        self.scheduler.clear();
        self.settled.clear();
        self.priorities.clear();
        self.expiries.clear();
        self.unsent_bytes = 0;
        self.charged_bytes = 0;
    }

    /// Drops what is queued on streams that the peer does not take.
    pub(crate) fn drop_streams_from(&mut self, first: u16, events: &mut Events) {
        for stream in first..=self.highest_stream {
            self.purge(StreamId(stream), events);
        }
    }

    /// The least important message with a priority number above `important`, the latest of equals.
    pub(crate) fn least_important(&mut self, important: u32) -> Option<Slot> {
        while let Some((&key, &slot)) = self.priorities.last_key_value() {
            let (priority, arrival) = key;
            let is_live = self
                .messages
                .get(slot)
                .is_some_and(|m| m.arrival == arrival && !m.is_abandoned);
            if is_live {
                return (priority > important).then_some(slot);
            }
            self.priorities.remove(&key);
        }
        None
    }

    /// Puts a message at the end of its stream. The caller has checked it.
    pub(crate) fn push(&mut self, now: Timestamp, outgoing: Outgoing) -> Slot {
        let expires_at = match outgoing.reliability {
            Reliability::Lifetime(lifetime) => now + lifetime,
            _ => Timestamp::MAX,
        };
        let bytes = outgoing.payload.len();
        let stream_id = outgoing.stream;
        self.arrivals += 1;
        self.highest_stream = self.highest_stream.max(stream_id.0);
        let slot = self.messages.insert(Message {
            payload: outgoing.payload,
            stream: stream_id,
            ppid: outgoing.ppid,
            is_unordered: outgoing.is_unordered,
            is_abandoned: false,
            reliability: outgoing.reliability,
            expires_at,
            id: outgoing.id,
            number: 0,
            sent_bytes: 0,
            sent_fragments: 0,
            tsns: 0,
            next: None,
            arrival: self.arrivals,
        });
        if let Reliability::Priority(priority) = outgoing.reliability {
            self.priorities.insert((priority, self.arrivals), slot);
        }
        if expires_at < Timestamp::MAX {
            self.expiries.insert((expires_at, self.arrivals), slot);
        }
        self.unsent_bytes += bytes;
        self.charged_bytes += Self::cost(bytes);
        let stream = self.streams.entry(stream_id).or_default();
        stream.live_messages += 1;
        stream.buffered_bytes += bytes;
        stream.is_above_threshold = stream.buffered_bytes > stream.low_threshold_bytes;
        if let Some(last) = stream.last.replace(slot) {
            if let Some(last) = self.messages.get_mut(last) {
                last.next = Some(slot);
            }
        } else {
            stream.first = Some(slot);
        }
        self.put_in_line(stream_id);
        slot
    }

    /// When the next lifetime of a message ends that is not sent completely.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.keys().next().map(|&(at, _)| at)
    }

    /// Takes the next message whose lifetime has ended before it was sent completely.
    pub(crate) fn take_expired(&mut self, now: Timestamp) -> Option<Slot> {
        let next = self.expiries.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }

    /// The message whose turn it is. One that has expired unsent is dropped.
    pub(crate) fn current(&mut self, now: Timestamp, events: &mut Events) -> Option<Slot> {
        while self.unsent_bytes > 0 {
            let stream_id = self.scheduler.current()?;
            let first = self.streams.get(&stream_id).and_then(|s| s.first);
            let Some(slot) = first else {
                self.end_turn(stream_id);
                continue;
            };
            let message = self.messages.get(slot)?;
            if message.was_sent() || !message.is_expired(now) {
                return Some(slot);
            }
            message.say_expired(events);
            self.advance_line(stream_id);
            self.say_low(stream_id, events);
            self.end_turn(stream_id);
        }
        None
    }

    /// Cuts the next fragment of at most `len_max` bytes off the message whose turn it is.
    pub(crate) fn cut(
        &mut self,
        slot: Slot,
        len_max: usize,
        events: &mut Events,
    ) -> Option<Fragment> {
        let message = self.messages.get_mut(slot)?;
        let stream = self.streams.get_mut(&message.stream)?;
        if !message.was_sent() {
            message.number = stream.next_number(message.is_unordered);
        }
        let rest = message.unsent_bytes();
        let len = u32::try_from(rest.min(len_max)).ok()?;
        let fragment = Fragment {
            message: slot,
            offset: message.sent_bytes,
            len,
            number: message.sent_fragments,
            is_end: len as usize == rest,
        };
        message.sent_bytes += len;
        message.sent_fragments += 1;
        message.tsns += 1;
        stream.buffered_bytes -= len as usize;
        self.unsent_bytes -= len as usize;
        let stream_id = message.stream;
        if fragment.is_end {
            events.extend(message.id.map(Event::MessageSent));
            self.expiries.remove(&message.expiry());
            self.advance_line(stream_id);
        }
        self.say_low(stream_id, events);
        if fragment.is_end || self.is_interleaved {
            self.end_turn(stream_id);
        }
        Some(fragment)
    }

    /// Counts a TSN that stands for the rest of a message that will never be sent.
    pub(crate) fn count_placeholder(&mut self, slot: Slot) {
        if let Some(message) = self.messages.get_mut(slot) {
            message.tsns += 1;
        }
    }

    /// Gives a message up. Its fragments in flight are for the caller to skip; what was never sent
    /// leaves the stream when its turn comes.
    pub(crate) fn abandon(&mut self, slot: Slot, events: &mut Events) {
        let Some(message) = self.messages.get_mut(slot) else {
            return;
        };
        message.say_expired(events);
        self.expiries.remove(&message.expiry());
        let unsent = message.unsent_bytes();
        let bytes = message.payload.len();
        message.is_abandoned = true;
        message.payload = Bytes::new();
        message.sent_bytes = 0;
        self.unsent_bytes -= unsent;
        self.charged_bytes -= bytes;
        let stream_id = message.stream;
        let Some(stream) = self.streams.get_mut(&stream_id) else {
            return;
        };
        stream.buffered_bytes -= unsent;
        let is_first = stream.first == Some(slot);
        self.say_low(stream_id, events);
        if is_first {
            self.advance_line(stream_id);
            if self.scheduler.is_current(stream_id) {
                self.end_turn(stream_id);
            }
        }
    }

    /// Drops what was never sent on a stream. Says the message that was sent in part, which the
    /// caller has to abandon.
    pub(crate) fn purge(&mut self, stream_id: StreamId, events: &mut Events) -> Option<Slot> {
        let first = self.streams.get(&stream_id)?.first?;
        let partly_sent = self.messages.get(first)?.was_sent().then_some(first);
        let mut next = match partly_sent {
            Some(slot) => self.messages.get(slot)?.next,
            None => Some(first),
        };
        while let Some(slot) = next {
            let message = self.messages.get(slot)?;
            next = message.next;
            if !message.is_abandoned {
                self.abandon(slot, events);
            }
        }
        partly_sent
    }

    /// Counts one TSN of a message as done with; says the message when it was the last one.
    pub(crate) fn tsn_done(&mut self, slot: Slot) -> Option<Message> {
        let message = self.messages.get_mut(slot)?;
        message.tsns = message.tsns.saturating_sub(1);
        self.release_if_done(slot)
    }

    fn release_if_done(&mut self, slot: Slot) -> Option<Message> {
        let message = self.messages.get(slot)?;
        let is_partly_sent = message.was_sent() && message.unsent_bytes() > 0;
        if message.tsns > 0 || is_partly_sent {
            return None;
        }
        let message = self.messages.remove(slot)?;
        if let Reliability::Priority(priority) = message.reliability {
            self.priorities.remove(&(priority, message.arrival));
        }
        self.expiries.remove(&message.expiry());
        let unsent = message.unsent_bytes();
        self.unsent_bytes -= unsent;
        self.charged_bytes -= message.charge();
        if let Some(stream) = self.streams.get_mut(&message.stream) {
            stream.live_messages -= 1;
            stream.buffered_bytes -= unsent;
            if stream.live_messages == 0 && stream.is_resetting {
                self.settled.push_back(message.stream);
            }
        }
        Some(message)
    }

    /// Takes the first message off its stream's line, and after it those that were given up.
    fn advance_line(&mut self, stream_id: StreamId) {
        loop {
            let Some(stream) = self.streams.get_mut(&stream_id) else {
                return;
            };
            let Some(slot) = stream.first else {
                return;
            };
            let next = self.messages.get_mut(slot).and_then(|m| m.next.take());
            stream.first = next;
            if next.is_none() {
                stream.last = None;
            }
            self.release_if_done(slot);
            if !next.is_some_and(|next| self.messages.get(next).is_some_and(|m| m.is_abandoned)) {
                return;
            }
        }
    }

    /// Says it when the buffered amount has come down to the stream's threshold.
    fn say_low(&mut self, stream_id: StreamId, events: &mut Events) {
        if let Some(stream) = self.streams.get_mut(&stream_id)
            && stream.is_above_threshold
            && stream.buffered_bytes <= stream.low_threshold_bytes
        {
            stream.is_above_threshold = false;
            events.push_back(Event::BufferedAmountLow(stream_id));
        }
    }

    fn end_turn(&mut self, stream_id: StreamId) {
        self.scheduler.end_turn();
        if let Some(stream) = self.streams.get_mut(&stream_id) {
            stream.is_in_line = false;
        }
        self.put_in_line(stream_id);
    }

    /// Lets a stream that has something to send wait for its turn.
    fn put_in_line(&mut self, stream_id: StreamId) {
        let Some(stream) = self.streams.get_mut(&stream_id) else {
            return;
        };
        let Some(message) = stream.first.and_then(|slot| self.messages.get(slot)) else {
            return;
        };
        if stream.is_in_line {
            return;
        }
        stream.is_in_line = true;
        let rest = message.unsent_bytes();
        stream.finish = self.scheduler.wait(&Wish {
            stream: stream_id,
            weight: stream.weight,
            bytes: if self.is_interleaved {
                rest.min(TURN_BYTES)
            } else {
                rest
            },
            arrival: message.arrival,
            finish: stream.finish,
        });
    }
}

/// What a message costs beside its payload: the table's entry and its shares in other tables.
pub(crate) const MESSAGE_OVERHEAD: usize = size_of::<Message>() + 32;

/// What a fragment is taken to be when shares are reckoned.
const TURN_BYTES: usize = 1160;
