//! The lanes of a run: each direction of each flow, with the frame it sends and what must arrive.

use std::collections::HashMap;
use std::net::SocketAddr;

use turnpike_stun::Method;

use super::frame::{Ends, Link, Template, Wrapping};
use super::stamp::{TO_CLIENT, TO_PEER};
use super::{Carrier, Direction, Flow, LoadError, Path, Shape};

/// One direction of one flow.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) flow: u32,
    pub(super) direction: u16,
    pub(super) template: Template,
    /// Source and destination of what arrives.
    pub(super) arrives: Ends,
    pub(super) arrives_as: Arrival,
}

/// What is around a payload where it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Nothing: a peer receives.
    Plain,
    /// A client receives: ChannelData with this number, or a Data indication from this peer.
    Wrapped { channel: u16, peer: SocketAddr },
}

/// Ethernet addresses of the two wires.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) clients: Link,
    pub(super) peers: Link,
}

/// The lanes of a run, and how to find them.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) lanes: Vec<Lane>,
    /// What follows the stamp in every payload.
    pub(super) filler: Vec<u8>,
    directions: &'static [u16],
}

impl Course {
    /// The lanes of these flows, in the order in which they send: flow by flow, and of each flow to
    /// the peer first.
    pub(super) fn new(flows: &[Flow], shape: &Shape, links: Links) -> Result<Self, LoadError> {
        let directions: &[u16] = match (shape.path, shape.direction) {
            (Path::Hairpin | Path::Binding, _) | (_, Direction::ToPeer) => &[TO_PEER],
            (_, Direction::ToClient) => &[TO_CLIENT],
            (_, Direction::Both) => &[TO_PEER, TO_CLIENT],
        };
        let builder = Builder {
            flows,
            shape,
            links,
            filler: super::stamp::filler(shape.payload),
            by_relayed: flows.iter().map(|flow| (flow.relayed, flow)).collect(),
        };
        let both = |flow| directions.iter().map(move |direction| (flow, *direction));
        let lanes = flows.iter().flat_map(both);
        let lanes: Result<Vec<Lane>, LoadError> = lanes
            .map(|(flow, direction)| builder.lane(flow, direction))
            .collect();
        Ok(Self {
            lanes: lanes?,
            filler: builder.filler,
            directions,
        })
    }

    /// The place of a lane.
    #[inline]
    pub(super) fn place(&self, flow: u32, direction: u16) -> Option<usize> {
        let within = self
            .directions
            .iter()
            .position(|known| *known == direction)?;
        let place = usize::try_from(flow).ok()? * self.directions.len() + within;
        (place < self.lanes.len()).then_some(place)
    }

    /// How many directions each flow has.
    pub(super) const fn lanes_a_flow(&self) -> usize {
        self.directions.len()
    }
}

struct Builder<'f> {
    flows: &'f [Flow],
    shape: &'f Shape,
    links: Links,
    filler: Vec<u8>,
    by_relayed: HashMap<SocketAddr, &'f Flow>,
}

impl Builder<'_> {
    fn lane(&self, flow: &Flow, direction: u16) -> Result<Lane, LoadError> {
        let (link, from, to, wrapping) = self.departure(flow, direction);
        let (source, destination, arrives_as) = self.arrival(flow, direction)?;
        let template = Template::new(link, from, to, wrapping, &self.filler)
            .ok_or_else(|| unfit(flow, "has no frame with this payload"))?;
        if self.place_of(flow.number) != Some(flow) {
            return Err(unfit(flow, "is not at the place of its number"));
        }
        Ok(Lane {
            flow: flow.number,
            direction,
            template,
            arrives: Ends::new(source, destination),
            arrives_as,
        })
    }

    fn departure(&self, flow: &Flow, direction: u16) -> (Link, SocketAddr, SocketAddr, Wrapping) {
        let Links { clients, peers } = self.links;
        let wrapping = match self.shape.carrier {
            Carrier::Channel => Wrapping::Channel(flow.channel),
            Carrier::Indication => Wrapping::Send(flow.peer),
        };
        match (self.shape.path, direction) {
            (Path::Straight, TO_PEER) => (clients, flow.client, flow.peer, Wrapping::Plain),
            (Path::Straight, _) => (peers, flow.peer, flow.client, Wrapping::Plain),
            (Path::Binding, _) => {
                let request = Wrapping::Request(Method::BINDING);
                (clients, flow.client, flow.server, request)
            }
            (_, TO_PEER) => (clients, flow.client, flow.server, wrapping),
            _ => (peers, flow.peer, flow.relayed, Wrapping::Plain),
        }
    }

    fn arrival(
        &self,
        flow: &Flow,
        direction: u16,
    ) -> Result<(SocketAddr, SocketAddr, Arrival), LoadError> {
        let wrapped = |flow: &Flow| Arrival::Wrapped {
            channel: flow.channel,
            peer: flow.peer,
        };
        Ok(match (self.shape.path, direction) {
            (Path::Straight, TO_PEER) => (flow.client, flow.peer, Arrival::Plain),
            (Path::Straight, _) => (flow.peer, flow.client, Arrival::Plain),
            (Path::Binding, _) => (flow.server, flow.client, Arrival::Plain),
            (Path::Relayed, TO_PEER) => (flow.relayed, flow.peer, Arrival::Plain),
            (Path::Relayed, _) => (flow.server, flow.client, wrapped(flow)),
            (Path::Hairpin, _) => {
                let partner = self.by_relayed.get(&flow.peer);
                let partner = partner
                    .filter(|partner| partner.peer == flow.relayed)
                    .ok_or_else(|| unfit(flow, "has no flow at its other end"))?;
                (partner.server, partner.client, wrapped(partner))
            }
        })
    }

    fn place_of(&self, number: u32) -> Option<&Flow> {
        self.flows.get(usize::try_from(number).ok()?)
    }
}

fn unfit(flow: &Flow, what: &str) -> LoadError {
    LoadError::Unfit(format!("flow {} {what}: {flow:?}", flow.number))
}
