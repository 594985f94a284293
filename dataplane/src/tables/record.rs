//! What one allocation has in the tables, and the keys and values that this makes.

use std::net::{IpAddr, SocketAddr};

use turnpike_abi::{Address, Client, Endpoint, Flow, FlowKey, Local, LocalKey, Permission, Role};
use turnpike_types::{
    AddressFamily, AllocationEntry, ChannelNumber, PortRule, RateLimit, RelayedAddr, Timestamp,
    UserId,
};

use crate::next_hop::HopId;

/// An allocation.
#[derive(Debug)]
pub(super) struct Record {
    /// Its place in `ALLOCATIONS`.
    pub(super) slot: u32,
    pub(super) generation: u32,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// Clients on streams are served by the socket lane alone.
    pub(super) is_datagram: bool,
    pub(super) user: UserId,
    pub(super) user_place: u32,
    pub(super) limits: [RateLimit; 2],
    pub(super) to_client: HopId,
    /// IPv4 first.
    pub(super) relayed: [Option<Relayed>; 2],
    pub(super) permissions: Vec<Permitted>,
    pub(super) channels: Vec<Channel>,
    /// Whether the socket lane serves some of it: entries that found no room here, or peers that the
    /// client knows by another address.
    pub(super) is_split: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Relayed {
    pub(super) address: SocketAddr,
    pub(super) expires_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Permitted {
    pub(super) wire_ip: IpAddr,
    pub(super) is_mapped: bool,
    pub(super) ports: PortRule,
    pub(super) expires_at: Timestamp,
    pub(super) to_peer: HopId,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) number: ChannelNumber,
    pub(super) peer: SocketAddr,
    pub(super) expires_at: Timestamp,
    pub(super) to_peer: HopId,
    /// It found no room.
    pub(super) is_left_out: bool,
}

pub(super) type FlowEntry = ([u64; 5], [u64; 8]);
pub(super) type PermissionEntry = ([u64; 5], [u64; 9]);

impl Record {
    pub(super) fn is_of(&self, entry: &AllocationEntry) -> bool {
        self.generation == entry.allocation.generation
            && self.client == entry.five_tuple.client.0
            && self.server == entry.five_tuple.server.0
    }

    pub(super) fn relayed_mut(&mut self, family: AddressFamily) -> Option<&mut Option<Relayed>> {
        self.relayed.get_mut(family as usize)
    }

    /// The relayed address of a peer's family.
    fn relayed_for(&self, peer: IpAddr) -> Option<SocketAddr> {
        let relayed = self.relayed.get(AddressFamily::of(&peer) as usize)?;
        relayed.map(|it| it.address)
    }

    pub(super) fn has(&self, relayed: RelayedAddr) -> bool {
        self.relayed_for(relayed.ip()) == Some(relayed.0)
    }

    /// Whether a value is this allocation's.
    const fn owns(&self, allocation: u32, generation: u32) -> bool {
        allocation == self.slot && generation == self.generation
    }

    pub(super) fn owns_flow(&self, key: &[u64; 5], value: &[u64; 8]) -> bool {
        Flow::open(key, value).is_none_or(|flow| self.owns(flow.allocation, flow.generation))
    }

    pub(super) fn owns_permission(&self, key: &[u64; 5], value: &[u64; 9]) -> bool {
        Permission::open(key, value).is_none_or(|it| self.owns(it.allocation, it.generation))
    }

    pub(super) fn owns_client(&self, key: &[u64; 5], value: &[u64; 6]) -> bool {
        Client::open(key, value).is_none_or(|it| self.owns(it.allocation, it.generation))
    }

    /// What a channel's packets are found by and what becomes of them: the peer's, then the client's.
    pub(super) fn flows(&self, channel: &Channel) -> Option<[FlowEntry; 2]> {
        let relayed = Endpoint::new(self.relayed_for(channel.peer.ip())?);
        let peer = Endpoint::new(channel.peer);
        let number = channel.number.get().to_be();
        let from_peer = FlowKey {
            far: peer,
            near: relayed,
            channel: 0,
        };
        let from_client = FlowKey {
            channel: number,
            ..self.client_key()
        };
        let to_client = Flow {
            source: Endpoint::new(self.server),
            destination: Endpoint::new(self.client),
            channel: number,
            flags: 0,
            next_hop: self.to_client.0,
            allocation: self.slot,
            generation: self.generation,
            expires_at: channel.expires_at.as_nanos(),
        };
        let to_peer = Flow {
            source: relayed,
            destination: peer,
            channel: 0,
            next_hop: channel.to_peer.0,
            ..to_client
        };
        Some([
            (from_peer.words(), to_client.sealed(&from_peer)),
            (from_client.words(), to_peer.sealed(&from_client)),
        ])
    }

    pub(super) fn permission(&self, permitted: &Permitted) -> Option<PermissionEntry> {
        let relayed = Endpoint::new(self.relayed_for(permitted.wire_ip)?);
        let key = FlowKey::permission(Address::new(permitted.wire_ip), relayed);
        let mut flags = 0;
        // A peer's datagram is an indication only where its channel would have been found.
        if permitted.is_mapped || self.leaves_out_channel_to(permitted.wire_ip) {
            flags |= Permission::LANE;
        }
        if permitted.ports.guarded {
            flags |= Permission::GUARDED;
        }
        let value = Permission {
            server: Endpoint::new(self.server),
            client: Endpoint::new(self.client),
            flags,
            to_client: self.to_client.0,
            to_peer: permitted.to_peer.0,
            allocation: self.slot,
            generation: self.generation,
            port_min: permitted.ports.min,
            port_max: permitted.ports.max,
            expires_at: permitted.expires_at.as_nanos(),
        };
        Some((key.words(), value.sealed(&key)))
    }

    /// Whether a channel to a peer at this address found no room.
    fn leaves_out_channel_to(&self, ip: IpAddr) -> bool {
        let mut channels = self.channels.iter();
        channels.any(|channel| channel.is_left_out && channel.peer.ip() == ip)
    }

    pub(super) const fn client_key(&self) -> FlowKey {
        FlowKey {
            far: Endpoint::new(self.client),
            near: Endpoint::new(self.server),
            channel: 0,
        }
    }

    pub(super) fn client_entry(&self) -> ([u64; 5], [u64; 6]) {
        let [v4, v6] = self.relayed;
        let endpoint = |it: Option<Relayed>| it.map(|it| Endpoint::new(it.address));
        let ends = [v4, v6].into_iter().flatten().map(|it| it.expires_at);
        let value = Client {
            relayed_v4: endpoint(v4).unwrap_or_default(),
            relayed_v6: endpoint(v6).unwrap_or_default(),
            allocation: self.slot,
            generation: self.generation,
            flags: if self.is_split { Client::LANE } else { 0 },
            expires_at: ends.max().unwrap_or(Timestamp::ZERO).as_nanos(),
        };
        let key = self.client_key();
        (key.words(), value.sealed(&key))
    }

    pub(super) fn local_entry(&self, relayed: &Relayed) -> ([u64; 3], [u64; 2]) {
        let is_in_a_lane = self.is_split || !self.is_datagram;
        let value = Local {
            role: Role::Relayed as u8,
            flags: if is_in_a_lane { Local::LANE } else { 0 },
            expires_at: relayed.expires_at.as_nanos(),
        };
        let key = LocalKey(Endpoint::new(relayed.address));
        (key.words(), value.sealed(&key))
    }
}
