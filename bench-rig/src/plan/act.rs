//! What stands between clients and peers in a trial: a relay, or one of the ceilings.

use std::net::SocketAddr;
use std::time::Instant;

use turnpike_types::AddressFamily;

use super::fault::Fault;
use super::scene::Scene;
use crate::ceiling::KernelRoutes;
use crate::load::clients::{Crowd, Established, KEEP_ALIVE_EVERY, establish};
use crate::load::live::redirect::{self, Redirect};
use crate::load::packet::{CLIENTS, PEERS, VirtualNet, Wire};
use crate::load::{Flow, Path};
use crate::netns::bench::BenchHosts;
use crate::subject::{Running, Settings, Subject};

/// A relay with its allocations, or a ceiling.
pub(super) enum Act<'h> {
    /// A relay.
    Relay {
        running: Box<Running>,
        clients: Option<Box<Established>>,
        flows: Vec<Flow>,
        refreshed: Instant,
    },
    /// A bare redirect.
    Redirect {
        _redirect: Redirect,
        flows: Vec<Flow>,
    },
    /// The kernel's routing.
    Routes {
        _routes: KernelRoutes<'h>,
        flows: Vec<Flow>,
    },
}

impl<'h> Act<'h> {
    /// Starts a relay and gets the scene's allocations of it.
    pub(super) fn relay(
        hosts: &'h BenchHosts,
        subject: &dyn Subject,
        scene: &Scene,
    ) -> Result<Self, Fault> {
        let running = Box::new(subject.start(hosts, &Settings::default())?);
        // A device whose XDP program came or went may have another receiving thread.
        hosts.pin()?;
        let wire = Wire::of_clients(hosts);
        let (clients, flows) = match (scene.profile.shape.path, scene.flows) {
            (Path::Binding, _) => (None, askers(scene, running.server())),
            (_, 0) => (None, Vec::new()),
            (_, flows) => {
                let clients = establish(&wire, &crowd(&running, scene, flows))?;
                let flows = clients.flows.clone();
                (Some(Box::new(clients)), flows)
            }
        };
        Ok(Self::Relay {
            running,
            clients,
            flows,
            refreshed: Instant::now(),
        })
    }

    /// Has the kernel route.
    pub(super) fn routes(hosts: &'h BenchHosts, scene: &Scene) -> Result<Self, Fault> {
        Ok(Self::Routes {
            _routes: KernelRoutes::start(hosts)?,
            flows: straight(scene),
        })
    }

    /// Has an XDP program exchange the two wires.
    pub(super) fn redirect(hosts: &BenchHosts, scene: &Scene) -> Result<Self, Fault> {
        let redirect = redirect::attach(hosts)?;
        // A device whose XDP program came or went may have another receiving thread.
        hosts.pin()?;
        Ok(Self::Redirect {
            _redirect: redirect,
            flows: straight(scene),
        })
    }

    /// Its flows.
    pub(super) fn flows(&self) -> Vec<Flow> {
        match self {
            Self::Relay { flows, .. }
            | Self::Routes { flows, .. }
            | Self::Redirect { flows, .. } => flows.clone(),
        }
    }

    /// The relay that runs, when this is one.
    pub(super) fn running(&self) -> Option<&Running> {
        match self {
            Self::Relay { running, .. } => Some(running),
            Self::Routes { .. } | Self::Redirect { .. } => None,
        }
    }

    /// Processes to be charged.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.running().map_or_else(Vec::new, Running::pids)
    }

    /// How far it got, when it gave fewer allocations than were asked for.
    pub(super) fn ceiling(&self) -> Option<&str> {
        match self {
            Self::Relay { clients, .. } => clients.as_ref()?.ceiling.as_deref(),
            Self::Routes { .. } | Self::Redirect { .. } => None,
        }
    }

    /// Refreshes allocations when it is time to.
    pub(super) fn keep_alive(&mut self) -> Result<(), Fault> {
        if let Self::Relay {
            clients: Some(clients),
            refreshed,
            ..
        } = self
            && refreshed.elapsed() > KEEP_ALIVE_EVERY
        {
            clients.keep_alive()?;
            *refreshed = Instant::now();
        }
        Ok(())
    }

    /// An error if the relay has died.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self.running() {
            Some(running) if !running.is_alive() => Err(Fault::Died(last_words(&running.output()))),
            _ => Ok(()),
        }
    }

    /// Ends it.
    pub(super) fn end(self) {
        if let Self::Relay { running, .. } = self {
            running.stop();
        }
    }
}

/// The clients of a scene, of so many of them.
pub(super) fn crowd(running: &Running, scene: &Scene, count: u32) -> Crowd {
    let servers = [running.server(), running.server_v6()];
    scene
        .profile
        .crowd(&servers, &[running.credential()], count)
}

/// Flows between clients and peers without a relay; both have addresses of the clients' family.
fn straight(scene: &Scene) -> Vec<Flow> {
    let address = |net: VirtualNet, ending: u16| {
        let ip = match scene.profile.clients {
            AddressFamily::Ipv4 => net.v4(ending),
            AddressFamily::Ipv6 => net.v6(ending),
        };
        SocketAddr::new(ip, STRAIGHT_PORT)
    };
    (1..=u16::MAX)
        .zip(0..scene.flows)
        .map(|(ending, number)| {
            let (client, peer) = (address(CLIENTS, ending), address(PEERS, ending));
            Flow {
                number,
                client,
                server: peer,
                relayed: client,
                peer,
                channel: 0,
            }
        })
        .collect()
}

/// Clients that have no allocation and ask the server for their own address.
fn askers(scene: &Scene, server: SocketAddr) -> Vec<Flow> {
    let mut flows = straight(scene);
    for flow in &mut flows {
        flow.server = server;
    }
    flows
}

/// The port of both ends where there is no relay.
const STRAIGHT_PORT: u16 = 20_000;

/// The last lines that a relay printed, on one.
fn last_words(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let last = lines.len().saturating_sub(3);
    match lines.get(last..) {
        Some(words) if !words.is_empty() => words.join(" / "),
        _ => "it printed nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_last_lines() {
        assert_eq!(last_words("a\nb\nc\nd\n"), "b / c / d");
        assert_eq!(last_words(""), "it printed nothing");
    }
}
