//! The data plane beside the shards, where the configuration wants one and the host can.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use turnpike_dataplane::loader::{LoadError, ShardSocket, Sizes};
use turnpike_dataplane::tables::Tables;
use turnpike_dataplane::{DataPlane, Settings};
use turnpike_turn::forward::UserBuckets;
use turnpike_turn::server;
use turnpike_types::{ServerAddr, Transport};

use super::{Plan, StartError};
use crate::config::FastPathMode;
use crate::shard::RelaySockets;

/// Room in the tables where the configuration says nothing, an allocation.
const CHANNELS_EACH: u32 = 2;
const PERMISSIONS_EACH: u32 = 4;

/// Source prefixes whose requests are counted; the one not seen longest is forgotten for a new one.
const STRANGERS: u32 = 65_536;

/// Requests a second from one of them.
const STRANGERS_PER_SECOND: u32 = 1_000;

/// Whether packets are relayed in the kernel.
#[derive(Debug)]
pub enum FastPath {
    /// The configuration does not want it.
    Off,
    /// This host lacks something.
    Missing(LoadError),
    /// They are.
    On(DataPlane),
}

impl FastPath {
    /// Starts it, unless it is off, and opens what each shard relays by where it is on.
    ///
    /// # Errors
    /// When it is required and cannot be had.
    pub(super) fn start(
        plan: &Plan,
        engine: &server::Config,
        listeners: &[ServerAddr],
        shards: u16,
    ) -> Result<(Self, Vec<RelaySockets>), StartError> {
        let config = &plan.config.fast_path;
        if config.mode == FastPathMode::Off {
            return Ok((Self::Off, Vec::new()));
        }
        let settings = settings(plan, engine, listeners, shards);
        let started = relay_sockets(&settings).and_then(|sockets| {
            let plane = DataPlane::start(&settings, &steered(&sockets))?;
            Ok((Self::On(plane), sockets))
        });
        match started {
            Err(error) if config.mode == FastPathMode::Require => Err(StartError::FastPath(error)),
            Err(error) => Ok((Self::Missing(error), Vec::new())),
            Ok(started) => Ok(started),
        }
    }

    /// What a shard writes its entries to.
    pub(super) fn tables(&self, shard: u16) -> Option<Arc<Tables>> {
        self.plane()?.tables(shard)
    }

    /// The data plane, where there is one.
    #[must_use]
    pub const fn plane(&self) -> Option<&DataPlane> {
        match self {
            Self::On(plane) => Some(plane),
            Self::Off | Self::Missing(_) => None,
        }
    }
}

/// The sockets of each shard.
fn relay_sockets(settings: &Settings) -> Result<Vec<RelaySockets>, LoadError> {
    let open = |_| RelaySockets::open(&settings.relay_ips);
    let sockets: io::Result<_> = (0..settings.shards).map(open).collect();
    sockets.map_err(|error| LoadError::refused("open raw sockets to relay by", &error))
}

/// Those that relayed ports are steered to.
fn steered(shards: &[RelaySockets]) -> Vec<ShardSocket<'_>> {
    let mut steered = Vec::new();
    for (shard, sockets) in (0..).zip(shards) {
        steered.extend(sockets.receive.iter().map(|(family, socket)| ShardSocket {
            shard,
            family: *family,
            socket: socket.as_fd(),
        }));
    }
    steered
}

fn settings(
    plan: &Plan,
    engine: &server::Config,
    listeners: &[ServerAddr],
    shards: u16,
) -> Settings {
    let config = &plan.config.fast_path;
    let count = usize::from(shards.max(1));
    let limit = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
    let allocations = limit(engine.limits.allocations);
    let each = |entries: u32| allocations.saturating_mul(entries);
    let listen = plan.listen.iter().zip(listeners);
    let udp = listen.filter(|(listen, _)| listen.transport == Transport::Udp);
    let listeners: Vec<SocketAddr> = udp.map(|(_, server)| server.0).collect();
    let services = engine.services.clone();
    let is_named = !config.interfaces.is_empty();
    Settings {
        interfaces: if is_named {
            config.interfaces.clone()
        } else {
            plan.devices.clone()
        },
        is_named,
        generic: config.generic,
        shards,
        allocations_a_shard: limit(engine.limits.allocations.div_ceil(count)),
        sizes: Sizes {
            channels: config.channels.unwrap_or_else(|| each(CHANNELS_EACH)),
            permissions: config.permissions.unwrap_or_else(|| each(PERMISSIONS_EACH)),
            own_addresses: limit(listeners.len() + services.len() + plan.relay.len()),
            users: if engine.limits.user_rate.is_unlimited() {
                1
            } else {
                UserBuckets::places(engine.limits.allocations)
            },
            strangers: STRANGERS,
        },
        relay_ips: plan.relay.iter().map(|it| it.ip).collect(),
        relay_ports: plan.config.relay.ports.clone(),
        listeners,
        services,
        strangers_per_second: config.strangers_per_second.unwrap_or(STRANGERS_PER_SECOND),
    }
}

#[cfg(test)]
mod tests {
    use turnpike_abi::Config;
    use turnpike_turn::server::owner;

    #[test]
    fn kernel_steers_each_port_to_the_shard_that_hands_it_out() {
        for (first, last) in [
            (49_152, 65_535),
            (50_001, 50_100),
            (1, 65_535),
            (60_000, 60_000),
        ] {
            for shards in [1, 2, 3, 7, 64] {
                let config = Config {
                    stranger_cost: 0,
                    stranger_full: 0,
                    relay_port_min: first,
                    relay_port_max: last,
                    flags: 0,
                    cpus: 1,
                    shards: u32::from(shards),
                    allocations: 1,
                };
                for port in 1..=u16::MAX {
                    let theirs = owner(&(first..=last), shards, port).map(u32::from);
                    assert_eq!(
                        config.shard(port),
                        theirs,
                        "{port} of {first}-{last}, {shards}"
                    );
                }
            }
        }
    }
}
