//! Questions to the kernel's routing tables, one at a time, over one netlink socket.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::Way;
use super::message::{self, Link, Neighbour, Route};

pub(super) struct Kernel {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Kernel {
    pub(super) fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel answers at once, or a question was lost: then the hop stays unresolved.
        let patience = TimeVal::new(1, 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(MESSAGE_MAX),
        })
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
        match self.answer(RouteNetlinkMessage::GetRoute(question), 0)? {
            RouteNetlinkMessage::NewRoute(answer) => message::route(&answer),
            _ => None,
        }
    }

    /// A device by its index; `None` when it is gone, or has no Ethernet addresses.
    pub(super) fn link(&mut self, index: u32) -> Option<Link> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        match self.answer(RouteNetlinkMessage::GetLink(question), 0)? {
            RouteNetlinkMessage::NewLink(answer) => message::link(&answer),
            _ => None,
        }
    }

    /// What the kernel knows of a neighbour.
    pub(super) fn neighbour(&mut self, device: u32, address: IpAddr) -> Option<Neighbour> {
        let question = neighbour_message(device, address);
        match self.answer(RouteNetlinkMessage::GetNeighbour(question), 0)? {
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
        let _acknowledged = self.answer(
            RouteNetlinkMessage::NewNeighbour(question),
            NLM_F_CREATE | NLM_F_ACK,
        );
    }

    /// Asks and reads until the answer; `None` for an error, or an acknowledgement.
    fn answer(&mut self, question: RouteNetlinkMessage, flags: u16) -> Option<RouteNetlinkMessage> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).ok()?;
        // Late answers to earlier questions are skipped, as many as there could be.
        for _ in 0..LATE_MAX {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0).ok()?;
            let said = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&self.buffer).ok()?;
            if said.header.sequence_number != self.sequence {
                continue;
            }
            return match said.payload {
                NetlinkPayload::InnerMessage(inner) => Some(inner),
                _ => None,
            };
        }
        None
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

/// Longer than any message about one thing: a device's has its statistics in it.
pub(super) const MESSAGE_MAX: usize = 64 << 10;

/// How many answers may be late.
const LATE_MAX: usize = 16;
