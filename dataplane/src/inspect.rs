//! Looks into the tables of a relay that runs on this host, from another process: which way the
//! packets of a client and a peer take, and why.
//!
//! The tables are found by the program that is on a device of this network namespace. Whoever asks
//! needs `CAP_SYS_ADMIN`, because the kernel shows programs by number to nobody else.
//!
//! Bounded by the entries of one table, which are gone through for the client's allocations.

use std::net::{IpAddr, SocketAddr};

use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::loaded_programs;
use turnpike_abi::{
    Address, Client, Config, Endpoint, Flow, FlowKey, NextHop, Permission, Reason, maps as names,
};

use crate::loader::{LoadError, attached_to};
use crate::next_hop::HopId;

/// Why packets take the way they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A channel is bound: they are relayed in the kernel.
    Channel,
    /// A permission is live: so are they, as indications.
    Permission,
    /// The peer is another allocation of this relay: so are they, in one step.
    Here,
    /// The entry has lapsed: they are dropped.
    Lapsed,
    /// No permission for the peer: they are dropped.
    NoPermission,
    /// The peer's port is refused: they are dropped.
    ForbiddenPort,
    /// The way to the next hop is not known at the moment: they go through a socket.
    NoNextHop,
    /// The entry is marked for the socket lane, or found no room: they go through a socket.
    Lane,
}

impl Why {
    /// The lane: the kernel's, a socket's, or none.
    #[must_use]
    pub const fn lane(self) -> &'static str {
        match self {
            Self::Channel | Self::Permission | Self::Here => "xdp",
            Self::NoNextHop | Self::Lane => "socket",
            Self::Lapsed | Self::NoPermission | Self::ForbiddenPort => "none",
        }
    }

    /// In words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Channel => "a channel is bound",
            Self::Permission => "a permission is live, for Send and Data indications",
            Self::Here => "the peer is another allocation of this relay",
            Self::Lapsed => "its entry has lapsed",
            Self::NoPermission => "there is no permission for the peer's address",
            Self::ForbiddenPort => "the peer's port is refused",
            Self::NoNextHop => "the next hop is not resolved; `ip neigh` shows neighbours",
            Self::Lane => "the entry is left to the socket lane",
        }
    }
}

/// The way of one allocation's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The server address that the client uses.
    pub server: SocketAddr,
    /// The relayed address.
    pub relayed: SocketAddr,
    /// The channel number, where one is bound.
    pub channel: Option<u16>,
    /// What the client sends.
    pub to_peer: Why,
    /// What the peer sends.
    pub to_client: Why,
}

/// The tables of a running relay.
pub struct Running {
    flows: HashMap<MapData, [u64; 5], [u64; 8]>,
    permissions: HashMap<MapData, [u64; 5], [u64; 9]>,
    clients: HashMap<MapData, [u64; 5], [u64; 6]>,
    next_hops: Array<MapData, [u64; 3]>,
    reasons: Array<MapData, u64>,
}

impl Running {
    /// The relay whose program is on one of these devices.
    ///
    /// # Errors
    /// When there is none, or the kernel does not show it.
    pub fn on(devices: &[String]) -> Result<Option<Self>, LoadError> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            LoadError::refused("look into the tables of a running relay", error)
        };
        let ids = attached_to(devices)?;
        for program in loaded_programs() {
            let program = program.map_err(|error| failed(&error))?;
            if !ids.contains(&program.id()) || program.name_as_str() != Some(names::RELAY) {
                continue;
            }
            let maps = program.map_ids().map_err(|error| failed(&error))?;
            return Self::of(&maps.unwrap_or_default()).map(Some);
        }
        Ok(None)
    }

    fn of(ids: &[u32]) -> Result<Self, LoadError> {
        let what = "look into the tables of a running relay";
        let failed = |error: aya::maps::MapError| LoadError::refused(what, &error);
        let open = |name: &str| {
            for id in ids {
                let data = MapData::from_id(*id).map_err(failed)?;
                if data.info().map_err(failed)?.name_as_str() == Some(name) {
                    return Map::from_map_data(data).map_err(failed);
                }
            }
            Err(LoadError::Refused {
                what: what.to_owned(),
                said: format!("it has no {name}: another version runs"),
            })
        };
        Ok(Self {
            flows: open(names::FLOWS)?.try_into().map_err(failed)?,
            permissions: open(names::PERMISSIONS)?.try_into().map_err(failed)?,
            clients: open(names::CLIENTS)?.try_into().map_err(failed)?,
            next_hops: open(names::NEXT_HOPS)?.try_into().map_err(failed)?,
            reasons: open(names::REASONS)?.try_into().map_err(failed)?,
        })
    }

    /// Packets so far that found too little room before them or behind them to grow, on any device.
    #[must_use]
    pub fn short_of_room(&self) -> u64 {
        let cpus = self.reasons.len() / Config::REASONS_EACH;
        let lines = (0..cpus).flat_map(|cpu| {
            [Reason::NoHeadroom, Reason::NoTailroom].map(|it| Config::reason_line(it, cpu))
        });
        lines
            .filter_map(|line| self.reasons.get(&line, 0).ok())
            .sum()
    }

    /// The ways between a client and a peer, one for each of the client's allocations. `now` is
    /// nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn ways(&self, client: SocketAddr, peer: SocketAddr, now: u64) -> Vec<Way> {
        let far = Endpoint::new(client);
        let entries = self.clients.iter().filter_map(Result::ok);
        let own = entries.filter(|(key, _)| FlowKey::from_words(key).far == far);
        own.filter_map(|(key, words)| {
            let server = FlowKey::from_words(&key).near;
            self.way(server, &Client::open(&key, &words)?, far, peer, now)
        })
        .collect()
    }

    fn way(
        &self,
        server: Endpoint,
        client: &Client,
        far: Endpoint,
        peer: SocketAddr,
        now: u64,
    ) -> Option<Way> {
        let relayed = match peer.ip() {
            IpAddr::V4(_) => client.relayed_v4,
            IpAddr::V6(_) => client.relayed_v6,
        };
        if relayed.port == 0 {
            return None;
        }
        let mut way = Way {
            server: server.socket_addr(),
            relayed: relayed.socket_addr(),
            channel: None,
            to_peer: Why::NoPermission,
            to_client: Why::NoPermission,
        };
        if client.expires_at <= now {
            (way.to_peer, way.to_client) = (Why::Lapsed, Why::Lapsed);
        } else if let Some((channel, to_peer, to_client)) =
            self.channel(server, relayed, far, peer, now)
        {
            way.channel = Some(channel);
            (way.to_peer, way.to_client) = (to_peer, to_client);
        } else if let Some((to_peer, to_client)) = self.permission(relayed, peer, now) {
            (way.to_peer, way.to_client) = (to_peer, to_client);
        } else if client.flags & Client::LANE != 0 {
            (way.to_peer, way.to_client) = (Why::Lane, Why::Lane);
        }
        Some(way)
    }

    fn channel(
        &self,
        server: Endpoint,
        relayed: Endpoint,
        far: Endpoint,
        peer: SocketAddr,
        now: u64,
    ) -> Option<(u16, Why, Why)> {
        let from_peer = FlowKey {
            far: Endpoint::new(peer),
            near: relayed,
            channel: 0,
        };
        let to_client = self.flow(&from_peer)?;
        let from_client = FlowKey {
            far,
            near: server,
            channel: to_client.channel,
        };
        let to_peer = self.flow(&from_client)?;
        let judge = |flow: &Flow| {
            if flow.expires_at <= now {
                Why::Lapsed
            } else if flow.flags & Flow::LANE != 0 {
                Why::Lane
            } else {
                self.hop(flow.next_hop, Why::Channel)
            }
        };
        let number = u16::from_be(to_client.channel);
        Some((number, judge(&to_peer), judge(&to_client)))
    }

    fn permission(&self, relayed: Endpoint, peer: SocketAddr, now: u64) -> Option<(Why, Why)> {
        let key = FlowKey::permission(Address::new(peer.ip()), relayed).words();
        let words = self.permissions.get(&key, 0).ok()?;
        let found = Permission::open(&key, &words)?;
        let both = |why| Some((why, why));
        if found.expires_at <= now {
            both(Why::Lapsed)
        } else if !found.admits(peer.port()) {
            both(Why::ForbiddenPort)
        } else if found.flags & Permission::LANE != 0 {
            both(Why::Lane)
        } else {
            Some((
                self.hop(found.to_peer, Why::Permission),
                self.hop(found.to_client, Why::Permission),
            ))
        }
    }

    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        let words = self.flows.get(&key.words(), 0).ok()?;
        Flow::open(&key.words(), &words)
    }

    fn hop(&self, id: u32, resolved: Why) -> Why {
        if HopId(id) == HopId::HERE {
            return Why::Here;
        }
        let words = self.next_hops.get(&id, 0);
        let hop = words.ok().and_then(|words| NextHop::open(id, &words));
        match hop {
            Some(hop) if hop.device != 0 => resolved,
            _ => Why::NoNextHop,
        }
    }
}
