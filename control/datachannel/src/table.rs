//! Which ids are taken, by what, and which one is next.
//!
//! A channel costs nothing before it is open, and a few bytes from its close until both directions
//! are reset. Bounded by the 65,535 stream identifiers, by
//! [`Limits::channels_max`](crate::Limits::channels_max) open ones, and by
//! [`Limits::names_bytes_max`](crate::Limits::names_bytes_max) for what the peer calls them.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::{Channel, ChannelId, DtlsRole, Limits};

/// All ids in use.
#[derive(Debug)]
pub(crate) struct Table {
    role: DtlsRole,
    limits: Limits,
    slots: BTreeMap<ChannelId, Slot>,
    open: usize,
    names_bytes: usize,
    /// Own ids that were in use and are free again.
    released: BTreeSet<ChannelId>,
    /// The lowest own id that was never handed out; above every id when all were.
    fresh: u32,
}

/// What an id is taken by.
#[derive(Debug)]
pub(crate) enum Slot {
    Open(Box<Entry>),
    Closing(Closing),
}

/// An open channel.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) channel: Channel,
    /// Whether the peer is known to know the channel; until then all is sent in order
    /// (RFC 8832 section 6).
    pub(crate) is_established: bool,
    /// Whether the peer will hear of the channel: nothing to announce, or DATA_CHANNEL_OPEN was sent.
    pub(crate) is_announced: bool,
    /// Whether the application has sent anything since it was last told that little is buffered.
    pub(crate) is_low_news: bool,
    /// Whether the beginning of an SCTP message has come on this channel, and its end has not.
    pub(crate) is_amid: bool,
    /// Whether parts of an old-style message have arrived and more must follow.
    pub(crate) is_amid_parts: bool,
    /// Bytes of the message that is arriving.
    pub(crate) message_bytes: u64,
}

/// A channel whose streams are being reset. It is gone once both are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// Whether our stream starts anew.
    pub(crate) is_outgoing_reset: bool,
    /// Whether the peer's does, or was never in use.
    pub(crate) is_incoming_reset: bool,
    /// Whether the application knows of the channel.
    pub(crate) is_known: bool,
}

impl Closing {
    /// We began.
    pub(crate) const LOCAL: Self = Self {
        is_outgoing_reset: false,
        is_incoming_reset: false,
        is_known: true,
    };
    /// The peer began, or has never heard of the channel.
    pub(crate) const BY_PEER: Self = Self {
        is_incoming_reset: true,
        ..Self::LOCAL
    };
    /// The peer used a stream that has no channel.
    pub(crate) const NEVER_OPEN: Self = Self {
        is_known: false,
        ..Self::BY_PEER
    };
    /// The peer cannot reset streams: the id stays taken, for in the peer's eyes it is.
    pub(crate) const RETIRED: Self = Self {
        is_known: false,
        ..Self::LOCAL
    };
}

impl Table {
    pub(crate) const fn new(role: DtlsRole, limits: Limits) -> Self {
        Self {
            role,
            limits,
            slots: BTreeMap::new(),
            open: 0,
            names_bytes: 0,
            released: BTreeSet::new(),
            fresh: role.first_id() as u32,
        }
    }

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Slot> {
        self.slots.get_mut(&id)
    }

    pub(crate) fn entry(&self, id: ChannelId) -> Option<&Entry> {
        match self.slots.get(&id)? {
            Slot::Open(entry) => Some(entry),
            Slot::Closing(_) => None,
        }
    }

    pub(crate) fn entry_mut(&mut self, id: ChannelId) -> Option<&mut Entry> {
        match self.slots.get_mut(&id)? {
            Slot::Open(entry) => Some(entry),
            Slot::Closing(_) => None,
        }
    }

    /// Whether a channel of this id is this end's to open by DCEP.
    pub(crate) const fn opens(&self, id: ChannelId) -> bool {
        self.role.opens(id)
    }

    /// The ids in use.
    pub(crate) fn ids(&self) -> Vec<ChannelId> {
        self.slots.keys().copied().collect()
    }

    pub(crate) fn iter_open(&self) -> impl Iterator<Item = (ChannelId, &Channel)> {
        self.slots.iter().filter_map(|(id, slot)| match slot {
            Slot::Open(entry) => Some((*id, &entry.channel)),
            Slot::Closing(_) => None,
        })
    }

    pub(crate) const fn open_count(&self) -> usize {
        self.open
    }

    /// Whether one more channel may be open.
    pub(crate) fn admits(&self, channel: &Channel) -> bool {
        self.open < self.limits.channels_max
            && self.names_bytes.saturating_add(channel.names_bytes()) <= self.limits.names_bytes_max
    }

    /// The own id to open next, below `streams`. It stays the next until something takes it.
    pub(crate) fn next_id(&mut self, streams: u16) -> Option<ChannelId> {
        // Negotiated channels take ids without asking here.
        while let Some(id) = self.released.first().copied() {
            if !self.slots.contains_key(&id) {
                return (id.0 < streams).then_some(id);
            }
            self.released.remove(&id);
        }
        loop {
            let id = ChannelId(u16::try_from(self.fresh).ok()?);
            if id.0 >= streams {
                return None;
            }
            if !self.slots.contains_key(&id) {
                return Some(id);
            }
            self.fresh += 2;
        }
    }

    /// Puts an open channel in; the id must be free.
    pub(crate) fn open(&mut self, id: ChannelId, channel: Channel, is_established: bool) {
        self.open += 1;
        self.names_bytes += channel.names_bytes();
        self.released.remove(&id);
        let entry = Entry {
            channel,
            is_established,
            is_announced: is_established,
            is_low_news: false,
            is_amid: false,
            is_amid_parts: false,
            message_bytes: 0,
        };
        self.slots.insert(id, Slot::Open(Box::new(entry)));
    }

    /// Begins to close: what was known of the channel is forgotten.
    pub(crate) fn close(&mut self, id: ChannelId, closing: Closing) {
        let before = self.slots.insert(id, Slot::Closing(closing));
        self.forget(before.as_ref());
    }

    /// Takes a channel out; its id is free.
    pub(crate) fn remove(&mut self, id: ChannelId) {
        let before = self.slots.remove(&id);
        self.forget(before.as_ref());
        self.release(id);
    }

    /// Takes out every channel at or above `from`.
    pub(crate) fn drain_from(&mut self, from: ChannelId) -> BTreeMap<ChannelId, Slot> {
        let drained = self.slots.split_off(&from);
        for (id, slot) in &drained {
            self.forget(Some(slot));
            self.release(*id);
        }
        drained
    }

    fn release(&mut self, id: ChannelId) {
        if self.role.opens(id) && u32::from(id.0) < self.fresh {
            self.released.insert(id);
        }
    }

    fn forget(&mut self, slot: Option<&Slot>) {
        if let Some(Slot::Open(entry)) = slot {
            self.open -= 1;
            self.names_bytes -= entry.channel.names_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(role: DtlsRole) -> Table {
        Table::new(role, Limits::default())
    }

    fn opened(table: &mut Table) -> Option<u16> {
        let id = table.next_id(u16::MAX)?;
        table.open(id, Channel::named(""), true);
        Some(id.0)
    }

    #[test]
    fn client_opens_even_ids_and_server_odd_ones_up_to_65_534() {
        for (role, first, last, count) in [
            (DtlsRole::Client, 0, 65_534, 32_768),
            (DtlsRole::Server, 1, 65_533, 32_767),
        ] {
            let mut table = table(role);
            let ids: Vec<u16> = core::iter::from_fn(|| opened(&mut table)).collect();
            assert_eq!(ids.len(), count);
            assert_eq!((ids[0], ids[count - 1]), (first, last));
            assert!(ids.iter().all(|id| role.opens(ChannelId(*id))));
        }
    }

    #[test]
    fn lowest_released_id_is_used_again_and_a_negotiated_one_is_passed_over() {
        let mut table = table(DtlsRole::Client);
        for expected in [0, 2, 4] {
            assert_eq!(opened(&mut table), Some(expected));
        }
        table.open(ChannelId(6), Channel::named("negotiated"), true);
        assert_eq!(opened(&mut table), Some(8));
        table.remove(ChannelId(4));
        table.remove(ChannelId(2));
        table.open(ChannelId(2), Channel::named("negotiated"), true);
        assert_eq!(opened(&mut table), Some(4));
        assert_eq!(opened(&mut table), Some(10));
        table.remove(ChannelId(6));
        assert_eq!(opened(&mut table), Some(6));
    }

    #[test]
    fn id_at_or_above_the_streams_is_not_handed_out() {
        let mut table = table(DtlsRole::Server);
        assert_eq!(table.next_id(1), None);
        assert_eq!(table.next_id(2), Some(ChannelId(1)));
    }

    #[test]
    fn names_are_charged_until_the_close() {
        let limits = Limits {
            channels_max: 2,
            names_bytes_max: 10,
        };
        let mut table = Table::new(DtlsRole::Client, limits);
        let six = Channel::named("sixsix");
        assert!(table.admits(&six));
        table.open(ChannelId(0), six.clone(), true);
        assert!(!table.admits(&six) && table.admits(&Channel::named("four")));
        table.close(ChannelId(0), Closing::LOCAL);
        assert!(table.admits(&six));
        table.remove(ChannelId(0));
        assert!(table.admits(&six) && table.open_count() == 0);
    }
}
