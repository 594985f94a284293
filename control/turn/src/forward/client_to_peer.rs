//! From a client to a peer: ChannelData and Send indications (RFC 8656 sections 11.2 and 12.6).

use core::net::SocketAddr;
use core::ops::Range;

use turnpike_stun::{Attribute, AttributeType, Fingerprint, MAGIC_COOKIE, Message};
use turnpike_types::{AllocationId, DropReason, FiveTuple, PeerAddr, RelayedAddr, Timestamp};

use super::{DATAGRAM_MAX, Forwarder, ToPeer};
use crate::attribute::{DontFragment, KNOWN, XorPeerAddress};
use crate::channel_data::ChannelData;
use crate::wire_ip;

impl Forwarder {
    /// `Ok(None)` leaves the packet to the server. The first two bits tell what it is (RFC 7983).
    pub(super) fn client_to_peer(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<Option<ToPeer>, DropReason> {
        match packet {
            [0x40..=0x7F, ..] => self.channel_data(now, five_tuple, packet).map(Some),
            [high, low, ..] if [*high, *low] == SEND_INDICATION => {
                self.send_indication(now, five_tuple, packet).map(Some)
            }
            [
                0..=0x3F,
                _,
                _,
                _,
                c0,
                c1,
                c2,
                c3,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                ..,
            ] if u32::from_be_bytes([*c0, *c1, *c2, *c3]) == MAGIC_COOKIE => Ok(None),
            _ => Err(DropReason::Malformed),
        }
    }

    fn channel_data(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<ToPeer, DropReason> {
        let ChannelData { number, payload } =
            ChannelData::parse(packet).map_err(|_| DropReason::Malformed)?;
        let records = &self.table.records;
        let channel = self
            .table
            .channel_by_client(five_tuple, number)
            .and_then(|slot| records.channels.get(slot))
            .filter(|channel| channel.expires_at > now)
            .ok_or_else(|| self.missing(now, five_tuple, DropReason::NoChannel))?;
        let route = Route {
            allocation: channel.allocation,
            address: channel.address,
            peer: SocketAddr::from(channel.wire_peer),
            dont_fragment: false,
        };
        self.relay(now, route, payload)
    }

    fn send_indication(
        &mut self,
        now: Timestamp,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> Result<ToPeer, DropReason> {
        let SendIndication {
            peer,
            payload,
            dont_fragment,
        } = SendIndication::parse(packet)?;
        let wire_peer = SocketAddr::new(wire_ip(&self.relay_map, peer.ip()), peer.port());
        let records = &self.table.records;
        let permission = self
            .table
            .permission_by_client(five_tuple, wire_peer.ip())
            .and_then(|slot| records.permissions.get(slot))
            .filter(|permission| permission.expires_at > now)
            .ok_or_else(|| self.missing(now, five_tuple, DropReason::NoPermission))?;
        if !permission.ports.admits_service(&wire_peer, &self.services) {
            return Err(DropReason::ForbiddenPort);
        }
        let route = Route {
            allocation: permission.allocation,
            address: permission.address,
            peer: wire_peer,
            dont_fragment,
        };
        self.relay(now, route, payload)
    }

    fn relay(
        &mut self,
        now: Timestamp,
        route: Route,
        payload: Range<usize>,
    ) -> Result<ToPeer, DropReason> {
        self.charge(now, route.allocation, payload.len())?;
        if payload.len() > DATAGRAM_MAX {
            return Err(DropReason::Oversize);
        }
        let records = &mut self.table.records;
        let relayed = records
            .addresses
            .get(route.address)
            .map(|address| address.relayed);
        let relayed = relayed.ok_or(DropReason::NoAllocation)?;
        let allocation = records
            .allocation_mut(route.allocation)
            .ok_or(DropReason::NoAllocation)?;
        allocation.traffic.to_peer_packets += 1;
        allocation.traffic.to_peer_bytes += payload.len() as u64;
        Ok(ToPeer {
            allocation: AllocationId {
                slot: route.allocation,
                generation: allocation.generation,
            },
            relayed: RelayedAddr(relayed.into()),
            peer: PeerAddr(route.peer),
            payload,
            dont_fragment: route.dont_fragment,
        })
    }

    /// Why an entry under a five-tuple was not found.
    fn missing(&self, now: Timestamp, five_tuple: &FiveTuple, entry: DropReason) -> DropReason {
        let allocation = self.table.allocation_by_five_tuple(five_tuple);
        if allocation.is_some_and(|slot| self.table.records.is_live(slot, now)) {
            entry
        } else {
            DropReason::NoAllocation
        }
    }
}

/// Where an entry says that a payload goes.
struct Route {
    allocation: u32,
    address: u32,
    peer: SocketAddr,
    dont_fragment: bool,
}

struct SendIndication {
    peer: SocketAddr,
    payload: Range<usize>,
    dont_fragment: bool,
}

impl SendIndication {
    /// One walk over the attributes; the first of a kind counts (RFC 8489 section 14).
    fn parse(packet: &[u8]) -> Result<Self, DropReason> {
        let message = Message::parse(packet).map_err(|_| DropReason::Malformed)?;
        let (mut peer, mut payload, mut dont_fragment) = (None, None, false);
        for attribute in message.attributes() {
            match attribute.kind {
                AttributeType::XOR_PEER_ADDRESS => {
                    peer.get_or_insert(attribute.value);
                }
                AttributeType::DATA => {
                    let start = attribute.offset + ATTRIBUTE_HEADER_LEN;
                    payload.get_or_insert(start..start + attribute.value.len());
                }
                AttributeType::DONT_FRAGMENT => {
                    DontFragment::decode(attribute.value, &message.transaction_id())
                        .map_err(|_| DropReason::Malformed)?;
                    dont_fragment = true;
                }
                AttributeType::MESSAGE_INTEGRITY | AttributeType::MESSAGE_INTEGRITY_SHA256 => {}
                kind if kind.is_comprehension_required() && !KNOWN.contains(&kind) => {
                    return Err(DropReason::Malformed);
                }
                _ => {}
            }
        }
        let (Some(peer), Some(payload)) = (peer, payload) else {
            return Err(DropReason::Malformed);
        };
        let XorPeerAddress(peer) = XorPeerAddress::decode(peer, &message.transaction_id())
            .map_err(|_| DropReason::Malformed)?;
        if message.fingerprint() == Fingerprint::Invalid {
            return Err(DropReason::BadFingerprint);
        }
        Ok(Self {
            peer,
            payload,
            dont_fragment,
        })
    }
}

/// The SEND method and the indication class, interleaved (RFC 8489 section 5).
const SEND_INDICATION: [u8; 2] = [0x00, 0x16];

const ATTRIBUTE_HEADER_LEN: usize = 4;
