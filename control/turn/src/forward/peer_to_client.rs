//! From a peer to a client: ChannelData where a channel is bound, else a Data indication (RFC 8656
//! sections 11.3 and 12.7).

use core::net::SocketAddr;

use turnpike_types::{
    AllocationId, ChannelNumber, DropReason, FiveTuple, PeerAddr, RelayedAddr, Timestamp,
};

use super::prefix::Prefix;
use super::record::Endpoint;
use super::{DATAGRAM_MAX, Forwarder, ToClient};
use crate::advertised_ip;
use crate::channel_data::ChannelData;

impl Forwarder {
    pub(super) fn peer_to_client(
        &mut self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
        payload_len: usize,
    ) -> Result<ToClient, DropReason> {
        let (allocation, form) = self.find_client(now, relayed, peer)?;
        self.charge(now, allocation, payload_len)?;
        let records = &self.table.records;
        let five_tuple = records.allocation(allocation).map(|found| found.five_tuple);
        let five_tuple = five_tuple.ok_or(DropReason::NoAllocation)?;
        let (prefix, padding) = self.wrap(form, &five_tuple, payload_len)?;
        let found = self.table.records.allocation_mut(allocation);
        let found = found.ok_or(DropReason::NoAllocation)?;
        found.traffic.to_client_packets += 1;
        found.traffic.to_client_bytes += payload_len as u64;
        let generation = found.generation;
        Ok(ToClient {
            allocation: AllocationId {
                slot: allocation,
                generation,
            },
            five_tuple,
            prefix,
            padding,
        })
    }

    /// Whose the datagram is and in what form it goes on.
    fn find_client(
        &self,
        now: Timestamp,
        relayed: RelayedAddr,
        peer: PeerAddr,
    ) -> Result<(u32, Form), DropReason> {
        let records = &self.table.records;
        let local = Endpoint::from(relayed.0);
        let channel = self
            .table
            .channel_by_relayed(local, peer.0.into())
            .and_then(|slot| records.channels.get(slot))
            .filter(|channel| channel.expires_at > now);
        if let Some(channel) = channel {
            return Ok((channel.allocation, Form::ChannelData(channel.number)));
        }
        let permission = self
            .table
            .permission_by_relayed(local, peer.ip())
            .and_then(|slot| records.permissions.get(slot))
            .filter(|permission| permission.expires_at > now)
            .ok_or_else(|| self.unpermitted(now, local))?;
        let wire_peer = SocketAddr::new(peer.ip(), peer.port());
        if !permission.ports.admits_service(&wire_peer, &self.services) {
            return Err(DropReason::ForbiddenPort);
        }
        let known_ip = if permission.is_mapped {
            advertised_ip(&self.relay_map, peer.ip())
        } else {
            peer.ip()
        };
        Ok((
            permission.allocation,
            Form::DataIndication(SocketAddr::new(known_ip, peer.port())),
        ))
    }

    /// Why no permission was found for a datagram to this address.
    fn unpermitted(&self, now: Timestamp, local: Endpoint) -> DropReason {
        let address = self.table.address_by_relayed(local);
        let address = address.and_then(|slot| self.table.records.addresses.get(slot));
        if address.is_some_and(|found| found.expires_at > now) {
            DropReason::NoPermission
        } else {
            DropReason::NoAllocation
        }
    }

    fn wrap(
        &mut self,
        form: Form,
        five_tuple: &FiveTuple,
        payload_len: usize,
    ) -> Result<(Prefix, usize), DropReason> {
        let to_four = ChannelData::padding(payload_len);
        let (prefix, padding) = match form {
            Form::ChannelData(number) => {
                let prefix = Prefix::channel_data(number, payload_len);
                let padding = if five_tuple.transport.is_stream() {
                    to_four
                } else {
                    0
                };
                (prefix.ok_or(DropReason::Oversize)?, padding)
            }
            Form::DataIndication(peer) => {
                let id = self.transaction_ids.draw();
                let prefix = Prefix::data_indication(id, peer, payload_len);
                (prefix.ok_or(DropReason::Oversize)?, to_four)
            }
        };
        let whole = prefix.as_slice().len() + payload_len + padding;
        if whole > DATAGRAM_MAX {
            Err(DropReason::Oversize)
        } else {
            Ok((prefix, padding))
        }
    }
}

/// How a payload is wrapped for its client.
enum Form {
    ChannelData(ChannelNumber),
    /// With the peer as the client knows it.
    DataIndication(SocketAddr),
}
