//! What should become of one packet, by the words of `turnpike_types::forwarding` and RFC 8656
//! sections 11 and 12.

use std::net::SocketAddr;

use turnpike_turn::forward::ToPeer;
use turnpike_types::{
    AllocationId, ChannelEntry, DropReason, FiveTuple, PeerAddr, PermissionEntry, RelayedAddr,
    Timestamp,
};

use super::{Allocation, Expected, Model, wire_ip};
use crate::addresses::{RELAY_V4_EXTERNAL, SERVER_V4};
use crate::naive_stun::{self, FINGERPRINT, NaiveMessage};

impl Model {
    pub(in crate::forwarder) fn client_sent(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Expected {
        self.tally.from_client += 1;
        match self.judge_client(now, five_tuple, packet) {
            Ok(Some(forward)) => {
                self.tally.to_peer += 1;
                Expected::ToPeer(forward)
            }
            Ok(None) => {
                self.tally.passed += 1;
                Expected::Pass
            }
            Err(reason) => self.drop_for(reason),
        }
    }

    fn judge_client(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<Option<ToPeer>, DropReason> {
        let first = packet.first().copied().ok_or(DropReason::Malformed)?;
        if (0x40..0x80).contains(&first) {
            return self.channel_data(now, five_tuple, packet).map(Some);
        }
        if packet.len() >= 2 && packet[..2] == [0x00, 0x16] {
            return self.send_indication(now, five_tuple, packet).map(Some);
        }
        let is_stun =
            first < 0x40 && packet.len() >= 20 && packet[4..8] == [0x21, 0x12, 0xA4, 0x42];
        if is_stun {
            Ok(None)
        } else {
            Err(DropReason::Malformed)
        }
    }

    fn channel_data(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<ToPeer, DropReason> {
        if packet.len() < 4 {
            return Err(DropReason::Malformed);
        }
        let number = u16::from_be_bytes([packet[0], packet[1]]);
        let payload = 4..4 + usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        if !(0x4000..=0x7FFF).contains(&number) || payload.end > packet.len() {
            return Err(DropReason::Malformed);
        }
        let allocation = self.under(five_tuple);
        let channel = allocation.and_then(|found| {
            let is_it = |channel: &&ChannelEntry| {
                channel.number.get() == number && channel.expires_at > now
            };
            found.channels.iter().find(is_it).copied()
        });
        let channel =
            channel.ok_or_else(|| self.missing(now, five_tuple, DropReason::NoChannel))?;
        let relayed = channel.relayed;
        self.relay(
            now,
            channel.allocation,
            relayed,
            channel.wire_peer,
            payload,
            false,
        )
    }

    fn send_indication(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<ToPeer, DropReason> {
        let message = NaiveMessage::parse(packet).ok_or(DropReason::Malformed)?;
        let is_foreign = |kind: u16| kind < 0x8000 && !HARMLESS.contains(&kind);
        let lies = |found: &naive_stun::NaiveAttribute| {
            is_foreign(found.kind) || (found.kind == 0x001A && !found.value.is_empty())
        };
        if message.attributes.iter().any(lies) {
            return Err(DropReason::Malformed);
        }
        let peer = message.first(0x0012).ok_or(DropReason::Malformed)?;
        let data = message.first(0x0013).ok_or(DropReason::Malformed)?;
        let peer = naive_stun::address(&peer.value, Some(&message.transaction_id))
            .ok_or(DropReason::Malformed)?;
        if message.first(FINGERPRINT).is_some() && message.fingerprint_is_valid() != Some(true) {
            return Err(DropReason::BadFingerprint);
        }
        let wire_peer = SocketAddr::new(wire_ip(peer.ip()), peer.port());
        let permission = self.under(five_tuple).and_then(|found| {
            let is_it = |permission: &&PermissionEntry| {
                permission.wire_ip == wire_peer.ip() && permission.expires_at > now
            };
            found.permissions.iter().find(is_it).copied()
        });
        let permission =
            permission.ok_or_else(|| self.missing(now, five_tuple, DropReason::NoPermission))?;
        if !admits(&permission, wire_peer) {
            return Err(DropReason::ForbiddenPort);
        }
        let payload = data.offset + 4..data.offset + 4 + data.value.len();
        let dont_fragment = message.first(0x001A).is_some();
        let wire_peer = PeerAddr(wire_peer);
        self.relay(
            now,
            permission.allocation,
            permission.relayed,
            wire_peer,
            payload,
            dont_fragment,
        )
    }

    fn relay(
        &mut self,
        now: Timestamp,
        id: AllocationId,
        relayed: RelayedAddr,
        peer: PeerAddr,
        payload: std::ops::Range<usize>,
        dont_fragment: bool,
    ) -> Result<ToPeer, DropReason> {
        self.charge(now, id, payload.len())?;
        let traffic = &mut self.of(id).ok_or(DropReason::NoAllocation)?.traffic;
        traffic.to_peer_packets += 1;
        traffic.to_peer_bytes += payload.len() as u64;
        Ok(ToPeer {
            allocation: id,
            relayed,
            peer,
            payload,
            dont_fragment,
        })
    }

    pub(in crate::forwarder) fn peer_sent(
        &mut self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        len: usize,
    ) -> Expected {
        self.tally.from_peer += 1;
        match self.judge_peer(now, relayed, peer, len) {
            Ok(expected) => {
                self.tally.to_client += 1;
                expected
            }
            Err(reason) => self.drop_for(reason),
        }
    }

    fn judge_peer(
        &mut self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        len: usize,
    ) -> Result<Expected, DropReason> {
        let owner = self.allocations.iter().find(|found| found.has(relayed));
        let owner = owner.ok_or(DropReason::NoAllocation)?;
        let (id, five_tuple) = (owner.id, owner.five_tuple);
        let is_channel = |channel: &&ChannelEntry| {
            channel.relayed == relayed && channel.wire_peer == peer && channel.expires_at > now
        };
        let channel = owner
            .channels
            .iter()
            .find(is_channel)
            .map(|channel| channel.number);
        let mut known = peer;
        if channel.is_none() {
            let is_permission = |found: &&PermissionEntry| {
                found.relayed == relayed && found.wire_ip == peer.ip() && found.expires_at > now
            };
            let Some(permission) = owner.permissions.iter().find(is_permission) else {
                let mut addresses = owner.addresses.iter();
                let is_open = addresses.any(|(open, end)| *open == relayed && *end > now);
                return Err(if is_open {
                    DropReason::NoPermission
                } else {
                    DropReason::NoAllocation
                });
            };
            if !admits(permission, peer.0) {
                return Err(DropReason::ForbiddenPort);
            }
            known = PeerAddr(SocketAddr::new(permission.peer_ip, peer.port()));
        }
        self.charge(now, id, len)?;
        let overhead = match (channel, known.0) {
            (Some(_), _) if five_tuple.transport.is_stream() => 4 + len.next_multiple_of(4) - len,
            (Some(_), _) => 4,
            (None, SocketAddr::V4(_)) => 36 + len.next_multiple_of(4) - len,
            (None, SocketAddr::V6(_)) => 48 + len.next_multiple_of(4) - len,
        };
        if len + overhead > 65_507 {
            return Err(DropReason::Oversize);
        }
        let traffic = &mut self.of(id).ok_or(DropReason::NoAllocation)?.traffic;
        traffic.to_client_packets += 1;
        traffic.to_client_bytes += len as u64;
        Ok(Expected::ToClient {
            id,
            five_tuple,
            channel,
            peer: known,
        })
    }

    fn under(&self, five_tuple: &FiveTuple) -> Option<&Allocation> {
        self.allocations
            .iter()
            .find(|found| found.five_tuple == *five_tuple)
    }

    fn missing(&self, now: Timestamp, five_tuple: &FiveTuple, entry: DropReason) -> DropReason {
        let is_live = |found: &Allocation| found.addresses.iter().any(|(_, end)| *end > now);
        match self.under(five_tuple) {
            Some(found) if is_live(found) => entry,
            _ => DropReason::NoAllocation,
        }
    }

    fn charge(&mut self, now: Timestamp, id: AllocationId, len: usize) -> Result<(), DropReason> {
        let users = &mut self.users;
        let mut allocations = self.allocations.iter_mut();
        let allocation = allocations
            .find(|found| found.id == id)
            .ok_or(DropReason::NoAllocation)?;
        let user = users.iter_mut().find(|user| user.id == allocation.user);
        let user = user.ok_or(DropReason::NoAllocation)?;
        let mut bucket = allocation.bucket;
        if !bucket.take(&allocation.limit, now, len) {
            allocation.bucket = bucket;
            return Err(DropReason::AllocationRate);
        }
        if !user.bucket.take(&user.limit, now, len) {
            return Err(DropReason::UserRate);
        }
        allocation.bucket = bucket;
        Ok(())
    }

    fn drop_for(&mut self, reason: DropReason) -> Expected {
        self.tally.dropped[reason as usize] += 1;
        Expected::Drop(reason)
    }
}

fn admits(permission: &PermissionEntry, peer: SocketAddr) -> bool {
    let rule = permission.ports;
    let external = SocketAddr::new(RELAY_V4_EXTERNAL.into(), SERVER_V4.port());
    let is_service = peer == SERVER_V4 || peer == external;
    (rule.min..=rule.max).contains(&peer.port()) && !(rule.guarded && is_service)
}

/// Attributes that are known, and known to do no harm in a Send indication.
const HARMLESS: [u16; 21] = [
    0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x000C, 0x000D, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016,
    0x0017, 0x0018, 0x0019, 0x001A, 0x001C, 0x001D, 0x001E, 0x0020, 0x0022,
];
