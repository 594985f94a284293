//! Channel bindings as the client believes them (RFC 8656 sections 12 and 12.3).
//!
//! The table picks numbers, knows what is bound to whom until when, and keeps a lapsed pair of
//! number and peer apart for five more minutes, during which neither may be bound to another.
//! Requests are formed in `channel_bind`.
//!
//! Sorted by number, with an index sorted by peer: both lookups are binary searches.
//! Bounded by [`Limits`](super::Limits) and the 4096 numbers there are.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use turnpike_types::{ChannelNumber, PeerAddr, Timestamp};

use super::RequestNumber;

/// How long the server keeps a channel binding (RFC 8656 section 12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// When a channel binding is refreshed: a minute is room for a whole transaction and a retry.
pub const CHANNEL_REFRESH: Duration = Duration::from_secs(540);

/// How long a lapsed number and its peer are bound to nothing else (RFC 8656 section 12).
pub const CHANNEL_QUARANTINE: Duration = Duration::from_secs(300);

/// The table.
#[derive(Clone, Debug, Default)]
pub(super) struct Channels {
    /// Sorted by number.
    entries: Vec<Channel>,
    /// Sorted by peer.
    by_peer: Vec<(PeerAddr, ChannelNumber)>,
    /// The earliest `due_at` of those that no request carries.
    next_due: Option<Timestamp>,
    /// Where the search for a free number starts, counted from [`ChannelNumber::MIN`].
    cursor: u16,
}

/// One number with its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) number: ChannelNumber,
    pub(super) peer: PeerAddr,
    /// The server keeps it at least until then; zero before the first success.
    bound_until: Timestamp,
    /// The server keeps it at most until then.
    lapsed_by: Timestamp,
    /// When to ask for it next; `None` when it may lapse.
    due_at: Option<Timestamp>,
    /// The request that carries it now.
    pub(super) request: Option<RequestNumber>,
    /// The caller waits to hear how the next request ends.
    awaited: bool,
}

impl Channels {
    /// Asks at `now` for a channel to `peer`. A peer keeps the number it has. `None` when `max`
    /// are in, or every number is bound or waits out its five minutes.
    pub(super) fn want(
        &mut self,
        peer: PeerAddr,
        now: Timestamp,
        max: usize,
    ) -> Option<ChannelNumber> {
        self.purge(now);
        let number = match self.number_of(&peer) {
            Some(number) => number,
            None if self.entries.len() >= max => return None,
            None => self.add(peer)?,
        };
        if let Some(entry) = self.entry_mut(number) {
            entry.due_at = Some(now);
            entry.awaited = true;
        }
        self.settle();
        Some(number)
    }

    /// Lets the channel to `peer` lapse: it is no longer refreshed.
    pub(super) fn release(&mut self, peer: &PeerAddr) {
        let number = self.number_of(peer);
        if let Some(entry) = number.and_then(|number| self.entry_mut(number)) {
            entry.due_at = None;
        }
        self.settle();
    }

    /// Hands the next due channel to `request`.
    pub(super) fn take_due(
        &mut self,
        request: RequestNumber,
        now: Timestamp,
    ) -> Option<ChannelNumber> {
        if self.next_due.is_none_or(|next_due| next_due > now) {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| entry.is_due(now))?;
        entry.request = Some(request);
        let taken = entry.number;
        self.settle();
        Some(taken)
    }

    /// The request first sent at `sent_at` succeeded. Says whether the caller waits for it.
    pub(super) fn granted(
        &mut self,
        number: ChannelNumber,
        sent_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let Some(entry) = self.entry_mut(number) else {
            return false;
        };
        entry.request = None;
        entry.bound_until = entry.bound_until.max(sent_at + CHANNEL_LIFETIME);
        entry.lapsed_by = now + CHANNEL_LIFETIME;
        entry.due_at = entry.due_at.map(|_| sent_at + CHANNEL_REFRESH);
        let awaited = core::mem::take(&mut entry.awaited);
        self.settle();
        awaited
    }

    /// The server refused the request. A number it never granted is free again at once.
    pub(super) fn refused(&mut self, number: ChannelNumber) {
        let Some(entry) = self.entry_mut(number) else {
            return;
        };
        entry.request = None;
        entry.due_at = None;
        if entry.lapsed_by == Timestamp::ZERO {
            self.entries.retain(|entry| entry.number != number);
            self.reindex();
        }
        self.settle();
    }

    /// Client and server disagree about the number: it is given up, and its pair kept apart since
    /// nobody knows what the server holds.
    pub(super) fn disputed(&mut self, number: ChannelNumber, now: Timestamp) {
        if let Some(entry) = self.entry_mut(number) {
            entry.request = None;
            entry.due_at = None;
            entry.bound_until = now;
            entry.lapsed_by = now + CHANNEL_LIFETIME;
        }
        self.settle();
    }

    /// The request went unanswered. A binding that still lives is asked for again at `retry_at`;
    /// another is given up, which is what `false` says, and its pair kept apart since the server may hold
    /// it.
    pub(super) fn unanswered(
        &mut self,
        number: ChannelNumber,
        now: Timestamp,
        retry_at: Timestamp,
    ) -> bool {
        let Some(entry) = self.entry_mut(number) else {
            return false;
        };
        let lives = entry.bound_until > now;
        entry.request = None;
        entry.lapsed_by = now + CHANNEL_LIFETIME;
        entry.due_at = entry.due_at.filter(|_| lives).map(|_| retry_at);
        self.settle();
        lives
    }

    /// Whether a channel to this address is to be kept.
    pub(super) fn keep_permission(&self, ip: &IpAddr) -> bool {
        self.entries.iter().any(|entry| {
            entry.peer.ip() == *ip && (entry.due_at.is_some() || entry.request.is_some())
        })
    }

    /// Forgets pairs whose five minutes after the lapse are over.
    pub(super) fn purge(&mut self, now: Timestamp) {
        let is_spent = |entry: &Channel| {
            entry.due_at.is_none()
                && entry.request.is_none()
                && entry.lapsed_by + CHANNEL_QUARANTINE <= now
        };
        if self.entries.iter().any(is_spent) {
            self.entries.retain(|entry| !is_spent(entry));
            self.reindex();
        }
    }

    /// Forgets channels whose peer `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&PeerAddr) -> bool) {
        self.entries.retain(|entry| keep(&entry.peer));
        self.reindex();
        self.settle();
    }

    /// The channel with a number.
    #[inline]
    pub(super) fn by_number(&self, number: ChannelNumber) -> Option<&Channel> {
        self.entries.get(self.position(number).ok()?)
    }

    /// The number that ChannelData to `peer` may use now.
    #[inline]
    pub(super) fn usable(&self, peer: &PeerAddr, now: Timestamp) -> Option<ChannelNumber> {
        let number = self.number_of(peer)?;
        self.by_number(number)
            .filter(|entry| entry.bound_until > now)?;
        Some(number)
    }

    /// When the next request is due.
    pub(super) const fn next_due(&self) -> Option<Timestamp> {
        self.next_due
    }

    fn add(&mut self, peer: PeerAddr) -> Option<ChannelNumber> {
        let number = self.free_number()?;
        let position = self.position(number).err()?;
        let channel = Channel::new(number, peer);
        self.entries.insert(position, channel);
        let by_peer = self.peer_position(&peer).err()?;
        self.by_peer.insert(by_peer, (peer, number));
        Some(number)
    }

    /// Numbers are taken in turn, so one comes up again as late as can be.
    fn free_number(&mut self) -> Option<ChannelNumber> {
        for _ in 0..NUMBERS {
            let number = ChannelNumber::new(ChannelNumber::MIN + self.cursor)?;
            self.cursor = (self.cursor + 1) % NUMBERS;
            if self.position(number).is_err() {
                return Some(number);
            }
        }
        None
    }

    fn number_of(&self, peer: &PeerAddr) -> Option<ChannelNumber> {
        let (_, number) = self.by_peer.get(self.peer_position(peer).ok()?)?;
        Some(*number)
    }

    fn peer_position(&self, peer: &PeerAddr) -> Result<usize, usize> {
        self.by_peer
            .binary_search_by(|(indexed, _)| indexed.cmp(peer))
    }

    fn position(&self, number: ChannelNumber) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.number.cmp(&number))
    }

    fn entry_mut(&mut self, number: ChannelNumber) -> Option<&mut Channel> {
        let position = self.position(number).ok()?;
        self.entries.get_mut(position)
    }

    fn reindex(&mut self) {
        let entries = &self.entries;
        self.by_peer.retain(|(_, number)| {
            entries
                .binary_search_by(|entry| entry.number.cmp(number))
                .is_ok()
        });
    }

    fn settle(&mut self) {
        self.next_due = self
            .entries
            .iter()
            .filter(|entry| entry.request.is_none())
            .filter_map(|entry| entry.due_at)
            .min();
    }
}

impl Channel {
    const fn new(number: ChannelNumber, peer: PeerAddr) -> Self {
        Self {
            number,
            peer,
            bound_until: Timestamp::ZERO,
            lapsed_by: Timestamp::ZERO,
            due_at: None,
            request: None,
            awaited: false,
        }
    }

    /// Whether ChannelData may come in: asked for, or bound and not lapsed. It may overtake the
    /// success response (RFC 8656 section 12).
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.request.is_some() || self.bound_until > now
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.request.is_none() && self.due_at.is_some_and(|due_at| due_at <= now)
    }
}

/// How many channel numbers there are.
const NUMBERS: u16 = ChannelNumber::MAX - ChannelNumber::MIN + 1;
