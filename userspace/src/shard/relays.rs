//! The relayed addresses of a shard's allocations, and the sockets that their datagrams leave by: one
//! of its own each, or, where the kernel steers relayed ports, the shard's.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use turnpike_turn::forward::ToPeer;
use turnpike_types::{
    AddressFamily, AllocationEntry, AllocationId, CommandError, DropReason, PeerAddr, RelayedAddr,
};

use super::gather::{Route, errno_of};
use super::open;
use super::relay_sockets::{self, RelaySockets};
use super::socket_lane::{SocketLane, Towards, reason_of};
use super::sockets::Role;
use super::udp_header::udp_header;
use crate::uring::{Buffer, FragmentPolicy, Head, Part, Via, set_fragment_policy};

/// Where datagrams of a relayed address leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    slot: u32,
    via: Via,
    relayed: RelayedAddr,
    /// By a raw socket that all relayed addresses on one IP address share.
    is_shared: bool,
}

/// The raw socket of a relay address.
#[derive(Clone, Copy, Debug)]
struct Sender {
    ip: IpAddr,
    slot: u32,
    via: Via,
}

/// The relayed addresses of the allocation in one engine slot, IPv4 first.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    generation: u32,
    of_family: [Option<Relay>; 2],
}

/// The relayed addresses by the engine's slots.
#[derive(Debug, Default)]
pub(super) struct Relays {
    pairs: Vec<Pair>,
    /// None: each relayed address has its own socket.
    senders: Vec<Sender>,
    receivers: Vec<u32>,
}

impl Relays {
    pub(super) fn get(&self, allocation: AllocationId, family: AddressFamily) -> Option<Relay> {
        let pair = self.pairs.get(allocation.slot as usize)?;
        if pair.generation != allocation.generation {
            return None;
        }
        *pair.of_family.get(family as usize)?
    }

    /// The slots of the sockets that relayed ports are steered to.
    pub(super) fn receivers(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.receivers.iter().copied()
    }

    fn put(&mut self, allocation: AllocationId, relay: Relay) {
        let index = allocation.slot as usize;
        if index >= self.pairs.len() {
            self.pairs.resize_with(index + 1, Pair::default);
        }
        if let Some(pair) = self.pairs.get_mut(index) {
            pair.generation = allocation.generation;
            if let Some(place) = pair.of_family.get_mut(relay.relayed.family() as usize) {
                *place = Some(relay);
            }
        }
    }

    fn take(&mut self, allocation: AllocationId, family: AddressFamily) -> Option<Relay> {
        let pair = self.pairs.get_mut(allocation.slot as usize)?;
        if pair.generation != allocation.generation {
            return None;
        }
        pair.of_family.get_mut(family as usize)?.take()
    }
}

impl SocketLane {
    /// From now on no relayed address has a socket of its own.
    pub(super) fn relay_by(&mut self, sockets: RelaySockets) {
        for (_, socket) in sockets.receive {
            let via = Via::of(&socket);
            let slot = self.sockets.insert(Role::Steered, via, socket);
            self.relays.receivers.push(slot);
        }
        for (ip, socket) in sockets.send {
            let via = Via::of(&socket);
            let slot = self.sockets.insert_sender(via, socket);
            self.relays.senders.push(Sender { ip, slot, via });
        }
    }

    /// Opens a relayed address, unless it is open. Says whether it was.
    pub(super) fn open_relay(&mut self, entry: &AllocationEntry) -> Result<bool, CommandError> {
        let (allocation, relayed) = (entry.allocation, entry.relayed);
        let open = self.relays.get(allocation, relayed.family());
        if open.is_some_and(|relay| relay.relayed == relayed) {
            return Ok(true);
        }
        let relay = if self.relays.senders.is_empty() {
            let socket = open::relay(relayed.0)?;
            let via = Via::of(&socket);
            let slot = self.sockets.insert(Role::Relay(relayed), via, socket);
            Relay {
                slot,
                via,
                relayed,
                is_shared: false,
            }
        } else {
            relay_sockets::probe(relayed.0)?;
            let mut senders = self.relays.senders.iter();
            let sender = senders.find(|sender| sender.ip == relayed.ip());
            let sender = sender.ok_or(CommandError::OutOfResources)?;
            Relay {
                slot: sender.slot,
                via: sender.via,
                relayed,
                is_shared: true,
            }
        };
        self.close_relay(allocation, relayed.family());
        self.relays.put(allocation, relay);
        Ok(false)
    }

    pub(super) fn close_relay(&mut self, allocation: AllocationId, family: AddressFamily) {
        let closed = self.relays.take(allocation, family);
        if let Some(relay) = closed.filter(|relay| !relay.is_shared) {
            self.count_kernel_drops(relay.slot);
            self.sockets.close(relay.slot);
        }
    }

    /// Queues a payload that lies in a buffer to a peer.
    pub(super) fn queue_to_peer(
        &mut self,
        relay: &Relay,
        buffer: Buffer,
        range: Range<usize>,
        peer: PeerAddr,
    ) {
        let mut route = Route {
            slot: relay.slot,
            via: relay.via,
            to: peer.0,
        };
        let mut part = Part {
            tag: Towards::Peer.tag(range.len()),
            buffer,
            range,
            head: Head::EMPTY,
            padding: 0,
        };
        if relay.is_shared {
            let payload = self.ring.bytes(&part.buffer).get(part.range.clone());
            let payload = payload.unwrap_or(&[]);
            let Some(header) = udp_header(relay.relayed.0, peer.0, payload) else {
                return self.drop_packet(part.buffer, DropReason::Oversize);
            };
            part = self.put_before(part, &header);
            route.to = raw_destination(peer);
        }
        self.send(route, part);
    }

    /// Sends without the ring. DF is an option of the socket, not of a datagram, so one that asks
    /// for it is sent by itself.
    pub(super) fn send_now(
        &self,
        relay: Relay,
        bytes: &[u8],
        forward: &ToPeer,
    ) -> Result<(), DropReason> {
        let socket = self.sockets.socket(relay.slot);
        let socket = socket.ok_or(DropReason::NoAllocation)?;
        let peer = forward.peer;
        let header;
        let (to, head): (_, &[u8]) = if relay.is_shared {
            header = udp_header(relay.relayed.0, peer.0, bytes).ok_or(DropReason::Oversize)?;
            (raw_destination(peer), &header)
        } else {
            (peer.0, &[])
        };
        let pieces = [IoSlice::new(head), IoSlice::new(bytes)];
        let send = || socket.send_to_vectored(&pieces, &to.into());
        let sent = if forward.dont_fragment {
            set_fragment_policy(socket, to.is_ipv6(), FragmentPolicy::DontFragment).and_then(|()| {
                let sent = send();
                set_fragment_policy(socket, to.is_ipv6(), FragmentPolicy::Fragment)?;
                sent
            })
        } else {
            send()
        };
        sent.map(|_| ())
            .map_err(|error| reason_of(errno_of(&error)))
    }
}

/// A raw socket takes a port for a protocol (ipv6(7)).
const fn raw_destination(peer: PeerAddr) -> SocketAddr {
    let mut to = peer.0;
    to.set_port(0);
    to
}
