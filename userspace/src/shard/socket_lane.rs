//! The socket lane: carries the engine's commands out with one UDP socket a relayed address, or with
//! those of the shard where the kernel steers relayed ports to it (`relays`). It relays each packet in
//! the buffer it came in: with its prefix written before it in place, or, where it is one of a run and
//! another packet lies there, gathered with a prefix kept beside.
//!
//! With a socket a relayed address it is the portable mode: it needs no right but to open ports. What an
//! XDP lane would do and this one does not: TTL and hop limit start anew on the relayed datagram, DSCP
//! and ECN are those of the socket (zero), and fragments are reassembled by the kernel before they get
//! here; RFC 8656 sections 13 to 16 allow all of it. DF is clear unless a client asks (section 18.9).
//!
//! Commands come one by one through [`SocketLane::carry_out`], the interface that another lane
//! would offer too. Bounded by the ring's buffers and by the engine's quotas; a packet that finds
//! no room is dropped and counted, and never delays another.

use std::ops::Range;
use std::sync::Arc;

use nix::errno::Errno;
use socket2::Socket;
use turnpike_dataplane::tables::Tables;
use turnpike_turn::forward::{Forwarder, Prefix, ToClient, ToPeer, Traffic};
use turnpike_types::{
    Action, AllocationEntry, AllocationId, CommandError, DropReason, Entry, EntryKey, FiveTuple,
    ServerAddr, Timestamp,
};

use super::gather::{Gathering, Route};
use super::relays::Relays;
use super::sockets::{Role, Sockets};
use super::udp_header::UDP_HEADER_BYTES;
use crate::uring::{Buffer, HEADROOM_BYTES, Head, PADDING_MAX, Part, Ring, TAILROOM_BYTES, Via};

const _: () = assert!(
    Prefix::MAX <= HEADROOM_BYTES && Prefix::MAX <= Head::MAX,
    "a prefix is written before the payload, or kept beside"
);
const _: () = assert!(UDP_HEADER_BYTES <= Prefix::MAX, "so is a UDP header");
const _: () = assert!(
    TAILROOM_BYTES >= PADDING_MAX,
    "padding is written after the payload"
);

/// Spare buffers of the ring that are for the server's replies alone.
pub(super) const REPLIES_KEPT: usize = 256;

/// What the lane counts; what the forwarder decided is counted there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaneCounters {
    /// Packets that the forwarder never saw: too long, or dropped by the kernel.
    pub(super) refused: u64,
    pub(super) to_peer_packets: u64,
    pub(super) to_peer_bytes: u64,
    pub(super) to_client_packets: u64,
    pub(super) to_client_bytes: u64,
    pub(super) drops: [u64; DropReason::ALL.len()],
    pub(super) replies_lost: u64,
    pub(super) commands_failed: u64,
}

impl LaneCounters {
    /// Counts a packet that was sent, by the tag it was sent with.
    pub(super) const fn count_relayed(&mut self, tag: u32) {
        let (towards, payload_bytes) = Towards::of_tag(tag);
        let (packets, bytes) = match towards {
            Towards::Reply => return,
            Towards::Peer => (&mut self.to_peer_packets, &mut self.to_peer_bytes),
            Towards::Client => (&mut self.to_client_packets, &mut self.to_client_bytes),
        };
        *packets += 1;
        *bytes += payload_bytes;
    }
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    server: ServerAddr,
    via: Via,
    slot: u32,
}

/// What a datagram that is sent is, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Towards {
    /// The server's own, to a client.
    Reply,
    /// Relayed.
    Peer,
    /// Relayed.
    Client,
}

impl Towards {
    /// Direction and payload length, as a send carries them to its completion.
    pub(super) const fn tag(self, payload_bytes: usize) -> u32 {
        (payload_bytes as u32) << 2 | self as u32
    }

    const fn of_tag(tag: u32) -> (Self, u64) {
        let towards = match tag & 3 {
            0 => Self::Reply,
            1 => Self::Peer,
            _ => Self::Client,
        };
        (towards, (tag >> 2) as u64)
    }
}

/// A packet to forward: the buffer it lies in, and where.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) buffer: Buffer,
    pub(super) payload: Range<usize>,
}

#[derive(Debug)]
pub(super) struct SocketLane {
    pub(super) ring: Ring,
    pub(super) sockets: Sockets,
    pub(super) forwarder: Forwarder,
    pub(super) counters: LaneCounters,
    pub(super) gathering: Option<Gathering>,
    /// The lane above, which carries what it can and lets the rest through.
    pub(super) kernel: Option<Arc<Tables>>,
    pub(super) relays: Relays,
    listeners: Vec<Listener>,
}

impl SocketLane {
    pub(super) fn new(ring: Ring, forwarder: Forwarder, kernel: Option<Arc<Tables>>) -> Self {
        Self {
            ring,
            sockets: Sockets::default(),
            forwarder,
            counters: LaneCounters::default(),
            gathering: None,
            kernel,
            relays: Relays::default(),
            listeners: Vec::new(),
        }
    }

    /// Takes in a listener that is registered with the ring.
    pub(super) fn add_listener(&mut self, server: ServerAddr, via: Via, socket: Socket) {
        let slot = self.sockets.insert(Role::Listener(server), via, socket);
        self.listeners.push(Listener { server, via, slot });
    }

    /// Carries a command out fully, or not at all: in this lane before the kernel has a part in it,
    /// and out of the kernel first.
    pub(super) fn carry_out(
        &mut self,
        now: Timestamp,
        action: &Action,
    ) -> Result<(), CommandError> {
        let result = match action {
            Action::Revoke(_) => {
                let kernel = self.tell_kernel(now, action);
                self.carry_out_here(now, action).and(kernel)
            }
            _ => self.carry_out_here(now, action).and_then(|()| {
                self.tell_kernel(now, action).inspect_err(|_| {
                    if let Action::Install(entry) = action {
                        // The engine hears of the kernel's failure, not of what this lane had done.
                        let _undone = self.carry_out_here(now, &Action::Revoke(entry.key()));
                    }
                })
            }),
        };
        self.counters.commands_failed += u64::from(result.is_err());
        result
    }

    fn tell_kernel(&self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        match &self.kernel {
            Some(tables) => tables.carry_out(now, action),
            None => Ok(()),
        }
    }

    fn carry_out_here(&mut self, now: Timestamp, action: &Action) -> Result<(), CommandError> {
        match action {
            Action::Install(Entry::Allocation(entry)) => self.install(now, action, entry),
            Action::Revoke(EntryKey::Allocation {
                allocation,
                relayed,
            }) => {
                let result = self.forwarder.apply(now, action);
                self.close_relay(*allocation, relayed.family());
                result
            }
            _ => self.forwarder.apply(now, action),
        }
    }

    /// Entries that are in this lane alone, because the kernel's tables have no room.
    pub(super) fn left_out(&self) -> u64 {
        self.kernel.as_ref().map_or(0, |tables| tables.left_out())
    }

    /// What an allocation relayed so far, in this lane and in the kernel.
    pub(super) fn traffic(&self, id: AllocationId) -> Traffic {
        let here = self.forwarder.traffic(id).unwrap_or_default();
        let kernel = self.kernel.as_ref().map(|tables| tables.traffic(id));
        let kernel = kernel.unwrap_or_default();
        Traffic {
            to_peer_packets: here.to_peer_packets + kernel.to_peer_packets,
            to_peer_bytes: here.to_peer_bytes + kernel.to_peer_bytes,
            to_client_packets: here.to_client_packets + kernel.to_client_packets,
            to_client_bytes: here.to_client_bytes + kernel.to_client_bytes,
        }
    }

    /// Sends a client's payload to its peer.
    pub(super) fn send_to_peer(&mut self, packet: Packet, forward: &ToPeer) {
        let Packet {
            buffer,
            payload: from,
        } = packet;
        let payload = from.start + forward.payload.start..from.start + forward.payload.end;
        let Some(relay) = self
            .relays
            .get(forward.allocation, forward.relayed.family())
        else {
            return self.drop_packet(buffer, DropReason::NoAllocation);
        };
        if forward.dont_fragment {
            let bytes = self.ring.bytes(&buffer).get(payload).unwrap_or(&[]);
            let sent = self.send_now(relay, bytes, forward);
            self.count_sent_now(bytes.len(), sent);
            return self.ring.give_back(buffer);
        }
        self.queue_to_peer(&relay, buffer, payload, forward.peer);
    }

    /// Sends to a peer what lies in a client's `message`, which is not in a buffer of the ring.
    pub(super) fn send_copy_to_peer(&mut self, message: &[u8], forward: &ToPeer) {
        let payload = message.get(forward.payload.clone()).unwrap_or(&[]);
        let Some(relay) = self
            .relays
            .get(forward.allocation, forward.relayed.family())
        else {
            return self.count(DropReason::NoAllocation);
        };
        // The other buffers are for the server's replies, which a crowd of messages in one
        // segment must not use up.
        if !forward.dont_fragment
            && let Some(mut buffer) = self.ring.take_reply_above(REPLIES_KEPT)
        {
            let range = HEADROOM_BYTES..HEADROOM_BYTES + payload.len();
            let place = self.ring.bytes_mut(&mut buffer).get_mut(range.clone());
            if let Some(place) = place {
                place.copy_from_slice(payload);
                return self.queue_to_peer(&relay, buffer, range, forward.peer);
            }
            self.ring.give_back(buffer);
        }
        // What was queued before is not overtaken.
        self.send_gathered();
        self.ring.flush();
        let sent = self.send_now(relay, payload, forward);
        self.count_sent_now(payload.len(), sent);
    }

    /// Sends a peer's payload to the client, behind its prefix.
    pub(super) fn send_to_client(&mut self, packet: Packet, forward: &ToClient) {
        let Packet { buffer, payload } = packet;
        let Some(listener) = self.listener(&forward.five_tuple) else {
            return self.drop_packet(buffer, DropReason::NoAllocation);
        };
        let route = Route {
            slot: listener.slot,
            via: listener.via,
            to: forward.five_tuple.client.0,
        };
        let part = Part {
            tag: Towards::Client.tag(payload.len()),
            buffer,
            range: payload,
            head: Head::EMPTY,
            padding: forward.padding,
        };
        let part = self.put_before(part, forward.prefix.as_slice());
        self.send(route, part);
    }

    /// Writes a prefix into the buffer, together with the padding, or beside it where the buffer
    /// holds other packets.
    pub(super) fn put_before(&mut self, mut part: Part, prefix: &[u8]) -> Part {
        let Range { start, end } = part.range;
        let bytes = self.ring.bytes_mut(&mut part.buffer);
        let before = start.checked_sub(prefix.len());
        match before.and_then(|before| bytes.get_mut(before..start)) {
            Some(place) => {
                place.copy_from_slice(prefix);
                part.range.start -= prefix.len();
            }
            None => part.head = Head::new(prefix).unwrap_or(Head::EMPTY),
        }
        if let Some(place) = bytes.get_mut(end..end + part.padding) {
            place.fill(0);
            part.range.end += part.padding;
            part.padding = 0;
        }
        part
    }

    /// Sends what the engine wrote at the start of a reply buffer.
    pub(super) fn reply(&mut self, buffer: Buffer, len: usize, five_tuple: &FiveTuple) {
        self.send_gathered();
        let sent = match self.listener(five_tuple) {
            Some(listener) => {
                let (to, tag) = (&five_tuple.client.0, Towards::Reply.tag(0));
                self.ring.send(listener.via, buffer, 0..len, to, tag)
            }
            None => Err(buffer),
        };
        if let Err(buffer) = sent {
            self.counters.replies_lost += 1;
            self.ring.give_back(buffer);
        }
    }

    /// Takes note of what became of a send; a failure harms no other packet.
    pub(super) fn sent(&mut self, buffer: Buffer, tag: u32, result: Result<(), Errno>) {
        match (Towards::of_tag(tag), result) {
            ((Towards::Reply, _), Ok(())) => {}
            ((Towards::Reply, _), Err(_)) => self.counters.replies_lost += 1,
            (_, Ok(())) => self.counters.count_relayed(tag),
            (_, Err(error)) => self.count(reason_of(error)),
        }
        self.ring.give_back(buffer);
    }

    pub(super) fn drop_packet(&mut self, buffer: Buffer, reason: DropReason) {
        self.count(reason);
        self.ring.give_back(buffer);
    }

    /// Drops and counts a packet that the forwarder does not get to see.
    pub(super) fn refuse(&mut self, buffer: Buffer, reason: DropReason) {
        self.refuse_unbuffered(reason);
        self.ring.give_back(buffer);
    }

    /// Counts a packet that did not come whole, or is in no buffer.
    pub(super) fn refuse_unbuffered(&mut self, reason: DropReason) {
        self.counters.refused += 1;
        self.count(reason);
    }

    /// Queues what was gathered; then cancels, closes and arms what commands and completions left to
    /// be done.
    pub(super) fn settle(&mut self) {
        self.send_gathered();
        let ring = &mut self.ring;
        self.sockets.cancel_closing(|token| ring.cancel(token));
        self.sockets.close_retired(|| ring.flush());
        self.sockets
            .arm_ended(|via, token| ring.receive(via, token));
    }

    /// Counts what the kernel dropped because the queues of sockets that stay were full, or a
    /// listener's datagram empty. Those of relayed addresses with their own are counted when they close.
    pub(super) fn count_lasting_drops(&mut self) {
        let listeners = self.listeners.iter().map(|listener| listener.slot);
        let slots = listeners.chain(self.relays.receivers());
        let new = slots.map(|slot| u64::from(self.sockets.new_drops(slot)));
        let new = new.sum();
        self.count_queue_full(new);
    }

    pub(super) fn count_kernel_drops(&mut self, slot: u32) {
        let new = u64::from(self.sockets.new_drops(slot));
        self.count_queue_full(new);
    }

    fn count_queue_full(&mut self, new: u64) {
        if let Some(count) = self.counters.drops.get_mut(DropReason::QueueFull as usize) {
            *count += new;
        }
        self.counters.refused += new;
    }

    fn install(
        &mut self,
        now: Timestamp,
        action: &Action,
        entry: &AllocationEntry,
    ) -> Result<(), CommandError> {
        let was_open = self.open_relay(entry)?;
        let result = self.forwarder.apply(now, action);
        if result.is_err() && !was_open {
            self.close_relay(entry.allocation, entry.relayed.family());
        }
        result
    }

    fn listener(&self, five_tuple: &FiveTuple) -> Option<Listener> {
        let found = self
            .listeners
            .iter()
            .find(|listener| listener.server == five_tuple.server);
        found.copied()
    }

    fn count_sent_now(&mut self, payload_bytes: usize, sent: Result<(), DropReason>) {
        match sent {
            Ok(()) => {
                let tag = Towards::Peer.tag(payload_bytes);
                self.counters.count_relayed(tag);
            }
            Err(reason) => self.count(reason),
        }
    }

    /// Counts a packet that was relayed to a client on a stream.
    pub(super) const fn count_to_client(&mut self, payload_bytes: usize) {
        self.counters
            .count_relayed(Towards::Client.tag(payload_bytes));
    }

    pub(super) fn count(&mut self, reason: DropReason) {
        if let Some(count) = self.counters.drops.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

/// A full socket queue is the lane's own limit; anything else is the kernel's word on the packet.
pub(super) const fn reason_of(error: Errno) -> DropReason {
    match error {
        Errno::EAGAIN | Errno::ENOBUFS => DropReason::QueueFull,
        _ => DropReason::SendFailed,
    }
}
