//! One client: its engine, its addresses, and the last thing that went wrong with it.

use std::net::SocketAddr;

use turnpike_sim::SeededEntropy;
use turnpike_turn::client::{Client, Config, Event, Failure, Families, Output, TRANSMIT_MAX};
use turnpike_types::{AddressFamily, DeadlineReason, PeerAddr, ServerAddr, Timestamp, Transport};

use super::super::Flow;
use super::super::packet::CLIENTS;
use super::{Crowd, address, turn};

/// A TURN client on a virtual host.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) address: SocketAddr,
    pub(super) server: SocketAddr,
    config: Config,
    seed: u64,
    engine: Option<Client<SeededEntropy>>,
    peer: Option<SocketAddr>,
    /// The channel that was bound, or zero for a permission.
    reaches: Option<u16>,
    /// Why the last thing asked for was not had.
    pub(super) trouble: Option<String>,
}

impl Caller {
    /// The client with this number; it asks for nothing yet.
    pub(super) fn new(crowd: &Crowd, number: u32) -> Self {
        let place = usize::try_from(number).unwrap_or(0);
        let server = turn(&crowd.servers, place)
            .copied()
            .unwrap_or(address::NOWHERE);
        let credential = turn(&crowd.credentials, place).cloned();
        let families = match crowd.relayed {
            AddressFamily::Ipv4 => Families::Ipv4,
            AddressFamily::Ipv6 => Families::Ipv6,
        };
        Self {
            address: address::of(CLIENTS, AddressFamily::of(&server.ip()), number),
            server,
            config: Config {
                credential,
                families,
                ..Config::new(ServerAddr(server), Transport::Udp)
            },
            // No secret: the relay under test is ours.
            seed: u64::from(number),
            engine: None,
            peer: None,
            reaches: None,
            trouble: None,
        }
    }

    pub(super) fn allocate(&mut self, now: Timestamp) {
        let entropy = SeededEntropy::new(self.seed ^ now.as_nanos());
        match Client::new(self.config.clone(), entropy, now) {
            Ok(engine) => self.engine = Some(engine),
            Err(error) => self.trouble = Some(format!("was not asked: {error}")),
        }
    }

    pub(super) fn give_peer(&mut self, peer: SocketAddr) {
        self.peer = Some(peer);
    }

    /// Asks for a channel to the peer, or for a permission alone.
    pub(super) fn reach_peer(&mut self, channel: bool, now: Timestamp) {
        let (Some(engine), Some(peer)) = (&mut self.engine, self.peer) else {
            return;
        };
        let asked = if channel {
            engine.bind_channel(now, PeerAddr(peer)).map(drop)
        } else {
            engine.create_permission(now, &[peer.ip()])
        };
        if let Err(error) = asked {
            self.trouble = Some(format!("was not asked: {error}"));
        }
    }

    pub(super) fn close(&mut self, now: Timestamp) {
        if let Some(engine) = &mut self.engine {
            engine.close(now);
        }
    }

    /// Does what is due.
    pub(super) fn wake(&mut self, now: Timestamp) {
        if let Some(engine) = &mut self.engine {
            engine.handle_timeout(now);
        }
    }

    pub(super) fn receive(&mut self, now: Timestamp, bytes: &[u8]) {
        if let Some(engine) = &mut self.engine {
            engine.handle_input(now, bytes);
        }
    }

    /// The next message to send, in `buf`.
    pub(super) fn next_message<'b>(&mut self, buf: &'b mut [u8; TRANSMIT_MAX]) -> Option<&'b [u8]> {
        let engine = self.engine.as_mut()?;
        loop {
            match engine.poll_output(buf)? {
                Output::Transmit(len) => return buf.get(..len),
                Output::Event(event) => note(&event, &mut self.reaches, &mut self.trouble),
                Output::Data { .. } => {}
            }
        }
    }

    /// When there is something to do; `None` for a client without an engine.
    fn due(&self) -> Option<(Timestamp, DeadlineReason)> {
        let deadline = self.engine.as_ref()?.poll_timeout()?;
        Some((deadline.at, deadline.reason))
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due().is_some_and(|(at, _)| at <= now)
    }

    /// Whether no request is out.
    pub(super) fn is_quiet(&self) -> bool {
        self.due()
            .is_none_or(|(_, reason)| reason != DeadlineReason::Retransmission)
    }

    pub(super) fn is_allocated(&self) -> bool {
        self.relayed().is_some()
    }

    /// The relayed transport address, of either family.
    pub(super) fn relayed(&self) -> Option<SocketAddr> {
        let allocation = self.engine.as_ref()?.allocation()?;
        let of = |family| allocation.relayed(family);
        let relayed = of(AddressFamily::Ipv4).or_else(|| of(AddressFamily::Ipv6))?;
        Some(relayed.0)
    }

    /// The flow, when all that it needs was had.
    pub(super) fn flow(&self, number: u32) -> Option<Flow> {
        Some(Flow {
            number,
            client: self.address,
            server: self.server,
            relayed: self.relayed()?,
            peer: self.peer?,
            channel: self.reaches?,
        })
    }
}

fn note(event: &Event, reaches: &mut Option<u16>, trouble: &mut Option<String>) {
    match event {
        Event::ChannelBound { number, .. } => *reaches = Some(number.get()),
        Event::PermissionCreated(_) => *reaches = Some(reaches.unwrap_or(0)),
        Event::AllocationFailed(failure) => {
            *trouble = Some(format!("{} an allocation", words(*failure)));
        }
        Event::AllocationLost(failure) => {
            *trouble = Some(format!("{} what an allocation needed", words(*failure)));
        }
        Event::NewPortNeeded => {
            *trouble = Some("has an allocation of another client's there (437)".to_owned());
        }
        Event::ChannelFailed { failure, .. } => {
            *trouble = Some(format!("{} a channel", words(*failure)));
        }
        Event::PermissionFailed { failure, .. } => {
            *trouble = Some(format!("{} a permission", words(*failure)));
        }
        Event::RefreshFailed(failure) => {
            *trouble = Some(format!("{} a Refresh", words(*failure)));
        }
        _ => {}
    }
}

/// What the relay did, before the name of what it was asked for.
fn words(failure: Failure) -> String {
    match failure {
        Failure::Refused(code) => format!("refused with {code}"),
        Failure::TimedOut => "did not answer when asked for".to_owned(),
        other => format!("failed ({other:?}) at"),
    }
}
