//! What is asked of the kernel: routes, devices, neighbours.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Way;
use super::message::{self, Link, Neighbour, Route};
use crate::netlink::Netlink;

pub(super) struct Kernel(Netlink);

impl Kernel {
    pub(super) fn new() -> io::Result<Self> {
        Netlink::new().map(Self)
    }

    /// The route that a packet of ours would take; `None` when there is none out of the host.
    pub(super) fn route(&mut self, way: Way) -> Option<Route> {
        let mut question = RouteMessage::default();
        question.header.address_family = family(way.to);
        question.header.destination_prefix_length = bits(way.to);
        question
            .attributes
            .push(RouteAttribute::Destination(way.to.into()));
        if !way.from.is_unspecified() {
            question.header.source_prefix_length = bits(way.from);
            question
                .attributes
                .push(RouteAttribute::Source(way.from.into()));
        }
        match self.0.answer(RouteNetlinkMessage::GetRoute(question), 0)? {
            RouteNetlinkMessage::NewRoute(answer) => message::route(&answer),
            _ => None,
        }
    }

    /// A device by its index; `None` when it is gone, or has no Ethernet addresses.
    pub(super) fn link(&mut self, index: u32) -> Option<Link> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        match self.0.answer(RouteNetlinkMessage::GetLink(question), 0)? {
            RouteNetlinkMessage::NewLink(answer) => message::link(&answer),
            _ => None,
        }
    }

    /// What the kernel knows of a neighbour.
    pub(super) fn neighbour(&mut self, device: u32, address: IpAddr) -> Option<Neighbour> {
        let question = neighbour_message(device, address);
        match self
            .0
            .answer(RouteNetlinkMessage::GetNeighbour(question), 0)?
        {
            RouteNetlinkMessage::NewNeighbour(answer) => message::neighbour(&answer),
            _ => None,
        }
    }

    /// Has the kernel find a neighbour, as if there were a packet for it. What it finds comes as an
    /// event.
    pub(super) fn ask(&mut self, device: u32, address: IpAddr) {
        let mut question = neighbour_message(device, address);
        question.header.flags = NeighbourFlags::Use;
        // A device that went meanwhile, or a missing right: the hop stays what it is.
        let _acknowledged = self.0.answer(
            RouteNetlinkMessage::NewNeighbour(question),
            NLM_F_CREATE | NLM_F_ACK,
        );
    }
}

fn neighbour_message(device: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = device;
    message
        .attributes
        .push(NeighbourAttribute::Destination(address.into()));
    message
}

const fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn bits(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
