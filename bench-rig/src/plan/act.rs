//! What stands between clients and peers in a trial: a relay, or one of the ceilings.

use super::fault::Fault;
use super::scene::Scene;
use super::stage::Who;
use crate::ceiling::KernelRoutes;
use crate::load::clients::{Crowd, Established, KEEP_ALIVE_EVERY, Peers, establish};
use crate::load::packet::{CLIENTS, PEERS, Wire};
use crate::load::{Flow, Path};
use crate::netns::bench::BenchHosts;
use crate::subject::{Running, Settings, Subject};
use std::net::SocketAddr;
use std::time::Instant;
use turnpike_types::AddressFamily;

/// A relay with its allocations, or a ceiling.
pub(super) enum Act<'h> {
    Relay {
        running: Running,
        /// None without flows.
        clients: Option<Established>,
        refreshed: Instant,
    },
    Ceiling {
        flows: Vec<Flow>,
        _between: KernelRoutes<'h>,
    },
}

impl<'h> Act<'h> {
    /// Starts a relay and gets the scene's allocations of it, all of them.
    pub(super) fn relay(hosts: &'h BenchHosts, subject: &dyn Subject, scene: &Scene) -> Result<Self, Fault> {
        let running = subject.start(hosts, &Settings::default())?;
        let clients = match scene.flows {
            0 => None,
            _ => Some(crowd(hosts, &running, scene)?),
        };
        if let Some(ceiling) = clients.as_ref().and_then(|clients| clients.ceiling.clone()) {
            return Err(Fault::Failed(ceiling));
        }
        Ok(Self::Relay {
            running,
            clients,
            refreshed: Instant::now(),
        })
    }
}
