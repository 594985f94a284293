//! Datagrams that came in at another shard than the one they are for, and how the shards agree on
//! which that is.
//!
//! A five-tuple belongs to the shard that [`owner_of`] names. Where the kernel hands its datagram to
//! another, that one passes it on. One thing moves a five-tuple: a reservation token (RFC 8656
//! section 7.2) is good only at the shard that holds the reserved port. The owner passes the Allocate
//! request there; the allocation comes to be there; and before its client is told, the owner is
//! asked to lend the five-tuple until the allocation ends. A datagram thus hops twice at most.
//!
//! Bounded by the parcels of a mailbox, and lent five-tuples by the allocations of the other shards.

use std::collections::HashMap;
use std::collections::hash_map::Entry::Occupied;

use turnpike_turn::server::{ShardSlice, token_shard};
use turnpike_types::{Action, ClientAddr, DropReason, Entry, FiveTuple, Transport};

use super::mailbox::{Mailbox, PARCELS_MAX, Parcel, Word};
use super::owner::owner_of;
use super::socket_lane::{Packet, REPLIES_KEPT};
use super::{NewStream, Shard, listener_tuple};
use crate::uring::HEADROOM_BYTES;

/// What a shard knows of the others.
#[derive(Debug)]
pub(super) struct Hop {
    shard: ShardSlice,
    mailboxes: Vec<Mailbox>,
    /// Own five-tuples whose allocation is at another shard.
    lent: HashMap<FiveTuple, u16>,
    /// Words that a mailbox had no room for; none that a later one made untrue.
    unsent: Vec<(u16, Word)>,
    /// Datagrams passed on.
    pub(super) hopped: u64,
}

impl Hop {
    /// `mailboxes` are those of all shards, in order.
    pub(super) fn new(shard: ShardSlice, mailboxes: Vec<Mailbox>) -> Self {
        Self {
            shard,
            mailboxes,
            lent: HashMap::new(),
            unsent: Vec::new(),
            hopped: 0,
        }
    }

    const fn is_alone(&self) -> bool {
        self.shard.count < 2
    }

    /// The owner of a datagram client that is not this shard's.
    fn other_owner(&self, five_tuple: &FiveTuple) -> Option<u16> {
        if five_tuple.transport != Transport::Udp {
            return None;
        }
        self.owner_elsewhere(five_tuple)
    }

    fn owner_elsewhere(&self, five_tuple: &FiveTuple) -> Option<u16> {
        if self.is_alone() {
            return None;
        }
        let owner = owner_of(five_tuple.client, self.shard.count);
        (owner != self.shard.index).then_some(owner)
    }

    fn tell(&self, shard: u16, word: Word) -> bool {
        self.mailboxes
            .get(usize::from(shard))
            .is_some_and(|mailbox| mailbox.tell(word))
    }

    /// Tells another shard, later if its mailbox has no room now.
    fn tell_surely(&mut self, shard: u16, word: Word) {
        if !self.tell(shard, word) {
            self.unsent.push((shard, word));
        }
    }

    /// Tries again what a mailbox had no room for.
    pub(super) fn retry(&mut self) {
        for (shard, word) in std::mem::take(&mut self.unsent) {
            self.tell_surely(shard, word);
        }
    }

    /// Leaves unsaid what that shard was to be told of an allocation before the one that the
    /// five-tuple is lent for now.
    fn forget(&mut self, shard: u16, five_tuple: &FiveTuple) {
        self.unsent
            .retain(|(to, word)| *to != shard || word.five_tuple() != five_tuple);
    }
}

impl Shard {
    /// The shard that a client's datagram should go on to, if that is another. `hopped` says that it
    /// came from one: then it stays unless this shard is its owner.
    pub(super) fn way(&self, five_tuple: &FiveTuple, bytes: &[u8], hopped: bool) -> Option<u16> {
        if self.hop.is_alone() {
            return None;
        }
        if let Some(owner) = self.hop.other_owner(five_tuple) {
            return (!hopped).then_some(owner);
        }
        if let Some(borrower) = self.hop.lent.get(five_tuple) {
            return Some(*borrower);
        }
        self.holder_of_token(five_tuple, bytes)
    }

    /// The shard that holds the reserved port which a request names, if that is another and the
    /// client has no allocation here.
    pub(super) fn holder_of_token(&self, five_tuple: &FiveTuple, bytes: &[u8]) -> Option<u16> {
        if self.hop.is_alone() {
            return None;
        }
        let ShardSlice { index, count } = self.hop.shard;
        let holder = token_shard(bytes, count).filter(|holder| *holder != index)?;
        let has_allocation = self.server.allocation(five_tuple).is_some();
        (!has_allocation).then_some(holder)
    }

    /// The shard that a connection should be handed to, if that is another.
    pub(super) fn owner_of_stream(&self, five_tuple: &FiveTuple) -> Option<u16> {
        self.hop.owner_elsewhere(five_tuple)
    }

    /// Hands a connection over; one that finds no room there is closed.
    pub(super) fn hand_over(&self, shard: u16, stream: NewStream) -> bool {
        let mailbox = self.hop.mailboxes.get(usize::from(shard));
        mailbox.is_some_and(|mailbox| mailbox.hand_over(stream))
    }

    /// Passes a datagram on to another shard; it is counted there, or here as dropped.
    pub(super) fn pass_on(&mut self, shard: u16, five_tuple: &FiveTuple, packet: Packet) {
        let Packet { buffer, payload } = packet;
        let bytes = self.lane.ring.bytes(&buffer).get(payload).unwrap_or(&[]);
        let FiveTuple { client, server, .. } = *five_tuple;
        let mailbox = self.hop.mailboxes.get(usize::from(shard));
        if mailbox.is_some_and(|mailbox| mailbox.pass_on(client.0, server, bytes)) {
            self.hop.hopped += 1;
            self.lane.ring.give_back(buffer);
        } else {
            self.lane.refuse(buffer, DropReason::QueueFull);
        }
    }

    /// Takes in what other shards passed on; what is left after as many as there are parcels waits
    /// for the next turn.
    pub(super) fn take_parcels(&mut self) {
        for _ in 0..PARCELS_MAX {
            let Some(parcel) = self.inbox.take_parcel() else {
                return;
            };
            self.unpack(&parcel);
            self.inbox.empty(parcel);
        }
        if self.inbox.has_parcels() {
            self.inbox.come_back();
        }
    }

    fn unpack(&mut self, parcel: &Parcel) {
        let payload = parcel.payload();
        let five_tuple = listener_tuple(ClientAddr(parcel.source), parcel.server);
        if let Some(shard) = self.way(&five_tuple, payload, true) {
            let mailbox = self.hop.mailboxes.get(usize::from(shard));
            if mailbox.is_some_and(|it| it.pass_on(parcel.source, parcel.server, payload)) {
                self.hop.hopped += 1;
            } else {
                self.lane.refuse_unbuffered(DropReason::QueueFull);
            }
            return;
        }
        // The rest is for the server's answers, which a crowd of parcels must not use up.
        let Some(mut buffer) = self.lane.ring.take_reply_above(REPLIES_KEPT) else {
            return self.lane.refuse_unbuffered(DropReason::QueueFull);
        };
        let range = HEADROOM_BYTES..HEADROOM_BYTES + payload.len();
        let place = self.lane.ring.bytes_mut(&mut buffer).get_mut(range.clone());
        let Some(place) = place else {
            return self.lane.refuse(buffer, DropReason::Oversize);
        };
        place.copy_from_slice(payload);
        let packet = Packet {
            buffer,
            payload: range,
        };
        self.serve_client(&five_tuple, packet);
    }

    /// Asks for a five-tuple of another shard, before the allocation on it is opened. `false` when
    /// its owner has too much to do.
    pub(super) fn borrow_for(&mut self, action: &Action) -> bool {
        let Action::Install(Entry::Allocation(entry)) = action else {
            return true;
        };
        let five_tuple = entry.five_tuple;
        let Some(owner) = self.hop.other_owner(&five_tuple) else {
            return true;
        };
        let to = self.hop.shard.index;
        let is_lent = self.hop.tell(owner, Word::Lend { five_tuple, to });
        if is_lent {
            self.hop.forget(owner, &five_tuple);
        }
        is_lent
    }

    /// Gives a five-tuple back to its owner, if that is another shard: its allocation is over, or
    /// was not opened after all.
    pub(super) fn give_back_tuple(&mut self, five_tuple: &FiveTuple) {
        if let Some(owner) = self.hop.other_owner(five_tuple) {
            let word = Word::Unlend {
                five_tuple: *five_tuple,
                from: self.hop.shard.index,
            };
            self.hop.tell_surely(owner, word);
        }
    }

    /// Lends an own five-tuple. A client that allocated twice at once has the later one.
    pub(super) fn lend(&mut self, five_tuple: FiveTuple, to: u16) {
        self.hop.forget(to, &five_tuple);
        let before = self.hop.lent.insert(five_tuple, to);
        if let Some(before) = before.filter(|before| *before != to) {
            self.hop.tell_surely(before, Word::End { five_tuple });
        }
        self.end_allocation(&five_tuple);
    }

    /// Ends the allocation on a five-tuple that now has one at another shard.
    pub(super) fn end_allocation(&mut self, five_tuple: &FiveTuple) {
        self.server.handle_disconnect(self.now, five_tuple);
        self.drain();
    }

    /// Has an own five-tuple back from the shard it was lent to.
    pub(super) fn have_back(&mut self, five_tuple: FiveTuple, from: u16) {
        if let Occupied(lent) = self.hop.lent.entry(five_tuple)
            && *lent.get() == from
        {
            lent.remove();
        }
    }
}

#[cfg(test)]
mod tests;
